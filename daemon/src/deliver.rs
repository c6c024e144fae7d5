//! The way out: claims deliveries, runs the plugins, builds the envelope, signs, sends,
//! applies Track's rule to the answer and settles.
//!
//! `carry` below is the whole way in one function; each of its lines is a room. Which
//! deliveries are under way at once is kept in `deliver/flights.rs`.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{self, Now};
use crate::delivery::trace::Trace;
use crate::delivery::{Attempt, Outcome, Standing, SubscriptionId};
use crate::drill::{self, Point};
use crate::feed::Feed;
use crate::plan::{Plan, Planned};
use crate::store::{self, Lease, Store, Take};
use crate::telemetry::Metrics;
use client::Client;
use complaints::Complaints;
use faults::HeldBack;
use flights::{CLAIM, Flights};
use outgoing::{Sent, outgoing, sent};
use pace::Pace;
use rule::Tried;
use stages::Stop;
use tell::{Told, brief, tell, tell_feed};
use timers::Timers;

pub mod client;
mod complaints;
pub mod envelope;
mod faults;
mod flights;
pub mod outgoing;
pub mod pace;
pub mod record;
pub mod rehearsal;
pub mod rule;
pub mod stages;
mod tell;
mod timers;

/// How long deliveries under way may take to finish when the daemon stops.
const GRACE: Duration = Duration::from_secs(5);

/// How soon a store that failed to hand out work is asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// One delivery under way, with the plan it began with.
struct Work {
    lease: Lease,
    planned: Arc<Planned>,
    /// It is the one delivery tried while its subscription is pending.
    probe: bool,
    /// `Standing::generation` when it was claimed.
    generation: u64,
}

struct Deliverer {
    store: Arc<dyn Store>,
    plan: watch::Receiver<Arc<Plan>>,
    client: Client,
    metrics: Arc<Metrics>,
    feed: Feed,
    flights: Flights,
    complaints: Complaints,
    held_back: HeldBack,
    /// Asks for a look at a subscription at a later time.
    later: mpsc::UnboundedSender<(Instant, SubscriptionId)>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

/// Delivers until cancelled, then lets what is under way finish within a grace period.
pub async fn run(
    store: Arc<dyn Store>,
    mut plan: watch::Receiver<Arc<Plan>>,
    client: Client,
    metrics: Arc<Metrics>,
    feed: Feed,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let (later, mut asked) = mpsc::unbounded_channel();
    let mut timers = Timers::default();
    let (flights, complaints, tracker) = (Flights::default(), Complaints::default(), TaskTracker::new());
    let (watched, held_back) = (plan.clone(), HeldBack::default());
    let parts = Deliverer {
        store,
        plan: watched,
        client,
        metrics,
        feed,
        flights,
        complaints,
        held_back,
        later,
        tracker,
        cancel,
    };
    let deliverer = Arc::new(parts);
    deliverer.fill_all();
    loop {
        let due = tokio::select! {
            () = deliverer.cancel.cancelled() => break,
            woken = deliverer.store.woken() => woken,
            Some((at, subscription)) = asked.recv() => { timers.set(at, subscription); continue }
            due = timers.due() => due,
            changed = plan.changed() => {
                // Whoever makes plans ends only when the daemon does, and may end before us.
                if changed.is_err() {
                    break;
                }
                deliverer.fill_all();
                continue;
            }
        };
        deliverer.fill_each(due);
    }
    deliverer.tracker.close();
    if tokio::time::timeout(GRACE, deliverer.tracker.wait()).await.is_err() {
        let cut = deliverer.tracker.len();
        tracing::warn!(cut, "deliveries were cut off by the shutdown; they are made again at the next start");
    }
    Ok(())
}

impl Deliverer {
    /// The way of one delivery to its callback.
    async fn carry(&self, work: &Work, now: Timestamp, trace: &mut Trace) -> Result<Sent, Stop> {
        let (lease, planned) = (&work.lease, &work.planned);
        let envelope = envelope::build(&lease.event, planned.id, &planned.meant.url_text, now);
        let mut guests = stages::Guests::of(&self.store, &self.metrics, &self.feed, planned, lease, trace);
        guests.filter(&envelope).await?;
        let message = guests.transform(envelope).await?;
        let request = outgoing(planned, message, &lease.event.id.to_string(), now);
        drill::pass(Point::SendBegun);
        let (answered, exchange) = faults::send(self, request, work).await?;
        drill::pass(Point::SendAnswered);
        trace.exchange = exchange;
        Ok(sent(answered, clock::now()))
    }

    /// After a start or a reload, everything may have changed for everybody.
    fn fill_all(self: &Arc<Self>) {
        let plan = Arc::clone(&self.plan.borrow());
        let ids = plan.subscriptions.iter().map(|planned| planned.id);
        self.fill_each(ids.filter(|id| self.store.waiting(*id).pending > 0).collect());
    }

    /// Claims for each of them. One that has to wait for the store, since what waits of it is
    /// not in memory, does so beside the others and not in front of them.
    fn fill_each(self: &Arc<Self>, subscriptions: Vec<SubscriptionId>) {
        for subscription in subscriptions {
            let deliverer = Arc::clone(self);
            let mut filling = Box::pin(async move { deliverer.fill(subscription).await });
            if filling.as_mut().now_or_never().is_none() {
                self.tracker.spawn(filling);
            }
        }
    }

    /// Claims as much of a subscription as may be under way.
    async fn fill(self: &Arc<Self>, subscription: SubscriptionId) {
        if self.flights.begin_filling(subscription) {
            self.go_on_filling(subscription).await;
        }
    }

    async fn go_on_filling(self: &Arc<Self>, subscription: SubscriptionId) {
        loop {
            if !self.cancel.is_cancelled()
                && let Err(error) = self.claim(subscription).await
                && !matches!(error, store::Error::UnknownSubscription(_))
            {
                self.metrics.store_failed(error.kind());
                return self.rest(subscription);
            }
            if !self.flights.fill_again(subscription) {
                return;
            }
        }
    }

    /// Leaves a store alone that has failed. Claiming ends only after that, so that neither
    /// what comes, nor what goes back to the store and wakes us, has it asked any sooner.
    fn rest(self: &Arc<Self>, subscription: SubscriptionId) {
        let deliverer = Arc::clone(self);
        self.tracker.spawn(async move {
            let _stopped = deliverer.cancel.run_until_cancelled(tokio::time::sleep(STORE_RETRY)).await;
            deliverer.go_on_filling(subscription).await;
        });
    }

    async fn claim(self: &Arc<Self>, subscription: SubscriptionId) -> store::Result<()> {
        let plan = Arc::clone(&self.plan.borrow());
        let Some(planned) = plan.get(subscription) else { return Ok(()) };
        // In this order: what has landed by now has changed the standing before.
        let in_flight = self.flights.of(subscription);
        let standing = self.store.standing(subscription).unwrap_or_default();
        let (take, probe) = match pace::pace(planned, &standing, in_flight, Instant::now()) {
            Pace::Closed => return Ok(()),
            Pace::Until(due) => {
                self.look_again(due.instant(), subscription);
                return Ok(());
            }
            Pace::Probe(take) => (take, true),
            Pace::Open(lanes) => match self.flights.room(subscription, lanes) {
                0 => return Ok(()),
                room => (Take::Heads(room), false),
            },
        };
        let taken = self.take(subscription, take, standing.generation).await;
        self.complaints.note(subscription, planned.name(), taken.as_ref().err());
        match taken? {
            None => self.flights.ask_again(subscription),
            Some(leases) if leases.is_empty() && probe => self.lost_probe(subscription, &standing).await,
            Some(leases) => {
                if leases.len() == CLAIM {
                    self.flights.ask_again(subscription);
                }
                let generation = standing.generation;
                for lease in leases {
                    self.start(Work { lease, planned: Arc::clone(planned), probe, generation });
                }
            }
        }
        Ok(())
    }

    /// Claims what was decided from a standing of this generation. None if it is of another by
    /// now: a failure closed the lanes in between, and what it put back is not to go out again
    /// at once.
    async fn take(
        &self,
        subscription: SubscriptionId,
        take: Take,
        generation: u64,
    ) -> store::Result<Option<Vec<Lease>>> {
        let leases = self.store.claim(subscription, take).await?;
        if self.store.standing(subscription).is_none_or(|now| now.generation == generation) {
            return Ok(Some(leases));
        }
        self.store.give_back(leases);
        Ok(None)
    }

    /// The delivery that was to be tried next is no longer there (held, dropped or
    /// replayed): the oldest takes its place.
    async fn lost_probe(&self, subscription: SubscriptionId, seen: &Standing) {
        let Some(lost) = seen.pending.as_ref().and_then(|probe| probe.delivery) else { return };
        let forget = |standing: &mut Standing| match &mut standing.pending {
            Some(probe) if probe.delivery == Some(lost) => (probe.delivery, probe.place) = (None, None),
            _ => {}
        };
        match self.store.set_standing(subscription, &forget).await {
            Ok(_) => self.flights.ask_again(subscription),
            Err(error) => tracing::error!(%subscription, %error, "failed to write a standing"),
        }
    }

    fn look_again(&self, at: Instant, subscription: SubscriptionId) {
        // The receiver lives as long as `run`; after that nothing is to be claimed.
        let _gone = self.later.send((at, subscription)).is_err();
    }

    fn start(self: &Arc<Self>, work: Work) {
        drill::pass(Point::ClaimTaken);
        let (subscription, probe, bytes) = (work.planned.id, work.probe, work.lease.event.received.len());
        self.flights.take_off(subscription, probe, bytes);
        let deliverer = Arc::clone(self);
        self.tracker.spawn(async move {
            deliverer.attempt(work).await;
            let next = deliverer.flights.land(subscription, probe, bytes);
            deliverer.fill(subscription).await;
            if let Some(next) = next {
                deliverer.fill(next).await;
            }
        });
    }

    /// Carries one delivery and writes down what came of it. A panic on the way is a
    /// failed attempt of this delivery and nobody else's trouble.
    async fn attempt(&self, work: Work) {
        let (at, started) = (clock::now(), Instant::now());
        let mut trace = Trace::default();
        let carried = AssertUnwindSafe(self.carry(&work, at, &mut trace)).catch_unwind().await;
        let carried = carried.unwrap_or_else(|_| Ok(Sent::panicked()));
        let carried = carried.map(|sent| faults::named(sent, &work));
        let took = started.elapsed();
        if let Ok(sent) = &carried {
            self.metrics.attempt_made(work.planned.name(), sent.answer.word(), took);
        }
        let attempt = attempt(&work, at, &carried, took, trace);
        self.settle(work, &carried, attempt).await;
    }

    /// Has the rule applied to the answer, and all of it written down together.
    async fn settle(&self, work: Work, carried: &Result<Sent, Stop>, attempt: Attempt) {
        let fault = faults::said(&work);
        let Work { lease, planned, generation, .. } = work;
        let (event, replay) = (Arc::clone(&lease.event), lease.replay);
        let place = (event.created_at, event.id);
        let tried = Tried { delivery: lease.delivery, place, generation };
        let (now, jitter) = (Now::read(), rand::random_range(0.8..1.2));
        let decided = OnceLock::new();
        let verdict = |standing: &mut Standing| {
            let mut next = match carried {
                Ok(sent) => rule::apply(standing, &tried, &sent.answer, &planned.meant, now, jitter),
                Err(stop) => stop.next(),
            };
            next.reason = next.reason.or_else(|| fault.clone());
            decided.get_or_init(|| next.clone());
            next
        };
        let before = self.store.standing(planned.id).unwrap_or_default();
        let brief = brief(&self.feed, &attempt, &planned);
        match self.store.settle(lease, Some(attempt), now.wall, &verdict).await {
            Ok(after) => {
                // Nothing is decided when it had been settled before.
                let Some(next) = decided.get() else { return };
                let (planned, event) = (&*planned, &*event);
                let mut told =
                    Told { planned, event, replay, brief, carried, next, before: &before, after: &after };
                tell(&told);
                tell_feed(&self.feed, &mut told, &now);
                match next.outcome {
                    Outcome::Pending => {}
                    Outcome::Held => self.release_if_mended(planned).await,
                    ended => self.metrics.delivery_ended(planned.name(), ended.as_str()),
                }
            }
            // Removed while this was under way, and so cancelled.
            Err(store::Error::UnknownSubscription(_)) => {}
            Err(error) => {
                self.metrics.store_failed(error.kind());
                tracing::error!(subscription.name = planned.name(), event.id = %event.id, %error,
                    "failed to write an outcome; the delivery is made again after a restart");
            }
        }
    }

    /// A reload that changes a plugin has held deliveries tried again. One that was still
    /// with the old plugin at that moment, and was held afterwards, counts too.
    async fn release_if_mended(&self, planned: &Planned) {
        let mended = self.plan.borrow().get(planned.id).is_some_and(|now| !now.holds_like(planned));
        if mended && let Err(error) = self.store.release_held(planned.id).await {
            tracing::error!(subscription.name = planned.name(), %error, "failed to release what was held");
        }
    }
}

/// What is written down of a try. A look at a callback that is not there uses up no attempt,
/// and is none; nor is what a plugin stopped.
fn attempt(
    work: &Work,
    at: Timestamp,
    carried: &Result<Sent, Stop>,
    took: Duration,
    mut trace: Trace,
) -> Attempt {
    let sent = carried.as_ref().ok();
    let counts = sent.is_some_and(|sent| !rule::is_pause(&sent.answer, &work.planned.meant));
    if let (Some(exchange), Some(sent)) = (&mut trace.exchange, sent) {
        exchange.excerpt.clone_from(&sent.excerpt);
    }
    trace.cut();
    Attempt {
        n: if counts { work.lease.attempts + 1 } else { 0 },
        at,
        status: sent.and_then(|sent| sent.status),
        error: sent.and_then(Sent::error),
        ms: took.as_millis() as u64,
        trace: Some(trace),
    }
}

#[cfg(test)]
mod tests;
