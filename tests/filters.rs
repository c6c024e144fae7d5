//! Who gets what: event filters, the rights of a subscription's creator, and plugins.

use serde_json::Value;

use crate::harness::{Receiver, Relay, event};

#[test]
fn event_filters_as_strings_tables_and_wildcards() {
    let receiver = Receiver::start();
    let table = [
        ("exact", r#"["time_entry.created"]"#, vec![1]),
        ("entity", r#"["project.*"]"#, vec![4, 5]),
        ("action", r#"["*.created"]"#, vec![1, 4, 6]),
        ("all", r#"["*.*"]"#, vec![1, 2, 3, 4, 5, 6]),
        ("table", r#"[{ entity = "tag", action = "*" }]"#, vec![6]),
        ("two", r#"["tag.created", { entity = "time_entry", action = "deleted" }]"#, vec![3, 6]),
        ("overlapping", r#"["time_entry.*", "*.created", "*.*"]"#, vec![1, 2, 3, 4, 5, 6]),
        ("none", r#"["workspace.deleted"]"#, vec![]),
    ];
    let tables: String = table.iter().map(|(name, filters, _)| receiver.table_for(name, filters)).collect();
    let relay = Relay::start(&tables);
    let kinds = [
        "time_entry.created",
        "time_entry.updated",
        "time_entry.deleted",
        "project.created",
        "project.deleted",
        "tag.created",
    ];
    for (id, kind) in (1..).zip(kinds) {
        relay.send(&event(kind, id));
    }
    receiver.wait_for(table.iter().map(|(_, _, ids)| ids.len()).sum());
    for (name, _, wanted) in &table {
        let mut ids = receiver.ids_at(name);
        ids.sort_unstable();
        assert_eq!(ids, *wanted, "{name}");
        for id in 1..=6 {
            let outcome = relay.decision(id, name)["outcome"].clone();
            let expected = if wanted.contains(&id) { "delivered" } else { "skipped_filter" };
            assert_eq!(outcome, expected, "{name}: event {id}");
        }
    }
}

#[test]
fn a_member_gets_only_its_own_events() {
    let receiver = Receiver::start();
    let users = "[user.ana]\nid = 100\nrole = \"admin\"\n\n[user.ben]\nid = 200\nrole = \"member\"\n";
    let tables = [
        users.to_owned(),
        receiver.table("of-ana") + "user = \"ana\"\n",
        receiver.table("of-ben") + "user = \"ben\"\n",
    ];
    let relay = Relay::start(&tables.concat());
    relay.send(&event("time_entry.created", 1).by(100));
    relay.send(&event("time_entry.created", 2).by(200));
    // Whose a time entry is, is said by its payload, not by who changed it.
    relay.send(&event("time_entry.updated", 3).by(100).with("uid", 200).with("user_id", 200));
    receiver.wait_for_at("of-ana", 3);
    receiver.wait_for_at("of-ben", 1);
    relay.wait_for_outcome(2, "of-ben", "delivered");
    let skipped = relay.decision(1, "of-ben");
    assert_eq!(skipped["outcome"], "skipped_rights");
    assert!(skipped["reason"].as_str().unwrap().contains("user 200"), "{skipped}");
}

#[test]
fn the_match_plugin_decides_by_the_payload() {
    let receiver = Receiver::start();
    let plugin = format!("[plugin.match]\npath = \"{}\"\n", crate::transforms::shipped("match"));
    let filtered = |name: &str, config: &str| {
        receiver.table(name) + &format!("filter = [{{ plugin = \"match\", config = {config} }}]\n")
    };
    let tables = [
        plugin,
        filtered("billable", r#"{ "payload.billable" = true }"#),
        filtered("long", r#"{ "payload.duration" = { gte = 3600 } }"#),
        filtered("tagged", r#"{ "payload.tags" = { contains = "call" } }"#),
        filtered("both", r#"{ "payload.billable" = true, "payload.duration" = { lt = 3600 } }"#),
        filtered("named", r#"{ "payload.description" = { starts_with = "client" } }"#),
        filtered("one-of", r#"{ "metadata.model" = { in = ["time_entry", "task"] } }"#),
        filtered("without", r#"{ "payload.project_id" = { exists = false } }"#),
    ];
    let relay = Relay::start(&tables.concat());
    let entry = |id, billable: bool, duration: i64, tag: &str, description: &str| {
        let made =
            event("time_entry.created", id).of(id).with("billable", billable).with("duration", duration);
        made.with("tags", Value::from(vec![tag])).with("description", description)
    };
    relay.send(&entry(1, true, 7200, "call", "client call"));
    relay.send(&entry(2, true, 60, "mail", "mail"));
    relay.send(&entry(3, false, 3600, "call", "client review").with("project_id", 5));
    let wanted: [(&str, &[i64]); 7] = [
        ("billable", &[1, 2]),
        ("long", &[1, 3]),
        ("tagged", &[1, 3]),
        ("both", &[2]),
        ("named", &[1, 3]),
        ("one-of", &[1, 2, 3]),
        ("without", &[1, 2]),
    ];
    for (name, ids) in wanted {
        for id in 1..=3 {
            let outcome = if ids.contains(&id) { "delivered" } else { "skipped_plugin" };
            let decision = relay.wait_for_outcome(id, name, outcome);
            if outcome == "skipped_plugin" {
                assert!(decision["reason"].as_str().unwrap().contains("payload."), "{name}: {decision}");
            }
        }
        let mut arrived = receiver.ids_at(name);
        arrived.sort_unstable();
        assert_eq!(arrived, ids, "{name}");
    }
}
