//! What is decided from how a subscription stood is not tried once it stands otherwise, and
//! nobody waits for another.

use bytes::Bytes;

use super::*;
use crate::config::fixture;
use crate::delivery::Order;
use crate::event::{EventId, read};
use crate::plan::Guests;
use crate::store::memory::MemoryStore;
use crate::store::{Arrival, Routed};

const RECEIVED: &str = r#"{"metadata":{"action":"created","model":"tag","tag_id":7},"payload":{}}"#;

/// With one event that waits for both of its subscriptions.
async fn deliverer() -> (Deliverer, Arc<MemoryStore>, [SubscriptionId; 2]) {
    let store = Arc::new(MemoryStore::default());
    let meant = ["a", "b"].map(fixture::subscription);
    let names = meant.each_ref().map(|meant| meant.name.clone());
    let enrolled = store.enroll(&names, clock::now()).await.unwrap();
    let subscriptions = [enrolled[0].id, enrolled[1].id];
    let plan = Plan::new(1, Arc::new(fixture::config(meant.into())), Guests::none(2), enrolled);
    let event = read::restore(EventId(1), "2026-01-02T03:04:05Z", 5, Bytes::from(RECEIVED)).unwrap();
    let (order, outcome) = (Order::Entity, Outcome::Pending);
    let routed = subscriptions.map(|subscription| Routed { subscription, order, outcome, reason: None });
    let (event, arrived_at) = (Arc::new(event), clock::now());
    store.append(vec![Arrival { event, arrived_at, plan: 1, routed: routed.into() }]).await.unwrap();
    let deliverer = Deliverer {
        store: store.clone(),
        plan: watch::channel(Arc::new(plan)).1,
        client: Client::default(),
        metrics: Arc::new(Metrics::new()),
        feed: Feed::default(),
        flights: Flights::default(),
        complaints: Complaints::default(),
        held_back: HeldBack::default(),
        later: mpsc::unbounded_channel().0,
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
    };
    (deliverer, store, subscriptions)
}

/// Else a delivery that has just failed would go out again at once, and not even count.
#[tokio::test]
async fn what_was_decided_from_an_older_standing_is_not_tried() {
    let (deliverer, _, [one, _]) = deliverer().await;
    let seen = deliverer.store.standing(one).unwrap().generation;
    let closed = |standing: &mut Standing| standing.generation += 1;
    deliverer.store.set_standing(one, &closed).await.unwrap();
    assert!(deliverer.take(one, Take::Heads(1), seen).await.unwrap().is_none());
    let taken = deliverer.take(one, Take::Heads(1), seen + 1).await.unwrap();
    assert_eq!(taken.map(|leases| leases.len()), Some(1), "it waits as before");
}

#[tokio::test]
async fn whoever_waits_for_the_store_keeps_nobody_waiting() {
    let (deliverer, store, [one, other]) = deliverer().await;
    let deliverer = Arc::new(deliverer);
    store.keep_waiting(one);
    deliverer.fill_each(vec![one, other]);
    let under_way = [one, other].map(|id| deliverer.flights.of(id).lanes);
    assert_eq!(under_way, [0, 1]);
}
