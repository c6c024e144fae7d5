//! The list of events of one subscription: what was sent or waits, newest first, for one week.
//! Track has withdrawn it from its documentation; it is here because it answers the question
//! that users of webhooks ask most.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::{Api, Refusal, query_value};
use super::output::micros;
use crate::clock;
use crate::delivery::{Attempt, Decision, SubscriptionId};
use crate::event::EventId;
use crate::plan::Planned;
use crate::store::{PastEvent, Queued};
use crate::track::Refused;

/// As long as Track keeps them.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Events of one answer; `offset` goes on behind them.
const PAGE: usize = 50;

#[derive(Serialize)]
struct List<'a> {
    total: usize,
    events: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    event_id: EventId,
    created_at: &'a str,
    creator_id: i64,
    metadata: &'a RawValue,
    payload: &'a RawValue,
    subscription_id: SubscriptionId,
    /// When it was sent last.
    timestamp: Option<Timestamp>,
    url_callback: &'a str,
    last_delivery_attempt: Option<Timestamp>,
    last_delivery_error: Option<&'a str>,
    failed_delivery_attempts: usize,
}

impl Api {
    /// `GET …/events?offset=N`, as JSON text.
    pub(super) async fn events_of(&self, planned: &Planned, query: Option<&str>) -> Result<Vec<u8>, Refusal> {
        let offset = offset(query)?;
        let since = clock::now().checked_sub(WEEK).unwrap_or(Timestamp::MIN);
        let part = offset..offset.saturating_add(PAGE);
        let Queued { total, events } =
            self.store.queued(planned.id, since, part).await.map_err(super::internal)?;
        let entries: Result<_, _> = events.iter().map(|past| entry(past, planned)).collect();
        Ok(super::to_json(&List { total, events: entries? }))
    }
}

fn offset(query: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = query_value(query, "offset") else { return Ok(0) };
    text.parse().map_err(|_| Refusal::bad(format!("`offset`: `{text}` is not a whole number from 0")))
}

/// Of several deliveries of an event, replays, the latest counts.
fn entry<'a>(past: &'a PastEvent, planned: &'a Planned) -> Result<Entry<'a>, Refusal> {
    let event = &past.event;
    let of_it = |decision: &&Decision| decision.subscription == planned.id;
    let latest = past.decisions.iter().rfind(of_it);
    let attempts = latest.map(|decision| decision.attempts()).unwrap_or_default();
    let last: Option<&Attempt> = attempts.last();
    let sent = last.map(|attempt| micros(attempt.at));
    // Without an attempt, whatever keeps it from being made.
    let reason = latest.filter(|_| last.is_none()).and_then(|decision| decision.reason.as_deref());
    Ok(Entry {
        event_id: event.id,
        created_at: &event.created_at_text,
        creator_id: event.creator_id,
        metadata: raw(event.metadata_bytes())?,
        payload: raw(event.payload_bytes())?,
        subscription_id: planned.id,
        timestamp: sent,
        url_callback: &planned.meant.url_text,
        last_delivery_attempt: sent,
        last_delivery_error: last.and_then(|attempt| attempt.error.as_deref()).or(reason),
        failed_delivery_attempts: attempts.iter().filter(|attempt| attempt.error.is_some()).count(),
    })
}

/// Byte for byte as it came in, and as it was sent.
fn raw(bytes: &[u8]) -> Result<&RawValue, Refusal> {
    serde_json::from_slice(bytes).map_err(|_| Refused::Internal.into())
}
