//! What is answered 202 is kept; what is refused changes nothing and says which field.

use serde_json::{Value, json};

use crate::harness::event::ndjson;
use crate::harness::{Receiver, Relay, Reply, Sender, event, vectors};

fn relay() -> Relay {
    Relay::start("")
}

fn post(relay: &Relay, body: &[u8]) -> Reply {
    Sender::unix(relay).post("/events", "application/json", body)
}

#[test]
fn one_event_an_array_and_lines_are_taken() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let reply = post(&relay, event("tag.created", 11).json().as_bytes());
    let wanted = json!({ "events": [{ "event_id": 11, "duplicate": false, "subscriptions": ["all"] }] });
    assert_eq!((reply.status, reply.json()), (202, wanted));

    let array = format!("[{},\n {}]", event("tag.created", 12).json(), event("tag.created", 13).json());
    assert_eq!(post(&relay, array.as_bytes()).status, 202);
    let lines = ndjson(&[event("tag.created", 14), event("tag.created", 15)]);
    let reply = Sender::tcp(&relay).post("/events", "application/x-ndjson", lines.as_bytes());
    assert_eq!((reply.status, ids(&reply)), (202, vec![14, 15]));
    assert_eq!(receiver.wait_for(5).len(), 5);
    assert_eq!(receiver.ids_at("all"), [11, 12, 13, 14, 15]);
}

#[test]
fn what_is_missing_is_filled_in() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let bare = r#"{"metadata":{"model":"tag","action":"created","event_user_id":"7"},"payload":{"id":3}}"#;
    let reply = post(&relay, bare.as_bytes());
    assert_eq!(reply.status, 202, "{}", reply.text());
    let made = ids(&reply)[0];
    assert!(made >= 4_000_000_000_000_000_000, "{made}");
    let body = receiver.wait_for(1)[0].json();
    assert_eq!((body["event_id"].as_i64(), body["creator_id"].as_i64()), (Some(made), Some(7)));
    let created_at = body["created_at"].as_str().unwrap();
    assert!(created_at.ends_with('Z') && created_at.parse::<jiff::Timestamp>().is_ok(), "{created_at}");
    let next = ids(&post(&relay, bare.as_bytes()))[0];
    assert!(next > made, "{next} after {made}");
}

#[test]
fn what_was_acknowledged_survives_at_once() {
    let receiver = Receiver::start();
    receiver.stop();
    let mut relay = Relay::start(&(receiver.table("all") + "when_unreachable = \"wait\"\n"));
    let mut sender = Sender::unix(&relay);
    let batch: Vec<_> = (1001..1101).map(|id| event("tag.updated", id).of(id % 7)).collect();
    sender.send_all(&batch);
    relay.kill9();
    receiver.start_again();
    relay.start_again();
    receiver.wait_for(100);
    let mut ids = receiver.ids_at("all");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, (1001..1101).collect::<Vec<_>>());
}

#[test]
fn the_same_event_twice_is_delivered_once() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("all"));
    let first = event("tag.created", 21);
    assert_eq!(relay.send(&first)["events"][0]["duplicate"], false);
    let again = relay.send(&first.clone().with("name", "another"));
    assert_eq!(again["events"][0], json!({ "event_id": 21, "duplicate": true, "subscriptions": ["all"] }));
    let batch = relay.send_all(&[event("tag.created", 22), event("tag.created", 22)]);
    let duplicates: Vec<_> = batch["events"].as_array().unwrap().iter().map(|e| &e["duplicate"]).collect();
    assert_eq!(duplicates, [false, true]);
    relay.restart();
    assert_eq!(relay.send(&first)["events"][0]["duplicate"], true);
    relay.send(&event("tag.created", 23));
    receiver.wait_for(3);
    assert_eq!(receiver.ids_at("all"), [21, 22, 23]);
    assert!(receiver.events()[0].json()["payload"].get("name").is_none(), "the first bytes win");
}

/// Every kind of bad input: the status, and a word that its text must hold.
#[test]
fn bad_input_is_refused_with_the_field_named() {
    let relay = relay();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&event("tag.created", 31).json()).unwrap();
        change(&mut value);
        value.to_string()
    };
    let deep = format!("{{\"metadata\":{}1{}}}", "[".repeat(80), "]".repeat(80));
    let table: Vec<(String, u16, &str)> = vec![
        (String::new(), 400, ""),
        ("{".into(), 400, "JSON"),
        ("7".into(), 400, ""),
        ("{}".into(), 400, "metadata"),
        (with(&|v| v["metadata"]["model"] = json!("time_entri")), 400, "did you mean `time_entry`"),
        (with(&|v| v["metadata"]["action"] = json!("deletd")), 400, "metadata.action"),
        (with(&|v| drop(v["metadata"].as_object_mut().unwrap().remove("model"))), 400, "metadata.model"),
        (with(&|v| v["metadata"] = json!([])), 400, "metadata"),
        (with(&|v| drop(v.as_object_mut().unwrap().remove("payload"))), 400, "payload"),
        (with(&|v| v["payload"] = json!("ping")), 400, "payload"),
        (with(&|v| v["event_id"] = json!(0)), 400, "event_id"),
        (with(&|v| v["event_id"] = json!(-5)), 400, "event_id"),
        (with(&|v| v["event_id"] = json!(1.5)), 400, "event_id"),
        (with(&|v| v["event_id"] = json!("31")), 400, "event_id"),
        (with(&|v| v["created_at"] = json!("yesterday")), 400, "created_at"),
        (with(&|v| v["creator_id"] = json!("ana")), 400, "creator_id"),
        (deep, 400, "deep"),
    ];
    for (body, status, word) in &table {
        let reply = post(&relay, body.as_bytes());
        let said = reply.refusal();
        assert_eq!(reply.status, *status, "{body}: {said}");
        assert!(said.contains(word), "{body}: `{said}` should hold `{word}`");
        assert!(!said.is_empty(), "{body}");
    }
    let mut not_text = event("tag.created", 31).with("name", "x").json().into_bytes();
    let at = not_text.iter().position(|byte| *byte == b'x').unwrap();
    not_text[at] = 0xff;
    assert_eq!(post(&relay, &not_text).status, 400);
    assert_eq!(relay.get("/api/why/31").status, 404, "nothing of it was kept");
}

#[test]
fn a_batch_with_one_bad_event_is_refused_whole() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let bad = event("tag.created", 42).json().replace("\"tag\"", "\"tga\"");
    let lines = [event("tag.created", 41).json(), bad.clone(), event("tag.created", 43).json()];
    let reply = post(&relay, format!("[{}]", lines.join(",")).as_bytes());
    let said = reply.refusal();
    assert_eq!(reply.status, 400, "{said}");
    assert!(said.contains("tga") && said.contains('1'), "names the event: {said}");
    let reply = Sender::unix(&relay).post("/events", "application/x-ndjson", lines.join("\n").as_bytes());
    let said = reply.refusal();
    assert_eq!(reply.status, 400, "{said}");
    assert!(said.contains("line 2"), "{said}");
    for id in [41, 42, 43] {
        assert_eq!(relay.get(&format!("/api/why/{id}")).status, 404, "{id}");
    }
    relay.send(&event("tag.created", 44));
    receiver.wait_for(1);
    assert_eq!(receiver.ids_at("all"), [44]);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let relay = relay();
    let large = event("tag.created", 51).with("name", "x".repeat(1 << 20)).json();
    let reply = post(&relay, large.as_bytes());
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert!(reply.refusal().contains("max_body"), "{}", reply.text());
    let fits = event("tag.created", 52).with("name", "x".repeat(900 << 10));
    relay.send(&fits);

    // Without a length, the limit holds all the same.
    let mut sender = Sender::tcp(&relay);
    let host = relay.tcp();
    let head = format!("POST /events HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
    sender.write((head + "transfer-encoding: chunked\r\n\r\n").as_bytes());
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..17 {
        sender.write(chunk.as_bytes());
    }
    sender.write(b"0\r\n\r\n");
    let reply = sender.answer().unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());
}

#[test]
fn a_smaller_limit_is_said_in_the_config() {
    let mut relay = Relay::prepare("");
    relay.save_whole("[listen]\ntcp = \"127.0.0.1:0\"\nmax_body = \"2KiB\"\n");
    relay.start_again();
    assert_eq!(
        post(&relay, event("tag.created", 61).with("name", "x".repeat(3000)).json().as_bytes()).status,
        413
    );
    assert_eq!(post(&relay, event("tag.created", 61).json().as_bytes()).status, 202);
}

#[test]
fn every_recorded_body_of_track_is_taken() {
    let relay = relay();
    for (name, body) in vectors::events() {
        let reply = post(&relay, &body);
        assert_eq!(reply.status, 202, "{name}: {}", reply.text());
    }
}

#[test]
fn many_senders_at_once_are_all_answered() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let relay = &relay;
            scope.spawn(move || {
                let mut connection = if sender % 2 == 0 { Sender::tcp(relay) } else { Sender::unix(relay) };
                for id in 0..25 {
                    connection.send(&event("tag.updated", 1000 + sender * 100 + id).of(sender));
                }
            });
        }
    });
    receiver.wait_for(200);
    let mut ids = receiver.ids_at("all");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200, "each once");
}

fn ids(reply: &Reply) -> Vec<i64> {
    let reply = reply.json();
    reply["events"].as_array().unwrap().iter().map(|event| event["event_id"].as_i64().unwrap()).collect()
}
