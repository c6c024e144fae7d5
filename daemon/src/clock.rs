//! The wall clock, read in this one place. Everything that decides by time takes
//! `now` as an argument instead.

use jiff::Timestamp;

/// The current time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
