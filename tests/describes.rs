//! What programs read is what the documents say: answers of the API are as its description
//! has them, metrics and log lines as their lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::guest::talker;
use crate::harness::relay::output;
use crate::harness::schema::check;
use crate::harness::sender::Sender;
use crate::harness::{Answer, Receiver, Relay, event, repository};
use crate::transforms::shipped;

/// Has a call answered and holds the answer against the description.
#[track_caller]
fn call(
    relay: &Relay,
    described: &Value,
    seen: &mut BTreeSet<String>,
    route: &str,
    path: &str,
    body: Option<Value>,
) -> Value {
    let (method, template) = route.split_once(' ').unwrap();
    let text = body.map(|body| body.to_string()).unwrap_or_default();
    let headers: &[(&str, &str)] =
        if text.is_empty() { &[] } else { &[("content-type", "application/json")] };
    let reply = Sender::unix(relay).request(method, path, headers, text.as_bytes());
    let operation = &described["paths"][template][method.to_lowercase()];
    let schema = &operation["responses"][reply.status.to_string()]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{route} answers {}, which is not described: {}", reply.status, reply.text());
    let answer = reply.json();
    check(&answer, schema, described).unwrap_or_else(|why| panic!("{route}: {why}\n{answer:#}"));
    seen.insert(route.to_owned());
    answer
}

/// A subscription with plugins, one of which logs; one that fails; a source.
fn tables(receiver: &Receiver, retry: &str) -> String {
    let redact = shipped("redact");
    let plugins = format!("[plugin.talker]\npath = \"talker.wasm\"\n[plugin.redact]\npath = \"{redact}\"\n");
    let entries = "filter = [{ plugin = \"talker\" }]\n\
                   transform = [{ plugin = \"redact\", config = { mask = [\"payload.description\"] } }]\n";
    let source = "\n[source.track]\nsecret = \"sesame-and-more\"\n";
    plugins + &receiver.table("well") + entries + &receiver.table("failing") + retry + source
}

#[test]
fn every_call_answers_as_the_description_has_it() {
    let receiver = Receiver::start();
    receiver.answer(
        |request, _| if request.path == "/failing" { Answer::status(500) } else { Answer::proper(request) },
    );
    let mut relay = Relay::prepare(&tables(&receiver, "retry = [\"1h\"]\n"));
    fs::write(relay.path("talker.wasm"), talker()).unwrap();
    relay.start_again();
    let described = relay.get("/api/openapi.json").json();
    relay.send(&event("tag.created", 7).with("description", "hush"));
    relay.wait_for_outcome(7, "well", "delivered");
    relay.wait_for("failing", "fails", |it| it["status"] == "pending");
    let seen = &mut BTreeSet::new();
    let mut ask = |route: &str, path: &str, body| call(&relay, &described, seen, route, path, body);
    ask("GET /api/status", "/api/status", None);
    ask("GET /api/why/{event_id}", "/api/why/7", None);
    ask("GET /api/why/{event_id}", "/api/why/8", None);
    let traced = ask("GET /api/why/{event_id}", "/api/why/7?subscription=well&bodies=1", None);
    let attempt = &traced["decisions"][0]["attempts"][0];
    assert_eq!(attempt["trace"]["plugins"][0]["lines"][0]["text"], "saw it", "{traced:#}");
    assert_eq!(traced["decisions"][0]["bodies"]["exact"], true, "{traced:#}");
    ask("GET /api/why-not/{name}", "/api/why-not/failing?last=10", None);
    ask("GET /api/why-not/{name}", "/api/why-not/nobody", None);
    ask("GET /api/events", "/api/events?bodies=1&entity=tag", None);
    ask("GET /api/events", "/api/events?limit=0", None);
    ask("GET /api/events/{event_id}", "/api/events/7", None);
    ask("POST /api/replay", "/api/replay", Some(json!({ "events": [7] })));
    let made: Value = serde_json::from_str(&event("tag.created", 9).json()).unwrap();
    let edited = json!({ "edited": { "from": 7, "event": made } });
    ask("POST /api/replay", "/api/replay", Some(edited));
    ask("POST /api/replay", "/api/replay", Some(json!({ "events": [7], "since": "1h" })));
    let added = json!({ "name": "new", "fields": [
        { "key": ["url_callback"], "value": receiver.url("new") },
        { "key": ["event_filters"], "value": ["tag.*"] },
    ] });
    ask("POST /api/subscriptions", "/api/subscriptions", Some(added));
    for verb in ["test", "validate", "enable", "disable", "rotate"] {
        ask(
            &format!("POST /api/subscriptions/{{name}}/{verb}"),
            &format!("/api/subscriptions/new/{verb}"),
            None,
        );
    }
    let changed = json!({ "fields": [{ "key": ["timeout"], "value": "5s" }] });
    ask("POST /api/subscriptions/{name}/edit", "/api/subscriptions/new/edit", Some(changed));
    ask("GET /api/subscriptions/{name}/secret", "/api/subscriptions/new/secret", None);
    ask("POST /api/subscriptions/{name}/test", "/api/subscriptions/failing/test", None);
    ask("POST /api/subscriptions/{name}/remove", "/api/subscriptions/new/remove", None);
    let stale = json!({ "file": relay.config(), "text": "", "expected": "00" });
    ask("POST /api/files", "/api/files", Some(stale));
    relay.save("[subscription.broken]\n");
    ask("POST /api/reload", "/api/reload", None);
    ask("GET /api/status", "/api/status", None);
    ask("GET /api/openapi.json", "/api/openapi.json", None);
    let listed = described["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    // A stream has no end: `tests/tail.rs` reads it.
    seen.insert("GET /api/stream".to_owned());
    let unseen: Vec<_> = listed.filter(|route| !seen.contains(route)).collect();
    assert!(unseen.is_empty(), "described and not tried: {unseen:?}");

    let other = Sender::unix(&relay).request("DELETE", "/api/status", &[], b"");
    assert_eq!((other.status, other.header("allow")), (405, Some("GET")));
}

/// A public tool thinks up calls by the description and looks whether the daemon keeps to it.
#[test]
fn schemathesis_finds_nothing() {
    let there = Command::new("schemathesis").arg("--version").output().is_ok_and(|run| run.status.success());
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "`schemathesis` is not installed");
        eprintln!("skipped: `schemathesis` is not installed");
        return;
    }
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("well"));
    relay.send(&event("tag.created", 7));
    let mut script = Command::new(repository(".ci/openapi.sh"));
    script.arg(relay.tcp().to_string()).env("TOKEN", relay.token()).current_dir(relay.path("."));
    let run = output(script, "");
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
}

/// The cells of a table of a document, for each row whose first cell is in backticks.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(repository(document)).unwrap();
    let from = text.find(heading).unwrap_or_else(|| panic!("{document} has no `{heading}`"));
    let lines = text[from..]
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let rows = lines.filter(|line| line.starts_with("| `")).map(|line| {
        line.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().trim_matches('|').trim().to_owned())
            .collect()
    });
    rows.collect()
}

fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A daemon to which most things happen, and its receiver.
fn busy() -> (Relay, Receiver) {
    let receiver = Receiver::start();
    receiver.answer(
        |request, _| if request.path == "/failing" { Answer::status(500) } else { Answer::proper(request) },
    );
    let mut relay = Relay::prepare(&tables(&receiver, "retry = [\"1ms\", \"1ms\"]\n"));
    fs::write(relay.path("talker.wasm"), talker()).unwrap();
    let mut json = Command::new("sh");
    json.args(["-c", "exec \"$@\" --log-format json", "sh"]);
    relay.launch_within(json);
    relay.wait_to_serve();
    relay.send(&event("tag.created", 7));
    relay.send(&event("tag.created", 7));
    let mut sender = Sender::tcp(&relay);
    assert_eq!(sender.post("/events", "application/json", b"{").status, 400);
    let foreign = event("tag.created", 8).json().replace("4200017", "7");
    assert_eq!(sender.post("/events", "application/json", foreign.as_bytes()).status, 202);
    assert_eq!(sender.post("/track/track", "application/json", b"{}").status, 401);
    assert_eq!(sender.request("GET", "/api/status", &[], b"").status, 401);
    relay.wait_for_status("failing", "disabled");
    relay.wait_for_outcome(7, "well", "delivered");
    relay.save("[subscription.broken]\n");
    relay.wait_until("the config is stale", |status| status["config"]["state"] == "stale");
    (relay, receiver)
}

#[test]
fn metrics_and_log_lines_are_those_of_the_documents() {
    let (relay, _receiver) = busy();
    metrics_are_listed(&relay.get("/metrics").text());
    lines_are_listed(&relay.log());
    assert!(!relay.log().contains("sesame"), "no secret of a source");
}

/// Both ways, but for what only a failing plugin, a failing disk or a fault on purpose brings about; `telemetry` has a test
/// of its own for the names.
fn metrics_are_listed(page: &str) {
    let listed: BTreeMap<String, (String, BTreeSet<String>)> = rows("docs/metrics.md", "# Metrics")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), (row[1].clone(), words(&row[2]))))
        .collect();
    assert!(listed.len() >= 15, "{listed:?}");
    let types: BTreeMap<&str, &str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let (base, of_histogram) =
            match ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)) {
                Some(base) => (base, true),
                None => (name, false),
            };
        let (kind, labels) = listed.get(base).unwrap_or_else(|| panic!("`{base}` is not listed"));
        let family = ["_total", "_info"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
        assert_eq!(types.get(family), Some(&kind.as_str()), "{line}");
        let inside =
            line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
        let mut names: BTreeSet<String> =
            inside.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect();
        names.retain(|name| !(of_histogram && name == "le"));
        assert_eq!(&names, labels, "{line}");
        seen.insert(base.to_owned());
    }
    let unseen: Vec<_> = listed.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(
        unseen.iter().all(|name| ["plugin", "store_errors", "faults"].iter().any(|word| name.contains(word))),
        "{unseen:?}"
    );
}

fn lines_are_listed(log: &str) {
    let listed: BTreeSet<String> =
        rows("docs/operating.md", "## Metrics and logs").iter().flat_map(|row| words(&row[0])).collect();
    assert!(listed.len() >= 5, "{listed:?}");
    let mut lines = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let keys: BTreeSet<_> = line.as_object().unwrap().keys().cloned().collect();
        assert!(keys.is_subset(&listed), "not listed: {:?}", keys.difference(&listed));
        for key in ["timestamp", "level", "message"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
        assert!(line.get("event.id").is_none_or(Value::is_string), "{line}");
        lines += 1;
    }
    assert!(lines > 5 && log.contains("is of workspace 7"), "{log}");
}
