//! The durable store: one SQLite file, one thread that writes with group commit, windows
//! in memory. Only this folder knows SQLite.
//!
//! A request goes to `sqlite/queue.rs`, is committed by `sqlite/writer.rs` and written by
//! `sqlite/works.rs` and `sqlite/tx.rs`; what people ask is read by `sqlite/history.rs`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::board::Settled;
use super::event_ids::EventIds;
use super::find::Find;
use super::lanes::{Budget, nanoseconds};
use super::{
    Arrival, Change, Changes, Enrolled, Error, Lease, Page, Past, PastEvent, Queued, Receipt, Result, Routed,
    Seq, Store, Take, Verdict, WINDOW, WINDOW_BYTES, Waiting,
};
use crate::delivery::{Attempt, DeliveryId, Lane, Standing, SubscriptionId};
use crate::drill::{self, Point};
use crate::event::EventId;
use grant::Grant;
use history::IsHeld;
use queue::Work;
use shared::Shared;
use tx::Settlement;
use works::{Answer, Append, Cancel, Enroll, Flush, KeepPlan, Prune, Remove, Rename, Replay, Swept};

pub mod audit;
mod claim;
mod filter;
mod grant;
mod history;
mod index;
mod queue;
mod read;
mod record;
pub mod salvage;
mod schema;
mod shared;
mod start;
mod trace;
#[cfg(test)]
mod tests;
mod tx;
mod works;
mod writer;
mod young;

/// How long pruning leaves the writer to others after a step, as a multiple of what the
/// step took: a history of millions that leaves at once takes at most a third of its time.
const PAUSE_PER_STEP: u32 = 2;
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    bell: Arc<Notify>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer counts.
#[derive(Clone, Copy, Debug)]
struct Counters {
    next_seq: i64,
    next_delivery: i64,
    /// Ids for events before this one are reserved.
    event_ids_end: i64,
}

impl SqliteStore {
    /// Opens the store in this folder, or makes one. Every claim of an earlier process is void.
    pub fn open(path: &Path) -> Result<SqliteStore> {
        SqliteStore::open_with(path, Budget::new(WINDOW, WINDOW_BYTES))
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> (usize, usize) {
        self.shared.queue.lock().board.in_memory()
    }

    /// Gives the writer something to write and waits until it is durable.
    async fn write<T>(&self, bytes: usize, work: impl FnOnce(Answer<T>) -> Box<dyn Work>) -> Result<T> {
        let (answer, written) = oneshot::channel();
        self.shared.queue.submit(bytes, work(answer))?;
        written.await.unwrap_or_else(|_| Err(self.shared.closed()))
    }

    /// Reads history: first all outcomes are written, so that it is true. A disk that takes
    /// no outcomes does not keep anybody from reading.
    async fn history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, IsHeld<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        if !self.shared.queue.lock().is_clean()
            && let Err(error) = self.write(0, |answer| Box::new(Flush(answer))).await
        {
            tracing::debug!(%error, "history is read before the latest outcomes are written");
        }
        let shared = self.shared.clone();
        let task = move || {
            let connection = shared.historian.lock().unwrap_or_else(PoisonError::into_inner);
            let is_held = |id, delivery, lane| shared.queue.lock().board.is_held(id, delivery, lane);
            read(&connection, &is_held).map_err(|error| shared.refused(&error))
        };
        tokio::task::spawn_blocking(task).await.unwrap_or_else(|error| Err(self.shared.failed(&error)))
    }

    /// Cancels what waits of removed subscriptions, step by step.
    async fn cancel_removed(&self) -> Result<Vec<SubscriptionId>> {
        let mut cancelled = Vec::new();
        loop {
            let cancel = |answer| Cancel { ended: Vec::new(), answer };
            let Swept { ended, more } = self.write(0, |answer| Box::new(cancel(answer))).await?;
            cancelled.extend(ended);
            if !more {
                return Ok(cancelled);
            }
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, mut arrivals: Vec<Arrival>) -> Result<Vec<Receipt>> {
        arrivals.iter().for_each(|arrival| self.shared.event_ids.seen(arrival.event.id));
        self.refuse_unknown(arrivals.iter_mut().flat_map(|arrival| &mut arrival.routed));
        let bytes = arrivals.iter().map(request_bytes).sum();
        let (receipts, admitted) = (Vec::with_capacity(arrivals.len()), Vec::new());
        self.write(bytes, |answer| Box::new(Append { arrivals, receipts, admitted, answer })).await
    }

    fn next_event_id(&self) -> EventId {
        self.shared.event_ids.next()
    }

    async fn woken(&self) -> Vec<SubscriptionId> {
        loop {
            let woken = self.shared.queue.lock().board.take_woken();
            if !woken.is_empty() {
                return woken;
            }
            self.bell.notified().await;
        }
    }

    async fn claim(&self, subscription: SubscriptionId, take: Take) -> Result<Vec<Lease>> {
        self.claim_waiting(subscription, take).await
    }

    fn give_back(&self, leases: Vec<Lease>) {
        let mut state = self.shared.queue.lock();
        leases.iter().for_each(|lease| state.board.give_back(lease));
    }

    async fn settle(
        &self,
        lease: Lease,
        attempt: Option<Attempt>,
        now: Timestamp,
        verdict: Verdict<'_>,
    ) -> Result<Arc<Standing>> {
        let Lease { subscription, seq, replay, attempts: tried, .. } = lease;
        let mut state = self.shared.queue.lock();
        let Some(settled) =
            state.board.settle(&lease, attempt.as_ref().is_some_and(Attempt::counts), verdict)?
        else {
            return state.board.standing(subscription).ok_or(Error::UnknownSubscription(subscription));
        };
        let Settled { standing, place, next } = settled;
        let at = nanoseconds(now);
        state.push_settlement(Settlement { subscription, place, seq, replay, tried, attempt, next, at });
        self.shared.queue.nudge(state);
        drill::pass(Point::SettleDecided);
        Ok(standing)
    }

    async fn release_held(&self, subscription: SubscriptionId) -> Result<u64> {
        self.shared.queue.lock().board.release_held(subscription)
    }

    async fn enroll(&self, names: &[String], now: Timestamp) -> Result<Vec<Enrolled>> {
        let new: Vec<String> = {
            let state = self.shared.queue.lock();
            names.iter().filter(|name| state.board.named(name).is_none()).cloned().collect()
        };
        if !new.is_empty() {
            let made = Vec::new();
            self.write(0, |answer| Box::new(Enroll { names: new, now, made, answer })).await?;
        }
        let state = self.shared.queue.lock();
        Ok(names.iter().filter_map(|name| state.board.named(name)).collect())
    }

    fn named(&self, name: &str) -> Option<Enrolled> {
        self.shared.queue.lock().board.named(name)
    }

    fn known(&self) -> Vec<Enrolled> {
        self.shared.queue.lock().board.known()
    }

    async fn rename(&self, subscription: SubscriptionId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(0, |answer| Box::new(Rename { subscription, name, refused: None, answer })).await
    }

    async fn remove(&self, subscription: SubscriptionId, now: Timestamp) -> Result<u64> {
        let at = nanoseconds(now);
        self.write(0, |answer| Box::new(Remove { subscription, at, refused: None, answer })).await?;
        let cancelled = self.cancel_removed().await?;
        Ok(cancelled.into_iter().filter(|id| *id == subscription).count() as u64)
    }

    fn standing(&self, subscription: SubscriptionId) -> Option<Arc<Standing>> {
        self.shared.queue.lock().board.standing(subscription)
    }

    async fn set_standing(&self, subscription: SubscriptionId, change: Change<'_>) -> Result<Arc<Standing>> {
        let standing = {
            let mut state = self.shared.queue.lock();
            state.restood(subscription);
            state.board.set_standing(subscription, change)?
        };
        self.write(0, |answer| Box::new(Flush(answer))).await?;
        Ok(standing)
    }

    async fn set_standings(&self, subscriptions: &[SubscriptionId], change: Changes<'_>) -> Result<()> {
        {
            let mut state = self.shared.queue.lock();
            for id in state.board.set_standings(subscriptions, change) {
                state.restood(id);
            }
        }
        if subscriptions.is_empty() { Ok(()) } else { self.write(0, |answer| Box::new(Flush(answer))).await }
    }

    fn waiting(&self, subscription: SubscriptionId) -> Waiting {
        self.shared.queue.lock().board.waiting(subscription)
    }

    fn unreadable(&self) -> Option<Error> {
        self.shared.queue.lock().unreadable().cloned()
    }

    fn held_in(&self, subscription: SubscriptionId, lane: Lane) -> Option<EventId> {
        self.shared.queue.lock().board.held_in(subscription, lane)
    }

    async fn keep_plan(&self, plan: i64, summary: String) -> Result<()> {
        self.write(summary.len(), |answer| Box::new(KeepPlan { plan, summary, answer })).await
    }

    fn last_plan(&self) -> i64 {
        self.shared.queue.lock().last_plan
    }

    async fn plan(&self, plan: i64) -> Result<Option<String>> {
        self.history(move |connection, _| history::plan(connection, plan)).await
    }

    fn previous(&self, seq: Seq) -> Result<Option<Bytes>> {
        let reader = self.shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
        history::previous(&reader, seq).map_err(|error| self.shared.refused(&error))
    }

    async fn page(&self, before: Option<Seq>, limit: usize) -> Result<Page> {
        self.history(move |connection, is_held| history::page(connection, before, limit, is_held)).await
    }

    async fn find(&self, find: &Find, before: Option<Seq>, limit: usize) -> Result<Page> {
        let (find, before) = (find.clone(), before.unwrap_or(Seq(i64::MAX)));
        let first = find.since.map(|since| self.shared.read_index().first_since(nanoseconds(since)));
        let among = first.unwrap_or(Seq(i64::MIN))..before;
        self.history(move |connection, is_held| history::find(connection, &find, among, limit, is_held)).await
    }

    async fn queued(
        &self,
        subscription: SubscriptionId,
        since: Timestamp,
        part: Range<usize>,
    ) -> Result<Queued> {
        let since = nanoseconds(since);
        let from = (self.shared.read_index().first_since(since), since);
        self.history(move |connection, is_held| {
            history::queued(connection, subscription, from, part, is_held)
        })
        .await
    }

    async fn why(&self, event: EventId) -> Result<Option<PastEvent>> {
        let shared = self.shared.clone();
        let why = move |connection: &Connection, is_held: IsHeld<'_>| {
            let seq = shared.read_index().find_event(connection, event)?;
            seq.map_or(Ok(None), |seq| history::past_event(connection, seq, is_held))
        };
        self.history(why).await
    }

    async fn past(&self, which: &Past, after: Option<Seq>, limit: usize) -> Result<Vec<Seq>> {
        let which = which.clone();
        let earliest = match which {
            Past::Since(moment) => self.shared.read_index().first_since(nanoseconds(moment)),
            Past::Missed(_) | Past::Failed(_) => Seq(i64::MIN),
        };
        let first = after.map_or(earliest, |after| earliest.max(Seq(after.0 + 1)));
        self.history(move |connection, _| history::past(connection, &which, first, limit)).await
    }

    async fn events(&self, seqs: &[Seq]) -> Result<Vec<PastEvent>> {
        let seqs = seqs.to_vec();
        let events = move |connection: &Connection, is_held: IsHeld<'_>| {
            let event = |seq| history::past_event(connection, seq, is_held).transpose();
            seqs.into_iter().filter_map(event).collect()
        };
        self.history(events).await
    }

    async fn replay(&self, mut orders: Vec<(Seq, Routed)>, now: Timestamp) -> Result<Vec<DeliveryId>> {
        self.refuse_unknown(orders.iter_mut().map(|(_, routed)| routed));
        let (at, bytes) = (nanoseconds(now), orders.len() * 256);
        let (made, admitted) = (Vec::new(), Vec::new());
        self.write(bytes, |answer| Box::new(Replay { orders, at, made, admitted, answer })).await
    }

    async fn prune(&self, before: Timestamp) -> Result<Vec<(SubscriptionId, u64)>> {
        // A process that ended in the middle of a removal left something behind.
        self.cancel_removed().await?;
        let before = nanoseconds(before);
        let mut dropped = BTreeMap::new();
        loop {
            let began = Instant::now();
            let prune = |answer| Prune { before, gone: Vec::new(), more: false, answer };
            let Swept { ended, more } = self.write(0, |answer| Box::new(prune(answer))).await?;
            ended.into_iter().for_each(|id| *dropped.entry(id).or_default() += 1);
            if !more {
                return Ok(dropped.into_iter().collect());
            }
            tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE) * PAUSE_PER_STEP).await;
        }
    }

    async fn close(&self) -> Result<()> {
        let flushed = self.write(0, |answer| Box::new(Flush(answer))).await;
        self.shared.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(self.shared.failed(&"its writer has panicked"));
            }
        }
        flushed
    }
}

/// What an arrival takes of the queue, about.
fn request_bytes(arrival: &Arrival) -> usize {
    arrival.event.received.len() + 256 + 64 * arrival.routed.len()
}
