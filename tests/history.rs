//! History: what came is found again, by what it was about, by what became of it and by
//! what stands in it.

use serde_json::{Value, json};

use crate::harness::{Receiver, Relay, Sender, event};

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
