//! For tests of the way in: a store that keeps arrivals in memory and can be told to
//! refuse, and a plan to go with it. What only the way out asks is not answered.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Source;
use super::body::Limits;
use crate::config::fixture;
use crate::config::{
    Config, EventFilter, Limit, Role, Secret, Source as Table, Subscription, User, Workspace,
};
use crate::delivery::{Attempt, DeliveryId, Lane, Outcome, Standing, SubscriptionId};
use crate::event::{Entity, EventId};
use crate::feed::Feed;
use crate::plan::{Guests, Plan};
use crate::store::find::Find;
use crate::store::{
    Arrival, Change, Changes, Enrolled, Error, Lease, Page, Past, PastEvent, Queued, Receipt, Result, Routed,
    Seq, Store, Take, Verdict, Waiting,
};
use crate::telemetry::Metrics;

const NOT_ASKED: &str = "the way in does not ask this";

/// Of the source `track`.
pub(crate) const SECRET: &str = "local-Test_Secret 01";

#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) arrivals: Mutex<Vec<Arrival>>,
    pub(crate) refuse: Mutex<Option<Error>>,
    pub(crate) unreadable: Mutex<Option<Error>>,
    next_id: AtomicI64,
}

impl FakeStore {
    pub(crate) fn kept(&self) -> Vec<EventId> {
        self.arrivals.lock().unwrap().iter().map(|arrival| arrival.event.id).collect()
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn append(&self, arrivals: Vec<Arrival>) -> Result<Vec<Receipt>> {
        if let Some(error) = self.refuse.lock().unwrap().clone() {
            return Err(error);
        }
        let mut kept = self.arrivals.lock().unwrap();
        let mut receipts = Vec::new();
        for arrival in arrivals {
            let event = arrival.event.id;
            let duplicate = kept.iter().any(|known| known.event.id == event);
            let pending = arrival.routed.iter().filter(|routed| routed.outcome == Outcome::Pending);
            let queued = pending.map(|routed| routed.subscription).collect();
            receipts.push(Receipt { event, duplicate, queued });
            if !duplicate {
                kept.push(arrival);
            }
        }
        Ok(receipts)
    }

    fn next_event_id(&self) -> EventId {
        EventId(4_000_000_000_000_000_000 + self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn standing(&self, _: SubscriptionId) -> Option<Arc<Standing>> {
        None
    }

    fn waiting(&self, _: SubscriptionId) -> Waiting {
        Waiting { pending: self.arrivals.lock().unwrap().len() as u64, ..Waiting::default() }
    }

    async fn woken(&self) -> Vec<SubscriptionId> {
        panic!("{NOT_ASKED}")
    }
    async fn claim(&self, _: SubscriptionId, _: Take) -> Result<Vec<Lease>> {
        panic!("{NOT_ASKED}")
    }
    fn give_back(&self, _: Vec<Lease>) {
        panic!("{NOT_ASKED}")
    }
    async fn settle(
        &self,
        _: Lease,
        _: Option<Attempt>,
        _: Timestamp,
        _: Verdict<'_>,
    ) -> Result<Arc<Standing>> {
        panic!("{NOT_ASKED}")
    }
    async fn release_held(&self, _: SubscriptionId) -> Result<u64> {
        panic!("{NOT_ASKED}")
    }
    async fn enroll(&self, _: &[String], _: Timestamp) -> Result<Vec<Enrolled>> {
        panic!("{NOT_ASKED}")
    }
    fn named(&self, _: &str) -> Option<Enrolled> {
        panic!("{NOT_ASKED}")
    }
    fn known(&self) -> Vec<Enrolled> {
        panic!("{NOT_ASKED}")
    }
    async fn rename(&self, _: SubscriptionId, _: &str) -> Result<()> {
        panic!("{NOT_ASKED}")
    }
    async fn remove(&self, _: SubscriptionId, _: Timestamp) -> Result<u64> {
        panic!("{NOT_ASKED}")
    }
    async fn set_standing(&self, _: SubscriptionId, _: Change<'_>) -> Result<Arc<Standing>> {
        panic!("{NOT_ASKED}")
    }
    async fn set_standings(&self, _: &[SubscriptionId], _: Changes<'_>) -> Result<()> {
        panic!("{NOT_ASKED}")
    }
    fn unreadable(&self) -> Option<Error> {
        self.unreadable.lock().unwrap().clone()
    }
    fn held_in(&self, _: SubscriptionId, _: Lane) -> Option<EventId> {
        panic!("{NOT_ASKED}")
    }
    async fn keep_plan(&self, _: i64, _: String) -> Result<()> {
        panic!("{NOT_ASKED}")
    }
    fn last_plan(&self) -> i64 {
        panic!("{NOT_ASKED}")
    }
    async fn plan(&self, _: i64) -> Result<Option<String>> {
        panic!("{NOT_ASKED}")
    }
    fn previous(&self, _: Seq) -> Result<Option<Bytes>> {
        panic!("{NOT_ASKED}")
    }
    async fn page(&self, _: Option<Seq>, _: usize) -> Result<Page> {
        panic!("{NOT_ASKED}")
    }
    async fn find(&self, _: &Find, _: Option<Seq>, _: usize) -> Result<Page> {
        panic!("{NOT_ASKED}")
    }
    async fn queued(&self, _: SubscriptionId, _: Timestamp, _: Range<usize>) -> Result<Queued> {
        panic!("{NOT_ASKED}")
    }
    async fn why(&self, _: EventId) -> Result<Option<PastEvent>> {
        panic!("{NOT_ASKED}")
    }
    async fn past(&self, _: &Past, _: Option<Seq>, _: usize) -> Result<Vec<Seq>> {
        panic!("{NOT_ASKED}")
    }
    async fn events(&self, _: &[Seq]) -> Result<Vec<PastEvent>> {
        panic!("{NOT_ASKED}")
    }
    async fn replay(&self, _: Vec<(Seq, Routed)>, _: Timestamp) -> Result<Vec<DeliveryId>> {
        panic!("{NOT_ASKED}")
    }
    async fn prune(&self, _: Timestamp) -> Result<Vec<(SubscriptionId, u64)>> {
        panic!("{NOT_ASKED}")
    }
    async fn close(&self) -> Result<()> {
        panic!("{NOT_ASKED}")
    }
}

/// A source in front of a fake store, and what can be looked at behind it.
pub(crate) struct Rig {
    pub(crate) source: Arc<Source>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::with(Limits { stall: Duration::from_millis(100), ..Limits::new(64 << 10) })
    }

    pub(crate) fn with(limits: Limits) -> Rig {
        let store = Arc::new(FakeStore::default());
        let metrics = Arc::new(Metrics::new());
        let (_, plan) = watch::channel(Arc::new(plan()));
        let kept = Arc::clone(&store) as Arc<dyn Store>;
        let source = Source::new(kept, plan, Arc::clone(&metrics), Feed::default(), limits);
        Rig { source: Arc::new(source), store, metrics }
    }

    /// The value of a metric, 0 if it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.metrics.render(&self.source.backlog());
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0)
    }
}

/// `all` wants everything, `tags` only tags and is switched off.
fn plan() -> Plan {
    let tags = EventFilter { entity: Some(Entity::Tag), action: None };
    let all = EventFilter { entity: None, action: None };
    let subscriptions = vec![subscription("all", all, true), subscription("tags", tags, false)];
    let enrolled = subscriptions.iter().zip(1..).map(|(subscription, id)| Enrolled {
        id: SubscriptionId(id),
        name: subscription.name.clone(),
        standing: Arc::default(),
    });
    let (enrolled, guests) = (enrolled.collect(), Guests::none(subscriptions.len()));
    Plan::new(1, Arc::new(config(subscriptions)), guests, enrolled)
}

fn config(subscriptions: Vec<Subscription>) -> Config {
    Config {
        workspace: Workspace { id: 4200017, limit: Limit::Off },
        users: vec![User { name: "ana".into(), id: 77, role: Role::Admin, api_token: None }],
        sources: vec![Table { name: "track".into(), secret: Secret::new(SECRET.into()) }],
        ..fixture::config(subscriptions)
    }
}

fn subscription(name: &str, filter: EventFilter, enabled: bool) -> Subscription {
    Subscription { event_filters: vec![filter], enabled, ..fixture::subscription(name) }
}
