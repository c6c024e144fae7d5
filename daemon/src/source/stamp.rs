//! The `created_at` of events that come without one. Events of an entity are delivered in
//! its order, so it must not go back because the wall clock was set a little.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A step back that is waited out: what a time server corrects after a suspend. A longer
/// one is believed, or one wrong hour would stamp all events of the next one.
const WAITED_OUT: SignedDuration = SignedDuration::from_mins(1);

#[derive(Default)]
pub(super) struct Stamps(Mutex<Timestamp>);

impl Stamps {
    /// The wall clock's `now`, or the latest stamp while `now` is a little behind it.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = latest.duration_since(now);
        if !(SignedDuration::ZERO..=WAITED_OUT).contains(&behind) {
            *latest = now;
        }
        *latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_step_back_is_waited_out_and_a_big_one_believed() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let stamps = Stamps::default();
        for (now, stamp) in [(0, 0), (5, 5), (4, 5), (-55, 5), (5, 5), (6, 6), (-55, -55), (3600, 3600)] {
            assert_eq!(stamps.next(at(now)), at(stamp), "at {now}");
        }
    }
}
