//! What is under way, counted per subscription and in all, and who is claiming for it
//! right now.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use super::pace::InFlight;
use crate::delivery::SubscriptionId;

/// Deliveries under way in the whole daemon: each has a socket and a body in memory. Far
/// above what a hundred endpoints that hang can hold at their default `concurrency`.
pub(super) const MOST: usize = 4096;

/// Subscriptions with nothing under way take no room.
#[derive(Default)]
pub(super) struct Flights(Mutex<Sky>);

#[derive(Default)]
struct Sky {
    strips: HashMap<SubscriptionId, Strip>,
    /// Under way in all.
    total: usize,
    /// Who found no room, in the order in which they came.
    queue: VecDeque<SubscriptionId>,
    queued: HashSet<SubscriptionId>,
}

#[derive(Default)]
struct Strip {
    in_flight: InFlight,
    /// Somebody is claiming. Whoever else would like to only says `again`, so that no
    /// wake-up is lost between the claim and its end.
    filling: bool,
    again: bool,
}

impl Flights {
    pub(super) fn of(&self, subscription: SubscriptionId) -> InFlight {
        self.sky().strips.get(&subscription).map(|strip| strip.in_flight).unwrap_or_default()
    }

    /// How many of the `wanted` there is room for. With none, the subscription is called
    /// when there is some.
    pub(super) fn room(&self, subscription: SubscriptionId, wanted: usize) -> usize {
        let mut sky = self.sky();
        let room = wanted.min(MOST.saturating_sub(sky.total));
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

    pub(super) fn take_off(&self, subscription: SubscriptionId, probe: bool) {
        let mut sky = self.sky();
        sky.total += 1;
        let in_flight = &mut sky.strips.entry(subscription).or_default().in_flight;
        in_flight.lanes += 1;
        in_flight.probing |= probe;
    }

    /// Makes room. Returns who has been waiting for some the longest.
    pub(super) fn land(&self, subscription: SubscriptionId, probe: bool) -> Option<SubscriptionId> {
        let mut sky = self.sky();
        sky.total = sky.total.saturating_sub(1);
        if let Some(strip) = sky.strips.get_mut(&subscription) {
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

    #[test]
    fn who_finds_no_room_is_called_in_turn() {
        let flights = Flights::default();
        assert_eq!(flights.room(A, MOST + 1), MOST);
        (0..MOST).for_each(|_| flights.take_off(A, false));
        assert_eq!((flights.room(B, 8), flights.room(A, 8), flights.room(B, 8)), (0, 0, 0));
        assert_eq!(
            [flights.land(A, false), flights.land(A, false), flights.land(A, false)],
            [Some(B), Some(A), None]
        );
        assert_eq!(flights.room(B, 8), 3);
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
