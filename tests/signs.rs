//! Everything that leaves is signed as Track signs, over the bytes sent. Every request any
//! test receives is checked for that (`harness/receiver.rs`); here is what is left.

use std::collections::HashSet;

use crate::harness::receiver::{Request, signature};
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
fn standard_webhooks_headers_stand_beside_tracks() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before == 0 { 500 } else { 200 }));
    let table =
        receiver.table("all") + "retry = [\"1100ms\"]\nsignatures = [\"track\", \"standard-webhooks\"]\n";
    let relay = Relay::start(&table);
    relay.send(&event("tag.created", 5));
    let mut attempts = receiver.wait_for(2);
    assert_eq!(relay.cli(&["replay", "5"]).code, 0);
    attempts.push(receiver.wait_for(3).pop().unwrap());
    for attempt in &attempts {
        assert!(attempt.signed, "{:?}", attempt.headers);
        assert!(
            attempt.header("x-webhook-signature-256").is_some()
                && attempt.header("webhook-signature").is_some()
        );
        assert_eq!(attempt.header("webhook-id"), Some("5"), "the same over retries and replays");
        let moment = attempt.json()["timestamp"].as_str().map(second_of);
        assert_eq!(attempt.header("webhook-timestamp"), moment.as_deref());
    }
    let seconds = attempts.iter().map(|attempt| attempt.header("webhook-timestamp")).collect::<Vec<_>>();
    assert_ne!(seconds[0], seconds[1], "a fresh one for each attempt");
    let ids = |pings: Vec<Request>| -> HashSet<String> {
        pings.iter().filter_map(|ping| ping.header("webhook-id").map(str::to_owned)).collect()
    };
    relay.cli(&["test", "all"]);
    relay.cli(&["test", "all"]);
    assert_eq!(ids(receiver.wait_for_pings(2)).len(), 2, "no two PINGs are the same message");
}

#[test]
fn a_secret_may_be_the_base64_of_a_key() {
    let receiver = Receiver::start();
    receiver.trust("whsec_c2VjcmV0");
    let table = |name: &str, signatures: &str| {
        let table = receiver.table(name).replace(SECRET, "whsec_c2VjcmV0");
        format!("{table}signatures = {signatures}\n")
    };
    let both = table("both", r#"["track", "standard-webhooks"]"#);
    let relay = Relay::start(&(both + &table("one", r#"["standard-webhooks"]"#)));
    relay.send(&event("tag.created", 7));
    for name in ["both", "one"] {
        let request = receiver.wait_for_at(name, 1).pop().unwrap();
        assert!(request.signed, "{:?}", request.headers);
        assert!(request.header("webhook-signature").is_some());
        assert_eq!(request.header("x-webhook-signature-256").is_some(), name == "both");
    }
    relay.save(&table("both", r#"["standard-webhooks"]"#).replace("whsec_c2VjcmV0", "whsec_%"));
    let refused = relay.cli(&["check"]);
    assert_eq!(refused.code, 78);
    assert!(refused.stderr.contains("not base64"), "{refused:?}");
}

#[test]
fn verify_says_which_mistake_explains_a_wrong_signature() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    relay.send(&event("tag.created", 5));
    let request = receiver.wait_for(1).pop().unwrap();
    let claimed = request.header("x-webhook-signature-256").unwrap();
    let verify = |body: &[u8], secret: &str| {
        let file = relay.path("body");
        std::fs::write(&file, body).unwrap();
        relay.cli(&["verify", file.to_str().unwrap(), "--secret", secret, "--signature", claimed])
    };
    let right = verify(&request.body, SECRET);
    assert_eq!(right.code, 0, "{right:?}");
    assert!(right.stdout.contains("verified"), "{right:?}");
    let pretty = format!("{:#}\n", request.json());
    for (body, secret, said) in [
        (pretty.as_bytes(), SECRET, "before any parser sees them"),
        (&[&request.body[..], b"\n"].concat(), SECRET, "line break at its end"),
        (&request.body, &format!("{SECRET}\n"), "the secret was given with white space or a line break"),
        (&request.body, "another", "no usual mistake explains it"),
    ] {
        let wrong = verify(body, secret);
        assert_eq!(wrong.code, 1, "{wrong:?}");
        assert!(wrong.stderr.contains(said), "{said}: {wrong:?}");
        assert!(!wrong.stderr.contains(secret.trim()) || secret == "another", "{wrong:?}");
    }
}

fn second_of(timestamp: &str) -> String {
    timestamp.parse::<jiff::Timestamp>().unwrap().as_second().to_string()
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
