use std::collections::HashSet;

use opentelemetry::Key;

use super::*;
use crate::delivery::trace::{Called, Exchange, Http, Stage, Trace, Verdict};
use crate::feed::close::{Seen, Tried};

const EVENT: EventId = EventId(4_000_000_000_000_000_000);

fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + micros).unwrap()
}

fn about() -> About {
    About { event_id: EVENT, entity: "tag".into(), action: "created".into() }
}

fn drawn(news: News) -> Vec<SpanData> {
    drawn_by(Sampler::AlwaysOn, news)
}

fn drawn_by(sampler: Sampler, news: News) -> Vec<SpanData> {
    Drawing::new(sampler).spans(&Told { number: 1, at: at(900_000), news })
}

fn arrived(duplicate: bool) -> News {
    let decisions = vec!["billing pending".to_owned()];
    let seen = Seen { began: at(899_000), workspace_id: Some(42), decisions, more: 3 };
    let (source, subscriptions) = ("events".to_owned(), vec!["billing".to_owned()]);
    News::Event(Arrived {
        about: about(),
        source,
        duplicate,
        subscriptions,
        plan: 1,
        seen: Some(seen.into()),
    })
}

fn call(stage: Stage, verdict: Verdict, reason: Option<&str>) -> Called {
    let (plugin, reason, lines) = ("match".to_owned(), reason.map(str::to_owned), Vec::new());
    Called { plugin, stage, verdict, reason, took_us: 300, memory: 65_536, lines, lines_cut: 0 }
}

fn tried(plugins: Vec<Called>, exchange: Option<Exchange>) -> Option<Box<Tried>> {
    let url = url::Url::parse("https://example.com/hook?key=s3cret").unwrap();
    let trace = Trace { plugins, exchange, ..Trace::default() };
    Some(Box::new(Tried { at: at(0), ms: 12, url, trace }))
}

fn attempted(status: Option<u16>, error: Option<&str>, tried: Option<Box<Tried>>) -> News {
    let (outcome, error) = (Outcome::Pending, error.map(str::to_owned));
    let (subscription, n, ms, next_try) = ("billing".to_owned(), 2, 12, None);
    let replay = false;
    News::Attempt(Attempted {
        about: about(),
        subscription,
        outcome,
        replay,
        n,
        status,
        error,
        ms,
        next_try,
        tried,
    })
}

fn decided(outcome: Outcome, replay: bool, tried: Option<Box<Tried>>) -> News {
    let (subscription, reason) = ("billing".to_owned(), Some("not billable".to_owned()));
    News::Decision(Decided { about: about(), subscription, outcome, reason, replay, tried, made: None })
}

fn attribute(span: &SpanData, name: &'static str) -> Option<String> {
    let key = Key::from_static_str(name);
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.map(|attribute| attribute.value.to_string())
}

#[track_caller]
fn has(span: &SpanData, wanted: &[(&'static str, &str)]) {
    for (name, value) in wanted {
        assert_eq!(attribute(span, name).as_deref(), Some(*value), "{name}");
    }
}

fn span_of(span: &SpanData) -> (SpanId, SpanId) {
    (span.span_context.span_id(), span.parent_span_id)
}

/// Others keep traces, so these numbers stay.
#[test]
fn ids_come_from_the_event_alone() {
    assert_eq!(trace_id(EVENT).to_string(), "cd3d808a864c7b0ed3ff878d331c21ca");
    assert_eq!(root_id(EVENT).to_string(), "7bdf8f85f9d8b540");
    let ids =
        (0..10_000).flat_map(|id| [trace_id(EventId(id)).to_string(), root_id(EventId(id)).to_string()]);
    assert_eq!(ids.collect::<HashSet<_>>().len(), 20_000);
}

#[test]
fn an_arrival_is_the_root_and_a_duplicate_is_below_it() {
    let spans = drawn(arrived(false));
    let [first] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(first.span_context.trace_id(), trace_id(EVENT));
    assert_eq!(span_of(first), (root_id(EVENT), SpanId::INVALID));
    assert_eq!(first.name, "tag.created");
    assert_eq!((first.start_time, first.end_time), (moment(at(899_000)), moment(at(900_000))));
    has(
        first,
        &[
            ("trackrelay.event.id", "4000000000000000000"),
            ("trackrelay.event.duplicate", "false"),
            ("trackrelay.source", "events"),
            ("trackrelay.workspace.id", "42"),
            ("trackrelay.decisions", "[\"billing pending\"]"),
            ("trackrelay.decisions.more", "3"),
        ],
    );
    let again = &drawn(arrived(true))[0];
    assert_ne!(again.span_context.span_id(), root_id(EVENT));
    assert_eq!((again.span_context.trace_id(), again.parent_span_id), (trace_id(EVENT), root_id(EVENT)));
}

#[test]
fn an_attempt_has_its_plugins_and_its_exchange_below_it() {
    let exchange = Exchange {
        address: Some("192.0.2.1:443".parse().unwrap()),
        http: Some(Http::V2),
        dns_us: Some(400),
        tls_us: Some(900),
        first_byte_us: Some(5_000),
        total_us: 6_000,
        ..Exchange::default()
    };
    let plugins =
        vec![call(Stage::Filter, Verdict::Deliver, None), call(Stage::Transform, Verdict::Replaced, None)];
    let spans = drawn(attempted(Some(503), Some("answered 503"), tried(plugins, Some(exchange))));
    let [own, filter, transform, http] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(own.parent_span_id, root_id(EVENT));
    for child in [filter, transform, http] {
        assert_eq!(child.parent_span_id, own.span_context.span_id());
        assert_eq!(child.span_context.trace_id(), trace_id(EVENT));
    }
    let time = |span: &SpanData| (span.start_time, span.end_time);
    assert_eq!(time(own), (moment(at(0)), moment(at(12_000))));
    assert_eq!(time(filter), (moment(at(0)), moment(at(300))));
    assert_eq!(time(transform), (moment(at(300)), moment(at(600))));
    assert_eq!(time(http), (moment(at(6_000)), moment(at(12_000))));
    assert_eq!((own.name.as_ref(), filter.name.as_ref()), ("deliver to billing", "filter match"));
    assert_eq!((http.name.as_ref(), &http.span_kind), ("POST", &SpanKind::Client));
    has(own, &[("trackrelay.attempt", "2"), ("trackrelay.outcome", "pending"), ("trackrelay.status", "503")]);
    assert_eq!(own.status, Status::error("answered 503"));
    assert_eq!(filter.status, Status::Unset);
    has(transform, &[("trackrelay.plugin.stage", "transform"), ("trackrelay.plugin.verdict", "replaced")]);
    has(
        http,
        &[
            ("http.request.method", "POST"),
            ("http.response.status_code", "503"),
            ("error.type", "503"),
            ("url.full", "https://example.com/hook"),
            ("server.address", "example.com"),
            ("server.port", "443"),
            ("network.peer.address", "192.0.2.1"),
            ("network.protocol.version", "2"),
            ("trackrelay.http.dns_us", "400"),
            ("trackrelay.http.first_byte_us", "5000"),
        ],
    );
    assert_eq!(attribute(http, "trackrelay.http.connect_us"), None, "what did not happen has no time");
    assert!(!format!("{spans:?}").contains("s3cret"));
}

#[test]
fn what_a_plugin_stopped_is_a_try_without_an_exchange() {
    let skip = || vec![call(Stage::Filter, Verdict::Skip, Some("not billable"))];
    let spans = drawn(decided(Outcome::SkippedPlugin, false, tried(skip(), None)));
    assert_eq!(spans.len(), 2);
    has(&spans[0], &[("trackrelay.outcome", "skipped_plugin"), ("trackrelay.reason", "not billable")]);
    assert_eq!((&spans[0].status, attribute(&spans[0], "trackrelay.attempt")), (&Status::Unset, None));
    has(&spans[1], &[("trackrelay.plugin.reason", "not billable")]);
    let trap = vec![call(Stage::Filter, Verdict::Failed, Some("unreachable"))];
    let spans = drawn(decided(Outcome::Held, false, tried(trap, None)));
    assert_eq!(spans[0].status, Status::error("not billable"));
    assert_eq!(spans[1].status, Status::error("unreachable"));
}

#[test]
fn a_replay_is_told_and_what_the_arrival_says_is_not_told_twice() {
    let spans = drawn(decided(Outcome::Pending, true, None));
    assert_eq!((spans.len(), spans[0].name.as_ref()), (1, "replay to billing"));
    assert_eq!(spans[0].parent_span_id, root_id(EVENT));
    assert!(drawn(decided(Outcome::SkippedRights, false, None)).is_empty());
}

#[test]
fn an_event_made_by_a_replay_has_an_arrival_of_its_own() {
    let News::Decision(decided) = decided(Outcome::Pending, true, None) else { unreachable!() };
    let seen = Seen { began: at(899_000), workspace_id: Some(42), decisions: Vec::new(), more: 0 };
    let spans = drawn(News::Decision(Decided { made: Some(seen.into()), ..decided }));
    let [made, replay] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span_of(made), replay.parent_span_id), ((root_id(EVENT), SpanId::INVALID), root_id(EVENT)));
    assert_eq!((made.start_time, made.end_time), (moment(at(899_000)), moment(at(900_000))));
    has(made, &[("trackrelay.source", "replay"), ("trackrelay.workspace.id", "42")]);
}

#[test]
fn a_sampler_takes_all_of_an_event_or_nothing() {
    assert!(drawn_by(Sampler::AlwaysOff, arrived(false)).is_empty());
    let drawing = Drawing::new(Sampler::TraceIdRatioBased(0.25));
    let taken = (0..10_000).filter(|id| drawing.is_taken(EventId(*id))).count();
    assert!((2_300..2_700).contains(&taken), "{taken} of 10 000");
}

#[test]
fn texts_are_cut() {
    let long = "é".repeat(3 * TEXT);
    let spans = drawn(attempted(None, Some(&long), tried(Vec::new(), Some(Exchange::default()))));
    let Status::Error { description } = &spans[0].status else { panic!("{spans:?}") };
    assert_eq!(description.chars().count(), TEXT + 1);
    has(&spans[1], &[("error.type", "_OTHER")]);
}
