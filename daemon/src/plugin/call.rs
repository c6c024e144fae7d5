//! What one call of a plugin came to, and what it left behind: its lines of log, how long it
//! took, the memory that its instance holds. Data only.

use std::time::Duration;

use super::{Failure, Line};

/// One call, over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<T> {
    pub answer: Result<T, Failure>,
    /// What it logged, oldest first: bounded by `LOG_LINES` and `LOG_BYTES` as the plugin wrote
    /// them, and made printable. A line that went over the bound is not among them.
    pub lines: Vec<Line>,
    /// As the plugin's time is counted: without the wait for its turn, with a fresh instance
    /// if one was needed.
    pub took: Duration,
    /// Bytes of memory that the instance holds after the call; 0 if there was none.
    pub memory: usize,
}

impl<T> Call<T> {
    /// One that never reached the plugin.
    pub(super) fn failed(failure: Failure) -> Call<T> {
        Call { answer: Err(failure), lines: Vec::new(), took: Duration::ZERO, memory: 0 }
    }

    pub(super) fn and_then<U>(self, then: impl FnOnce(T) -> Result<U, Failure>) -> Call<U> {
        let Call { answer, lines, took, memory } = self;
        Call { answer: answer.and_then(then), lines, took, memory }
    }
}
