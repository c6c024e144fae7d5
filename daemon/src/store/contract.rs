//! The promises of `store.rs` as tests that every store must pass. An engine joins by
//! implementing `Subject` and a line in `every_store!`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::lanes::Budget;
use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::*;
use crate::delivery::trace::{Called, Exchange, Http, Level, Line, Stage, Trace, Verdict as Word};
use crate::event::{Action, read};

mod arrivals;
mod bounds;
mod history;
mod lanes;
mod life;
mod restart;
mod settling;
mod shelf;

/// A store under test.
trait Subject: Sized + Send + Sync {
    /// What was durable is there after a restart.
    const DURABLE: bool;

    fn new(budget: Budget) -> Self;
    fn store(&self) -> &dyn Store;
    /// As the next process would find it. One that is not durable stays as it is.
    async fn reopen(self) -> Self;
    /// Waiting deliveries in memory, and the bytes of their events.
    fn in_memory(&self) -> (usize, usize);
}

struct Memory(MemoryStore);

impl Subject for Memory {
    const DURABLE: bool = false;

    fn new(budget: Budget) -> Memory {
        Memory(MemoryStore::with_budget(budget))
    }

    fn store(&self) -> &dyn Store {
        &self.0
    }

    async fn reopen(self) -> Memory {
        self
    }

    fn in_memory(&self) -> (usize, usize) {
        self.0.in_memory()
    }
}

struct Sqlite {
    store: SqliteStore,
    folder: tempfile::TempDir,
}

impl Subject for Sqlite {
    const DURABLE: bool = true;

    fn new(budget: Budget) -> Sqlite {
        let folder = tempfile::tempdir().unwrap();
        Sqlite { store: SqliteStore::open_with(folder.path(), budget).unwrap(), folder }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn reopen(self) -> Sqlite {
        self.store.close().await.unwrap();
        drop(self.store);
        Sqlite { store: SqliteStore::open_with(self.folder.path(), small()).unwrap(), folder: self.folder }
    }

    fn in_memory(&self) -> (usize, usize) {
        self.store.in_memory()
    }
}

/// Runs tests that are generic over `Subject` for each store.
macro_rules! every_store {
    ($($name:ident)*) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory() {
                super::$name::<crate::store::contract::Memory>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_sqlite() {
                super::$name::<crate::store::contract::Sqlite>().await;
            }
        })*
    };
}
use every_store;

/// Small windows, so that few deliveries are enough to leave them.
const SMALL: Range<usize> = 4..8;

fn small() -> Budget {
    Budget::new(SMALL, 64 << 10)
}

/// A new store with one subscription.
async fn with_one<S: Subject>() -> (S, SubscriptionId) {
    let subject = S::new(small());
    let id = enroll(&subject, "one").await;
    (subject, id)
}

async fn enroll(subject: &impl Subject, name: &str) -> SubscriptionId {
    subject.store().enroll(&[name.to_owned()], at(0)).await.unwrap()[0].id
}

/// So many seconds after a certain moment.
fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

/// An event of the tag with this id, created so many seconds after a certain moment.
fn tag(id: i64, tag: i64, created: i64) -> Event {
    tag_event(id, tag, created, Action::Updated)
}

fn tag_event(id: i64, tag: i64, created: i64, action: Action) -> Event {
    let received = format!(
        r#"{{"metadata":{{"action":"{action}","model":"tag","tag_id":{tag},"workspace_id":1}},"payload":{{"id":{tag},"from":{id}}}}}"#
    );
    read::restore(EventId(id), &at(created).to_string(), 5, Bytes::from(received)).unwrap()
}

/// Arrived when it was created, and wanted by these.
fn arrival(event: Event, routed: Vec<Routed>) -> Arrival {
    Arrival { arrived_at: event.created_at, event: Arc::new(event), plan: 1, routed }
}

fn wanted(subscription: SubscriptionId) -> Routed {
    routed(subscription, Outcome::Pending)
}

fn routed(subscription: SubscriptionId, outcome: Outcome) -> Routed {
    let reason = (outcome != Outcome::Pending).then(|| outcome.as_str().to_owned());
    Routed { subscription, order: Order::Entity, outcome, reason }
}

/// Appends one event for one subscription.
async fn append(subject: &impl Subject, event: Event, subscription: SubscriptionId) -> Receipt {
    let arrivals = vec![arrival(event, vec![wanted(subscription)])];
    subject.store().append(arrivals).await.unwrap().remove(0)
}

async fn claim(subject: &impl Subject, id: SubscriptionId, take: Take) -> Vec<Lease> {
    subject.store().claim(id, take).await.unwrap()
}

/// The events of all that can be claimed now, which stays in flight.
async fn heads(subject: &impl Subject, id: SubscriptionId) -> Vec<i64> {
    claim(subject, id, Take::Heads(100)).await.iter().map(|lease| lease.event.id.0).collect()
}

/// With something in every place.
fn traced() -> Trace {
    let line = Line { level: Level::Warn, text: "\"quoted\"".into() };
    let called = Called {
        plugin: "match".into(),
        stage: Stage::Transform,
        verdict: Word::Failed,
        reason: Some("for no reason".into()),
        took_us: 7,
        memory: 65_536,
        lines: vec![line],
        lines_cut: 3,
    };
    let exchange = Exchange {
        address: "[::1]:443".parse().ok(),
        reused: true,
        http: Some(Http::V2),
        dns_us: Some(1),
        connect_us: None,
        tls_us: Some(3),
        first_byte_us: Some(4),
        total_us: 5,
        excerpt: Some("ok".into()),
    };
    Trace { plugins: vec![called], plugins_cut: 1, exchange: Some(exchange), body: Some("ab".into()) }
}

async fn settle(subject: &impl Subject, lease: Lease, outcome: Outcome) -> Arc<Standing> {
    let n = lease.attempts + 1;
    let attempt = Attempt { n, at: at(100), status: Some(200), error: None, ms: 7, trace: Some(traced()) };
    let verdict = move |standing: &mut Standing| {
        standing.delivered += u64::from(outcome == Outcome::Delivered);
        Next { outcome, reason: Some(outcome.as_str().to_owned()) }
    };
    subject.store().settle(lease, Some(attempt), at(101), &verdict).await.unwrap()
}

/// Delivers all that waits, one by one, and says which events in which order.
async fn drain(subject: &impl Subject, id: SubscriptionId) -> Vec<i64> {
    let mut delivered = Vec::new();
    while let Some(lease) = claim(subject, id, Take::Heads(1)).await.pop() {
        delivered.push(lease.event.id.0);
        settle(subject, lease, Outcome::Delivered).await;
    }
    delivered
}

async fn why(subject: &impl Subject, event: i64) -> PastEvent {
    subject.store().why(EventId(event)).await.unwrap().expect("a known event")
}

/// Outcome, number of attempts and whether it is a replay, of each decision about an event.
async fn outcomes(subject: &impl Subject, event: i64) -> Vec<(Outcome, usize, bool)> {
    let past = why(subject, event).await;
    past.decisions.iter().map(|it| (it.outcome, it.attempts().len(), it.replay)).collect()
}
