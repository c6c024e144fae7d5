//! Ids for events that come without one: ascending from 4·10^18, far above Track's own, and
//! never one that has been seen.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::event::EventId;

/// The first id made here.
pub(super) const FIRST: i64 = 4_000_000_000_000_000_000;

/// Ids from here on are nobody's to make: whoever sends one must not use up all before it.
pub(super) const END: i64 = 9_000_000_000_000_000_000;

#[derive(Debug)]
pub(super) struct EventIds(AtomicI64);

impl EventIds {
    /// Goes on from `upcoming`, which no earlier process has given away.
    pub(super) fn from(upcoming: i64) -> EventIds {
        EventIds(AtomicI64::new(upcoming))
    }

    pub(super) fn next(&self) -> EventId {
        EventId(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// The next id that would be given.
    pub(super) fn upcoming(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// An event has come with this id. It may have been made here, in another store: then
    /// it must not be made again, since the second event would be taken for the first.
    pub(super) fn seen(&self, id: EventId) {
        if (FIRST..END).contains(&id.0) {
            self.0.fetch_max(id.0 + 1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_has_been_seen_is_not_made() {
        let ids = EventIds::from(FIRST);
        assert_eq!(ids.next(), EventId(FIRST));
        ids.seen(EventId(FIRST + 5));
        ids.seen(EventId(FIRST + 2));
        assert_eq!(ids.next(), EventId(FIRST + 6));
        ids.seen(EventId(12));
        ids.seen(EventId(i64::MAX));
        assert_eq!(ids.next(), EventId(FIRST + 7));
    }
}
