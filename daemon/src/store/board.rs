//! What every engine keeps in memory: the subscriptions, how they stand, what is in their
//! windows, and who is to be woken. No I/O; the engine holds it behind one lock and writes
//! down what it says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

use super::lanes::{Budget, Entry, Landing, Lanes, Place, Waiters};
use super::{Change, Changes, Enrolled, Error, Lease, Next, Result, Take, Verdict, Waiting};
use crate::delivery::{DeliveryId, Lane, Outcome, Standing, SubscriptionId};
use crate::event::EventId;

pub(super) struct Board {
    subscriptions: HashMap<SubscriptionId, Sub>,
    names: HashMap<String, SubscriptionId>,
    woken: Vec<SubscriptionId>,
    bell: Arc<Notify>,
    budget: Budget,
}

struct Sub {
    name: String,
    standing: Arc<Standing>,
    lanes: Lanes,
    pending: u64,
    /// Of the held ones, those that could not be read.
    unreadable: HashSet<DeliveryId>,
    woken: bool,
}

/// What a verdict came to.
pub(super) struct Settled {
    pub standing: Arc<Standing>,
    pub place: Place,
    pub next: Next,
}

impl Board {
    pub(super) fn new(budget: Budget) -> Board {
        Board {
            subscriptions: HashMap::new(),
            names: HashMap::new(),
            woken: Vec::new(),
            bell: Arc::new(Notify::new()),
            budget,
        }
    }

    /// Rung whenever `take_woken` has something new.
    pub(super) fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    pub(super) fn take_woken(&mut self) -> Vec<SubscriptionId> {
        let woken = std::mem::take(&mut self.woken);
        for id in &woken {
            if let Some(sub) = self.subscriptions.get_mut(id) {
                sub.woken = false;
            }
        }
        woken
    }

    /// Brings in a subscription of which `pending` deliveries wait in the engine.
    pub(super) fn enroll(&mut self, id: SubscriptionId, name: &str, standing: Standing, pending: u64) {
        let lanes = if pending > 0 { Lanes::unread() } else { Lanes::default() };
        let (name_of, standing, unreadable) = (name.to_owned(), Arc::new(standing), HashSet::new());
        let sub = Sub { name: name_of, standing, lanes, pending, unreadable, woken: false };
        self.subscriptions.insert(id, sub);
        self.names.insert(name.to_owned(), id);
        self.wake(id);
    }

    pub(super) fn named(&self, name: &str) -> Option<Enrolled> {
        let id = *self.names.get(name)?;
        let standing = self.standing(id)?;
        Some(Enrolled { id, name: name.to_owned(), standing })
    }

    pub(super) fn name(&self, id: SubscriptionId) -> Option<&str> {
        self.subscriptions.get(&id).map(|sub| sub.name.as_str())
    }

    pub(super) fn known(&self) -> Vec<Enrolled> {
        self.names.keys().filter_map(|name| self.named(name)).collect()
    }

    pub(super) fn knows(&self, id: SubscriptionId) -> bool {
        self.subscriptions.contains_key(&id)
    }

    pub(super) fn rename(&mut self, id: SubscriptionId, name: &str) -> Result<()> {
        match self.names.get(name) {
            Some(other) if *other != id => return Err(Error::NameTaken(name.to_owned())),
            _ => {}
        }
        let sub = self.subscriptions.get_mut(&id).ok_or(Error::UnknownSubscription(id))?;
        let old = std::mem::replace(&mut sub.name, name.to_owned());
        self.names.remove(&old);
        self.names.insert(name.to_owned(), id);
        Ok(())
    }

    /// Forgets a subscription and what waited of it. Says how much that was.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> Result<u64> {
        let mut sub = self.subscriptions.remove(&id).ok_or(Error::UnknownSubscription(id))?;
        self.names.remove(&sub.name);
        sub.lanes.clear(&mut self.budget);
        Ok(sub.pending)
    }

    pub(super) fn standing(&self, id: SubscriptionId) -> Option<Arc<Standing>> {
        self.subscriptions.get(&id).map(|sub| sub.standing.clone())
    }

    pub(super) fn set_standing(&mut self, id: SubscriptionId, change: Change<'_>) -> Result<Arc<Standing>> {
        let sub = self.subscriptions.get_mut(&id).ok_or(Error::UnknownSubscription(id))?;
        change(Arc::make_mut(&mut sub.standing));
        let standing = sub.standing.clone();
        self.wake(id);
        Ok(standing)
    }

    /// Says which of them there are.
    pub(super) fn set_standings(
        &mut self,
        ids: &[SubscriptionId],
        change: Changes<'_>,
    ) -> Vec<SubscriptionId> {
        let known: Vec<SubscriptionId> = ids.iter().copied().filter(|id| self.knows(*id)).collect();
        for id in &known {
            if let Some(sub) = self.subscriptions.get_mut(id) {
                change(*id, Arc::make_mut(&mut sub.standing));
            }
            self.wake(*id);
        }
        known
    }

    pub(super) fn waiting(&self, id: SubscriptionId) -> Waiting {
        let count = |sub: &Sub| {
            let unreadable = sub.unreadable.len();
            let held = sub.lanes.held().saturating_sub(unreadable) as u64;
            Waiting { pending: sub.pending, held, unreadable: unreadable as u64 }
        };
        self.subscriptions.get(&id).map(count).unwrap_or_default()
    }

    /// A delivery has been written down and waits from now on.
    pub(super) fn admit(&mut self, id: SubscriptionId, entry: Entry) {
        if let Some(sub) = self.subscriptions.get_mut(&id) {
            sub.pending += 1;
            sub.lanes.add(entry, &mut self.budget);
            self.wake(id);
        }
    }

    /// Hands out what it can from memory. Bodies may be missing.
    pub(super) fn take(&mut self, id: SubscriptionId, take: Take) -> Result<Vec<Entry>> {
        let sub = self.subscriptions.get_mut(&id).ok_or(Error::UnknownSubscription(id))?;
        Ok(sub.lanes.take(take, &mut self.budget))
    }

    pub(super) fn take_outside(&mut self, id: SubscriptionId, entry: Entry) -> Option<Entry> {
        self.subscriptions.get_mut(&id)?.lanes.take_outside(entry)
    }

    /// What was taken could not be handed over.
    pub(super) fn put_back(&mut self, id: SubscriptionId, entries: Vec<Entry>) {
        if let Some(sub) = self.subscriptions.get_mut(&id) {
            for entry in entries {
                sub.lanes.land(entry.place.delivery, Landing::Back(entry), &mut self.budget);
            }
            self.wake(id);
        }
    }

    /// What was handed over has not been tried.
    pub(super) fn give_back(&mut self, lease: &Lease) {
        let id = lease.subscription;
        if let Some(sub) = self.subscriptions.get_mut(&id)
            && let Some(flight) = sub.lanes.in_flight(lease.delivery)
        {
            let entry = waiting_again(lease, Place::of(&lease.event, lease.delivery), flight.lane, false);
            sub.lanes.land(lease.delivery, Landing::Back(entry), &mut self.budget);
            self.wake(id);
        }
    }

    /// A delivery in flight cannot be read: its lane waits, the others go on.
    pub(super) fn set_aside(&mut self, id: SubscriptionId, place: Place) {
        if let Some(sub) = self.subscriptions.get_mut(&id)
            && let Some(flight) = sub.lanes.in_flight(place.delivery)
        {
            sub.lanes.land(place.delivery, Landing::Held(place), &mut self.budget);
            if !flight.given_up {
                sub.unreadable.insert(place.delivery);
            }
            self.wake(id);
        }
    }

    /// Something has been set aside.
    pub(super) fn lacks_some(&self) -> bool {
        self.subscriptions.values().any(|sub| !sub.unreadable.is_empty())
    }

    /// The event of a delivery in flight is gone: it is being given up right now, which
    /// `drop_waiting` will count.
    pub(super) fn let_go(&mut self, id: SubscriptionId, delivery: DeliveryId) {
        if let Some(sub) = self.subscriptions.get_mut(&id) {
            sub.lanes.land(delivery, Landing::Ended, &mut self.budget);
            self.wake(id);
        }
    }

    /// Asks the verdict and lets the delivery land. `None` if it is not in flight (any more):
    /// then nothing has changed, and the verdict was not asked.
    pub(super) fn settle(
        &mut self,
        lease: &Lease,
        attempted: bool,
        verdict: Verdict<'_>,
    ) -> Result<Option<Settled>> {
        let id = lease.subscription;
        let sub = self.subscriptions.get_mut(&id).ok_or(Error::UnknownSubscription(id))?;
        let Some(flight) = sub.lanes.in_flight(lease.delivery) else { return Ok(None) };
        let next = verdict(Arc::make_mut(&mut sub.standing));
        let place = Place::of(&lease.event, lease.delivery);
        let landing = match next.outcome {
            Outcome::Pending => Landing::Back(waiting_again(lease, place, flight.lane, attempted)),
            Outcome::Held => Landing::Held(place),
            _ => Landing::Ended,
        };
        if matches!(landing, Landing::Ended) && !flight.given_up {
            sub.pending = sub.pending.saturating_sub(1);
        }
        sub.lanes.land(lease.delivery, landing, &mut self.budget);
        let standing = sub.standing.clone();
        self.wake(id);
        Ok(Some(Settled { standing, place, next }))
    }

    pub(super) fn release_held(&mut self, id: SubscriptionId) -> Result<u64> {
        let sub = self.subscriptions.get_mut(&id).ok_or(Error::UnknownSubscription(id))?;
        let released = sub.lanes.release(&mut self.budget) as u64;
        sub.unreadable = HashSet::new();
        self.wake(id);
        Ok(released)
    }

    pub(super) fn is_held(&self, id: SubscriptionId, delivery: DeliveryId, lane: Lane) -> bool {
        self.subscriptions.get(&id).is_some_and(|sub| sub.lanes.is_held(delivery, lane))
    }

    pub(super) fn held_in(&self, id: SubscriptionId, lane: Lane) -> Option<EventId> {
        self.subscriptions.get(&id)?.lanes.held_in(lane)
    }

    /// A waiting delivery has been given up by the engine.
    pub(super) fn drop_waiting(&mut self, id: SubscriptionId, place: Place, lane: Lane) {
        if let Some(sub) = self.subscriptions.get_mut(&id) {
            sub.pending = sub.pending.saturating_sub(1);
            sub.unreadable.remove(&place.delivery);
            sub.lanes.remove(place, lane, &mut self.budget);
            self.wake(id);
        }
    }

    /// Where the engine should read on for this subscription, if it should.
    pub(super) fn wants_page(&self, id: SubscriptionId) -> Option<Place> {
        self.subscriptions.get(&id)?.lanes.wants_page(&self.budget)
    }

    /// Something may wait in the engine that is not in memory.
    pub(super) fn has_more(&self, id: SubscriptionId) -> bool {
        self.subscriptions.get(&id).is_some_and(|sub| sub.lanes.has_more())
    }

    pub(super) fn merge(&mut self, id: SubscriptionId, from: Place, page: Waiters) {
        if let Some(sub) = self.subscriptions.get_mut(&id) {
            sub.lanes.merge(from, page, &mut self.budget);
            self.wake(id);
        }
    }

    /// A page may bring its events along.
    pub(super) fn has_room(&self) -> bool {
        self.budget.has_room()
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> (usize, usize) {
        self.budget.in_use()
    }

    /// Something that kept all of them from being claimed is over.
    pub(super) fn wake_all(&mut self) {
        let all: Vec<SubscriptionId> = self.subscriptions.keys().copied().collect();
        all.into_iter().for_each(|id| self.wake(id));
    }

    /// Puts a subscription on the list, once, if a claim could give something.
    fn wake(&mut self, id: SubscriptionId) {
        let Some(sub) = self.subscriptions.get_mut(&id) else { return };
        let claimable = sub.lanes.is_ready() || sub.lanes.wants_page(&self.budget).is_some();
        if claimable && !sub.woken {
            sub.woken = true;
            self.woken.push(id);
            self.bell.notify_one();
        }
    }
}

fn waiting_again(lease: &Lease, place: Place, lane: Lane, attempted: bool) -> Entry {
    Entry {
        place,
        lane,
        seq: lease.seq,
        arrived_at: lease.arrived_at,
        replay: lease.replay,
        attempts: lease.attempts + u32::from(attempted),
        event: Some(lease.event.clone()),
    }
}
