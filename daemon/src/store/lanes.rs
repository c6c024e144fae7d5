//! Which deliveries of one subscription may go out next: a window over what waits, sorted
//! and split into lanes. Pure and the same for every engine; the engine keeps what does
//! not fit and hands it in page by page.
//!
//! The window holds *every* waiting delivery before its `edge` (lanes of held ones
//! apart), so the first of a lane in the window is the first of that lane anywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Seq, Take};
use crate::delivery::{DeliveryId, Lane};
use crate::event::{Event, EventId};

mod budget;
#[cfg(test)]
mod tests;

pub(super) use budget::Budget;

/// Held lanes remembered for one subscription: about 5 MiB. Beyond it nothing more of the
/// subscription is handed out until its held deliveries are released; a plugin that failed
/// on so many different entities is not going to do better with the next.
const HELD_LANES: usize = 1 << 16;

/// Where a delivery stands among those of its subscription that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// In nanoseconds, so that it sorts the same here and in an engine.
    pub created_at: i64,
    pub event: EventId,
    pub delivery: DeliveryId,
}

impl Place {
    pub(super) const FIRST: Place =
        Place { created_at: i64::MIN, event: EventId(i64::MIN), delivery: DeliveryId(i64::MIN) };

    pub(super) fn of(event: &Event, delivery: DeliveryId) -> Place {
        Place { created_at: nanoseconds(event.created_at), event: event.id, delivery }
    }

    /// The smallest place behind this one.
    pub(super) fn behind(self) -> Place {
        Place { delivery: DeliveryId(self.delivery.0 + 1), ..self }
    }
}

/// A delivery that waits.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub place: Place,
    pub lane: Lane,
    pub seq: Seq,
    pub arrived_at: Timestamp,
    pub replay: bool,
    pub attempts: u32,
    /// `None` where memory is short: whoever claims it reads it back.
    pub event: Option<Arc<Event>>,
}

/// A delivery on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub lane: Lane,
    /// It was given up meanwhile; whatever it comes to, it does not wait again.
    pub given_up: bool,
}

/// What becomes of a delivery that was in flight.
#[derive(Debug)]
pub(super) enum Landing {
    Ended,
    Back(Entry),
    Held(Place),
}

/// A part of what waits, read back from the engine.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// Sorted by place.
    pub entries: Vec<Entry>,
    /// Where to read on; none at the end.
    pub next: Option<Place>,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    window: BTreeMap<Place, Entry>,
    by_lane: BTreeSet<(Lane, Place)>,
    /// The first of each lane that has nothing in flight.
    ready: BTreeSet<Place>,
    in_flight: HashMap<DeliveryId, Flight>,
    busy: HashSet<Lane>,
    held: HashMap<Lane, Place>,
    /// The first place that may wait outside of the window; none if nothing does.
    edge: Option<Place>,
    /// The first place that was left out since its lane is held.
    left_out: Option<Place>,
}

impl Lanes {
    /// Of a subscription whose waiting deliveries are all in the engine still.
    pub(super) fn unread() -> Lanes {
        Lanes { edge: Some(Place::FIRST), ..Lanes::default() }
    }

    /// A delivery has begun to wait. One behind the edge stays in the engine.
    pub(super) fn add(&mut self, entry: Entry, budget: &mut Budget) {
        if self.held.contains_key(&entry.lane) {
            self.leave_out(entry.place);
        } else if self.edge.is_none_or(|edge| entry.place < edge) {
            self.put(entry, budget);
            if self.window.len() > budget.window() {
                self.evict_last(budget);
            }
        }
    }

    /// Takes deliveries out to be tried; their lanes give nothing until they have landed.
    pub(super) fn take(&mut self, take: Take, budget: &mut Budget) -> Vec<Entry> {
        if self.paused() {
            return Vec::new();
        }
        let places: Vec<Place> = match take {
            Take::Heads(most) => self.ready.iter().take(most).copied().collect(),
            Take::Oldest => self.ready.first().copied().into_iter().collect(),
            Take::Only(delivery) => self.find_idle(delivery).into_iter().collect(),
        };
        places.into_iter().filter_map(|place| self.take_off(place, budget)).collect()
    }

    /// Takes a delivery that the engine found outside of the window.
    pub(super) fn take_outside(&mut self, entry: Entry) -> Option<Entry> {
        let Entry { place, lane, .. } = entry;
        let outside = self.edge.is_some_and(|edge| place >= edge);
        if !outside || self.busy.contains(&lane) || self.held.contains_key(&lane) || self.paused() {
            return None;
        }
        self.fly(place.delivery, lane);
        Some(entry)
    }

    pub(super) fn in_flight(&self, delivery: DeliveryId) -> Option<Flight> {
        self.in_flight.get(&delivery).copied()
    }

    /// A delivery in flight has come to something; its lane goes on.
    pub(super) fn land(&mut self, delivery: DeliveryId, landing: Landing, budget: &mut Budget) {
        let Some(Flight { lane, given_up }) = self.in_flight.remove(&delivery) else { return };
        self.busy.remove(&lane);
        self.ready.extend(self.head(lane));
        match landing {
            _ if given_up => {}
            Landing::Ended => {}
            Landing::Back(entry) => self.add(entry, budget),
            Landing::Held(place) => self.hold(lane, place, budget),
        }
    }

    /// A waiting delivery is given up. One in flight keeps its lane until it has landed.
    pub(super) fn remove(&mut self, place: Place, lane: Lane, budget: &mut Budget) {
        if let Some(flight) = self.in_flight.get_mut(&place.delivery) {
            flight.given_up = true;
        } else if self.held.get(&lane) == Some(&place) {
            self.held.remove(&lane);
            self.rewind(budget);
        } else if self.window.contains_key(&place) {
            self.drop_from_window(place, lane, budget);
            if !self.busy.contains(&lane) {
                self.ready.extend(self.head(lane));
            }
        }
    }

    /// Held deliveries wait again. Returns how many there were.
    pub(super) fn release(&mut self, budget: &mut Budget) -> usize {
        let count = self.held.len();
        self.held = HashMap::new();
        self.rewind(budget);
        count
    }

    /// Takes in what the engine read from `from` on. Out of date pages are ignored.
    pub(super) fn merge(&mut self, from: Place, page: Waiters, budget: &mut Budget) {
        if self.edge != Some(from) {
            return;
        }
        self.edge = page.next;
        for entry in page.entries {
            if !self.in_flight.contains_key(&entry.place.delivery) {
                self.add(entry, budget);
            }
        }
    }

    /// Where to read on in the engine, if the window has room for more.
    pub(super) fn wants_page(&self, budget: &Budget) -> Option<Place> {
        self.edge.filter(|_| self.window.len() < budget.low_water() && !self.paused())
    }

    /// Something may wait outside of the window.
    pub(super) fn has_more(&self) -> bool {
        self.edge.is_some()
    }

    /// Something could be handed out now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() && !self.paused()
    }

    pub(super) fn is_held(&self, delivery: DeliveryId, lane: Lane) -> bool {
        self.held.get(&lane).is_some_and(|held| held.delivery == delivery)
    }

    /// The event whose held delivery blocks this lane.
    pub(super) fn held_in(&self, lane: Lane) -> Option<EventId> {
        self.held.get(&lane).map(|held| held.event)
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Gives back all it has in memory.
    pub(super) fn clear(&mut self, budget: &mut Budget) {
        self.window.values().for_each(|entry| budget.give_back(entry));
        *self = Lanes::default();
    }

    fn paused(&self) -> bool {
        self.held.len() >= HELD_LANES
    }

    fn head(&self, lane: Lane) -> Option<Place> {
        let (first, place) = self.by_lane.range((lane, Place::FIRST)..).next()?;
        (*first == lane).then_some(*place)
    }

    /// Looks through the window: it is small, and this is asked once per retry.
    fn find_idle(&self, delivery: DeliveryId) -> Option<Place> {
        let entry = self.window.values().find(|entry| entry.place.delivery == delivery)?;
        (!self.busy.contains(&entry.lane)).then_some(entry.place)
    }

    fn put(&mut self, mut entry: Entry, budget: &mut Budget) {
        let (place, lane) = (entry.place, entry.lane);
        let old_head = self.head(lane);
        budget.take(&mut entry, self.window.len());
        if let Some(replaced) = self.window.insert(place, entry) {
            budget.give_back(&replaced);
        }
        self.by_lane.insert((lane, place));
        if !self.busy.contains(&lane) && old_head.is_none_or(|head| place < head) {
            old_head.map(|head| self.ready.remove(&head));
            self.ready.insert(place);
        }
    }

    fn take_off(&mut self, place: Place, budget: &mut Budget) -> Option<Entry> {
        let lane = self.window.get(&place)?.lane;
        self.fly(place.delivery, lane);
        self.drop_from_window(place, lane, budget)
    }

    fn fly(&mut self, delivery: DeliveryId, lane: Lane) {
        self.head(lane).map(|head| self.ready.remove(&head));
        self.in_flight.insert(delivery, Flight { lane, given_up: false });
        self.busy.insert(lane);
    }

    fn drop_from_window(&mut self, place: Place, lane: Lane, budget: &mut Budget) -> Option<Entry> {
        self.ready.remove(&place);
        self.by_lane.remove(&(lane, place));
        let entry = self.window.remove(&place)?;
        budget.give_back(&entry);
        Some(entry)
    }

    fn evict_last(&mut self, budget: &mut Budget) {
        if let Some((&place, entry)) = self.window.last_key_value() {
            self.drop_from_window(place, entry.lane, budget);
            self.edge = Some(place);
        }
    }

    /// Blocks the lane. Its other deliveries leave the window to those that can go.
    fn hold(&mut self, lane: Lane, place: Place, budget: &mut Budget) {
        self.held.insert(lane, place);
        self.leave_out(place);
        while let Some(mate) = self.head(lane) {
            self.leave_out(mate);
            self.drop_from_window(mate, lane, budget);
        }
    }

    fn leave_out(&mut self, place: Place) {
        self.left_out = Some(self.left_out.map_or(place, |first| first.min(place)));
    }

    /// Reads anew from the first delivery that was left out. What is in the window behind
    /// it goes too: its lanes may have older ones among those left out.
    fn rewind(&mut self, budget: &mut Budget) {
        let Some(first) = self.left_out.take() else { return };
        let edge = self.edge.map_or(first, |edge| edge.min(first));
        self.edge = Some(edge);
        while let Some((&place, entry)) = self.window.last_key_value().filter(|(place, _)| **place >= edge) {
            self.drop_from_window(place, entry.lane, budget);
        }
    }
}

/// As an engine stores times: saturating, so that the years 1678 to 2262 sort exactly.
pub(super) fn nanoseconds(moment: Timestamp) -> i64 {
    let exact = moment.as_nanosecond();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}
