//! History: what came is found again, by what it was about, by what became of it and by
//! what stands in it; it is sent again as it was or with edits, and recorded for tests.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Receiver, Relay, Sender, event, repository};

/// A body with white space, an escape and a number that no float holds.
const ODD: &str = "{\"metadata\": {\"action\":\"created\",\"model\":\"project\",\"project_id\":\"9\"},\r\n \
                   \"payload\":\t{\"n\":9007199254740993.0, \"name\":\"na\\u00efve\"}, \"event_id\": 12}";

/// The events that a command lists, with the words for their subscriptions.
fn listed(relay: &Relay, words: &[&str]) -> Vec<(i64, Vec<String>)> {
    let output = relay.cli(&[&["events", "--json"], words].concat());
    assert_eq!(output.code, 0, "{output:?}");
    let events = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |decision: &Value| {
        let replay = if decision["replay"] == true { " again" } else { "" };
        format!(
            "{} {}{replay}",
            decision["subscription"].as_str().unwrap(),
            decision["outcome"].as_str().unwrap()
        )
    };
    let words = |event: &Value| event["decisions"].as_array().unwrap().iter().map(word).collect();
    events.map(|event| (event["event_id"].as_i64().unwrap(), words(&event))).collect()
}

#[test]
fn what_came_is_found_by_what_it_is_and_by_what_became_of_it() {
    let receiver = Receiver::start();
    let off = receiver.table("off") + "enabled = false\n";
    let relay = Relay::start(&(receiver.table_for("tags", r#"["tag.*"]"#) + &off));
    relay.send(&event("tag.created", 10).with("name", "first"));
    relay.send(&event("time_entry.updated", 11).with("description", "lunch break"));
    assert_eq!(Sender::unix(&relay).post("/events", "application/json", ODD.as_bytes()).status, 202);
    relay.wait_for_outcome(10, "tags", "delivered");
    assert_eq!(relay.cli(&["replay", "11", "--to", "tags"]).code, 0);
    relay.wait_for("tags", "has delivered both", |tags| tags["delivered"] == 2);

    let ids = |words: &[&str]| listed(&relay, words).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    let all = listed(&relay, &[]);
    assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [12, 11, 10]);
    assert_eq!(all[1].1, ["tags delivered again", "off skipped_disabled"]);
    assert_eq!(ids(&["--last", "2"]), [12, 11]);
    assert_eq!(ids(&["--since", "1h", "--until", "2025-01-01T00:00:00Z"]), [0; 0]);
    assert_eq!(ids(&["--entity", "tag", "--action", "created"]), [10]);
    assert_eq!(ids(&["--subscription", "tags", "--outcome", "delivered"]), [11, 10]);
    assert_eq!(ids(&["--search", "lunch break"]), [11]);
    assert_eq!(ids(&["--search", "na\\u00efve"]), [12]);

    let table = relay.cli(&["events", "--subscription", "tags"]);
    assert!(
        table.stdout.contains("time_entry.updated  tags delivered (replay), off skipped_disabled"),
        "{table:?}"
    );
    let bodies = relay.get("/api/events?bodies=1&limit=1").text();
    assert!(bodies.contains(&format!(",\"event\":{ODD}}}")), "byte for byte: {bodies}");
    let on_a_line = relay.cli(&["events", "--json", "--bodies", "--entity", "project"]);
    assert_eq!(on_a_line.json()["event"]["event_id"], 12);

    // Page by page to the end, and what is wrong is told.
    let page: Value = relay.get("/api/events?limit=2").json();
    let rest: Value = relay.get(&format!("/api/events?limit=2&before={}", page["next"])).json();
    assert_eq!((&rest["events"][0]["event_id"], &rest["next"]), (&json!(10), &Value::Null));
    for (query, part) in [
        ("limit=1001", "`limit`"),
        ("entity=time_entri", "did you mean `time_entry`?"),
        ("outcome=skipped_filter", "trackrelay why"),
        ("outcom=failed", "did you mean `outcome`?"),
        ("since=soon", "`since`"),
    ] {
        let refused = relay.get(&format!("/api/events?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text().contains(part), "{query}: {}", refused.text());
    }
    let unknown = relay.cli(&["events", "--subscription", "tag"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("did you mean `tags`?"), "{unknown:?}");
}

#[test]
fn an_edited_replay_is_a_new_event_and_history_stays_true() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("plain") + &receiver.table_for("other", r#"["client.*"]"#)));
    relay.send(&event("tag.created", 10).with("name", "first"));
    receiver.wait_for_at("plain", 1);

    let edit = ["replay", "10", "--set", "payload.name=second"];
    let dry = relay.cli(&[&edit[..], &["--dry-run"]].concat());
    assert_eq!(dry.stdout, "a new event (made from 10) plain: pending\n", "{dry:?}");
    assert!(dry.stderr.contains("payload.name: \"first\" → \"second\""), "{dry:?}");
    assert_eq!(relay.cli(&["events", "--json"]).stdout.lines().count(), 1, "a dry run makes nothing");

    let made = relay.cli(&[&edit[..], &["--to", "other", "--json"]].concat()).json();
    let id = made["replayed"][0]["event_id"].as_i64().unwrap();
    assert!(id >= 4_000_000_000_000_000_000, "{made}");
    let request = &receiver.wait_for_at("other", 1)[0];
    let body = request.json();
    assert!(request.signed && !request.text().contains("made_from"), "{}", request.text());
    assert_eq!((&body["event_id"], &body["payload"]["name"]), (&json!(id), &json!("second")));
    assert_eq!(body["created_at"], "2025-09-10T08:15:30.991Z", "it happened when it happened");

    let (old, new): (Value, Value) =
        (relay.get("/api/events/10").json(), relay.get(&format!("/api/events/{id}")).json());
    assert_eq!((&old["event"]["payload"]["name"], &old["made_from"]), (&json!("first"), &Value::Null));
    assert_eq!((&new["made_from"], &new["decisions"][0]["replay"]), (&json!(10), &json!(true)));
    let why = relay.cli(&["why", &id.to_string()]).stdout;
    assert!(why.starts_with(&format!("event {id} tag.created (made from 10)\n")), "{why}");
    let table = relay.cli(&["events", "--last", "1"]).stdout;
    assert!(table.contains("made from event 10 by a replay with edits"), "{table}");

    for (change, part) in [
        ("event_id=5", "gets an `event_id` of its own"),
        ("metadata.model=tagg", "did you mean"),
        ("payload.name.x=1", "is a single value"),
    ] {
        let refused = relay.cli(&["replay", "10", "--set", change]);
        assert!(refused.code > 0 && refused.stderr.contains(part), "{change}: {refused:?}");
    }
    let none = relay.cli(&["replay", "--since", "1h", "--until", "2025-01-01T00:00:00Z"]);
    assert!(none.code == 0 && none.stderr.contains("nothing to replay"), "{none:?}");
    assert_eq!(relay.cli(&["events", "--json"]).stdout.lines().count(), 2);
}

#[test]
fn a_recording_says_without_a_daemon_whether_the_same_is_still_sent() {
    let receiver = Receiver::start();
    let plugin = format!("\n[plugin.match]\npath = {:?}\n", repository("plugins/match.wasm"));
    let billable = "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]\n";
    let tables =
        receiver.table("plain") + &receiver.table_for("billable", r#"["time_entry.*"]"#) + billable + &plugin;
    let mut relay = Relay::start(&tables);
    assert_eq!(Sender::unix(&relay).post("/events", "application/json", ODD.as_bytes()).status, 202);
    relay.send(&event("time_entry.created", 20).with("billable", false));
    let sent = receiver.wait_for_at("plain", 2);

    let recorded = relay.cli(&["record", "recording", "--last", "10"]);
    assert_eq!(
        (recorded.code, recorded.stdout.as_str()),
        (0, "2 events, 2 deliveries in recording\n"),
        "{recorded:?}"
    );
    let received = fs::read_to_string(relay.path("recording/00001-project.created-12.json")).unwrap();
    assert_eq!(received, ODD);
    let index: Value =
        serde_json::from_slice(&fs::read(relay.path("recording/index.json")).unwrap()).unwrap();
    let first = &index["events"][0]["deliveries"][0]["request"];
    let body = sent.iter().find(|request| request.event_id() == 12).unwrap().text();
    let stamp = body.find(",\"timestamp\":").unwrap()..body.find(",\"url_callback\":").unwrap();
    assert_eq!(first["body"]["text"], body[..stamp.start].to_owned() + &body[stamp.end..]);
    assert_eq!(first["headers"], json!({ "content-type": "application/json" }));
    let skipped = &index["events"][1]["deliveries"][1];
    assert_eq!(
        (&skipped["subscription"], &skipped["outcome"]),
        (&json!("billable"), &json!("skipped_plugin"))
    );
    let again = relay.cli(&["record", "recording", "12"]);
    assert!(again.code == 1 && again.stderr.contains("--expect --update"), "{again:?}");
    assert_eq!(relay.cli(&["record", "elsewhere"]).code, 2, "which events?");
    relay.stop();

    let expect = ["replay", "recording", "--expect"];
    let same = relay.cli(&expect);
    assert!(same.code == 0 && same.stdout.contains("all as recorded"), "{same:?}");
    let headers = "\n[subscription.plain.headers]\nx-env = \"dev\"\nx-token = \"hidden\"\n";
    relay.save(&(tables.replace("\"payload.billable\" = true", "\"payload.billable\" = false") + headers));
    let other = relay.cli(&expect);
    assert_eq!(other.code, 1, "{other:?}");
    for part in [
        "00001-project.created-12.json plain: something else is sent",
        "header.x-env: new, \"dev\"",
        "00002-time_entry.created-20.json billable: was skipped_plugin",
        "now sent",
    ] {
        assert!(other.stdout.contains(part), "{part}: {other:?}");
    }
    assert!(!other.stdout.contains("hidden"), "{other:?}");
    let json = relay.cli(&[&expect[..], &["--json"]].concat());
    assert_eq!(json.json()["differences"].as_array().unwrap().len(), 3, "{json:?}");
    assert_eq!(relay.cli(&[&expect[..], &["--update"]].concat()).code, 0);
    assert_eq!(relay.cli(&expect).code, 0);
    relay.save("[subscription.broken]\n");
    assert_eq!(relay.cli(&expect).code, 78);
}
