//! What a close listener hears beside the words of the stream: enough to draw how long what
//! took. It stays in the process, and is not even put together while nobody listens closely.

use jiff::Timestamp;

use crate::delivery::Attempt;
use crate::delivery::trace::Trace;

/// Of an event that came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// When it was about to be written down.
    pub began: Timestamp,
    pub workspace_id: Option<i64>,
    /// A line for each subscription that routing decided about; those beyond `MOST` are counted.
    pub decisions: Vec<String>,
    pub more: usize,
}

/// Decisions of one event that are told each by itself: an event may match thousands.
pub const MOST: usize = 64;

/// Of a try at a delivery, whatever ended it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub at: Timestamp,
    pub ms: u64,
    /// Where it was to go.
    pub url: url::Url,
    pub trace: Trace,
}

impl Tried {
    pub fn of(attempt: &Attempt, url: &url::Url) -> Tried {
        let trace = attempt.trace.clone().unwrap_or_default();
        Tried { at: attempt.at, ms: attempt.ms, url: url.clone(), trace }
    }
}
