//! What only the durable store has to show: its files, its lock, its disk.

use std::os::unix::fs::PermissionsExt;

use futures_util::FutureExt;

use super::queue::{State, Work};
use super::read;
use super::tx::Tx;
use super::*;
use crate::delivery::{Order, Outcome};
use crate::event::read::restore;
use crate::store::Next;

mod damage;
pub(super) mod disk;
mod faults;
mod index;
mod life;
mod power;
mod salvage;
mod speed;
mod view;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn arrival(id: i64, routed: Vec<Routed>) -> Arrival {
    arrival_at(id, at(id % 1000), routed)
}

fn arrival_at(id: i64, created_at: Timestamp, routed: Vec<Routed>) -> Arrival {
    let text = format!(
        r#"{{"metadata":{{"action":"created","model":"tag","tag_id":{id}}},"payload":{{"id":{id},"filler":"{}"}}}}"#,
        "x".repeat(600)
    );
    let event = restore(EventId(id), &created_at.to_string(), 5, Bytes::from(text)).unwrap();
    Arrival { event: Arc::new(event), arrived_at: created_at, plan: 1, routed }
}

fn wanted(subscription: SubscriptionId) -> Vec<Routed> {
    let order = Order::Entity;
    vec![Routed { subscription, order, outcome: Outcome::Pending, reason: None }]
}

async fn enroll(store: &SqliteStore) -> SubscriptionId {
    store.enroll(&["one".to_owned()], at(0)).await.unwrap()[0].id
}

async fn deliver(store: &SqliteStore, lease: Lease) {
    let attempt = Attempt { n: 1, at: at(0), status: Some(200), error: None, ms: 1, trace: None };
    let verdict = |standing: &mut Standing| {
        standing.delivered += 1;
        Next { outcome: Outcome::Delivered, reason: None }
    };
    store.settle(lease, Some(attempt), at(0), &verdict).await.unwrap();
}

async fn delivered(store: &SqliteStore, event: i64) -> bool {
    let past = store.why(EventId(event)).await.unwrap().unwrap();
    past.decisions[0].outcome == Outcome::Delivered
}

/// Runs a statement on the writer's connection.
struct Run(String, Answer<()>);

impl Work for Run {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        tx.connection.execute_batch(&self.0)
    }

    fn apply(&mut self, _state: &mut State) {}

    fn answer(self: Box<Self>, result: Result<()>) {
        drop(self.1.send(result));
    }
}

/// Gives the disk no more than so many pages.
async fn limit_pages(store: &SqliteStore, pages: i64) {
    let limit = format!("PRAGMA max_page_count = {pages}");
    store.write(0, |answer| Box::new(Run(limit, answer))).await.unwrap();
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/store");
    let store = SqliteStore::open(&path).unwrap();
    let one = enroll(&store).await;
    store.append(vec![arrival(1, wanted(one))]).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = path.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_store_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let pid = std::process::id();
    match SqliteStore::open(folder.path()) {
        Err(error @ Error::InUse { pid: Some(found), .. }) if found == pid => {
            assert!(error.to_string().contains(&format!("in use by another daemon (process {pid})")));
        }
        other => panic!("{other:?}"),
    }
    store.close().await.unwrap();
    drop(store);
    SqliteStore::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    SqliteStore::open(folder.path()).unwrap().close().await.unwrap();
    let database = folder.path().join("trackrelay.db");
    Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("written by a newer trackrelay (format 99, this one knows 2)"), "{error}");
}

/// As a version before traces left it.
#[tokio::test]
async fn history_without_traces_opens_and_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append(vec![arrival(1, wanted(one))]).await.unwrap();
    deliver(&store, store.claim(one, Take::Heads(1)).await.unwrap().remove(0)).await;
    store.close().await.unwrap();
    drop(store);
    let file = Connection::open(folder.path().join("trackrelay.db")).unwrap();
    let written: String = file.query_row("SELECT attempts FROM decisions", [], |row| row.get(0)).unwrap();
    assert_eq!(written, "[[1,1700000000000000000,200,null,1]]", "an attempt without a trace is as it was");
    file.pragma_update(None, "user_version", 1).unwrap();
    drop(file);

    let store = SqliteStore::open(folder.path()).unwrap();
    let decision = store.why(EventId(1)).await.unwrap().unwrap().decisions.remove(0);
    assert_eq!((decision.attempts().len(), &decision.attempts()[0].trace), (1, &None));
}

#[tokio::test]
async fn a_broken_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("trackrelay.db");
    std::fs::write(&database, "not a database, and longer than its header would be".repeat(100)).unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("trackrelay.db") && error.contains("not a database"), "{error}");
}

/// As after `kill -9`: what another process would find if this one stopped right here.
fn as_after_a_crash(folder: &Path) -> (SqliteStore, tempfile::TempDir) {
    let copy = tempfile::tempdir().unwrap();
    for file in ["trackrelay.db", "trackrelay.db-wal"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    (SqliteStore::open(copy.path()).unwrap(), copy)
}

async fn waiting_ids(store: &SqliteStore, one: SubscriptionId) -> Vec<i64> {
    store.claim(one, Take::Heads(9999)).await.unwrap().iter().map(|lease| lease.event.id.0).collect()
}

#[tokio::test]
async fn what_was_answered_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    for id in 1..=50 {
        store.append(vec![arrival(id, wanted(one))]).await.unwrap();
    }
    let (found, _copy) = as_after_a_crash(folder.path());
    assert_eq!(found.waiting(one).pending, 50);
    assert_eq!(waiting_ids(&found, one).await, (1..=50).collect::<Vec<i64>>());
    assert!(found.append(vec![arrival(50, wanted(one))]).await.unwrap()[0].duplicate);
}

#[tokio::test]
async fn what_ended_does_not_wait_again_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append((1..=6).map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
    let mut leases = store.claim(one, Take::Heads(3)).await.unwrap().into_iter();
    deliver(&store, leases.next().unwrap()).await;
    let retry = |_: &mut Standing| Next { outcome: Outcome::Pending, reason: Some("500".into()) };
    let attempt = Attempt { n: 1, at: at(0), status: Some(500), error: None, ms: 1, trace: None };
    store.settle(leases.next().unwrap(), Some(attempt), at(0), &retry).await.unwrap();
    // Reading history writes the outcomes first.
    assert!(delivered(&store, 1).await);

    let (found, _copy) = as_after_a_crash(folder.path());
    assert_eq!(found.waiting(one).pending, 5);
    let leases = found.claim(one, Take::Heads(9)).await.unwrap();
    let found = leases.iter().map(|lease| (lease.event.id.0, lease.attempts)).collect::<Vec<_>>();
    assert_eq!(found, [(2, 1), (3, 0), (4, 0), (5, 0), (6, 0)]);
}

#[tokio::test]
async fn a_crash_amid_many_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    let mut expected = Vec::new();
    for round in 0..12 {
        let ids = round * 1000 + 1..=round * 1000 + 1000;
        store.append(ids.clone().map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
        expected.extend(ids);
        for lease in store.claim(one, Take::Heads(300)).await.unwrap() {
            expected.retain(|id| *id != lease.event.id.0);
            deliver(&store, lease).await;
        }
        assert!(store.why(EventId(1)).await.unwrap().is_some());
    }
    let (found, _copy) = as_after_a_crash(folder.path());
    assert_eq!(found.waiting(one).pending, expected.len() as u64);
    let mut waiting = Vec::new();
    loop {
        let leases = found.claim(one, Take::Heads(100)).await.unwrap();
        if leases.is_empty() {
            break;
        }
        waiting.extend(leases.iter().map(|lease| lease.event.id.0));
    }
    waiting.sort_unstable();
    assert_eq!(waiting, expected);
}

#[tokio::test]
async fn outcomes_are_written_even_if_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append(vec![arrival(1, wanted(one))]).await.unwrap();
    let lease = store.claim(one, Take::Oldest).await.unwrap().remove(0);
    // The writer has fallen asleep by now, or has not: both must do.
    tokio::time::sleep(Duration::from_millis(150)).await;
    deliver(&store, lease).await;
    let other = Connection::open(folder.path().join("trackrelay.db")).unwrap();
    let written =
        || other.query_row("SELECT count(*) FROM decisions", [], |row| row.get::<_, i64>(0)).unwrap();
    while written() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append((1..=20).map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
    limit_pages(&store, 1).await;

    let many = || (100..=200).map(|id| arrival(id, wanted(one))).collect::<Vec<_>>();
    let refused = store.append(many()).await.unwrap_err();
    assert!(matches!(&refused, Error::Failed { reason, .. } if reason.contains("full")), "{refused}");
    assert_eq!(store.waiting(one).pending, 20);
    for lease in store.claim(one, Take::Heads(20)).await.unwrap() {
        deliver(&store, lease).await;
    }
    store.append(many()).await.unwrap_err();
    assert_eq!(store.waiting(one).pending, 0);

    limit_pages(&store, 1 << 30).await;
    let receipts = store.append(many()).await.unwrap();
    assert!(receipts.iter().all(|receipt| !receipt.duplicate));
    assert_eq!(store.claim(one, Take::Heads(200)).await.unwrap().len(), 101);
    for id in 1..=20 {
        assert!(delivered(&store, id).await);
    }
    store.close().await.unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.waiting(one).pending, 101);
    assert_eq!(store.standing(one).unwrap().delivered, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
    let one = enroll(&store).await;
    let mut other = Connection::open(folder.path().join("trackrelay.db")).unwrap();
    let blocker = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();

    let mut appends = tokio::task::JoinSet::new();
    for batch in 0..100 {
        let store = store.clone();
        let arrivals = (1..=500).map(|n| arrival(batch * 500 + n, wanted(one))).collect();
        appends.spawn(async move { store.append(arrivals).await });
    }
    // Those that have no room are refused at once; the others wait for the disk.
    let refused = appends.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(matches!(refused, Error::Busy(wait) if wait == Duration::from_secs(1)), "{refused}");
    drop(blocker);
    let results = appends.join_all().await;
    let accepted = results.iter().filter(|result| result.is_ok()).count() as u64;
    assert!(accepted > 0 && accepted < 99, "{accepted} of 99 accepted");
    assert_eq!(store.waiting(one).pending, accepted * 500);
}

#[test]
fn what_waits_is_read_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::Folder::take(folder.path()).unwrap().open_writer().unwrap();
    for query in [read::page_query(), read::by_key_query()] {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let steps: Vec<String> =
            plan.raw_query().mapped(|row| row.get(3)).map(|step| step.unwrap()).collect();
        let steps = steps.join("; ");
        assert!(steps.contains("SEARCH w USING PRIMARY KEY (subscription=? AND"), "{query}: {steps}");
        assert!(!steps.contains("SCAN") && !steps.contains("TEMP"), "{query}: {steps}");
    }
}

#[tokio::test]
async fn nothing_can_be_asked_of_a_closed_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append((1..=2000).map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
    store.close().await.unwrap();
    store.append(vec![arrival(5000, wanted(one))]).await.unwrap_err();
    store.claim(one, Take::Only(DeliveryId(1999))).await.unwrap_err();
    assert!(!folder.path().join("trackrelay.db-wal").metadata().is_ok_and(|wal| wal.len() > 0));
}

#[tokio::test]
async fn a_claim_nobody_waits_for_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_with(folder.path(), Budget::new(4..8, 0)).unwrap();
    let one = enroll(&store).await;
    store.append((1..=20).map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
    assert_eq!(store.woken().await, [one]);
    // It has taken them and waits for its turn to read their bodies when it is dropped.
    let reader = store.shared.reader.lock().unwrap();
    let claimed = store.claim(one, Take::Heads(3)).now_or_never();
    assert!(claimed.is_none(), "bodies were in memory");
    drop(reader);
    assert_eq!(store.woken().await, [one]);
    let leases = store.claim(one, Take::Heads(3)).await.unwrap();
    assert_eq!(leases.iter().map(|lease| lease.event.id.0).collect::<Vec<_>>(), [1, 2, 3]);
}
