//! From a plugin's call to what is kept of it, and the digest by which a body is known again. Pure.

use sha2::{Digest, Sha256};

use crate::delivery::trace::{Called, Verdict, micros};
use crate::plugin::{Call, Failure, Keep, Reshape, Stage};

/// What an answer comes to, and its reason.
pub(super) type Word<T> = fn(&T) -> (Verdict, Option<&str>);

pub(super) fn of_filter(keep: &Keep) -> (Verdict, Option<&str>) {
    match keep {
        Keep::Deliver => (Verdict::Deliver, None),
        Keep::Skip(reason) => (Verdict::Skip, Some(reason)),
    }
}

pub(super) fn of_transform(reshape: &Reshape) -> (Verdict, Option<&str>) {
    match reshape {
        Reshape::Unchanged => (Verdict::Unchanged, None),
        Reshape::Replace(_) => (Verdict::Replaced, None),
        Reshape::Skip(reason) => (Verdict::Skip, Some(reason)),
    }
}

/// The call as it is kept, and its answer.
pub(super) fn called<T>(
    plugin: &str,
    stage: Stage,
    call: Call<T>,
    word: Word<T>,
) -> (Called, Result<T, Failure>) {
    let Call { answer, lines, took, memory } = call;
    let (verdict, reason) = match &answer {
        Ok(answer) => word(answer),
        Err(Failure(said)) => (Verdict::Failed, Some(said.as_str())),
    };
    let (plugin, reason) = (plugin.to_owned(), reason.map(str::to_owned));
    let (took_us, memory) = (micros(took), memory as u64);
    (Called { plugin, stage, verdict, reason, took_us, memory, lines, lines_cut: 0 }, answer)
}

/// The first 8 bytes of the SHA-256, in hex: enough to know a body again that one can make.
pub fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
