//! `POST /api/replay`: new deliveries of past events, with today's plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Refusal, Reply, moment_of};
use crate::clock;
use crate::delivery::{Decision, Outcome, SubscriptionId};
use crate::event::EventId;
use crate::feed::{About, Decided, News};
use crate::plan::{Plan, Planned};
use crate::route;
use crate::store::{self, Past, PastEvent, Routed, Seq};
use edited::Edited;

pub(super) mod edited;

/// Events taken up at a time, so that memory stays flat however many there are.
const CHUNK: usize = 256;

/// Deliveries that the answer lists; it counts all of them.
const LISTED: usize = 10_000;

/// Events that may be named at once.
const MOST_NAMED: usize = 10_000;

/// Exactly one of `events`, `edited`, `since`, `missed` and `failed` says which events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    #[schemars(with = "Option<Vec<i64>>")]
    events: Option<Vec<EventId>>,
    /// One that is made anew from a past one.
    edited: Option<Edited>,
    /// A duration such as `1h`, or a time in RFC 3339.
    since: Option<String>,
    /// With `since`: those that arrived before this.
    until: Option<String>,
    missed: Option<String>,
    failed: Option<String>,
    /// To this subscription, whatever its event filter and its creator's rights say.
    to: Option<String>,
    /// To this one only, if filter and rights let it have them.
    only: Option<String>,
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
    fn add(&mut self, past: &PastEvent, planned: &Planned, routed: &Routed) {
        self.total += 1;
        if self.lines.len() < LISTED {
            let mut line = json!({
                "event_id": past.event.id,
                "subscription": planned.name(),
                "outcome": routed.outcome,
                "reason": routed.reason,
            });
            if let Some(from) = edited::made_from(past) {
                line["made_from"] = json!(from);
            }
            self.lines.push(line);
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
    Edited(Edited),
    /// Those of these that arrived before a moment, if one is given.
    Past(Past, Option<Timestamp>),
}

impl Api {
    pub(super) async fn replay(&self, body: &Bytes) -> Reply {
        let ask: Ask = serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
        let (dry_run, (source, target)) = (ask.dry_run, self.understand(ask)?);
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
                    self.take_up(&events, &target, dry_run, &mut list).await?;
                }
            }
            Source::Edited(edited) => {
                let made = [self.made_from(&edited, dry_run).await?];
                self.take_up(&made, &target, dry_run, &mut list).await?;
            }
            Source::Past(past, until) => {
                let mut after: Option<Seq> = None;
                loop {
                    let seqs = self.store.past(&past, after, CHUNK).await?;
                    let Some(last) = seqs.last() else { break };
                    after = Some(*last);
                    let mut events = self.store.events(&seqs).await?;
                    events.retain(|past| until.is_none_or(|until| past.arrived_at < until));
                    if events.is_empty() && until.is_some() {
                        break;
                    }
                    self.take_up(&events, &target, dry_run, &mut list).await?;
                }
            }
        }
        let truncated = list.total > list.lines.len();
        Ok(json!({
            "dry_run": dry_run,
            "total": list.total,
            "truncated": truncated,
            "replayed": list.lines,
        }))
    }

    fn understand(&self, ask: Ask) -> Result<(Source, Target), Refusal> {
        let one = |name: &String| self.subscription_of(name);
        let until = ask.until.as_deref().map(|until| moment_of("until", until)).transpose()?;
        if until.is_some() && ask.since.is_none() {
            return Err(Refusal::bad("`until` goes with `since`"));
        }
        let (source, target) = match (ask.events, ask.edited, ask.since, ask.missed, ask.failed) {
            (Some(ids), None, None, None, None) if ids.len() > MOST_NAMED => {
                return Err(Refusal::bad(format!("`events`: at most {MOST_NAMED} at once")));
            }
            (Some(ids), None, None, None, None) => (Source::These(ids), Target::Everybody),
            (None, Some(edited), None, None, None) => (Source::Edited(edited), Target::Everybody),
            (None, None, Some(since), None, None) => {
                (Source::Past(Past::Since(moment_of("since", &since)?), until), Target::Everybody)
            }
            (None, None, None, Some(name), None) => {
                let planned = one(&name)?;
                (Source::Past(Past::Missed(planned.id), None), Target::One(planned))
            }
            (None, None, None, None, Some(name)) => {
                let planned = one(&name)?;
                (Source::Past(Past::Failed(planned.id), None), Target::One(planned))
            }
            _ => {
                return Err(Refusal::bad(
                    "say which events: one of `events`, `edited`, `since`, `missed`, `failed`",
                ));
            }
        };
        let target = match (&ask.to, &ask.only) {
            (Some(name), _) => Target::Forced(one(name)?),
            (None, Some(name)) => Target::One(one(name)?),
            (None, None) => target,
        };
        Ok((source, target))
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
                list.add(past, &planned, &routed);
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
        for (at, (seq, routed)) in told.into_iter().flatten().enumerate() {
            self.tell_replay(events, seq, &routed, &plan, at == 0);
        }
        Ok(())
    }

    fn tell_replay(&self, events: &[PastEvent], seq: Seq, routed: &Routed, plan: &Plan, is_first: bool) {
        let past = events.iter().find(|past| past.seq == seq);
        let Some((past, planned)) = past.zip(plan.get(routed.subscription)) else { return };
        // An edited event comes alone.
        let made = (is_first && edited::is_new(past)).then(|| self.feed.closely(|| edited::seen(past)));
        self.feed.tell(|| {
            News::Decision(Decided {
                about: About::of(&past.event),
                subscription: planned.name().to_owned(),
                outcome: routed.outcome,
                reason: routed.reason.clone(),
                replay: true,
                tried: None,
                made: made.flatten(),
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
