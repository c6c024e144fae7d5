//! What a claim must not hand over.

use bytes::Bytes;

use super::*;
use crate::config::fixture;
use crate::delivery::Order;
use crate::event::{EventId, read};
use crate::plan::Guests;
use crate::store::memory::MemoryStore;
use crate::store::{Arrival, Routed};

const RECEIVED: &str = r#"{"metadata":{"action":"created","model":"tag","tag_id":7},"payload":{}}"#;

/// With one event that waits for the one subscription there is.
async fn deliverer() -> (Deliverer, SubscriptionId) {
    let store = MemoryStore::default();
    let meant = fixture::subscription("a");
    let enrolled = store.enroll(std::slice::from_ref(&meant.name), clock::now()).await.unwrap();
    let subscription = enrolled[0].id;
    let plan = Plan::new(1, Arc::new(fixture::config(vec![meant])), Guests::none(1), enrolled);
    let event = read::restore(EventId(1), "2026-01-02T03:04:05Z", 5, Bytes::from(RECEIVED)).unwrap();
    let wanted = Routed { subscription, order: Order::Entity, outcome: Outcome::Pending, reason: None };
    let (event, arrived_at) = (Arc::new(event), clock::now());
    store.append(vec![Arrival { event, arrived_at, plan: 1, routed: vec![wanted] }]).await.unwrap();
    let deliverer = Deliverer {
        store: Arc::new(store),
        plan: watch::channel(Arc::new(plan)).1,
        client: Client::default(),
        metrics: Arc::new(Metrics::new()),
        feed: Feed::default(),
        flights: Flights::default(),
        complaints: Complaints::default(),
        later: mpsc::unbounded_channel().0,
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
    };
    (deliverer, subscription)
}

/// Else a delivery that has just failed would go out again at once, and not even count.
#[tokio::test]
async fn what_was_decided_from_an_older_standing_is_not_tried() {
    let (deliverer, one) = deliverer().await;
    let seen = deliverer.store.standing(one).unwrap().generation;
    let closed = |standing: &mut Standing| standing.generation += 1;
    deliverer.store.set_standing(one, &closed).await.unwrap();
    assert!(deliverer.take(one, Take::Heads(1), seen).await.unwrap().is_none());
    let taken = deliverer.take(one, Take::Heads(1), seen + 1).await.unwrap();
    assert_eq!(taken.map(|leases| leases.len()), Some(1), "it waits as before");
}
