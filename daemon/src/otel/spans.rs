//! What the feed told, as spans: one trace for each event, with its arrival as the root and the
//! tries at its deliveries below. Pure but for the ids of spans nobody refers to.
//!
//! Ids that others must know are worked out from the event's, and so are the same in every
//! process and at every time: what happens to an event after a restart, or in a replay a week
//! later, is in its trace, and nothing is stored for that.

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks};

use crate::delivery::Outcome;
use crate::event::EventId;
use crate::feed::{About, Arrived, Attempted, Decided, News, Told};
use crate::splitmix::mix;

mod attempt;

/// Characters of one text: reasons and refusals fit, and a span stays small.
const TEXT: usize = 512;

/// Tell the numbers worked out from one event id apart. Traces are kept by others, so these stay.
const TRACE_HIGH: u64 = u64::from_be_bytes(*b"trace hi");
const TRACE_LOW: u64 = u64::from_be_bytes(*b"trace lo");
const ROOT: u64 = u64::from_be_bytes(*b"the root");

/// The trace that an event is in.
pub(super) fn trace_id(event: EventId) -> TraceId {
    TraceId::from(u128::from(derived(TRACE_HIGH, event)) << 64 | u128::from(derived(TRACE_LOW, event)))
}

/// The span of an event's arrival.
pub(super) fn root_id(event: EventId) -> SpanId {
    SpanId::from(derived(ROOT, event).max(1))
}

fn derived(domain: u64, event: EventId) -> u64 {
    mix(mix(domain) ^ event.0.cast_unsigned())
}

/// Of a span that nobody has to find again.
fn any_id() -> SpanId {
    SpanId::from(rand::random_range(1..=u64::MAX))
}

/// Draws spans.
pub(super) struct Drawing {
    sampler: Sampler,
    scope: InstrumentationScope,
}

impl Drawing {
    pub(super) fn new(sampler: Sampler) -> Drawing {
        let version = env!("CARGO_PKG_VERSION");
        Drawing { sampler, scope: InstrumentationScope::builder("trackrelay").with_version(version).build() }
    }

    /// The spans of one thing told, a parent before its children; none if its event is not
    /// among those that the sampler takes, or if it is in another's span already.
    pub(super) fn spans(&self, told: &Told) -> Vec<SpanData> {
        let Some(about) = told.news.about().filter(|about| self.is_taken(about.event_id)) else {
            return Vec::new();
        };
        match &told.news {
            News::Event(arrived) => vec![self.arrival(arrived, told.at)],
            News::Attempt(Attempted { tried: Some(tried), .. })
            | News::Decision(Decided { tried: Some(tried), .. }) => self.attempt(about, &told.news, tried),
            News::Decision(decided) if decided.replay => {
                let made = decided.made.as_ref().map(|_| self.making(decided, told.at));
                made.into_iter().chain([self.replay(decided, told.at)]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The same for everything of an event, since it goes by the id of its trace.
    fn is_taken(&self, event: EventId) -> bool {
        let taken = self.sampler.should_sample(None, trace_id(event), "", &SpanKind::Internal, &[], &[]);
        taken.decision == SamplingDecision::RecordAndSample
    }

    fn arrival(&self, arrived: &Arrived, at: Timestamp) -> SpanData {
        let mut attributes = of_event(&arrived.about);
        attributes.push(KeyValue::new("trackrelay.source", text(&arrived.source)));
        attributes.push(KeyValue::new("trackrelay.event.duplicate", arrived.duplicate));
        let began = arrived.seen.as_ref().map_or(at, |seen| seen.began);
        if let Some(seen) = &arrived.seen {
            attributes.extend(seen.workspace_id.map(|id| KeyValue::new("trackrelay.workspace.id", id)));
            attributes.push(KeyValue::new("trackrelay.decisions", texts(&seen.decisions)));
            attributes.extend(counted("trackrelay.decisions.more", seen.more));
        }
        let About { event_id, entity, action } = &arrived.about;
        // What came again is beside what came first.
        let (id, parent) = match arrived.duplicate {
            false => (root_id(*event_id), SpanId::INVALID),
            true => (any_id(), root_id(*event_id)),
        };
        let name = format!("{entity}.{action}").into();
        let span =
            Span { name, kind: SpanKind::Consumer, began, ended: at, attributes, status: Status::Unset };
        self.span(*event_id, id, parent, span)
    }

    /// The arrival of an event that an edited replay made.
    fn making(&self, decided: &Decided, at: Timestamp) -> SpanData {
        let (about, source, seen) = (decided.about.clone(), "replay".to_owned(), decided.made.clone());
        let arrived = Arrived { about, source, duplicate: false, subscriptions: Vec::new(), plan: 0, seen };
        self.arrival(&arrived, at)
    }

    fn replay(&self, decided: &Decided, at: Timestamp) -> SpanData {
        let mut attributes = of_event(&decided.about);
        attributes.extend(of_delivery(&decided.subscription, decided.outcome, true));
        attributes
            .extend(decided.reason.as_ref().map(|reason| KeyValue::new("trackrelay.reason", text(reason))));
        let name = format!("replay to {}", decided.subscription).into();
        let span =
            Span { name, kind: SpanKind::Internal, began: at, ended: at, attributes, status: Status::Unset };
        self.span(decided.about.event_id, any_id(), root_id(decided.about.event_id), span)
    }

    fn span(&self, event: EventId, id: SpanId, parent: SpanId, span: Span) -> SpanData {
        let (trace, flags) = (trace_id(event), TraceFlags::SAMPLED);
        SpanData {
            span_context: SpanContext::new(trace, id, flags, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: span.kind,
            name: span.name,
            start_time: moment(span.began),
            // A wall clock that was set back in between makes no span of negative length.
            end_time: moment(span.ended.max(span.began)),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.status,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// What is particular to one span.
struct Span {
    name: Cow<'static, str>,
    kind: SpanKind,
    began: Timestamp,
    ended: Timestamp,
    attributes: Vec<KeyValue>,
    status: Status,
}

fn of_event(about: &About) -> Vec<KeyValue> {
    vec![
        KeyValue::new("trackrelay.event.id", about.event_id.0),
        KeyValue::new("trackrelay.event.entity", about.entity.to_string()),
        KeyValue::new("trackrelay.event.action", about.action.to_string()),
    ]
}

fn of_delivery(subscription: &str, outcome: Outcome, replay: bool) -> [KeyValue; 3] {
    [
        KeyValue::new("trackrelay.subscription", text(subscription)),
        KeyValue::new("trackrelay.outcome", outcome.as_str()),
        KeyValue::new("trackrelay.replay", replay),
    ]
}

fn counted(name: &'static str, count: usize) -> Option<KeyValue> {
    (count > 0).then(|| KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX)))
}

fn texts(all: &[String]) -> Value {
    Value::Array(Array::String(all.iter().map(|one| StringValue::from(text(one))).collect()))
}

/// So much of it as a span may hold.
fn text(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn moment(at: Timestamp) -> SystemTime {
    SystemTime::try_from(at).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn later(at: Timestamp, micros: u64) -> Timestamp {
    let micros = SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    at.saturating_add(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
