//! What cannot be read of a store that is open: only that stays, and it is said.

use std::os::unix::fs::FileExt;

use super::*;

const PAGE: usize = 4096;

/// More than the engine keeps in memory of what a start reads.
const EVENTS: i64 = 4000;

/// An open store with events that wait for one subscription, on which the page with this
/// one has just been overwritten. Comes with all events of that page.
async fn with_broken_page_of(event: i64) -> (tempfile::TempDir, SqliteStore, SubscriptionId, Vec<i64>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let one = enroll(&store).await;
    store.append((1..=EVENTS).map(|id| arrival_at(id, at(id), wanted(one))).collect()).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let file = folder.path().join("trackrelay.db");
    let (page, events) = page_of(&file, event);
    let store = SqliteStore::open(folder.path()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&[0xa5; PAGE], (page - 1) * PAGE as u64).unwrap();
    (folder, store, one, events)
}

fn page_of(file: &Path, event: i64) -> (u64, Vec<i64>) {
    let connection = Connection::open(file).unwrap();
    // In the order of the tree, which is that of the events.
    let mut pages = connection
        .prepare("SELECT pageno, ncell FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path")
        .unwrap();
    let page = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let mut first = 1;
    for (page, cells) in pages.query_map([], page).unwrap().map(|page| page.unwrap()) {
        if event < first + cells {
            return (page.cast_unsigned(), (first..first + cells).collect());
        }
        first += cells;
    }
    panic!("no page has event {event}");
}

/// The rows of a whole page are gone, and what they were about with them.
#[tokio::test]
async fn events_of_a_broken_page_are_set_aside_and_the_others_go_out() {
    let (_folder, store, one, broken) = with_broken_page_of(30).await;
    assert!(store.unreadable().is_none());
    let mut delivered = Vec::new();
    while store.waiting(one).pending > store.waiting(one).unreadable {
        for lease in store.claim(one, Take::Heads(50)).await.unwrap() {
            delivered.push(lease.event.id.0);
            deliver(&store, lease).await;
        }
    }
    let expected: Vec<i64> = (1..=EVENTS).filter(|id| !broken.contains(id)).collect();
    assert_eq!(delivered, expected);
    let waiting = store.waiting(one);
    assert_eq!(
        (waiting.pending, waiting.held, waiting.unreadable),
        (broken.len() as u64, 0, broken.len() as u64)
    );
    let why = store.unreadable().unwrap().to_string();
    assert!(why.contains("trackrelay.db") && why.contains("trackrelay doctor --repair"), "{why}");

    // New ones are taken and go out; what was set aside is looked at again when asked for.
    store.append(vec![arrival(9999, wanted(one))]).await.unwrap();
    let lease = store.claim(one, Take::Heads(8)).await.unwrap().remove(0);
    assert_eq!(lease.event.id.0, 9999);
    deliver(&store, lease).await;
    assert_eq!(store.release_held(one).await.unwrap(), broken.len() as u64);
    assert!(store.unreadable().is_none() && store.waiting(one).unreadable == 0);
    assert!(store.claim(one, Take::Heads(100)).await.unwrap().is_empty());
    assert!(store.unreadable().is_some());
    store.close().await.unwrap();
}

/// One that is asked for by its id, as a retry is, must not be in the way of the others.
#[tokio::test]
async fn a_retry_that_cannot_be_read_leaves_room_for_the_oldest() {
    let (_folder, store, one, broken) = with_broken_page_of(30).await;
    assert!(store.claim(one, Take::Only(DeliveryId(broken[0]))).await.unwrap().is_empty());
    assert_eq!(store.claim(one, Take::Oldest).await.unwrap().len(), 1);
    store.close().await.unwrap();
}
