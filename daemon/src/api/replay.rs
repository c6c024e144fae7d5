//! `POST /api/replay`: new deliveries of past events, with today's plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Refusal, Reply};
use crate::clock;
use crate::delivery::{Decision, Outcome, SubscriptionId};
use crate::event::EventId;
use crate::feed::{About, Decided, News};
use crate::plan::{Plan, Planned};
use crate::route;
use crate::store::{self, Past, PastEvent, Routed, Seq};

/// Events taken up at a time, so that memory stays flat however many there are.
const CHUNK: usize = 256;

/// Deliveries that the answer lists; it counts all of them.
const LISTED: usize = 10_000;

/// Events that may be named at once.
const MOST_NAMED: usize = 10_000;

/// Exactly one of the first four says which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    events: Option<Vec<EventId>>,
    since: Option<String>,
    missed: Option<String>,
    failed: Option<String>,
    /// To this subscription, whatever its event filter and its creator's rights say.
    to: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// Which subscriptions the events go to.
enum Target {
    Everybody,
    /// Filter and rights apply.
    One(Arc<Planned>),
    /// They do not.
    Forced(Arc<Planned>),
}

/// What the answer says of the deliveries.
#[derive(Default)]
struct List {
    lines: Vec<Value>,
    total: usize,
}

impl List {
    fn add(&mut self, event: EventId, planned: &Planned, routed: &Routed) {
        self.total += 1;
        if self.lines.len() < LISTED {
            self.lines.push(json!({
                "event_id": event,
                "subscription": planned.name(),
                "outcome": routed.outcome,
                "reason": routed.reason,
            }));
        }
    }
}

/// Whether a delivery of this event to this subscription is parked by a plugin's failure.
fn is_held(past: &PastEvent, subscription: SubscriptionId) -> bool {
    let held =
        |decision: &Decision| decision.subscription == subscription && decision.outcome == Outcome::Held;
    past.decisions.iter().any(held)
}

enum Source {
    These(Vec<EventId>),
    Past(Past),
}

impl Api {
    pub(super) async fn replay(&self, body: &Bytes) -> Reply {
        let ask: Ask = serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
        let (source, target) = self.understand(&ask)?;
        let mut list = List::default();
        match source {
            Source::These(ids) => {
                // All of them are known before the first is taken up.
                let mut seqs = Vec::new();
                for id in ids {
                    seqs.push(self.store.why(id).await?.ok_or(store::Error::UnknownEvent(id))?.seq);
                }
                for seqs in seqs.chunks(CHUNK) {
                    let events = self.store.events(seqs).await?;
                    self.take_up(&events, &target, ask.dry_run, &mut list).await?;
                }
            }
            Source::Past(past) => {
                let mut after: Option<Seq> = None;
                loop {
                    let seqs = self.store.past(&past, after, CHUNK).await?;
                    let Some(last) = seqs.last() else { break };
                    after = Some(*last);
                    let events = self.store.events(&seqs).await?;
                    self.take_up(&events, &target, ask.dry_run, &mut list).await?;
                }
            }
        }
        let truncated = list.total > list.lines.len();
        Ok(json!({
            "dry_run": ask.dry_run,
            "total": list.total,
            "truncated": truncated,
            "replayed": list.lines,
        }))
    }

    fn understand(&self, ask: &Ask) -> Result<(Source, Target), Refusal> {
        let to = ask.to.as_deref().map(|name| self.subscription_of(name)).transpose()?;
        let one = |name: &String| self.subscription_of(name);
        let (source, target) = match (&ask.events, &ask.since, &ask.missed, &ask.failed) {
            (Some(ids), None, None, None) if ids.len() > MOST_NAMED => {
                return Err(Refusal::bad(format!("`events`: at most {MOST_NAMED} at once")));
            }
            (Some(ids), None, None, None) => (Source::These(ids.clone()), Target::Everybody),
            (None, Some(since), None, None) => (Source::Past(since_when(since)?), Target::Everybody),
            (None, None, Some(name), None) => {
                let planned = one(name)?;
                (Source::Past(Past::Missed(planned.id)), Target::One(planned))
            }
            (None, None, None, Some(name)) => {
                let planned = one(name)?;
                (Source::Past(Past::Failed(planned.id)), Target::One(planned))
            }
            _ => return Err(Refusal::bad("say which events: one of `events`, `since`, `missed`, `failed`")),
        };
        Ok((source, to.map_or(target, Target::Forced)))
    }

    async fn take_up(
        &self,
        events: &[PastEvent],
        target: &Target,
        dry_run: bool,
        list: &mut List,
    ) -> Result<(), Refusal> {
        let plan = self.plan();
        let (mut orders, mut held) = (Vec::new(), BTreeSet::new());
        for past in events {
            for (planned, mut routed) in self.routes(past, target, &plan) {
                let is_held = routed.outcome == Outcome::Pending && is_held(past, planned.id);
                routed.reason = match () {
                    () if is_held => {
                        Some("it was held; it is tried again, no second delivery is made".into())
                    }
                    () if routed.outcome == Outcome::Pending => self.what_it_waits_for(&planned),
                    () => routed.reason,
                };
                list.add(past.event.id, &planned, &routed);
                if is_held {
                    held.insert(planned.id);
                } else if routed.outcome != Outcome::SkippedFilter {
                    orders.push((past.seq, routed));
                }
            }
        }
        if dry_run {
            return Ok(());
        }
        for subscription in held {
            self.store.release_held(subscription).await?;
        }
        let told = self.feed.is_heard().then(|| orders.clone());
        self.store.replay(orders, clock::now()).await?;
        for (seq, routed) in told.into_iter().flatten() {
            self.tell_replay(events, seq, &routed, &plan);
        }
        Ok(())
    }

    fn tell_replay(&self, events: &[PastEvent], seq: Seq, routed: &Routed, plan: &Plan) {
        let past = events.iter().find(|past| past.seq == seq);
        let Some((past, planned)) = past.zip(plan.get(routed.subscription)) else { return };
        self.feed.tell(|| {
            News::Decision(Decided {
                about: About::of(&past.event),
                subscription: planned.name().to_owned(),
                outcome: routed.outcome,
                reason: routed.reason.clone(),
                replay: true,
            })
        });
    }

    fn routes(&self, past: &PastEvent, target: &Target, plan: &Plan) -> Vec<(Arc<Planned>, Routed)> {
        let event = &past.event;
        let routed = |planned: &Arc<Planned>, (outcome, reason)| {
            let routed = Routed { subscription: planned.id, order: planned.meant.order, outcome, reason };
            (Arc::clone(planned), routed)
        };
        let decide = |planned: &Arc<Planned>| {
            let standing = self.store.standing(planned.id).unwrap_or_default();
            routed(planned, route::decide(event, planned, &standing))
        };
        match target {
            Target::Everybody => plan.matching(event.entity, event.action).iter().map(decide).collect(),
            Target::Forced(planned) => vec![routed(planned, (Outcome::Pending, None))],
            Target::One(planned) => {
                let matches =
                    |filter: &crate::config::EventFilter| filter.matches(event.entity, event.action);
                if planned.meant.event_filters.iter().any(matches) {
                    return vec![decide(planned)];
                }
                let reason = format!("its event filters no longer match {}.{}", event.entity, event.action);
                vec![routed(planned, (Outcome::SkippedFilter, Some(reason)))]
            }
        }
    }
}

/// "1h" ago, or a moment in RFC 3339.
fn since_when(text: &str) -> Result<Past, Refusal> {
    if let Ok(moment) = text.parse() {
        return Ok(Past::Since(moment));
    }
    let ago: Duration = humantime::parse_duration(text)
        .map_err(|_| Refusal::bad(format!("`since`: `{text}` is neither a duration like `1h` nor a time")))?;
    let moment = clock::now().checked_sub(ago);
    Ok(Past::Since(moment.map_err(|_| Refusal::bad(format!("`since`: `{text}` is too long ago")))?))
}
