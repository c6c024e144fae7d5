//! What is under way, counted per subscription and in all, and who is claiming for it
//! right now.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use super::pace::InFlight;
use crate::delivery::SubscriptionId;

/// Deliveries under way in the whole daemon: each has a socket and a body in memory. Far
/// above what a hundred endpoints that hang can hold at their default `concurrency`.
pub(super) const MOST: usize = 4096;

/// Bytes of events under way in the whole daemon, and of one subscription: one whose
/// callback hangs is not to take all the room that there is. Both may be exceeded by one
/// claim.
const MOST_BYTES: usize = 256 << 20;
const MOST_BYTES_EACH: usize = 32 << 20;

/// Deliveries of one claim, so that it cannot bring in too many large events at once.
pub(super) const CLAIM: usize = 32;

/// Subscriptions with nothing under way take no room.
#[derive(Default)]
pub(super) struct Flights(Mutex<Sky>);

#[derive(Default)]
struct Sky {
    strips: HashMap<SubscriptionId, Strip>,
    /// Under way in all.
    total: usize,
    bytes: usize,
    /// Who found no room, in the order in which they came.
    queue: VecDeque<SubscriptionId>,
    queued: HashSet<SubscriptionId>,
}

#[derive(Default)]
struct Strip {
    in_flight: InFlight,
    bytes: usize,
    /// Somebody is claiming. Whoever else would like to only says `again`, so that no
    /// wake-up is lost between the claim and its end.
    filling: bool,
    again: bool,
}

impl Flights {
    pub(super) fn of(&self, subscription: SubscriptionId) -> InFlight {
        self.sky().strips.get(&subscription).map(|strip| strip.in_flight).unwrap_or_default()
    }

    /// How many of the `wanted` there is room for, at most `CLAIM`. With none because of
    /// others, the subscription is called when there is some.
    pub(super) fn room(&self, subscription: SubscriptionId, wanted: usize) -> usize {
        let mut sky = self.sky();
        if sky.strips.get(&subscription).is_some_and(|strip| strip.bytes >= MOST_BYTES_EACH) {
            return 0;
        }
        let free = if sky.bytes < MOST_BYTES { MOST.saturating_sub(sky.total) } else { 0 };
        let room = wanted.min(free).min(CLAIM);
        if room == 0 && sky.queued.insert(subscription) {
            sky.queue.push_back(subscription);
        }
        room
    }

    /// Whether the caller is to claim. If not, whoever is at it will look once more.
    pub(super) fn begin_filling(&self, subscription: SubscriptionId) -> bool {
        let mut sky = self.sky();
        let strip = sky.strips.entry(subscription).or_default();
        strip.again = strip.filling;
        !std::mem::replace(&mut strip.filling, true)
    }

    /// Whether the caller, having claimed, is to do so once more; otherwise it is done.
    pub(super) fn fill_again(&self, subscription: SubscriptionId) -> bool {
        let mut sky = self.sky();
        let Some(strip) = sky.strips.get_mut(&subscription) else { return false };
        strip.filling = std::mem::take(&mut strip.again);
        let goes_on = strip.filling;
        if !goes_on && strip.in_flight == InFlight::default() {
            sky.strips.remove(&subscription);
        }
        goes_on
    }

    /// Has the one who is claiming look once more.
    pub(super) fn ask_again(&self, subscription: SubscriptionId) {
        if let Some(strip) = self.sky().strips.get_mut(&subscription) {
            strip.again = strip.filling;
        }
    }

    pub(super) fn take_off(&self, subscription: SubscriptionId, probe: bool, bytes: usize) {
        let mut sky = self.sky();
        sky.total += 1;
        sky.bytes += bytes;
        let strip = sky.strips.entry(subscription).or_default();
        strip.bytes += bytes;
        strip.in_flight.lanes += 1;
        strip.in_flight.probing |= probe;
    }

    /// Makes room. Returns who has been waiting for some the longest.
    pub(super) fn land(
        &self,
        subscription: SubscriptionId,
        probe: bool,
        bytes: usize,
    ) -> Option<SubscriptionId> {
        let mut sky = self.sky();
        sky.total = sky.total.saturating_sub(1);
        sky.bytes = sky.bytes.saturating_sub(bytes);
        if let Some(strip) = sky.strips.get_mut(&subscription) {
            strip.bytes = strip.bytes.saturating_sub(bytes);
            strip.in_flight.lanes = strip.in_flight.lanes.saturating_sub(1);
            strip.in_flight.probing &= !probe;
        }
        let next = sky.queue.pop_front()?;
        sky.queued.remove(&next);
        Some(next)
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        // A panic while this lock is held leaves whole numbers behind; going on is safe.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SubscriptionId = SubscriptionId(1);
    const B: SubscriptionId = SubscriptionId(2);
    const C: SubscriptionId = SubscriptionId(3);

    #[test]
    fn who_finds_no_room_is_called_in_turn() {
        let flights = Flights::default();
        assert_eq!(flights.room(A, MOST), CLAIM);
        (0..MOST).for_each(|_| flights.take_off(A, false, 1));
        assert_eq!((flights.room(B, 8), flights.room(A, 8), flights.room(B, 8)), (0, 0, 0));
        let lands = || flights.land(A, false, 1);
        assert_eq!([lands(), lands(), lands()], [Some(B), Some(A), None]);
        assert_eq!(flights.room(B, 8), 3);
    }

    #[test]
    fn large_events_take_more_room() {
        let flights = Flights::default();
        let large = 1 << 20;
        (0..32).for_each(|_| flights.take_off(A, false, large));
        assert_eq!((flights.room(A, 8), flights.room(B, 8)), (0, 8));
        assert_eq!(flights.land(A, false, large), None, "one's own bound calls nobody");
        assert_eq!(flights.room(A, 8), 8);
        (0..225).for_each(|_| flights.take_off(C, false, large));
        assert_eq!(flights.room(B, 8), 0);
        assert_eq!(flights.land(C, false, large), Some(B));
        assert_eq!(flights.room(B, 8), 8);
    }

    #[test]
    fn a_wake_up_while_somebody_claims_makes_them_look_again() {
        let flights = Flights::default();
        assert!(flights.begin_filling(A));
        assert!(!flights.begin_filling(A));
        assert!(flights.fill_again(A));
        assert!(!flights.fill_again(A));
        assert!(flights.begin_filling(A));
        assert!(!flights.fill_again(A));
    }
}
