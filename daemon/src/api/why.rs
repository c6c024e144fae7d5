//! `GET /api/why/{event_id}`: one line per subscription, those whose filter did not match
//! included; these are worked out from the plan the event met. With `bodies=1`, also what
//! transforms made of the body. Why events did not go somewhere is `api/why/missing.rs`.

use serde_json::{Value, json};

use super::replay::edited;
use super::{Api, Refusal, Reply, decode, next_try, query_value};
use crate::delivery::{Decision, Lane, Outcome};
use crate::event::EventId;
use crate::plan::{Plan, Planned, Route, RouteSummary};
use crate::store::{self, PastEvent};

mod bodies;
mod missing;

impl Api {
    pub(super) async fn why(&self, event: &str, query: Option<&str>) -> Reply {
        let id = decode(event).parse().map(EventId);
        let id = id.map_err(|_| Refusal::bad(format!("`{}` is no event id", decode(event))))?;
        let past = self.store.why(id).await?.ok_or(store::Error::UnknownEvent(id))?;
        let met = self.met(past.plan).await?;
        let plan = self.plan();
        let only = query_value(query, "subscription");
        let is_wanted = |line: &Value| only.as_deref().is_none_or(|name| line["subscription"] == name);
        let mut room = query_value(query, "bodies").map_or(0, |_| bodies::MOST);
        let mut decisions = Vec::new();
        for decision in &past.decisions {
            let mut line = self.line(decision, &past, &plan, &met);
            if is_wanted(&line) {
                self.add_bodies(&mut line, decision, &past, &plan, &mut room).await;
                decisions.push(line);
            }
        }
        decisions.extend(unmatched(&past, &met).filter(is_wanted));
        if let (Some(name), true) = (&only, decisions.is_empty()) {
            self.named(name)?;
        }
        let mut whole = json!({
            "event_id": id,
            "entity": past.event.entity.as_str(),
            "action": past.event.action.as_str(),
            "created_at": past.event.created_at_text,
            "arrived_at": past.arrived_at,
            "decisions": decisions,
        });
        if let Some(from) = edited::made_from(&past) {
            whole["made_from"] = json!(from);
        }
        Ok(whole)
    }

    /// The routes that events met which were routed by this plan.
    async fn met(&self, plan: i64) -> Result<RouteSummary, Refusal> {
        let met = self.store.plan(plan).await?;
        Ok(met.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    fn line(&self, decision: &Decision, past: &PastEvent, plan: &Plan, met: &RouteSummary) -> Value {
        let planned = plan.get(decision.subscription);
        let waits = || match planned {
            _ if decision.outcome != Outcome::Pending => None,
            None => Some("its subscription is not in the config; it waits for its return".to_owned()),
            Some(planned) => {
                self.held_ahead(decision, past, planned).or_else(|| self.what_it_waits_for(planned))
            }
        };
        let mut line = line(decision, plan, met);
        let pending = decision.outcome == Outcome::Pending;
        // It waits for its next attempt, and its subscription has been switched off meanwhile.
        let until = planned.filter(|_| pending).and_then(|planned| self.stands_still(planned));
        line["reason"] = match (&decision.reason, until) {
            (None, _) => json!(waits()),
            (Some(said), Some(until)) => json!(format!("{said}; {until}")),
            (Some(said), None) => json!(said),
        };
        if pending {
            let standing = planned.and_then(|planned| self.store.standing(planned.id));
            line["next_try"] = json!(standing.as_deref().and_then(next_try));
        }
        if !decision.replay
            && let Some(route) = met.subscriptions.iter().find(|route| route.id == decision.subscription)
        {
            line["filter"] = filter(route, past);
            line["routing"] = routing(decision.outcome);
        }
        line
    }

    /// Says so when the delivery waits in its lane behind one that a plugin's failure parked.
    fn held_ahead(&self, decision: &Decision, past: &PastEvent, planned: &Planned) -> Option<String> {
        let lane = Lane::of(planned.meant.order, &past.event, decision.delivery);
        let ahead = self.store.held_in(planned.id, lane)?;
        Some(format!(
            "waits behind event {ahead}, which is held; `trackrelay why {ahead} {}` says why",
            planned.name()
        ))
    }
}

fn line(decision: &Decision, plan: &Plan, met: &RouteSummary) -> Value {
    let name = plan.get(decision.subscription).map(|planned| planned.name().to_owned());
    let name =
        name.or_else(|| met.name(decision.subscription)).unwrap_or_else(|| decision.subscription.to_string());
    let mut line = json!({
        "subscription": name,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "at": decision.at,
        "attempts": decision.attempts(),
    });
    if let Some(stopped) = decision.stopped() {
        line["stopped"] = json!(stopped);
    }
    if decision.replay {
        line["replay"] = json!(true);
    }
    line
}

/// Which of a subscription's event filters the event met, and where they stand.
fn filter(route: &Route, past: &PastEvent) -> Value {
    json!({
        "matched": route.matching(past.event.entity, past.event.action),
        "event_filters": route.event_filters,
        "file": route.file,
        "line": route.line,
    })
}

/// What routing found after the event filter. The first that was not ok decided; what is
/// behind it was not looked at.
fn routing(outcome: Outcome) -> Value {
    let status = |status| json!({ "rights": "ok", "status": status });
    match outcome {
        Outcome::SkippedRights => json!({ "rights": "refused", "status": null }),
        Outcome::SkippedDisabled => status("disabled"),
        Outcome::SkippedNotValidated => status("not_validated"),
        _ => status("ok"),
    }
}

fn unmatched<'a>(past: &'a PastEvent, met: &'a RouteSummary) -> impl Iterator<Item = Value> + 'a {
    let (entity, action) = (past.event.entity, past.event.action);
    let apart = move |route: &&Route| route.matching(entity, action).is_none();
    met.subscriptions.iter().filter(apart).map(move |route| {
        json!({
            "subscription": route.name,
            "outcome": "skipped_filter",
            "reason": unmatched_reason(route, past),
            "at": past.arrived_at,
            "attempts": [],
            "filter": filter(route, past),
        })
    })
}

fn unmatched_reason(route: &Route, past: &PastEvent) -> String {
    route.mismatch(format_args!("{}.{}", past.event.entity, past.event.action))
}
