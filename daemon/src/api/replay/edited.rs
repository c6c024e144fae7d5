//! A replay with edits. What was received is never rewritten: an edited replay is an event of
//! its own, with a new `event_id`, whose received bytes name the event it was made from. That
//! mark stands beside `metadata` and `payload`, where nothing goes out from.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Api, Refusal};
use crate::clock;
use crate::event::read::{Fill, read};
use crate::event::{Event, EventId};
use crate::feed::close::Seen;
use crate::store::{self, Arrival, PastEvent, Seq};

/// A past event and what is to be sent in its place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edited {
    #[schemars(with = "i64")]
    from: EventId,
    /// With `metadata` and `payload`, as they are to be.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    event: Box<RawValue>,
}

/// What counts of an edited event. The rest of its top level never goes out.
#[derive(Deserialize)]
struct Given<'a> {
    event_id: Option<EventId>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    creator_id: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The bytes that are kept as those received.
#[derive(Serialize)]
struct Made<'a> {
    created_at: &'a RawValue,
    creator_id: &'a RawValue,
    metadata: &'a RawValue,
    payload: &'a RawValue,
    made_from: EventId,
}

/// The mark.
#[derive(Deserialize)]
struct Mark {
    made_from: Option<EventId>,
}

/// The event this one was made from, if it was made here: whoever sends events may write the
/// same words, but what came from outside was routed, and what is made here is only replayed.
pub(in crate::api) fn made_from(past: &PastEvent) -> Option<EventId> {
    if past.decisions.iter().any(|decision| !decision.replay) {
        return None;
    }
    // Most events are without it, and searching is cheaper than reading.
    let marked = past.event.received.windows(MARK.len()).any(|part| part == MARK);
    marked.then(|| serde_json::from_slice::<Mark>(&past.event.received).ok()?.made_from).flatten()
}

/// Whether it has just been made.
pub(super) fn is_new(past: &PastEvent) -> bool {
    past.decisions.is_empty() && made_from(past).is_some()
}

/// Its making, for who listens closely: the nearest that it has to an arrival.
pub(super) fn seen(past: &PastEvent) -> Seen {
    Seen { began: past.arrived_at, workspace_id: past.event.workspace_id, decisions: Vec::new(), more: 0 }
}

const MARK: &[u8] = b"\"made_from\"";

impl Api {
    /// Keeps the edited event, with nobody to go to yet. A dry run keeps nothing, and the
    /// event goes by the id of the one it would be made from.
    pub(super) async fn made_from(&self, edited: &Edited, dry_run: bool) -> Result<PastEvent, Refusal> {
        let from = edited.from;
        let past = self.store.why(from).await?.ok_or(store::Error::UnknownEvent(from))?;
        let received = received(edited, &past.event)?;
        let next_id = || if dry_run { from } else { self.store.next_event_id() };
        let (now, plan) = (clock::now(), self.plan().number);
        let event = read(received, &Fill { now, next_id: &next_id, only_admin: None })
            .map_err(|error| Refusal::bad(format!("the edit of event {from}: {error}")))?;
        let event = Arc::new(event);
        if dry_run {
            return Ok(PastEvent { seq: Seq(0), event, arrived_at: now, plan, decisions: Vec::new() });
        }
        let id = event.id;
        self.store.append(vec![Arrival { event, arrived_at: now, plan, routed: Vec::new() }]).await?;
        Ok(self.store.why(id).await?.ok_or(store::Error::UnknownEvent(id))?)
    }
}

/// When it happened and who made it are the first event's, unless the edit says otherwise.
fn received(edited: &Edited, first: &Event) -> Result<Bytes, Refusal> {
    let bad = |what: String| Refusal::bad(format!("the edit of event {}: {what}", edited.from));
    let given: Given<'_> =
        serde_json::from_str(edited.event.get()).map_err(|error| bad(error.to_string()))?;
    if given.event_id.is_some_and(|id| id != edited.from) {
        return Err(bad("it is a new event and gets an `event_id` of its own; do not set one".to_owned()));
    }
    let created_at =
        serde_json::value::to_raw_value(&first.created_at_text).map_err(|error| bad(error.to_string()))?;
    let creator_id =
        serde_json::value::to_raw_value(&first.creator_id).map_err(|error| bad(error.to_string()))?;
    let made = Made {
        created_at: given.created_at.unwrap_or(&created_at),
        creator_id: given.creator_id.unwrap_or(&creator_id),
        metadata: given.metadata,
        payload: given.payload,
        made_from: edited.from,
    };
    Ok(serde_json::to_vec(&made).map_err(|error| bad(error.to_string()))?.into())
}
