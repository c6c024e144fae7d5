//! In which form an event goes on: the shipped transforms, over the whole way.

use serde_json::Value;

use crate::harness::{Receiver, Relay, Sender, event, repository};

/// A plugin that comes with trackrelay.
pub fn shipped(name: &str) -> String {
    let path = repository(&format!("plugins/{name}.wasm")).canonicalize();
    path.unwrap_or_else(|error| panic!("plugins/{name}.wasm: {error}")).display().to_string()
}

fn plugin(name: &str) -> String {
    format!("[plugin.{name}]\npath = \"{}\"\n", shipped(name))
}

#[test]
fn slack_makes_a_message() {
    let receiver = Receiver::start();
    let using =
        "transform = [{ plugin = \"slack\", config = { channel = \"#time\", username = \"relay\" } }]\n";
    let relay = Relay::start(&(plugin("slack") + &receiver.table("slack") + using));
    relay.send(&event("time_entry.created", 1).with("description", "client \"call\""));
    let arrived = receiver.wait_for(1).pop().unwrap();
    let body = arrived.json();
    assert!(body["text"].as_str().unwrap().contains("client \"call\""), "{body}");
    assert_eq!((&body["channel"], &body["username"]), (&"#time".into(), &"relay".into()));
    assert!(arrived.header("content-type").unwrap().starts_with("application/json"));
    assert!(body.get("event_id").is_none(), "nothing of the envelope is left: {body}");
}

#[test]
fn redact_touches_only_what_it_is_told_to() {
    let receiver = Receiver::start();
    let using = "transform = [{ plugin = \"redact\", config = { drop = [\"payload.tags\"], \
                 hash = [\"payload.email\"], mask = [\"payload.description\"], salt = \"s\" } }]\n";
    let relay = Relay::start(&(plugin("redact") + &receiver.table("redacted") + using));
    let payload = concat!(
        r#"{"id":3,"tags":["x"],"big":12345678901234567890123,"#,
        r#""email":"a@b.example","rate":1.50,"description":"secret plan"}"#
    );
    let body = format!(
        r#"{{"event_id":5,"metadata":{{"model":"time_entry","action":"created"}},"payload":{payload}}}"#
    );
    assert_eq!(Sender::unix(&relay).post("/events", "application/json", body.as_bytes()).status, 202);
    let arrived = receiver.wait_for(1).pop().unwrap();
    let text = arrived.text();
    assert!(text.contains("\"big\":12345678901234567890123") && text.contains("\"rate\":1.50"), "{text}");
    for gone in ["tags", "a@b.example", "secret plan"] {
        assert!(!text.contains(gone), "`{gone}` is still there: {text}");
    }
    let payload = &arrived.json()["payload"];
    let hash = payload["email"].as_str().unwrap();
    let hex = hash.bytes().filter(u8::is_ascii_hexdigit).count();
    assert!(hex >= 32, "{hash}");
    assert!(payload["description"].is_string(), "masked, not dropped: {payload}");
}

#[test]
fn transforms_run_in_their_order() {
    let receiver = Receiver::start();
    let using = "transform = [\n  { plugin = \"redact\", config = { drop = [\"payload.description\"] } },\n  \
                 { plugin = \"slack\", config = { template = \"[{payload.description}] {metadata.action}\" } },\n]\n";
    let relay = Relay::start(&(plugin("redact") + &plugin("slack") + &receiver.table("both") + using));
    relay.send(&event("time_entry.created", 1).with("description", "private"));
    let body: Value = receiver.wait_for(1).pop().unwrap().json();
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("created") && !text.contains("private"), "{text}");
}
