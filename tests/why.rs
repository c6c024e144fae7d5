//! What became of an event is told: each plugin's word and log, and each exchange with the
//! callback, step by step.

use serde_json::{Value, json};

use crate::harness::guest::talker;
use crate::harness::{Answer, Receiver, Relay, SECRET, event, wait_until};
use crate::transforms::shipped;

/// Ids of three digits are those that the talker gives up on.
const BAD: i64 = 100;

const PLUGINS: &str = "filter = [{ plugin = \"talker\" }]\n\
    transform = [{ plugin = \"redact\", config = { mask = [\"payload.description\"] } }]\n";

/// A subscription with a filter that logs and a transform, and what else the test wants.
fn relay(receiver: &Receiver, tables: &str) -> Relay {
    let plugins = format!(
        "[plugin.talker]\npath = \"talker.wasm\"\n[plugin.redact]\npath = \"{}\"\n",
        shipped("redact")
    );
    let mut relay = Relay::prepare(&(plugins + &receiver.table("guarded") + PLUGINS + tables));
    std::fs::write(relay.path("talker.wasm"), talker()).unwrap();
    relay.start_again();
    relay
}

/// A subscription to an endpoint elsewhere, tried once.
fn table(name: &str, url: &str) -> String {
    format!(
        "\n[subscription.{name}]\nurl_callback = \"{url}\"\nevent_filters = [\"*.*\"]\n\
         secret = \"{SECRET}\"\nvalidation = \"off\"\nretry = []\n"
    )
}

/// Without what differs from run to run; each of these must be there and be no nothing.
fn timeless(mut value: Value, keys: &[&str]) -> Value {
    for key in keys {
        let taken = value.as_object_mut().unwrap().remove(*key).unwrap();
        assert!(taken.as_u64().is_some_and(|us| us > 0), "{key}: {taken}");
    }
    value
}

#[test]
fn an_attempt_leaves_a_trace_that_survives_a_restart() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::status(200).with_body("{\"ok\":\n true}"));
    let mut relay = relay(&receiver, "");
    // One after the other, over the same connection.
    for event in
        [event("time_entry.created", 1000).with("description", "hush"), event("tag.created", 1001).of(7)]
    {
        relay.send(&event);
        relay.wait_for_outcome(event.id, "guarded", "delivered");
    }
    let before = relay.why(1000);
    relay.restart();
    assert_eq!(relay.why(1000), before);

    let trace = |id| relay.decision(id, "guarded")["attempts"][0]["trace"].clone();
    let address = receiver.url("").replace("http://", "").replace('/', "");
    let first = timeless(trace(1000)["exchange"].clone(), &["connect_us", "first_byte_us", "total_us"]);
    let mut wanted = json!({ "address": address, "reused": false, "http": "HTTP/1.1", "dns_us": null,
        "tls_us": null, "excerpt": "{\"ok\": true}" });
    assert_eq!(first, wanted);
    let second = timeless(trace(1001)["exchange"].clone(), &["first_byte_us", "total_us"]);
    (wanted["reused"], wanted["connect_us"]) = (true.into(), Value::Null);
    assert_eq!(second, wanted, "over the connection that stood");

    let plugins = trace(1000)["plugins"].clone();
    let call = |at: usize| timeless(plugins[at].clone(), &["took_us", "memory"]);
    let lines = json!([{ "level": "info", "text": "saw it" }]);
    let word = |plugin: &str, stage: &str, verdict: &str, lines: &Value| {
        json!({ "plugin": plugin, "stage": stage, "verdict": verdict, "reason": null,
            "lines": lines, "lines_cut": 0 })
    };
    assert_eq!(call(0), word("talker", "filter", "deliver", &lines));
    assert_eq!(call(1), word("redact", "transform", "replaced", &json!([])));
    assert_eq!(trace(1000)["body"].as_str().unwrap().len(), 16);
}

#[test]
fn what_a_plugin_stopped_tells_its_last_words() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "");
    relay.send(&event("tag.created", BAD));
    let held = relay.wait_for_outcome(BAD, "guarded", "held");
    assert_eq!((&held["attempts"], &held["stopped"]["n"]), (&json!([]), &0.into()));
    let call = &held["stopped"]["trace"]["plugins"][0];
    assert_eq!(call["verdict"], "failed");
    let last = "index out of bounds at src/lib.rs:7";
    assert!(call["reason"].as_str().unwrap().ends_with(&format!("panicked: {last}")), "{call}");
    let lines = json!([{ "level": "info", "text": "saw it" }, { "level": "error", "text": last }]);
    assert_eq!(call["lines"], lines);
    assert_eq!(held["stopped"]["trace"]["exchange"], Value::Null);

    let log = relay.log();
    let line = log.lines().find(|line| line.contains("ERROR") && line.contains(last)).unwrap();
    for part in ["plugin.name=\"talker\"", "subscription.name=\"guarded\"", "event.id=100"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn what_kept_an_exchange_from_ending_shows_how_far_it_came() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| match request.path.as_str() {
        "/moved" => Answer::status(301).with_header("location", "http://elsewhere/").with_body("gone"),
        "/slow" => Answer::Hang,
        _ => Answer::status(200),
    });
    let tls = receiver.url("tls").replace("http:", "https:");
    let relay = Relay::start(
        &[
            receiver.table("moved") + "retry = []\n",
            receiver.table("slow") + "retry = []\ntimeout = \"100ms\"\n",
            table("tls", &tls),
            table("nowhere", "http://nowhere.invalid/"),
        ]
        .concat(),
    );
    relay.send(&event("tag.created", 1));
    let address = receiver.url("").replace("http://", "").replace('/', "");
    let ended = |name: &str| {
        let failed = relay.wait_for_outcome(1, name, "failed");
        failed["attempts"][0]["trace"]["exchange"].clone()
    };
    let moved = ended("moved");
    assert_eq!((&moved["excerpt"], &moved["address"]), (&"gone".into(), &json!(address)));
    let slow = ended("slow");
    assert!(slow["connect_us"].is_u64() && slow["first_byte_us"].is_null(), "{slow}");
    assert!(slow["total_us"].as_u64().unwrap() >= 100_000, "{slow}");
    let tls = ended("tls");
    assert!(tls["connect_us"].is_u64() && tls["tls_us"].is_null(), "{tls}");
    assert_eq!(tls["address"], json!(address));
    let nowhere = ended("nowhere");
    assert!(nowhere["dns_us"].is_u64() && nowhere["address"].is_null(), "{nowhere}");
}

#[test]
fn why_shows_what_was_sent_and_what_changed_since() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| match before {
        0 => Answer::status(500).with_body("try me again"),
        _ => Answer::status(200),
    });
    let relay = relay(&receiver, "retry = [\"10ms\"]\n");
    relay.send(&event("time_entry.created", 1000).with("description", "hush"));
    relay.wait_for_outcome(1000, "guarded", "delivered");
    let bodies = relay.cli(&["why", "1000", "--json"]).json()["decisions"][0]["bodies"].clone();
    assert_eq!((&bodies["exact"], &bodies["attempt"]), (&true.into(), &2.into()), "{bodies}");
    let sent = receiver.wait_for(2).pop().unwrap().text();
    assert_eq!(bodies["after"].as_str(), Some(&*sent), "byte for byte");
    assert!(bodies["before"].as_str().unwrap().contains("\"hush\""), "{bodies}");

    let shown = relay.cli(&["why", "1000", "guarded"]).stdout;
    for part in [
        "event filter \"*.*\" matched (config.toml:",
        "); rights and status ok\n",
        "answered 500 Internal Server Error: try me again in ",
        "    filter `talker`: deliver in ",
        "      info   saw it\n",
        "    transform `redact`: replaced in ",
        " HTTP/1.1: connect ",
        " HTTP/1.1: kept connection, first byte ",
        "  body, before and as sent in attempt 2\n",
        "-     \"description\": \"hush\"",
        "+     \"description\": \"",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }

    // With another config the same attempt cannot be told any more, and why says so.
    let config = std::fs::read_to_string(relay.config()).unwrap();
    std::fs::write(relay.config(), config.replace("mask =", "drop =")).unwrap();
    assert_eq!(relay.cli(&["reload"]).code, 0);
    let shown = relay.cli(&["why", "1000"]).stdout;
    assert!(shown.contains("has changed since: this is what would be sent today"), "{shown}");
}

#[test]
fn why_not_groups_what_did_not_go_there() {
    let receiver = Receiver::start();
    receiver
        .answer(|request, _| Answer::status(if request.text().contains("refuse me") { 500 } else { 200 }));
    let filters = receiver.table_for("picky", r#"["tag.*", "task.*"]"#);
    let users = "[user.ana]\nid = 5300029\nrole = \"admin\"\napi_token = \"a-token\"\n";
    let tables =
        |keys: &str| format!("{users}{filters}user = \"ana\"\nretry = []\ndisable_after = 1\n{keys}");
    let relay = Relay::start(&tables(""));
    relay.send_all(&[1, 2, 3].map(|id| event("project.updated", id)));
    relay.send(&event("tag.created", 4));
    relay.wait_for_outcome(4, "picky", "delivered");
    relay.send(&event("task.created", 5).with("name", "refuse me"));
    relay.wait_for_outcome(5, "picky", "pending");
    relay.wait_for_status("picky", "disabled");
    relay.send_all(&[event("tag.created", 6).of(6), event("tag.created", 7).of(7)]);
    relay.wait_for_outcome(7, "picky", "skipped_disabled");

    let waits = relay.decision(5, "picky")["reason"].as_str().unwrap().to_owned();
    assert!(
        waits.contains("answered 500") && waits.ends_with("; waits until `trackrelay enable picky`"),
        "{waits}"
    );

    let found = relay.cli(&["why", "--not", "picky", "--json"]).json();
    assert_eq!((&found["scanned"], &found["delivered"]), (&7.into(), &1.into()), "{found}");
    let groups: Vec<_> = found["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            (
                group["outcome"].as_str().unwrap(),
                group["count"].as_u64().unwrap(),
                group["newest"]["event_id"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(groups, [("skipped_filter", 3, 3), ("skipped_disabled", 2, 7), ("pending", 1, 5)]);

    let shown = relay.cli(&["why", "--not", "picky"]).stdout;
    for part in [
        "picky: 1 of the last 7 events delivered\n",
        "\n3 skipped_filter\n  event_filters [\"tag.*\", \"task.*\"] (",
        "do not match project.updated\n",
        "add \"project.updated\" to its event_filters: `trackrelay edit picky",
        "`, then `trackrelay replay --missed picky",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    let last = relay.cli(&["why", "--not", "picky", "--last", "2", "--json"]).json();
    assert_eq!((&last["scanned"], &last["groups"][0]["count"]), (&2.into(), &2.into()), "{last}");

    let unknown = relay.cli(&["why", "--not", "piky"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("did you mean `picky`?"), "{unknown:?}");
    assert_eq!(relay.cli(&["why"]).code, 2);
    assert_eq!(relay.cli(&["why", "--not", "picky", "--last", "100001"]).code, 2);
}

#[test]
fn why_not_has_a_way_out_for_every_reason() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| match request.path.as_str() {
        "/failing" => Answer::status(500).with_body("not today"),
        _ => Answer::status(200),
    });
    let billable = "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]\n";
    let hers = "user = \"ana\"\n";
    let tables = [
        hers.to_owned(),
        format!("[plugin.match]\npath = \"{}\"\n", shipped("match")),
        "[user.ana]\nid = 5300029\nrole = \"admin\"\napi_token = \"token-of-ana\"\n".to_owned(),
        "[user.ben]\nid = 7\nrole = \"member\"\napi_token = \"token-of-ben\"\n".to_owned(),
        receiver.table("bens") + "user = \"ben\"\n",
        receiver.table("mute").replace("validation = \"off\"\n", hers),
        receiver.table("choosy") + hers + billable,
        receiver.table("failing") + hers + "retry = []\n",
    ];
    let relay = relay(&receiver, &tables.concat());
    // Until its first PING has been answered, what comes waits for that.
    wait_until("a PING in vain", || {
        relay.log().contains("not validated, so it gets no events").then_some(())
    });
    relay.send(&event("time_entry.created", BAD).by(5_300_029));
    for (name, outcome, help) in [
        ("bens", "skipped_rights", "give that user `role = \"admin\"`"),
        ("mute", "skipped_not_validated", "run `trackrelay validate mute"),
        ("choosy", "skipped_plugin", "`trackrelay why 100 choosy"),
        ("guarded", "held", "mend the plugin or its config and save"),
        ("failing", "failed", "`trackrelay replay --failed failing"),
    ] {
        let reason = relay.wait_for_outcome(BAD, name, outcome)["reason"].as_str().unwrap().to_owned();
        let shown = relay.cli(&["why", "--not", name]).stdout;
        let group = format!("{name}: none of the last 1 event was delivered\n\n1 {outcome}\n");
        let newest = "newest: event 100 time_entry.created at ";
        for part in [&*group, &reason, newest, help] {
            assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
        }
    }
}
