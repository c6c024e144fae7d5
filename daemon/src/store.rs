//! Where events and deliveries wait: the one trait between the way in and the way out.
//!
//! A store is shaped like a durable stream with pull consumers, one consumer per
//! subscription, plus a small shelf of values. What every store promises:
//!
//! - **Nothing acknowledged is lost.** `append` returns after its whole batch is durable.
//! - **At least once.** A delivery that was claimed and not settled is claimable again
//!   after a restart. Outcomes may ride in a later write; a crash re-delivers, never loses.
//! - **Lane order.** Of a lane, only the head is handed out, and never two at a time. Among
//!   deliveries that wait at the same time `created_at`, then `event_id` decides; lanes are
//!   handed out in the order of their heads.
//! - **Ids, not transactions.** An event is known by its `event_id`, a delivery by its
//!   `DeliveryId`; settling twice is harmless.
//! - **Bounded memory**, whatever waits.
//!
//! `store/contract.rs` checks these for every store.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::delivery::{Attempt, Decision, DeliveryId, Lane, Order, Outcome, Standing, SubscriptionId};
use crate::event::{Event, EventId};
use find::Find;

mod board;
mod event_ids;
pub mod find;
#[cfg(test)]
mod contract;
mod lanes;
pub mod memory;
pub mod sqlite;

/// Position of an event in order of arrival. Ascending, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

/// An event with what routing decided about it.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub event: Arc<Event>,
    pub arrived_at: Timestamp,
    /// Number of the plan that routed it; says later which filters it met.
    pub plan: i64,
    pub routed: Vec<Routed>,
}

/// What routing decided for one subscription whose event filter matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    pub subscription: SubscriptionId,
    pub order: Order,
    /// `Pending` makes it wait for delivery; anything else is recorded as it is.
    pub outcome: Outcome,
    pub reason: Option<String>,
}

/// What became of one arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub event: EventId,
    /// Known already, earlier or within the same batch. Nothing was stored or queued for it.
    pub duplicate: bool,
    /// Subscriptions the event is queued for; for a duplicate, those it was queued for at first.
    pub queued: Vec<SubscriptionId>,
}

/// Which deliveries a claim may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Up to so many lane heads.
    Heads(usize),
    /// Only this one; nothing if it no longer waits or is in flight.
    Only(DeliveryId),
    /// Only the oldest that waits, whatever its lane.
    Oldest,
}

/// A delivery handed out. Its lane gives nothing else until it is settled. Dropped
/// without being settled it stays in flight until a restart, so always settle it.
#[derive(Clone, Debug)]
pub struct Lease {
    pub delivery: DeliveryId,
    pub subscription: SubscriptionId,
    pub seq: Seq,
    pub event: Arc<Event>,
    pub arrived_at: Timestamp,
    pub replay: bool,
    /// Attempts made so far, counted or not; the next one is this plus 1.
    pub attempts: u32,
}

/// Where a delivery goes after an attempt or a plugin's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// `Pending` puts it back at its place in its lane; `Held` parks it there and blocks the
    /// lane, older events that come later included.
    pub outcome: Outcome,
    pub reason: Option<String>,
}

/// Decides, from how the subscription stands, how it stands now and what becomes of the
/// delivery. Called while the store keeps the standing to itself, so two outcomes can
/// never overwrite each other; must be quick and pure.
pub type Verdict<'a> = &'a (dyn Fn(&mut Standing) -> Next + Send + Sync);

/// Changes a standing; the same holds.
pub type Change<'a> = &'a (dyn Fn(&mut Standing) + Send + Sync);

/// Changes the standing of each of several.
pub type Changes<'a> = &'a (dyn Fn(SubscriptionId, &mut Standing) + Send + Sync);

/// A page of history.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub events: Vec<PastEvent>,
    /// Pass as `before` to go on; none at the end.
    pub next: Option<Seq>,
}

/// One event of history with its stored decisions, in order of their deliveries.
#[derive(Clone, Debug)]
pub struct PastEvent {
    pub seq: Seq,
    pub event: Arc<Event>,
    pub arrived_at: Timestamp,
    pub plan: i64,
    pub decisions: Vec<Decision>,
}

/// Part of what was queued for a subscription.
#[derive(Clone, Debug, Default)]
pub struct Queued {
    /// Of how many these are a part.
    pub total: usize,
    /// Newest first.
    pub events: Vec<PastEvent>,
}

/// Which past deliveries a replay takes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Past {
    /// Latest decision `skipped_disabled` or `skipped_not_validated`.
    Missed(SubscriptionId),
    /// Latest decision `failed`.
    Failed(SubscriptionId),
    /// Every event that arrived at or after this moment.
    Since(Timestamp),
}

/// A subscription as the store knows it.
#[derive(Clone, Debug)]
pub struct Enrolled {
    pub id: SubscriptionId,
    pub name: String,
    pub standing: Arc<Standing>,
}

/// What waits of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Not yet ended: waiting, in flight and held.
    pub pending: u64,
    /// Of these, held by a plugin's failure.
    pub held: u64,
    /// Of these, set aside since they cannot be read.
    pub unreadable: u64,
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error, Clone)]
pub enum Error {
    /// More than it can take now; try again after this long.
    #[error("the store is busy; try again in {0:?}")]
    Busy(Duration),
    /// The disk or the engine refused; nothing of the request was kept.
    #[error("the store at `{path}` failed: {reason}")]
    Failed { path: String, reason: String },
    /// Another daemon owns it.
    #[error("the store at `{path}` is in use by another daemon{}; stop that one or set another `[store] path`", match .pid { Some(pid) => format!(" (process {pid})"), None => String::new() })]
    InUse { path: String, pid: Option<u32> },
    #[error("no subscription {0} in the store")]
    UnknownSubscription(SubscriptionId),
    #[error("no event {0} in the store; it never arrived, or it is older than `keep`")]
    UnknownEvent(EventId),
    #[error("the store already knows a subscription `{0}`; remove that one or take another name")]
    NameTaken(String),
}

impl Error {
    /// One word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Busy(_) => "busy",
            Error::Failed { .. } => "failed",
            Error::InUse { .. } => "in_use",
            Error::UnknownSubscription(_) | Error::UnknownEvent(_) => "unknown",
            Error::NameTaken(_) => "name_taken",
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;

#[async_trait]
pub trait Store: Send + Sync + 'static {
    // The way in.

    /// Keeps the batch and returns when all of it is durable; all or nothing.
    /// One receipt per arrival, in the same order.
    async fn append(&self, arrivals: Vec<Arrival>) -> Result<Vec<Receipt>>;

    /// A fresh `event_id` for an event that came without one: from 4·10^18 upwards, never
    /// given twice, restarts included.
    fn next_event_id(&self) -> EventId;

    // The way out.

    /// Subscriptions that may have something to claim. Waits until there is at least one.
    /// A hint: a claim may still come back empty.
    async fn woken(&self) -> Vec<SubscriptionId>;

    /// Hands out waiting deliveries of one subscription. One that is damaged is set aside: its
    /// lane waits as for one that is held, the others go on.
    async fn claim(&self, subscription: SubscriptionId, take: Take) -> Result<Vec<Lease>>;

    /// Takes back deliveries that are not tried after all, as if nobody had claimed them. In
    /// memory, never waits.
    fn give_back(&self, leases: Vec<Lease>);

    /// Ends a lease: the attempt (or what was none, see there), the standing as `verdict` changes it and
    /// the delivery's next step are written together. Returns the new standing once the
    /// outcome is certain to be written unless the process dies; it does not wait for the disk.
    async fn settle(
        &self,
        lease: Lease,
        attempt: Option<Attempt>,
        now: Timestamp,
        verdict: Verdict<'_>,
    ) -> Result<Arc<Standing>>;

    /// Makes held deliveries wait again, of one subscription. A restart does so for all.
    async fn release_held(&self, subscription: SubscriptionId) -> Result<u64>;

    // The shelf.

    /// The subscriptions of these names, made where they are new. A name that was removed
    /// and comes back gets its id, its standing and what waited.
    async fn enroll(&self, names: &[String], now: Timestamp) -> Result<Vec<Enrolled>>;

    /// The subscription of this name, whether or not it is in the config. In memory, never waits.
    fn named(&self, name: &str) -> Option<Enrolled>;

    /// All of them, whether or not they are in the config. In memory, never waits.
    fn known(&self) -> Vec<Enrolled>;

    /// Gives a subscription another name. Its id, its standing and what waits stay.
    async fn rename(&self, subscription: SubscriptionId, name: &str) -> Result<()>;

    /// Ends a subscription for good: what waits ends `cancelled`, the name is free, the id is
    /// never used again. Returns how many were cancelled.
    async fn remove(&self, subscription: SubscriptionId, now: Timestamp) -> Result<u64>;

    /// How a subscription stands now. In memory, never waits.
    fn standing(&self, subscription: SubscriptionId) -> Option<Arc<Standing>>;

    /// Changes a standing outside of a delivery; returns when it is durable, and wakes the
    /// subscription if something waits. After an error the change holds in memory and is
    /// written with whatever can be written next.
    async fn set_standing(&self, subscription: SubscriptionId, change: Change<'_>) -> Result<Arc<Standing>>;

    /// The same for many at once, who share one sync. Those that are not there are left out.
    async fn set_standings(&self, subscriptions: &[SubscriptionId], change: Changes<'_>) -> Result<()>;

    /// How much waits. In memory, never waits itself.
    fn waiting(&self, subscription: SubscriptionId) -> Waiting;

    /// Why something that waits cannot be read, as long as that is so; a store that fails here
    /// may well take new events. In memory, never waits.
    fn unreadable(&self) -> Option<Error>;

    /// The event whose held delivery blocks a lane of this subscription. In memory, never waits.
    fn held_in(&self, subscription: SubscriptionId, lane: Lane) -> Option<EventId>;

    /// Remembers what a plan looked like (JSON), for events it routed.
    async fn keep_plan(&self, plan: i64, summary: String) -> Result<()>;

    /// The number of the latest plan kept, 0 if none.
    fn last_plan(&self) -> i64;

    /// What `keep_plan` was given.
    async fn plan(&self, plan: i64) -> Result<Option<String>>;

    /// Payload of the same entity as it was known when this event arrived. Blocks; called
    /// from a plugin's thread.
    fn previous(&self, seq: Seq) -> Result<Option<Bytes>>;

    // History.

    /// Past events, newest first, up to `limit`, only those before `before`.
    async fn page(&self, before: Option<Seq>, limit: usize) -> Result<Page>;

    /// Past events that fit, newest first, up to `limit`, only those before `before`. Looks at
    /// so many at a time and no more: it may come back with fewer, or none, and a `next`.
    async fn find(&self, find: &Find, before: Option<Seq>, limit: usize) -> Result<Page>;

    /// Events that were queued for a subscription, replays included, and arrived at or after
    /// `since`, newest first: this part of them, less of it if they are large. Looks only at the
    /// `LOOKED_AT` newest of all.
    async fn queued(
        &self,
        subscription: SubscriptionId,
        since: Timestamp,
        part: Range<usize>,
    ) -> Result<Queued>;

    /// One event with its decisions.
    async fn why(&self, event: EventId) -> Result<Option<PastEvent>>;

    /// Sequence numbers that a replay would take up, oldest first, up to `limit`, after `after`.
    async fn past(&self, which: &Past, after: Option<Seq>, limit: usize) -> Result<Vec<Seq>>;

    /// The events themselves; unknown ones are left out.
    async fn events(&self, seqs: &[Seq]) -> Result<Vec<PastEvent>>;

    /// Makes new deliveries of past events, marked as replays. Durable on return.
    async fn replay(&self, orders: Vec<(Seq, Routed)>, now: Timestamp) -> Result<Vec<DeliveryId>>;

    /// Ends what is older than `before` (counted from arrival): history goes, unfinished
    /// deliveries end `dropped`. Returns how many were dropped unfinished, by subscription.
    /// Works in small steps; call it again and again.
    async fn prune(&self, before: Timestamp) -> Result<Vec<(SubscriptionId, u64)>>;

    /// Writes everything out and closes. Nothing may be asked of it afterwards.
    async fn close(&self) -> Result<()>;
}

/// Events among which those of one subscription are sought: a week of a busy workspace, and
/// still found within a fraction of a second. There is no index of them: it would cost every
/// event something, and few ask.
pub const LOOKED_AT: usize = 100_000;

/// Bytes of memory that waiting events may take before their bodies are read back from
/// the engine instead: enough for some ten thousand usual events.
pub const WINDOW_BYTES: usize = 8 << 20;

/// Deliveries of one subscription kept in memory; the rest is read back in pages.
pub const WINDOW: Range<usize> = 256..1024;
