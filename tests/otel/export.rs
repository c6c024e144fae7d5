//! What a collector gets, and what it cannot do to deliveries.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ENDPOINT;
use crate::harness::answer::Gate;
use crate::harness::{Answer, Receiver, Relay, SECRET, event, wait_until};
use crate::transforms::shipped;

/// One span, its attributes as text.
#[derive(Clone, Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    failed: bool,
    began: u64,
    ended: u64,
    attributes: BTreeMap<String, String>,
}

impl Span {
    fn of(json: &Value) -> Span {
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let time = |key: &str| json[key].as_str().unwrap().parse().unwrap();
        Span {
            trace: text("traceId"),
            id: text("spanId"),
            parent: text("parentSpanId"),
            name: text("name"),
            kind: json["kind"].as_u64().unwrap(),
            failed: json["status"]["code"] == 2,
            began: time("startTimeUnixNano"),
            ended: time("endTimeUnixNano"),
            attributes: attributes(&json["attributes"]),
        }
    }

    fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    #[track_caller]
    fn has(&self, wanted: &[(&str, &str)]) {
        for (key, value) in wanted {
            assert_eq!(self.get(key), *value, "{key} of {self:#?}");
        }
    }

    #[track_caller]
    fn is_within(&self, parent: &Span) {
        assert_eq!((&self.trace, &self.parent), (&parent.trace, &parent.id), "{self:#?}\n{parent:#?}");
        assert!(self.began >= parent.began && self.ended <= parent.ended, "{self:#?}\n{parent:#?}");
    }
}

fn attributes(list: &Value) -> BTreeMap<String, String> {
    let value = |value: &Value| {
        let (_, value) = value.as_object().unwrap().iter().next().unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let pair = |one: &Value| (one["key"].as_str().unwrap().to_owned(), value(&one["value"]));
    list.as_array().into_iter().flatten().map(pair).collect()
}

/// Everything the collector got in JSON.
fn spans(collector: &Receiver) -> Vec<Span> {
    let is_json = |header: Option<&str>| header == Some("application/json");
    let requests = collector.events().into_iter().filter(|request| is_json(request.header("content-type")));
    let bodies: Vec<Value> = requests.map(|request| request.json()).collect();
    let resources = bodies.iter().flat_map(|body| body["resourceSpans"].as_array().unwrap());
    let scopes = resources.flat_map(|resource| resource["scopeSpans"].as_array().unwrap());
    scopes.flat_map(|scope| scope["spans"].as_array().unwrap()).map(Span::of).collect()
}

/// The first span of this name about this event, once it is there, or below this other span.
#[track_caller]
fn wait_for(collector: &Receiver, name: &str, fits: impl Fn(&Span) -> bool) -> Span {
    let found = || spans(collector).into_iter().find(|span| span.name == name && fits(span));
    wait_until(&format!("a span `{name}`"), found)
}

fn about(id: i64) -> impl Fn(&Span) -> bool {
    move |span| span.get("trackrelay.event.id") == id.to_string()
}

/// A daemon that exports to it without delay, yet to be started.
fn exporting(collector: &Receiver, tables: &str) -> Relay {
    let mut relay = Relay::prepare(tables);
    relay.set_env(ENDPOINT, collector.url(""));
    relay.set_env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    relay.set_env("OTEL_BSP_SCHEDULE_DELAY", "20");
    relay
}

#[test]
fn an_event_is_one_trace_over_restarts_and_replays() {
    // The broken one has a server to itself: connections are shared by all that deliver to one.
    let (receiver, broken, collector) = (Receiver::start(), Receiver::start(), Receiver::start());
    broken.answer(|_, _| Answer::status(500));
    let plugins = ["match", "redact"].map(|name| format!("[plugin.{name}]\npath = \"{}\"\n", shipped(name)));
    let using = "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]\n\
                 transform = [{ plugin = \"redact\", config = { drop = [\"payload.tags\"] } }]\n";
    let billable = receiver.table("billable").replace("/billable\"", "/billable?token=hidden-7\"") + using;
    let mut relay = exporting(&collector, &(plugins.concat() + &billable + &broken.table("broken")));
    relay.set_env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=of%20ana,x-key=hidden-8");
    relay.set_env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%2C%20test");
    relay.start_again();
    relay.send(&event("time_entry.created", 7).with("billable", true).with("tags", "hidden-9"));

    let root = wait_for(&collector, "time_entry.created", about(7));
    assert_eq!((root.parent.as_str(), root.failed), ("", false));
    root.has(&[
        ("trackrelay.source", "events"),
        ("trackrelay.workspace.id", "4200017"),
        ("trackrelay.event.duplicate", "false"),
        ("trackrelay.event.entity", "time_entry"),
        ("trackrelay.event.action", "created"),
    ]);
    assert!(root.get("trackrelay.decisions").contains("billable pending"), "{root:#?}");

    let delivered = wait_for(&collector, "deliver to billable", about(7));
    assert_eq!((&delivered.trace, &delivered.parent), (&root.trace, &root.id));
    delivered.has(&[
        ("trackrelay.subscription", "billable"),
        ("trackrelay.attempt", "1"),
        ("trackrelay.outcome", "delivered"),
        ("trackrelay.status", "200"),
        ("trackrelay.replay", "false"),
    ]);
    let below = |parent: &Span| {
        let parent = parent.id.clone();
        move |span: &Span| span.parent == parent
    };
    let filter = wait_for(&collector, "filter match", below(&delivered));
    let transform = wait_for(&collector, "transform redact", below(&delivered));
    let exchange = wait_for(&collector, "POST", below(&delivered));
    for child in [&filter, &transform, &exchange] {
        child.is_within(&delivered);
        assert!(child.ended > child.began, "{child:#?}");
    }
    assert!(filter.ended <= transform.began && transform.ended <= exchange.began);
    filter.has(&[("trackrelay.plugin.stage", "filter"), ("trackrelay.plugin.verdict", "deliver")]);
    transform.has(&[("trackrelay.plugin.name", "redact"), ("trackrelay.plugin.verdict", "replaced")]);
    exchange.has(&[
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("url.full", &receiver.url("billable")),
        ("server.address", "127.0.0.1"),
        ("server.port", &receiver.port().to_string()),
        ("network.protocol.version", "1.1"),
        ("trackrelay.http.reused", "false"),
    ]);
    assert_eq!(exchange.kind, 3, "a client's");
    assert!(exchange.get("trackrelay.http.connect_us").parse::<u64>().unwrap() > 0, "{exchange:#?}");

    let failed = wait_for(&collector, "deliver to broken", about(7));
    assert!(failed.failed && failed.trace == root.trace, "{failed:#?}");
    failed.has(&[("trackrelay.outcome", "pending"), ("trackrelay.status", "500")]);
    wait_for(&collector, "POST", below(&failed)).has(&[("error.type", "500")]);

    relay.send(&event("time_entry.updated", 8).with("billable", false));
    let skipped = wait_for(&collector, "deliver to billable", about(8));
    assert_ne!(skipped.trace, root.trace);
    skipped.has(&[("trackrelay.outcome", "skipped_plugin"), ("trackrelay.attempt", "")]);
    wait_for(&collector, "filter match", below(&skipped)).has(&[("trackrelay.plugin.verdict", "skip")]);

    let first = collector.events().swap_remove(0);
    assert_eq!((first.path.as_str(), first.header("x-team")), ("/v1/traces", Some("of ana")));
    let resource = attributes(&first.json()["resourceSpans"][0]["resource"]["attributes"]);
    assert_eq!(resource["service.name"], "trackrelay");
    assert_eq!(resource["deployment.environment.name"], "a, test");
    assert_eq!(resource["telemetry.sdk.language"], "rust");

    // Sent only because the daemon stops, and by another process than the one before.
    relay.set_env("OTEL_BSP_SCHEDULE_DELAY", "600000");
    relay.restart();
    let replayed = relay.cli(&["replay", "7", "--to", "billable"]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    receiver.wait_for(2);
    relay.wait_for_outcome(7, "billable", "delivered");
    let edited = relay.cli(&["replay", "7", "--set", "payload.description=lunch", "--to", "billable"]);
    assert_eq!(edited.code, 0, "{edited:?}");
    receiver.wait_for(3);
    relay.stop();
    let is_replay = |span: &Span| span.get("trackrelay.replay") == "true";
    let again = wait_for(&collector, "deliver to billable", is_replay);
    assert_eq!((&again.trace, &again.parent), (&root.trace, &root.id));
    wait_for(&collector, "replay to billable", |span| span.parent == root.id);
    let made = wait_for(&collector, "time_entry.created", |span| span.get("trackrelay.source") == "replay");
    assert_eq!(made.parent, "");
    for name in ["replay to billable", "deliver to billable"] {
        wait_for(&collector, name, |span| (&span.parent, &span.trace) == (&made.id, &made.trace));
    }
    for request in [receiver.events(), broken.events()].concat() {
        assert_eq!(request.header("traceparent"), None);
    }

    // Without a word on the form it is protobuf, as specified.
    relay.unset_env("OTEL_EXPORTER_OTLP_PROTOCOL");
    relay.start_again();
    relay.send(&event("time_entry.created", 7));
    relay.stop();
    let last = collector.events().pop().unwrap();
    assert_eq!(last.header("content-type"), Some("application/x-protobuf"));
    let digits = |at: usize| u8::from_str_radix(&root.trace[at..at + 2], 16).unwrap();
    let trace: Vec<u8> = (0..root.trace.len()).step_by(2).map(digits).collect();
    assert!(last.body.windows(trace.len()).any(|bytes| bytes == trace), "a duplicate is in the same trace");

    for request in collector.events() {
        for secret in [SECRET, "hidden-7", "hidden-8", "hidden-9"] {
            assert!(!request.text().contains(secret), "`{secret}` got out: {}", request.text());
        }
    }
    assert!(!relay.log().contains("hidden-8"), "{}", relay.log());
}

#[test]
fn a_collector_that_takes_nothing_delays_nothing() {
    let (receiver, collector) = (Receiver::start(), Receiver::start());
    collector.stop();
    let mut relay = exporting(&collector, &receiver.table_for("projects", r#"["project.*"]"#));
    relay.set_env("OTEL_EXPORTER_OTLP_TIMEOUT", "300");
    relay.set_env("OTEL_BSP_MAX_QUEUE_SIZE", "16");
    relay.start_again();
    // More than all queues hold together; of known ones it is told that they came.
    let events: Vec<_> = (1..=3000).map(|id| event("tag.created", id)).collect();
    relay.send_all(&events);
    relay.send_all(&events);
    let said = format!("the collector at http://127.0.0.1:{} takes no traces: ", collector.port());
    wait_until("the warning", || relay.log().contains(&said).then_some(()));
    assert!(relay.log().contains("connection refused"), "{}", relay.log());
    relay.send(&event("project.created", 4000));
    receiver.wait_for(1);

    // One that hangs takes nothing either.
    let gate = Gate::default();
    let until = gate.clone();
    collector.answer(move |_, _| Answer::status(200).when(&until));
    collector.start_again();
    wait_until("it is asked again", || (!collector.events().is_empty()).then_some(()));
    for id in 4001..4020 {
        relay.send(&event("project.created", id));
    }
    receiver.wait_for(20);
    assert_eq!(relay.log().matches("takes no traces").count(), 1, "{}", relay.log());
    gate.open();
    wait_until("it is said when that is over", || relay.log().contains("takes traces again").then_some(()));
    wait_until("gaps are told", || relay.log().contains("traces have gaps").then_some(()));
    relay.send(&event("project.created", 4020));
    let delivered = wait_for(&collector, "deliver to projects", about(4020));
    wait_for(&collector, "POST", |span| span.parent == delivered.id);
}

#[test]
fn the_end_waits_a_moment_for_the_collector_and_no_longer() {
    let (receiver, collector) = (Receiver::start(), Receiver::start());
    collector.answer(|_, _| Answer::Hang);
    let mut relay = exporting(&collector, &receiver.table("plain"));
    relay.start_again();
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    wait_until("the collector is asked", || (!collector.events().is_empty()).then_some(()));
    let started = Instant::now();
    relay.stop();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(relay.log().contains("did not take the last spans within 3s"), "{}", relay.log());
}

#[test]
fn a_variable_that_cannot_be_followed_keeps_it_from_starting() {
    let table = [
        (ENDPOINT, "localhost:4318", "it is no URL of HTTP; write it like `http://localhost:4318`"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "gRPC is not spoken; say `http/protobuf`"),
    ];
    for (variable, value, said) in table {
        let mut relay = Relay::prepare("");
        relay.set_env(ENDPOINT, "http://127.0.0.1:1");
        relay.set_env(variable, value);
        let output = relay.cli(&["run"]);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(&format!("{variable}: {said}")), "{output:?}");
        relay.unset_env(ENDPOINT);
        relay.unset_env(variable);
    }
}
