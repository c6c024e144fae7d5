//! Extra request headers: legal, and none that the daemon itself must set.

use std::collections::BTreeMap;

use hyper::header::{HeaderName, HeaderValue};

use super::Pen;
use crate::config::file::{At, Key};
use crate::config::problem::Flaw;

/// Headers that frame the request, name its target or carry its signature.
const RESERVED: [&str; 15] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-webhook-signature-256",
];

/// Whether neither a subscription nor a plugin may set this header. `user-agent` is not
/// reserved: one given replaces ours.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with("proxy-")
}

/// Lower-cased, in the order they are written.
pub(super) fn headers(
    pen: &mut Pen<'_>,
    written: &Key<BTreeMap<At<String>, At<String>>>,
) -> Option<Vec<(String, String)>> {
    let mut entries: Vec<_> = written.get()?.value.iter().collect();
    entries.sort_by_key(|(name, _)| name.span.start);
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in entries {
        match header(name, value) {
            Err(flaw) => pen.flaw(flaw),
            Ok((name, _)) if headers.iter().any(|(known, _)| *known == name.value) => {
                let message = format!("header `{}` appears twice; case makes no difference", name.value);
                pen.flaw(Flaw::new(name.span, message));
            }
            Ok((name, value)) => headers.push((name.value, value)),
        }
    }
    Some(headers)
}

fn header(name: &At<String>, value: &At<String>) -> Result<(At<String>, String), Flaw> {
    let span = name.span.clone();
    let Ok(legal) = HeaderName::from_bytes(name.value.as_bytes()) else {
        let message = format!("{:?} cannot be the name of a header", name.value);
        return Err(Flaw::new(span, message).hint("use letters, digits and `-`"));
    };
    if is_reserved(legal.as_str()) {
        let message = format!("header `{legal}` is set by the daemon");
        return Err(
            Flaw::new(span, message).hint("remove it; the signature and the request's framing depend on it")
        );
    }
    if HeaderValue::from_str(&value.value).is_err() {
        let message = format!("the value of header `{legal}` cannot be sent");
        return Err(Flaw::new(value.span.clone(), message).hint("use visible ASCII characters in one line"));
    }
    Ok((At { value: legal.as_str().to_owned(), span }, value.value.clone()))
}
