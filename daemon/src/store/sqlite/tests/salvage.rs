//! A store with a broken page, of every page in turn: what the engine can still hand out
//! row by row is saved, the result is sound, and what waited goes out.

use std::fs;

use proptest::prelude::*;
use rusqlite::OptionalExtension;

use super::view::View;
use super::*;
use crate::store::sqlite::audit::examine;
use crate::store::sqlite::salvage::{Lost, Salvaged, salvage};

const PAGE: usize = 4096;
const EVENTS: i64 = 120;

/// A store that has seen everything: ends of all kinds, retries, replays, a removal.
async fn full_store() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let names = ["one", "two", "gone"].map(str::to_owned);
    let ids: Vec<SubscriptionId> =
        store.enroll(&names, at(0)).await.unwrap().iter().map(|it| it.id).collect();
    let plan = r#"{"subscriptions":[{"id":1,"name":"one"},{"id":2,"name":"two"}]}"#;
    store.keep_plan(1, plan.to_owned()).await.unwrap();
    for n in 1..=EVENTS {
        let route = |id: SubscriptionId, outcome| Routed {
            subscription: id,
            order: Order::Entity,
            outcome,
            reason: None,
        };
        let second = if n % 3 == 0 { Outcome::SkippedDisabled } else { Outcome::Pending };
        let routed =
            vec![route(ids[0], Outcome::Pending), route(ids[1], second), route(ids[2], Outcome::Pending)];
        let id = if n % 4 == 0 { store.next_event_id().0 } else { n };
        store.append(vec![arrival_at(id, at(n), routed)]).await.unwrap();
    }
    for (id, most, outcome) in [
        (ids[0], 30, Outcome::Delivered),
        (ids[0], 10, Outcome::Failed),
        (ids[1], 20, Outcome::Delivered),
        (ids[1], 5, Outcome::Pending),
        (ids[2], 7, Outcome::Delivered),
    ] {
        for lease in store.claim(id, Take::Heads(most)).await.unwrap() {
            let attempt = Attempt { n: 1, at: at(0), status: Some(200), error: None, ms: 1, trace: None };
            let verdict = |standing: &mut Standing| {
                standing.delivered += u64::from(outcome == Outcome::Delivered);
                Next { outcome, reason: Some("because".to_owned()) }
            };
            store.settle(lease, Some(attempt), at(0), &verdict).await.unwrap();
        }
    }
    let route =
        Routed { subscription: ids[0], order: Order::Entity, outcome: Outcome::Pending, reason: None };
    store.replay((1..=6).map(|seq| (Seq(seq), route.clone())).collect(), at(0)).await.unwrap();
    store.remove(ids[2], at(0)).await.unwrap();
    store.close().await.unwrap();
    folder
}

/// A copy of a store with something done to its file.
fn damaged(folder: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(folder.join("trackrelay.db")).unwrap();
    damage(&mut bytes);
    fs::write(copy.path().join("trackrelay.db"), bytes).unwrap();
    copy
}

fn repaired(folder: &Path) -> Salvaged {
    let salvaged = salvage(folder, at(0)).unwrap();
    let audit = examine(folder).unwrap().unwrap();
    assert_eq!(audit.problems, [""; 0]);
    assert_eq!((audit.events, audit.waiting), (salvaged.saved.events, salvaged.saved.waiting));
    salvaged
}

/// The rows of a query that stand on sound pages, asked for one by one.
fn readable(file: &Path, query: &str, keys: impl Iterator<Item = i64>) -> Vec<i64> {
    let Ok(connection) = Connection::open(file) else { return Vec::new() };
    let one = |key: &i64| -> rusqlite::Result<()> {
        let mut statement = connection.prepare(query)?;
        let mut rows = statement.query([key])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        (0..row.as_ref().column_count()).try_for_each(|n| row.get_ref(n).map(drop))
    };
    keys.filter(|key| one(key).is_ok()).collect()
}

const EVENT: &str = "SELECT * FROM events WHERE seq = ?1";
const DECISION: &str = "SELECT * FROM decisions WHERE delivery = ?1";
const WAITING: &str = "SELECT * FROM waiting w JOIN events e ON e.seq = w.seq \
     WHERE subscription = 1 AND w.created = e.created AND w.event_id = e.event_id AND e.seq = ?1";

/// Delivers all that waits.
async fn drain(folder: &Path) -> u64 {
    let store = SqliteStore::open(folder).unwrap();
    let mut count = 0;
    for id in (1..10).map(SubscriptionId).filter(|id| store.standing(*id).is_some()) {
        loop {
            let leases = store.claim(id, Take::Heads(50)).await.unwrap();
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                deliver(&store, lease).await;
                count += 1;
            }
        }
        assert_eq!(store.waiting(id).pending, 0);
    }
    let fresh = store.next_event_id().0;
    assert!(!store.append(vec![arrival(fresh, Vec::new())]).await.unwrap()[0].duplicate);
    store.close().await.unwrap();
    assert_eq!(examine(folder).unwrap().unwrap().problems, [""; 0]);
    count
}

/// What a page is for: its table, whether it stands above others, and its rows.
fn use_of(file: &Path, page: usize) -> Option<(String, bool, i64)> {
    let connection = Connection::open(file).unwrap();
    let query = "SELECT name, pagetype = 'internal', ncell FROM dbstat WHERE pageno = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    connection.query_row(query, [page as i64 + 1], row).optional().unwrap()
}

async fn view(folder: &Path) -> View {
    let store = SqliteStore::open(folder).unwrap();
    let view = View::of(&store, 3).await.unwrap();
    store.close().await.unwrap();
    view
}

#[tokio::test]
async fn every_page_may_break() {
    let folder = full_store().await;
    let sound = folder.path().join("trackrelay.db");
    let pages = fs::metadata(&sound).unwrap().len() as usize / PAGE;
    let before = view(folder.path()).await;
    let (mut lost, mut above) = (0, 0);
    for page in 0..pages {
        let broken = damaged(folder.path(), |bytes| {
            let garbage = (0..PAGE).map(|n| (n * 31 + page * 7 + 3) as u8);
            bytes.splice(page * PAGE..(page + 1) * PAGE, garbage);
        });
        let file = broken.path().join("trackrelay.db");
        let (events, decisions) =
            (readable(&file, EVENT, 1..=EVENTS), readable(&file, DECISION, 1..=EVENTS * 4));
        let waiting = readable(&file, WAITING, 1..=EVENTS);

        let Salvaged { kept, saved } = repaired(broken.path());
        assert_eq!(fs::read(&kept[0]).unwrap()[page * PAGE + 1], ((31 + page * 7 + 3) % 256) as u8);
        let saved_events = readable(&file, EVENT, 1..=EVENTS);
        let saved_decisions = readable(&file, DECISION, 1..=EVENTS * 4);
        let saved_waiting = readable(&file, WAITING, 1..=EVENTS);
        assert!(events.iter().all(|seq| saved_events.contains(seq)), "page {page}: {events:?} {saved:?}");
        for delivery in decisions.iter().filter(|delivery| !saved_decisions.contains(delivery)) {
            // Its event is lost: an event has three routes here.
            let event = (delivery - 1) / 3 + 1;
            assert!(!saved_events.contains(&event) || *delivery > EVENTS * 3, "page {page}: {delivery}");
        }
        for seq in waiting.iter().filter(|seq| saved_events.contains(seq)) {
            assert!(saved_waiting.contains(seq), "page {page}: delivery of event {seq} waits no more");
        }
        let missing = EVENTS as u64 - saved.events;
        let (table, is_above, rows) = use_of(&sound, page).unwrap_or_default();
        match (table.as_str(), is_above) {
            ("events" | "decisions", true) => {
                above += 1;
                assert_eq!(view(broken.path()).await, before, "page {page} of {table} held no rows");
            }
            ("events", false) => {
                assert!(missing <= rows.max(1).cast_unsigned(), "page {page}: {saved:?}, it held {rows}")
            }
            _ => assert_eq!(missing, 0, "page {page} of {table}: {saved:?}"),
        }
        // What is said to be lost is, and what is not said to be is unknown.
        let Lost { at_least, perhaps_more } = saved.events_lost;
        assert!(at_least == missing || (at_least < missing && perhaps_more), "page {page}: {saved:?}");
        lost += at_least;
        assert_eq!(drain(broken.path()).await, saved.waiting, "page {page}");
    }
    assert!(pages > 30 && lost > 0 && above >= 2, "{pages} pages, {lost} events lost, {above} above others");
}

/// All roots at once, the first page too: what stood on other pages is there.
#[tokio::test]
async fn every_root_may_break() {
    let folder = full_store().await;
    for first in [false, true] {
        let broken = with_roots_broken(folder.path(), &["%"]);
        if first {
            break_header(broken.path());
        }
        let saved = repaired(broken.path()).saved;
        assert_eq!((saved.events, saved.events_lost.count()), (EVENTS as u64, None), "{saved:?}");
        assert!(
            saved.decisions > 100 && saved.decisions_doubtful && saved.subscriptions_doubtful,
            "{saved:?}"
        );
        assert_eq!(drain(broken.path()).await, saved.waiting);
    }
}

/// A copy with the roots of these tables broken.
fn with_roots_broken(folder: &Path, tables: &[&str]) -> tempfile::TempDir {
    let connection = Connection::open(folder.join("trackrelay.db")).unwrap();
    let mut roots = Vec::new();
    for table in tables {
        let mut found = connection
            .prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0 AND name LIKE ?1")
            .unwrap();
        let found = found.query_map([table], |row| row.get::<_, i64>(0)).unwrap();
        roots.extend(found.map(|root| root.unwrap() as usize));
    }
    drop(connection);
    damaged(folder, |bytes| roots.iter().for_each(|root| bytes[(root - 1) * PAGE..root * PAGE].fill(0xa5)))
}

fn break_header(folder: &Path) {
    let file = folder.join("trackrelay.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..PAGE].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
}

/// Pages of what was pruned look like pages in use. Only the list of free pages tells; and
/// should that be broken too, what `waiting` does not know does not go out again.
#[tokio::test]
async fn what_was_pruned_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append((1..=400).map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
    for lease in store.claim(one, Take::Heads(350)).await.unwrap() {
        deliver(&store, lease).await;
    }
    store.prune(at(200)).await.unwrap();
    store.close().await.unwrap();
    let connection = Connection::open(folder.path().join("trackrelay.db")).unwrap();
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    drop(connection);
    assert!(free > 20, "{free} pages are free");

    let broken = with_roots_broken(folder.path(), &["events", "decisions"]);
    let saved = repaired(broken.path()).saved;
    assert_eq!((saved.events, saved.decisions, saved.waiting), (201, 151, 50), "{saved:?}");
    assert_eq!(saved.events_lost, Lost { at_least: 0, perhaps_more: true });

    // With the first page the list of free pages is gone.
    let broken = with_roots_broken(folder.path(), &["events", "decisions"]);
    break_header(broken.path());
    let saved = repaired(broken.path()).saved;
    assert!(saved.events > 201 && saved.decisions_doubtful, "{saved:?}");
    assert_eq!(drain(broken.path()).await, 50, "{saved:?}");

    // Nor does anything say now what had ended: better twice than never.
    let broken = with_roots_broken(folder.path(), &["events", "decisions", "waiting", "meta"]);
    break_header(broken.path());
    let saved = repaired(broken.path()).saved;
    assert!(saved.decisions_doubtful, "{saved:?}");
    assert!(drain(broken.path()).await >= 50);
}

/// Bytes here and there, most where numbers, lengths and pointers stand. `SALVAGE_CASES` asks for more.
#[test]
fn bytes_may_break_anywhere() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = runtime.block_on(full_store());
    let byte = (any::<usize>(), prop_oneof![0..40_usize, 0..PAGE], any::<u8>());
    let cases = std::env::var("SALVAGE_CASES").map_or(24, |cases| cases.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in proptest::collection::vec(byte, 1..40))| {
        let broken = damaged(folder.path(), |file| {
            let pages = file.len() / PAGE;
            bytes.iter().for_each(|(page, at, byte)| file[page % pages * PAGE + at] = *byte);
        });
        let saved = repaired(broken.path()).saved;
        assert_eq!(runtime.block_on(drain(broken.path())), saved.waiting, "{saved:?}");
    });
}

#[tokio::test]
async fn a_sound_store_comes_out_as_it_was() {
    let folder = full_store().await;
    let before = view(folder.path()).await;
    let saved = repaired(folder.path()).saved;
    assert_eq!(
        (saved.events, saved.events_lost.count(), saved.decisions_doubtful),
        (EVENTS as u64, Some(0), false)
    );
    assert_eq!(saved.standings_lost, [""; 0]);
    assert_eq!(view(folder.path()).await, before);
}

#[tokio::test]
async fn a_broken_header_loses_nothing() {
    let folder = full_store().await;
    let broken = damaged(folder.path(), |bytes| bytes[..PAGE].fill(0));
    let error = SqliteStore::open(broken.path()).unwrap_err().to_string();
    assert!(error.contains("trackrelay.db") && error.contains("trackrelay doctor --repair"), "{error}");
    let saved = repaired(broken.path()).saved;
    assert_eq!((saved.events, saved.events_lost.count()), (EVENTS as u64, Some(0)));
    assert_eq!(saved.standings_lost, [""; 0]);
}

#[tokio::test]
async fn half_a_file_is_better_than_none() {
    let folder = full_store().await;
    for (keep, least) in [(0, 0), (100, 0), (PAGE, 0), (30 * PAGE, 20), (31 * PAGE + 77, 20)] {
        let broken = damaged(folder.path(), |bytes| bytes.truncate(keep));
        let saved = repaired(broken.path()).saved;
        assert!(saved.events >= least, "{keep} bytes: {saved:?}");
        assert_eq!(drain(broken.path()).await, saved.waiting);
    }
}

#[tokio::test]
async fn a_log_of_garbage_harms_nothing() {
    let folder = full_store().await;
    fs::write(folder.path().join("trackrelay.db-wal"), [0x5a; 3 * PAGE]).unwrap();
    let salvaged = repaired(folder.path());
    assert_eq!(salvaged.kept.len(), 2, "{salvaged:?}");
    assert_eq!((salvaged.saved.events, salvaged.saved.events_lost.count()), (EVENTS as u64, Some(0)));
}

#[tokio::test]
async fn what_only_the_log_holds_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append((1..=40).map(|id| arrival(id, wanted(one))).collect()).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["trackrelay.db", "trackrelay.db-wal"] {
        fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let saved = repaired(copy.path()).saved;
    assert_eq!((saved.events, saved.waiting), (40, 40));
    assert_eq!(drain(copy.path()).await, 40);
}

#[tokio::test]
async fn a_store_in_use_is_not_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let _store = SqliteStore::open(folder.path()).unwrap();
    assert!(matches!(salvage(folder.path(), at(0)), Err(Error::InUse { .. })));
    assert!(examine(folder.path()).unwrap().unwrap().problems.is_empty());
}
