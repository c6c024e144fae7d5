//! `GET /api/events`: history, newest first, as far as it fits what is asked for.
//!
//! One answer looks at a part of history only, so that it costs the same however long that
//! is: `next` says where to go on, and until it is null there may be more.

use std::collections::HashMap;

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::replay::edited;
use super::{Api, Refusal, event_id, moment_of, unknown};
use crate::answer::{self, Answer};
use crate::config::problem::did_you_mean;
use crate::delivery::{Decision, Outcome, SubscriptionId};
use crate::event::{Action, Entity, EventId};
use crate::plan::RouteSummary;
use crate::store::find::{Find, latest};
use crate::store::{self, PastEvent, Seq};

/// Events of an answer that does not say how many.
const USUAL: usize = 50;

/// Events of one answer at most.
const MOST: usize = 1000;

/// A text longer than this is not searched for but pasted.
const LONGEST_TEXT: usize = 1000;

const KEYS: [&str; 10] =
    ["limit", "before", "since", "until", "entity", "action", "subscription", "outcome", "text", "bodies"];

/// What was asked.
struct Ask {
    find: Find,
    before: Option<Seq>,
    limit: usize,
    bodies: bool,
}

#[derive(Serialize)]
struct List<'a> {
    events: Vec<Entry<'a>>,
    /// Pass as `before` to go on.
    next: Option<i64>,
}

#[derive(Serialize)]
struct Entry<'a> {
    event_id: EventId,
    entity: &'a str,
    action: &'a str,
    created_at: &'a str,
    creator_id: i64,
    arrived_at: Timestamp,
    /// The event whose body was edited to make this one, for a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_from: Option<EventId>,
    decisions: Vec<Line<'a>>,
    /// Byte for byte as it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
}

/// The latest decision for one subscription.
#[derive(Serialize)]
struct Line<'a> {
    subscription: String,
    outcome: Outcome,
    reason: Option<&'a str>,
    at: Timestamp,
    /// How many; `why` has them one by one.
    attempts_made: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replay: bool,
}

impl Api {
    /// `GET /api/events/{event_id}`: one of them, with its body.
    pub(super) async fn event(&self, step: &str) -> Result<Answer, Refusal> {
        let id = event_id(step)?;
        let past = [self.store.why(id).await?.ok_or(store::Error::UnknownEvent(id))?];
        let mut names = self.names();
        self.add_gone(&mut names, &past).await?;
        Ok(answer::json(StatusCode::OK, &entry(&past[0], &names, true)?))
    }

    pub(super) async fn events(&self, query: Option<&str>) -> Result<Answer, Refusal> {
        let ask = self.what_is_sought(query.unwrap_or_default())?;
        let page = self.store.find(&ask.find, ask.before, ask.limit).await?;
        let mut names = self.names();
        self.add_gone(&mut names, &page.events).await?;
        let entry = |past| entry(past, &names, ask.bodies);
        let events = page.events.iter().map(entry).collect::<Result<_, _>>()?;
        let list = List { events, next: page.next.map(|seq| seq.0) };
        Ok(answer::json(StatusCode::OK, &list))
    }

    fn what_is_sought(&self, query: &str) -> Result<Ask, Refusal> {
        let mut ask = Ask { find: Find::default(), before: None, limit: USUAL, bodies: false };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = &*value;
            match &*key {
                "limit" => ask.limit = number(&key, value, 1..=MOST as i64)? as usize,
                "before" => ask.before = Some(Seq(number(&key, value, i64::MIN..=i64::MAX)?)),
                "since" => ask.find.since = Some(moment_of(&key, value)?),
                "until" => ask.find.until = Some(moment_of(&key, value)?),
                "entity" => ask.find.entity = Some(word(&key, value, &Entity::ALL.map(Entity::as_str))?),
                "action" => ask.find.action = Some(word(&key, value, &Action::ALL.map(Action::as_str))?),
                "subscription" => ask.find.subscription = Some(self.once_known(value)?),
                "outcome" => ask.find.outcome = Some(outcome(value)?),
                "text" if (1..=LONGEST_TEXT).contains(&value.len()) => ask.find.text = Some(value.to_owned()),
                "text" => return Err(Refusal::bad(format!("`text`: 1 to {LONGEST_TEXT} bytes"))),
                "bodies" => ask.bodies = number(&key, value, 0..=1)? == 1,
                _ => return Err(Refusal::bad(unknown_key(&key))),
            }
        }
        Ok(ask)
    }

    /// The subscription of this name, also if it has left the config.
    fn once_known(&self, name: &str) -> Result<SubscriptionId, Refusal> {
        let known = self.store.named(name).map(|enrolled| enrolled.id);
        known.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, unknown(&self.plan(), name)))
    }

    fn names(&self) -> HashMap<SubscriptionId, String> {
        self.store.known().into_iter().map(|enrolled| (enrolled.id, enrolled.name)).collect()
    }

    /// Names of those that were removed, as the plans knew them that routed these events.
    async fn add_gone(
        &self,
        names: &mut HashMap<SubscriptionId, String>,
        events: &[PastEvent],
    ) -> Result<(), Refusal> {
        let mut looked_at = None;
        for past in events {
            let is_gone = |decision: &Decision| !names.contains_key(&decision.subscription);
            if looked_at == Some(past.plan) || !past.decisions.iter().any(is_gone) {
                continue;
            }
            looked_at = Some(past.plan);
            let met = self.store.plan(past.plan).await?;
            let met = met.and_then(|text| serde_json::from_str::<RouteSummary>(&text).ok());
            for route in met.unwrap_or_default().subscriptions {
                names.entry(route.id).or_insert(route.name);
            }
        }
        Ok(())
    }
}

fn entry<'a>(
    past: &'a PastEvent,
    names: &HashMap<SubscriptionId, String>,
    bodies: bool,
) -> Result<Entry<'a>, Refusal> {
    let event = &past.event;
    let name = |id: SubscriptionId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let line = |decision: &'a Decision| Line {
        subscription: name(decision.subscription),
        outcome: decision.outcome,
        reason: decision.reason.as_deref(),
        at: decision.at,
        attempts_made: decision.attempts().len(),
        replay: decision.replay,
    };
    let body = bodies.then(|| serde_json::from_slice(&event.received)).transpose();
    Ok(Entry {
        event_id: event.id,
        entity: event.entity.as_str(),
        action: event.action.as_str(),
        created_at: &event.created_at_text,
        creator_id: event.creator_id,
        arrived_at: past.arrived_at,
        made_from: edited::made_from(past),
        decisions: latest(&past.decisions).map(line).collect(),
        event: body.map_err(|error| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("event {} cannot be read back: {error}", event.id),
            )
        })?,
    })
}

fn number(key: &str, text: &str, among: std::ops::RangeInclusive<i64>) -> Result<i64, Refusal> {
    let number = text.parse().ok().filter(|number| among.contains(number));
    number.ok_or_else(|| {
        Refusal::bad(format!(
            "`{key}`: `{text}` is no whole number from {} to {}",
            among.start(),
            among.end()
        ))
    })
}

/// One of Track's words.
fn word<T: std::str::FromStr>(key: &str, text: &str, known: &[&str]) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::bad(unknown_word(key, text, known)))
}

fn outcome(text: &str) -> Result<Outcome, Refusal> {
    match Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text) {
        Some(Outcome::SkippedFilter) => Err(Refusal::bad(
            "`outcome`: `skipped_filter` is not stored, so it cannot be searched for; \
             `trackrelay why EVENT_ID` works it out for one event",
        )),
        Some(outcome) => Ok(outcome),
        None => Err(Refusal::bad(unknown_word("outcome", text, &Outcome::ALL.map(Outcome::as_str)))),
    }
}

fn unknown_word(key: &str, text: &str, known: &[&str]) -> String {
    let near = did_you_mean(text, known.iter().copied()).map(|near| format!(", did you mean `{near}`?"));
    format!("`{key}`: `{text}` is none of {}{}", known.join(", "), near.unwrap_or_default())
}

fn unknown_key(key: &str) -> String {
    let near = did_you_mean(key, KEYS).map(|near| format!(", did you mean `{near}`?"));
    format!("unknown parameter `{key}`{}; there are {}", near.unwrap_or_default(), KEYS.join(", "))
}
