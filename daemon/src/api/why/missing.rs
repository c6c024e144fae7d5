//! `GET /api/why-not/{name}`: why the last events did not go to a subscription, counted by
//! reason. A part of history at a time: `before` takes up where `next` left off.

use serde_json::{Value, json};

use super::unmatched_reason;
use crate::api::{Api, Refusal, Reply, decode, query_value};
use crate::delivery::{Outcome, SubscriptionId};
use crate::plan::{Plan, RouteSummary};
use crate::store::{PastEvent, Seq};

/// Events of one answer: a fraction of a second, after which others have had their turn.
const PART: usize = 2000;

/// Read at a time; their bodies come along.
const PAGE: usize = 200;

/// Reasons that are told apart in one answer. Plugins make them up, so there is no end to them.
const REASONS: usize = 200;

/// Events that have one reason in common.
struct Group {
    /// None: it had not been in the config.
    outcome: Option<Outcome>,
    /// The newest one's, in its own words.
    reason: String,
    /// The same without numbers, which differ from event to event.
    gist: String,
    count: usize,
    newest: Value,
}

#[derive(Default)]
struct Tally {
    scanned: usize,
    delivered: usize,
    groups: Vec<Group>,
}

impl Api {
    pub(in crate::api) async fn why_not(&self, step: &str, query: Option<&str>) -> Reply {
        let name = decode(step);
        let plan = self.plan();
        // One that has left the config has a history, too.
        let known = self.store.named(&name).map(|enrolled| enrolled.id);
        let id = plan.named(&name).map(|planned| planned.id).or(known);
        let Some(id) = id else { return Err(self.named(step).err().unwrap_or_else(|| Refusal::bad(name))) };
        let last = number(query, "last")?.map_or(PART, |last| last.min(PART));
        let mut before = number(query, "before")?.and_then(|seq| i64::try_from(seq).ok()).map(Seq);
        let (mut tally, mut met) = (Tally::default(), None);
        while tally.scanned < last {
            let page = self.store.page(before, PAGE.min(last - tally.scanned)).await?;
            for past in &page.events {
                let met = self.met_by(&mut met, past.plan).await?;
                tally.add(self.judge(id, past, &plan, met), past);
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        Ok(tally.reply(&name, before))
    }

    /// The routes of a plan; those of the event before are mostly the same.
    async fn met_by<'a>(
        &self,
        last: &'a mut Option<(i64, RouteSummary)>,
        plan: i64,
    ) -> Result<&'a RouteSummary, Refusal> {
        let met = match last.take() {
            Some(known) if known.0 == plan => known,
            _ => (plan, self.met(plan).await?),
        };
        Ok(&last.insert(met).1)
    }

    /// Why an event did not go there; none if it did.
    fn judge(
        &self,
        id: SubscriptionId,
        past: &PastEvent,
        plan: &Plan,
        met: &RouteSummary,
    ) -> Option<(Option<Outcome>, String)> {
        if let Some(decision) = past.decisions.iter().rfind(|decision| decision.subscription == id) {
            let line = self.line(decision, past, plan, met);
            let reason = line["reason"].as_str().unwrap_or("on its way").to_owned();
            return (decision.outcome != Outcome::Delivered).then_some((Some(decision.outcome), reason));
        }
        Some(match met.subscriptions.iter().find(|route| route.id == id) {
            Some(route) => (Some(Outcome::SkippedFilter), unmatched_reason(route, past)),
            None => (None, "it was not in the config when they arrived".to_owned()),
        })
    }
}

impl Tally {
    fn add(&mut self, missing: Option<(Option<Outcome>, String)>, past: &PastEvent) {
        self.scanned += 1;
        let Some((outcome, reason)) = missing else {
            self.delivered += 1;
            return;
        };
        let gist = gist(&reason);
        let full = self.groups.len() >= REASONS;
        let fits = |group: &&mut Group| group.outcome == outcome && (full || group.gist == gist);
        match self.groups.iter_mut().rev().find(fits) {
            Some(group) => group.count += 1,
            None => {
                let newest = newest(past);
                self.groups.push(Group { outcome, reason, gist, count: 1, newest });
            }
        }
    }

    fn reply(self, name: &str, next: Option<Seq>) -> Value {
        let group = |group: &Group| {
            json!({
                "outcome": group.outcome,
                "reason": group.reason,
                "gist": group.gist,
                "count": group.count,
                "newest": group.newest,
            })
        };
        json!({
            "subscription": name,
            "scanned": self.scanned,
            "delivered": self.delivered,
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
            "next": next.map(|seq| seq.0),
        })
    }
}

fn newest(past: &PastEvent) -> Value {
    json!({
        "event_id": past.event.id,
        "entity": past.event.entity.as_str(),
        "action": past.event.action.as_str(),
        "arrived_at": past.arrived_at,
    })
}

/// A reason without its numbers.
fn gist(reason: &str) -> String {
    let mut gist = String::with_capacity(reason.len());
    for c in reason.chars() {
        match c {
            '0'..='9' if gist.ends_with('#') => {}
            '0'..='9' => gist.push('#'),
            other => gist.push(other),
        }
    }
    gist
}

fn number(query: Option<&str>, key: &str) -> Result<Option<usize>, Refusal> {
    let Some(text) = query_value(query, key) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| Refusal::bad(format!("`{key}` must be a whole number, 1 or more")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_numbers_only_is_one_reason() {
        assert_eq!(
            gist("user 17 sees own events; this is of user 4"),
            gist("user 17 sees own events; this is of user 5300029")
        );
        assert_ne!(gist("10 of a"), gist("10 of b"));
    }
}
