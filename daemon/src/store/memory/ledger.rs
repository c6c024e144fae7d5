//! Events, decisions and what waits, in maps. Knows nothing of windows or standings.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::delivery::{self, Attempt, Decision, DeliveryId, Lane, Outcome, SubscriptionId};
use crate::event::{Action, Entity, Event, EventId};
use crate::store::find::{Effort, Find};
use crate::store::lanes::{Entry, Place, Waiters};
use crate::store::{LOOKED_AT, Lease, Next, Page, Past, PastEvent, Queued, Routed, Seq};

/// Entries of one page read into a window.
const PAGE: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) plans: BTreeMap<i64, String>,
    events: BTreeMap<Seq, Kept>,
    ids: HashMap<EventId, Seq>,
    latest: HashMap<(Option<i64>, Entity, i64), Seq>,
    waiting: BTreeMap<(SubscriptionId, Place), Entry>,
    last_seq: i64,
    last_delivery: i64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    past: PastEvent,
    previous: Option<Seq>,
    /// Whom it was queued for at first.
    queued: Vec<SubscriptionId>,
}

impl Ledger {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The subscriptions a known event was queued for at first.
    pub(super) fn queued_for(&self, event: EventId) -> Option<Vec<SubscriptionId>> {
        self.events.get(self.ids.get(&event)?).map(|kept| kept.queued.clone())
    }

    pub(super) fn keep(&mut self, event: Arc<Event>, arrived_at: Timestamp, plan: i64) -> Seq {
        self.last_seq += 1;
        let seq = Seq(self.last_seq);
        let previous = entity_of(&event).and_then(|key| self.latest.insert(key, seq));
        let previous = previous.filter(|before| {
            self.events.get(before).is_some_and(|kept| kept.past.event.action != Action::Deleted)
        });
        self.ids.insert(event.id, seq);
        self.bytes += event.received.len();
        let past = PastEvent { seq, event, arrived_at, plan, decisions: Vec::new() };
        self.events.insert(seq, Kept { past, previous, queued: Vec::new() });
        seq
    }

    /// Records a decision. Comes with what waits from now on, if it does.
    pub(super) fn decide(
        &mut self,
        seq: Seq,
        routed: Routed,
        at: Timestamp,
        replay: bool,
    ) -> Option<(DeliveryId, Option<Entry>)> {
        let Kept { past, queued, .. } = self.events.get_mut(&seq)?;
        self.last_delivery += 1;
        let delivery = DeliveryId(self.last_delivery);
        let Routed { subscription, order, outcome, reason } = routed;
        past.decisions.push(Decision { delivery, subscription, outcome, reason, at, replay, tries: vec![] });
        if outcome != Outcome::Pending {
            return Some((delivery, None));
        }
        if !replay {
            queued.push(subscription);
        }
        let entry = Entry {
            place: Place::of(&past.event, delivery),
            lane: Lane::of(order, &past.event, delivery),
            seq,
            arrived_at: past.arrived_at,
            replay,
            attempts: 0,
            event: Some(past.event.clone()),
        };
        self.waiting.insert((subscription, entry.place), entry.clone());
        Some((delivery, Some(entry)))
    }

    pub(super) fn waiters(&self, subscription: SubscriptionId, from: Place) -> Waiters {
        let of_it = self.waiting.range((subscription, from)..);
        let mut rows = of_it.take_while(|((id, _), _)| *id == subscription).map(|(_, entry)| entry.clone());
        let entries: Vec<Entry> = rows.by_ref().take(PAGE).collect();
        Waiters { next: rows.next().map(|entry| entry.place), entries }
    }

    pub(super) fn find(&self, subscription: SubscriptionId, delivery: DeliveryId) -> Option<Entry> {
        let of_it = self.waiting.range((subscription, Place::FIRST)..);
        let mut rows = of_it.take_while(|((id, _), _)| *id == subscription).map(|(_, entry)| entry);
        rows.find(|entry| entry.place.delivery == delivery).cloned()
    }

    pub(super) fn lease(&self, subscription: SubscriptionId, entry: Entry) -> Option<Lease> {
        let event = entry.event.or_else(|| Some(self.events.get(&entry.seq)?.past.event.clone()))?;
        Some(Lease {
            delivery: entry.place.delivery,
            subscription,
            seq: entry.seq,
            event,
            arrived_at: entry.arrived_at,
            replay: entry.replay,
            attempts: entry.attempts,
        })
    }

    pub(super) fn settle(&mut self, lease: &Lease, attempt: Option<Attempt>, next: Next, now: Timestamp) {
        let key = (lease.subscription, Place::of(&lease.event, lease.delivery));
        let Some(waiter) = self.waiting.get_mut(&key) else { return };
        waiter.attempts += u32::from(attempt.as_ref().is_some_and(Attempt::counts));
        if !matches!(next.outcome, Outcome::Pending | Outcome::Held) {
            self.waiting.remove(&key);
        }
        if let Some(decision) = self.decision(lease.seq, lease.delivery) {
            delivery::add_try(&mut decision.tries, attempt);
            (decision.outcome, decision.reason, decision.at) = (next.outcome, next.reason, now);
        }
    }

    pub(super) fn release_held(&mut self, subscription: SubscriptionId) {
        for (seq, delivery) in self.waiting_of(subscription) {
            if let Some(held) = self.decision(seq, delivery).filter(|it| it.outcome == Outcome::Held) {
                held.outcome = Outcome::Pending;
            }
        }
    }

    pub(super) fn cancel(&mut self, subscription: SubscriptionId, now: Timestamp) {
        for (seq, delivery) in self.waiting_of(subscription) {
            if let Some(decision) = self.decision(seq, delivery) {
                (decision.outcome, decision.at) = (Outcome::Cancelled, now);
            }
        }
        self.waiting.retain(|(id, _), _| *id != subscription);
    }

    pub(super) fn previous(&self, seq: Seq) -> Option<Bytes> {
        let before = self.events.get(&self.events.get(&seq)?.previous?)?;
        let event = &before.past.event;
        Some(event.received.slice(event.payload.clone()))
    }

    pub(super) fn page(&self, before: Option<Seq>, limit: usize) -> Page {
        let end = before.unwrap_or(Seq(i64::MAX));
        let mut newest_first = self.events.range(..end).rev();
        let events: Vec<PastEvent> =
            newest_first.by_ref().take(limit).map(|(_, kept)| kept.past.clone()).collect();
        let next = newest_first.next().and_then(|_| events.last().map(|event| event.seq));
        Page { events, next }
    }

    pub(super) fn find_past(&self, find: &Find, before: Option<Seq>, limit: usize) -> Page {
        let (mut page, mut effort) = (Page::default(), Effort::default());
        let mut last = None;
        for (seq, Kept { past, .. }) in self.events.range(..before.unwrap_or(Seq(i64::MAX))).rev() {
            if page.events.len() == limit || effort.is_spent() {
                page.next = last;
                break;
            }
            last = Some(*seq);
            effort.row();
            let event = &past.event;
            if !find.fits(event.entity, event.action, past.arrived_at) {
                continue;
            }
            effort.body(event.received.len());
            if find.is_in(&event.received) && find.fits_decisions(&past.decisions) {
                effort.whole(past);
                effort.found(past);
                page.events.push(past.clone());
            }
        }
        page
    }

    pub(super) fn queued(
        &self,
        subscription: SubscriptionId,
        since: Timestamp,
        part: Range<usize>,
    ) -> Queued {
        let of_it = |kept: &&Kept| {
            let replayed = kept.past.decisions.iter().any(|it| it.replay && it.subscription == subscription);
            kept.past.arrived_at >= since && (replayed || kept.queued.contains(&subscription))
        };
        let newest = self.events.values().rev().take(LOOKED_AT);
        let found: Vec<&Kept> = newest.filter(of_it).collect();
        let events = found.iter().skip(part.start).take(part.len()).map(|kept| kept.past.clone()).collect();
        Queued { total: found.len(), events }
    }

    pub(super) fn why(&self, event: EventId) -> Option<PastEvent> {
        self.past_event(*self.ids.get(&event)?)
    }

    pub(super) fn past_event(&self, seq: Seq) -> Option<PastEvent> {
        self.events.get(&seq).map(|kept| kept.past.clone())
    }

    pub(super) fn past(&self, which: &Past, after: Option<Seq>, limit: usize) -> Vec<Seq> {
        let start = after.map_or(Seq(i64::MIN), |seq| Seq(seq.0 + 1));
        let rows = self.events.range(start..).map(|(_, kept)| &kept.past);
        rows.filter(|past| belongs(which, past)).map(|past| past.seq).take(limit).collect()
    }

    /// Gives up at most `most` events that arrived before `before`. Returns how many there
    /// were, and what still waited of them.
    pub(super) fn prune(&mut self, before: Timestamp, most: usize) -> (usize, Vec<(SubscriptionId, Entry)>) {
        let mut unfinished = Vec::new();
        for done in 0..most {
            match self.events.first_entry() {
                Some(oldest) if oldest.get().past.arrived_at < before => {
                    let past = oldest.remove().past;
                    self.forget(past, &mut unfinished);
                }
                _ => return (done, unfinished),
            }
        }
        (most, unfinished)
    }

    fn forget(&mut self, past: PastEvent, unfinished: &mut Vec<(SubscriptionId, Entry)>) {
        self.bytes -= past.event.received.len();
        self.ids.remove(&past.event.id);
        let key = entity_of(&past.event).filter(|key| self.latest.get(key) == Some(&past.seq));
        key.map(|key| self.latest.remove(&key));
        for decision in past.decisions {
            let key = (decision.subscription, Place::of(&past.event, decision.delivery));
            let waited = self.waiting.remove(&key);
            unfinished.extend(waited.map(|entry| (decision.subscription, entry)));
        }
    }

    fn decision(&mut self, seq: Seq, delivery: DeliveryId) -> Option<&mut Decision> {
        let past = &mut self.events.get_mut(&seq)?.past;
        past.decisions.iter_mut().find(|decision| decision.delivery == delivery)
    }

    fn waiting_of(&self, subscription: SubscriptionId) -> Vec<(Seq, DeliveryId)> {
        let of_it = self.waiting.range((subscription, Place::FIRST)..);
        let rows = of_it.take_while(|((id, _), _)| *id == subscription);
        rows.map(|(_, entry)| (entry.seq, entry.place.delivery)).collect()
    }
}

/// What `previous` goes by.
fn entity_of(event: &Event) -> Option<(Option<i64>, Entity, i64)> {
    Some((event.workspace_id, event.entity, event.entity_id?))
}

fn belongs(which: &Past, past: &PastEvent) -> bool {
    let latest = |id: &SubscriptionId| {
        let of_it = past.decisions.iter().rfind(|decision| decision.subscription == *id);
        of_it.map(|decision| decision.outcome)
    };
    match which {
        Past::Since(moment) => past.arrived_at >= *moment,
        Past::Failed(id) => latest(id) == Some(Outcome::Failed),
        Past::Missed(id) => {
            matches!(latest(id), Some(Outcome::SkippedDisabled | Outcome::SkippedNotValidated))
        }
    }
}
