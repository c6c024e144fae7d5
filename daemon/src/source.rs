//! The way in: a request's body becomes events, the plan says who wants them, events and
//! decisions are written down, and only then the sender is told 202. All of a request is
//! kept, or nothing.
//!
//! Track's own deliveries, which must be signed, come in by `source/signed.rs`, and what
//! came of them of late is `source/recent.rs`. How a body is read within its bounds is `source/body.rs`; who may send at all is decided
//! in `server/guard.rs`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::answer::{self, Answer};
use crate::clock;
use crate::config::Role;
use crate::drill::{self, Point};
use crate::event::read::{Fill, ReadError, Wrong, read_all};
use crate::event::{Event, EventId};
use crate::feed::Feed;
use crate::plan::Plan;
use crate::route::route;
use crate::store::{self, Arrival, Receipt, Store};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Backlog;

pub mod body;
#[cfg(test)]
pub(crate) mod fake;
mod recent;
mod seldom;
mod signed;
mod stamp;
mod tell;
#[cfg(test)]
mod tests;

pub use body::Limits;
use body::{BodyError, Intake};
pub use recent::Seen;
use signed::{Signed, Unproven};
use stamp::Stamps;
use tell::Story;

/// How long a sender is asked to wait when the store failed: long enough for somebody to
/// free a full disk's first bytes, short enough not to be noticed afterwards.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Workspaces that were warned about; beyond this they are not told apart any more.
const MOST_FOREIGN: usize = 1_000;

/// Takes events in.
pub struct Source {
    store: Arc<dyn Store>,
    plan: watch::Receiver<Arc<Plan>>,
    metrics: Arc<Metrics>,
    feed: Feed,
    intake: Intake,
    signed: Signed,
    stamps: Stamps,
    foreign: Mutex<HashSet<i64>>,
    store_failing: AtomicBool,
}

impl Source {
    pub fn new(
        store: Arc<dyn Store>,
        plan: watch::Receiver<Arc<Plan>>,
        metrics: Arc<Metrics>,
        feed: Feed,
        limits: Limits,
    ) -> Source {
        let (intake, signed) = (Intake::new(limits), Signed::new(limits));
        Source {
            store,
            plan,
            metrics,
            feed,
            intake,
            signed,
            stamps: Stamps::default(),
            foreign: Mutex::default(),
            store_failing: AtomicBool::new(false),
        }
    }

    /// `POST /events`: one event, an array, or NDJSON.
    pub async fn events<B>(&self, headers: HeaderMap, body: B) -> Answer
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        match self.take(headers, body).await {
            Ok(answer) => answer,
            Err(refused) => {
                self.metrics.request_refused(refused.reason());
                debug!(reason = refused.reason(), "request refused: {refused}");
                refused.answer()
            }
        }
    }

    async fn take<B>(&self, headers: HeaderMap, body: B) -> Result<Answer, Refused>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let kind = body::kind(&headers).ok_or(Refused::ContentType)?;
        if body::is_encoded(&headers) {
            return Err(Refused::ContentEncoding);
        }
        // They lie in the connection's buffer, which it can use again once they are gone.
        drop(headers);
        let body = self.intake.collect(body).await?;
        let plan = Arc::clone(&self.plan.borrow());
        let events = self.read(&plan, |fill| read_all(body.bytes(), kind, fill))?;
        let receipts = self.keep("events", events, &plan).await?;
        Ok(accepted(&receipts, &plan))
    }

    /// Reads events by `how`, with what they get when they do not say it themselves.
    fn read<T>(
        &self,
        plan: &Plan,
        how: impl FnOnce(&Fill<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let next_id = || self.store.next_event_id();
        how(&Fill { now: self.stamps.next(clock::now()), next_id: &next_id, only_admin: only_admin(plan) })
    }

    /// Makes events durable; `from` is the source they are counted under.
    async fn keep(&self, from: &str, events: Vec<Event>, plan: &Plan) -> store::Result<Vec<Receipt>> {
        drill::pass(Point::AcceptRead);
        let receipts = self.append(from, events, plan).await?;
        drill::pass(Point::AcceptAcknowledged);
        self.count(from, &receipts);
        Ok(receipts)
    }

    async fn append(&self, from: &str, events: Vec<Event>, plan: &Plan) -> store::Result<Vec<Receipt>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let arrived_at = clock::now();
        let arrival = |event: Event| {
            self.notice_foreign(&event, plan);
            let routed = route(&event, plan, |subscription| self.store.standing(subscription));
            Arrival { event: Arc::new(event), arrived_at, plan: plan.number, routed }
        };
        let arrivals: Vec<Arrival> = events.into_iter().map(arrival).collect();
        let story = Story::of(&self.feed, &arrivals);
        let receipts = self.store.append(arrivals).await;
        self.notice_store(receipts.as_ref().err());
        if let (Some(story), Ok(receipts)) = (story, &receipts) {
            story.tell(from, receipts, plan);
        }
        receipts
    }

    /// Whether the last events could not be kept.
    pub fn store_failing(&self) -> bool {
        self.store_failing.load(Ordering::Relaxed)
    }

    /// In one word for people: takes no events, cannot read some that wait, or neither.
    pub fn store_state(&self) -> &'static str {
        match self.store_failing() {
            true => "failing",
            false if self.store.unreadable().is_some() => "unreadable",
            false => "ok",
        }
    }

    /// What waits now, by subscription.
    pub fn backlog(&self) -> Vec<Backlog> {
        let plan = Arc::clone(&self.plan.borrow());
        let backlog = |planned: &Arc<crate::plan::Planned>| {
            let waiting = self.store.waiting(planned.id);
            let standing = self.store.standing(planned.id).unwrap_or_default();
            Backlog {
                subscription: planned.name().to_owned(),
                status: planned.status(&standing).as_str(),
                reason: planned.cause(&standing),
                pending: waiting.pending,
                held: waiting.held,
            }
        };
        plan.subscriptions.iter().map(backlog).collect()
    }

    /// Reads other requests' bodies, under the same bounds.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    fn count(&self, from: &str, receipts: &[Receipt]) {
        let duplicates = receipts.iter().filter(|receipt| receipt.duplicate).count();
        self.metrics.events_received(from, receipts.len() as u64, duplicates as u64);
        debug!(source = from, events = receipts.len(), duplicates, "events accepted");
    }

    /// Says it when failing begins and ends, not for every request in between.
    fn notice_store(&self, error: Option<&store::Error>) {
        let failed = matches!(error, Some(error) if !matches!(error, store::Error::Busy(_)));
        if error.is_some() {
            self.metrics.store_failed(if failed { "failed" } else { "busy" });
        }
        let failed_before = self.store_failing.swap(failed, Ordering::Relaxed);
        match error {
            Some(error) if failed && !failed_before => error!("refusing events: {error}"),
            None if failed_before => info!("the store takes events again"),
            _ => {}
        }
    }

    /// An event of another workspace is routed like any other, but once we say so: most
    /// often `[workspace] id` is simply not set yet.
    fn notice_foreign(&self, event: &Event, plan: &Plan) {
        let expected = plan.config.workspace.id;
        let Some(found) = event.workspace_id.filter(|found| *found != expected) else { return };
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        if foreign.len() < MOST_FOREIGN && foreign.insert(found) {
            warn!(
                event.id = %event.id,
                "an event is of workspace {found}, `[workspace] id` says {expected}; it is routed all the same"
            );
        }
    }
}

/// The creator of last resort, if there is only one admin.
fn only_admin(plan: &Plan) -> Option<i64> {
    let mut admins = plan.config.users.iter().filter(|user| user.role == Role::Admin);
    admins.next().filter(|_| admins.next().is_none()).map(|admin| admin.id)
}

#[derive(Serialize)]
struct Accepted<'a> {
    events: Vec<AcceptedEvent<'a>>,
}

#[derive(Serialize)]
struct AcceptedEvent<'a> {
    event_id: EventId,
    duplicate: bool,
    subscriptions: Vec<&'a str>,
}

/// 202: every event is durable, and who it waits for.
fn accepted(receipts: &[Receipt], plan: &Plan) -> Answer {
    let event = |receipt: &Receipt| AcceptedEvent {
        event_id: receipt.event,
        duplicate: receipt.duplicate,
        subscriptions: receipt.queued.iter().filter_map(|id| Some(plan.get(*id)?.name())).collect(),
    };
    answer::json(StatusCode::ACCEPTED, &Accepted { events: receipts.iter().map(event).collect() })
}

/// Why a request was refused. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("`content-type` must be `application/json` or `application/x-ndjson`")]
    ContentType,
    #[error("`content-encoding` must be `identity` or absent; send the body uncompressed")]
    ContentEncoding,
    #[error("no source of this name is in the config")]
    NoSource,
    #[error(transparent)]
    Unproven(#[from] Unproven),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Refused {
    /// One word for counting.
    fn reason(&self) -> &'static str {
        match self {
            Refused::ContentType => "content_type",
            Refused::ContentEncoding => "content_encoding",
            Refused::NoSource => "source",
            Refused::Unproven(_) => "signature",
            Refused::Body(error) => error.reason(),
            Refused::Read(error) => error.wrong.kind(),
            Refused::Store(_) => "store",
        }
    }

    fn answer(&self) -> Answer {
        match self {
            Refused::ContentType | Refused::ContentEncoding => {
                answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, self)
            }
            Refused::NoSource => answer::refusal(StatusCode::NOT_FOUND, self),
            Refused::Unproven(_) => answer::refusal(StatusCode::UNAUTHORIZED, self),
            Refused::Body(error) => error.answer(),
            Refused::Read(ReadError { wrong: Wrong::TooMany, .. }) => {
                answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, self)
            }
            Refused::Read(_) => answer::refusal(StatusCode::BAD_REQUEST, self),
            Refused::Store(store::Error::Busy(wait)) => answer::unavailable(*wait, self),
            Refused::Store(_) => answer::unavailable(WAIT_AFTER_FAILURE, self),
        }
    }
}
