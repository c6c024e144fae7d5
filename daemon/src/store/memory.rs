//! The store that forgets everything when it goes: for tests and `--ephemeral`. The same
//! promises as the durable one, but for durability.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::board::Board;
use super::event_ids::{self, EventIds};
use super::find::Find;
use super::lanes::Budget;
use super::{
    Arrival, Change, Changes, Enrolled, Error, Lease, Page, Past, PastEvent, Queued, Receipt, Result, Routed,
    Seq, Store, Take, Verdict, WINDOW, WINDOW_BYTES, Waiting,
};
use crate::delivery::{Attempt, DeliveryId, Lane, Outcome, Standing, SubscriptionId};
use crate::event::EventId;
use ledger::Ledger;

mod ledger;

/// Bodies it keeps at most; then it is busy until history is pruned.
const MOST_BYTES: usize = 256 << 20;

/// Events given up in one step of pruning.
const PRUNE_STEP: usize = 512;

pub struct MemoryStore {
    inner: Mutex<Inner>,
    bell: Arc<Notify>,
    event_ids: EventIds,
    /// Whose claims never end.
    #[cfg(test)]
    stuck: Mutex<Option<SubscriptionId>>,
}

struct Inner {
    board: Board,
    ledger: Ledger,
    next_subscription: i64,
}

/// Standings hold secrets, so nothing of it is printed.
impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::with_budget(Budget::new(WINDOW, WINDOW_BYTES))
    }

    pub(super) fn with_budget(budget: Budget) -> MemoryStore {
        let board = Board::new(budget);
        MemoryStore {
            bell: board.bell(),
            inner: Mutex::new(Inner { board, ledger: Ledger::default(), next_subscription: 1 }),
            event_ids: EventIds::from(event_ids::FIRST),
            #[cfg(test)]
            stuck: Mutex::default(),
        }
    }

    /// Says whether there may be more to prune.
    fn prune_step(&self, before: Timestamp, dropped: &mut BTreeMap<SubscriptionId, u64>) -> bool {
        let mut inner = self.lock();
        let (events, waiters) = inner.ledger.prune(before, PRUNE_STEP);
        for (subscription, entry) in waiters {
            *dropped.entry(subscription).or_default() += 1;
            inner.board.drop_waiting(subscription, entry.place, entry.lane);
        }
        events == PRUNE_STEP
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if this one's deliveries had to be read from a slow disk.
    #[cfg(test)]
    pub(crate) fn keep_waiting(&self, subscription: SubscriptionId) {
        *self.stuck.lock().unwrap() = Some(subscription);
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> (usize, usize) {
        self.lock().board.in_memory()
    }
}

impl Inner {
    fn append(&mut self, arrival: Arrival) -> Receipt {
        let event = arrival.event.id;
        if let Some(queued) = self.ledger.queued_for(event) {
            return Receipt { event, duplicate: true, queued };
        }
        let seq = self.ledger.keep(arrival.event, arrival.arrived_at, arrival.plan);
        for routed in arrival.routed {
            self.decide(seq, routed, arrival.arrived_at, false);
        }
        Receipt { event, duplicate: false, queued: self.ledger.queued_for(event).unwrap_or_default() }
    }

    /// Records one decision and queues the delivery if it is to wait.
    fn decide(&mut self, seq: Seq, mut routed: Routed, at: Timestamp, replay: bool) -> Option<DeliveryId> {
        let id = routed.subscription;
        if routed.outcome == Outcome::Pending && !self.board.knows(id) {
            routed.outcome = Outcome::Cancelled;
        }
        let (delivery, waiter) = self.ledger.decide(seq, routed, at, replay)?;
        if let Some(entry) = waiter {
            self.board.admit(id, entry);
        }
        Some(delivery)
    }

    /// Reads the next page into the window if there is room for it.
    fn read_on(&mut self, id: SubscriptionId) -> bool {
        let Some(from) = self.board.wants_page(id) else { return false };
        self.board.merge(id, from, self.ledger.waiters(id, from));
        true
    }

    fn take(&mut self, id: SubscriptionId, take: Take) -> Result<Vec<Lease>> {
        let mut entries = self.board.take(id, take)?;
        if let (Take::Only(delivery), true) = (take, entries.is_empty()) {
            let outside = self.ledger.find(id, delivery).and_then(|entry| self.board.take_outside(id, entry));
            entries.extend(outside);
        }
        Ok(entries.into_iter().filter_map(|entry| self.ledger.lease(id, entry)).collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, arrivals: Vec<Arrival>) -> Result<Vec<Receipt>> {
        arrivals.iter().for_each(|arrival| self.event_ids.seen(arrival.event.id));
        let mut inner = self.lock();
        if inner.ledger.bytes() > MOST_BYTES {
            return Err(Error::Busy(Duration::from_secs(1)));
        }
        Ok(arrivals.into_iter().map(|arrival| inner.append(arrival)).collect())
    }

    fn next_event_id(&self) -> EventId {
        self.event_ids.next()
    }

    async fn woken(&self) -> Vec<SubscriptionId> {
        loop {
            let woken = self.lock().board.take_woken();
            if !woken.is_empty() {
                return woken;
            }
            self.bell.notified().await;
        }
    }

    async fn claim(&self, subscription: SubscriptionId, take: Take) -> Result<Vec<Lease>> {
        #[cfg(test)]
        if *self.stuck.lock().unwrap() == Some(subscription) {
            std::future::pending::<()>().await;
        }
        let mut inner = self.lock();
        loop {
            let leases = inner.take(subscription, take)?;
            let more = inner.read_on(subscription);
            if !leases.is_empty() || !more {
                return Ok(leases);
            }
        }
    }

    fn give_back(&self, leases: Vec<Lease>) {
        let mut inner = self.lock();
        leases.iter().for_each(|lease| inner.board.give_back(lease));
    }

    async fn settle(
        &self,
        lease: Lease,
        attempt: Option<Attempt>,
        now: Timestamp,
        verdict: Verdict<'_>,
    ) -> Result<Arc<Standing>> {
        let mut inner = self.lock();
        match inner.board.settle(&lease, attempt.as_ref().is_some_and(Attempt::counts), verdict)? {
            Some(settled) => {
                inner.ledger.settle(&lease, attempt, settled.next, now);
                Ok(settled.standing)
            }
            None => {
                inner.board.standing(lease.subscription).ok_or(Error::UnknownSubscription(lease.subscription))
            }
        }
    }

    async fn release_held(&self, subscription: SubscriptionId) -> Result<u64> {
        let mut inner = self.lock();
        inner.ledger.release_held(subscription);
        inner.board.release_held(subscription)
    }

    async fn enroll(&self, names: &[String], now: Timestamp) -> Result<Vec<Enrolled>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        for name in names {
            if inner.board.named(name).is_none() {
                let standing = Standing { created_at: Some(now), ..Standing::default() };
                inner.board.enroll(SubscriptionId(inner.next_subscription), name, standing, 0);
                inner.next_subscription += 1;
            }
        }
        Ok(names.iter().filter_map(|name| inner.board.named(name)).collect())
    }

    fn named(&self, name: &str) -> Option<Enrolled> {
        self.lock().board.named(name)
    }

    fn known(&self) -> Vec<Enrolled> {
        self.lock().board.known()
    }

    async fn rename(&self, subscription: SubscriptionId, name: &str) -> Result<()> {
        self.lock().board.rename(subscription, name)
    }

    async fn remove(&self, subscription: SubscriptionId, now: Timestamp) -> Result<u64> {
        let mut inner = self.lock();
        inner.ledger.cancel(subscription, now);
        inner.board.remove(subscription)
    }

    fn standing(&self, subscription: SubscriptionId) -> Option<Arc<Standing>> {
        self.lock().board.standing(subscription)
    }

    async fn set_standing(&self, subscription: SubscriptionId, change: Change<'_>) -> Result<Arc<Standing>> {
        self.lock().board.set_standing(subscription, change)
    }

    async fn set_standings(&self, subscriptions: &[SubscriptionId], change: Changes<'_>) -> Result<()> {
        self.lock().board.set_standings(subscriptions, change);
        Ok(())
    }

    fn waiting(&self, subscription: SubscriptionId) -> Waiting {
        self.lock().board.waiting(subscription)
    }

    fn unreadable(&self) -> Option<Error> {
        None
    }

    fn held_in(&self, subscription: SubscriptionId, lane: Lane) -> Option<EventId> {
        self.lock().board.held_in(subscription, lane)
    }

    async fn keep_plan(&self, plan: i64, summary: String) -> Result<()> {
        self.lock().ledger.plans.insert(plan, summary);
        Ok(())
    }

    fn last_plan(&self) -> i64 {
        self.lock().ledger.plans.last_key_value().map_or(0, |(plan, _)| *plan)
    }

    async fn plan(&self, plan: i64) -> Result<Option<String>> {
        Ok(self.lock().ledger.plans.get(&plan).cloned())
    }

    fn previous(&self, seq: Seq) -> Result<Option<Bytes>> {
        Ok(self.lock().ledger.previous(seq))
    }

    async fn page(&self, before: Option<Seq>, limit: usize) -> Result<Page> {
        Ok(self.lock().ledger.page(before, limit))
    }

    async fn find(&self, find: &Find, before: Option<Seq>, limit: usize) -> Result<Page> {
        Ok(self.lock().ledger.find_past(find, before, limit))
    }

    async fn queued(
        &self,
        subscription: SubscriptionId,
        since: Timestamp,
        part: Range<usize>,
    ) -> Result<Queued> {
        Ok(self.lock().ledger.queued(subscription, since, part))
    }

    async fn why(&self, event: EventId) -> Result<Option<PastEvent>> {
        Ok(self.lock().ledger.why(event))
    }

    async fn past(&self, which: &Past, after: Option<Seq>, limit: usize) -> Result<Vec<Seq>> {
        Ok(self.lock().ledger.past(which, after, limit))
    }

    async fn events(&self, seqs: &[Seq]) -> Result<Vec<PastEvent>> {
        let inner = self.lock();
        Ok(seqs.iter().filter_map(|seq| inner.ledger.past_event(*seq)).collect())
    }

    async fn replay(&self, orders: Vec<(Seq, Routed)>, now: Timestamp) -> Result<Vec<DeliveryId>> {
        let mut inner = self.lock();
        Ok(orders.into_iter().filter_map(|(seq, routed)| inner.decide(seq, routed, now, true)).collect())
    }

    async fn prune(&self, before: Timestamp) -> Result<Vec<(SubscriptionId, u64)>> {
        let mut dropped = BTreeMap::new();
        while self.prune_step(before, &mut dropped) {
            tokio::task::yield_now().await;
        }
        Ok(dropped.into_iter().collect())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
