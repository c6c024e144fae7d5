//! Everything that leaves is signed as Track signs, over the bytes sent. Every request any
//! test receives is checked for that (`harness/receiver.rs`); here is what is left.

use crate::harness::receiver::signature;
use crate::harness::{Answer, ENVELOPE_KEYS, Receiver, Relay, SECRET, event, vectors};

#[test]
fn our_own_check_agrees_with_the_published_vectors() {
    let right = vectors::signed("signing.json");
    assert!(right.len() >= 8, "found {}", right.len());
    for vector in right {
        assert_eq!(signature(&vector.secret, &vector.body), vector.signature, "{}", vector.name);
    }
    let wrong = vectors::signed("signing-negative.json");
    assert!(wrong.len() >= 8, "found {}", wrong.len());
    for vector in wrong {
        assert_ne!(signature(&vector.secret, &vector.body), vector.signature, "{}", vector.name);
    }
}

#[test]
fn pings_are_signed_and_shaped_as_tracks() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let output = relay.cli(&["test", "all"]);
    assert_eq!(output.code, 0, "{output:?}");
    let ping = receiver.wait_for_pings(1).pop().unwrap();
    assert!(ping.signed);
    let body = ping.json();
    let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ENVELOPE_KEYS);
    assert_eq!(body["event_id"], 0);
    assert_eq!(body["created_at"], body["timestamp"]);
    assert!(ping.text().contains(r#""metadata":{"request_type":"POST","event_user_id":"#), "{}", ping.text());
    assert!(body["metadata"]["event_user_id"].is_i64());
}

#[test]
fn each_attempt_is_signed_anew() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before == 0 { 500 } else { 200 }));
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"20ms\"]\n"));
    relay.send(&event("tag.created", 5));
    let attempts = receiver.wait_for(2);
    let header = |n: usize| attempts[n].header("x-webhook-signature-256").unwrap().to_owned();
    assert_ne!(attempts[0].json()["timestamp"], attempts[1].json()["timestamp"]);
    assert_ne!(header(0), header(1));
}

#[test]
fn secrets_come_as_text_from_files_and_from_the_environment() {
    let receiver = Receiver::start();
    for secret in ["from-a-file", "from the environment", "größer"] {
        receiver.trust(secret);
    }
    let table = |name: &str, secret: &str| receiver.table(name).replace(&format!("\"{SECRET}\""), secret);
    let tables = [
        table("file", "{ file = \"the-secret\" }"),
        table("environment", "{ env = \"THE_SECRET\" }"),
        table("text", "\"größer\""),
    ];
    let mut relay = Relay::prepare(&tables.concat());
    std::fs::write(relay.path("the-secret"), "from-a-file\n").unwrap();
    relay.set_env("THE_SECRET", "from the environment");
    relay.start_again();
    relay.send(&event("tag.created", 6));
    receiver.wait_for(3);
}

#[test]
fn a_secret_is_made_where_none_is_said_and_kept() {
    let receiver = Receiver::start();
    let table = receiver.table("all").replace(&format!("secret = \"{SECRET}\"\n"), "");
    let mut relay = Relay::start(&table);
    let shown = relay.cli(&["secret", "show", "all"]);
    let secret = shown.stdout.trim().to_owned();
    assert!(shown.code == 0 && secret.len() >= 20, "{shown:?}");
    receiver.trust(&secret);
    relay.send(&event("tag.created", 7));
    receiver.wait_for(1);
    relay.restart();
    assert_eq!(relay.cli(&["secret", "show", "all"]).stdout.trim(), secret);
    relay.send(&event("tag.created", 8));
    receiver.wait_for(2);
    assert!(!relay.log().contains(&secret), "the log shows the made secret");
}
