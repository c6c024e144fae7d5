//! Track's own deliveries are taken as they are once their signature is proven, and what is
//! not proven leaves nothing behind.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::receiver::signature;
use crate::harness::relay::output;
use crate::harness::{Event, Receiver, Relay, Reply, SECRET, Sender, event, vectors};

/// A `[source.NAME]` table.
fn source(name: &str, secret: &str) -> String {
    format!("\n[source.{name}]\nsecret = \"{secret}\"\n")
}

fn deliver(relay: &Relay, event: &Event) -> Reply {
    Sender::tcp(relay).deliver("track", SECRET, event.json().as_bytes())
}

fn seen(relay: &Relay, name: &str) -> Value {
    let status = relay.status();
    let sources = status["sources"].as_array().expect("a list of sources");
    sources.iter().find(|source| source["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn every_published_and_observed_event_is_taken_and_sent_on_as_ours() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("all") + &source("track", SECRET)));
    let mut sender = Sender::tcp(&relay);
    let events = vectors::events();
    for (name, body) in &events {
        let reply = sender.deliver("track", SECRET, body);
        let id = serde_json::from_slice::<Value>(body).unwrap()["event_id"].clone();
        assert_eq!(
            (reply.status, reply.json()),
            (200, json!({ "event_id": id, "duplicate": false })),
            "{name}"
        );
    }
    for request in receiver.wait_for(events.len()) {
        let (sent, text) = (request.json(), request.text());
        let (name, body) =
            events.iter().find(|(_, body)| holds(body, &sent["event_id"])).expect("an event that came in");
        let body = String::from_utf8_lossy(body);
        // From `created_at` to the end of the payload Track's bytes, then our own subscription.
        let (head, _) = body.split_once(",\"subscription_id\":").unwrap();
        assert!(text.starts_with(head), "{name}: {text}");
        assert_eq!(sent["url_callback"], receiver.url("all"), "{name}");
        assert_ne!(sent["subscription_id"], 20011, "{name}");
        assert!(!body.contains(sent["timestamp"].as_str().unwrap()), "{name}: {text}");
    }
    let seen = seen(&relay, "track");
    assert_eq!((&seen["events"], &seen["path"]), (&json!(30), &json!("/track/track")));
    assert!(seen["last_event_at"].is_string() && seen["last_refusal"].is_null(), "{seen}");
}

fn holds(body: &[u8], id: &Value) -> bool {
    serde_json::from_slice::<Value>(body).unwrap()["event_id"] == *id
}

#[test]
fn every_ping_is_answered_with_its_code() {
    let relay = Relay::start(&source("track", SECRET));
    let mut sender = Sender::tcp(&relay);
    let pings = vectors::pings();
    for (name, body) in &pings {
        let reply = sender.deliver("track", SECRET, body);
        let code = serde_json::from_slice::<Value>(body).unwrap()["validation_code"].clone();
        let wanted = if code.is_null() { json!({}) } else { json!({ "validation_code": code }) };
        assert_eq!((reply.status, reply.json()), (200, wanted), "{name}");
    }
    assert!(seen(&relay, "track")["last_ping_at"].is_string());
    let (_, asks) = pings.iter().find(|(name, _)| name == "ping-not-validated.json").unwrap();
    let forged = sender.deliver("track", "another", asks);
    assert_eq!(forged.status, 401);
    assert!(!forged.text().contains("0123456789abcdef"), "no code without a signature: {}", forged.text());
    let strange = String::from_utf8_lossy(asks).replace("\"0123456789abcdef0123456789abcdef\"", "7");
    let strange = sender.deliver("track", SECRET, strange.as_bytes());
    assert_eq!(
        (strange.status, strange.refusal()),
        (400, "`validation_code`: must be text, found a number".into())
    );
    assert_eq!(sender.post("/events", "application/json", asks).status, 400, "elsewhere it is no event");
}

#[test]
fn the_vectors_of_signatures_decide() {
    let right = vectors::signed("signing.json");
    let wrong = vectors::signed("signing-negative.json");
    let mut secrets: Vec<&str> = right.iter().chain(&wrong).map(|vector| vector.secret.as_str()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    let name = |secret: &str| format!("s{}", secrets.iter().position(|known| *known == secret).unwrap());
    let relay = Relay::start(&secrets.iter().map(|secret| source(&name(secret), secret)).collect::<String>());
    let mut sender = Sender::tcp(&relay);
    let mut post = |vector: &vectors::Signed| {
        let headers = [("x-webhook-signature-256", vector.signature.as_str())];
        sender.request("POST", &format!("/track/{}", name(&vector.secret)), &headers, &vector.body)
    };
    assert!(right.len() >= 12 && wrong.len() >= 9, "{} and {}", right.len(), wrong.len());
    for vector in &right {
        // Proven to be Track's, an empty body is still no event.
        let wanted = if vector.body.is_empty() { 400 } else { 200 };
        let reply = post(vector);
        assert_eq!(reply.status, wanted, "{}: {}", vector.name, reply.text());
    }
    for vector in &wrong {
        assert_eq!(post(vector).status, 401, "{}", vector.name);
    }
}

#[test]
fn what_is_not_proven_stores_nothing_and_says_what_to_look_at() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("all") + &source("track", SECRET)));
    let body = event("tag.created", 7).json();
    let right = signature(SECRET, body.as_bytes());
    let spaced = format!("{} ", signature(SECRET, b"{}"));
    let (upper, bare) = (right.to_uppercase().replace("SHA", "sha"), right.replace("sha256=", ""));
    let other = signature("another", body.as_bytes());
    let newline = signature(&format!("{SECRET}\n"), body.as_bytes());
    let header = "X-Webhook-Signature-256";
    let table: [(&[(&str, &str)], &str); 8] = [
        (&[], "is missing"),
        (&[(header, "")], "sha256="),
        (&[(header, &upper)], "lower case"),
        (&[(header, &bare)], "sha256="),
        (&[(header, &right), (header, &right)], "once"),
        (&[(header, &other)], "does not match"),
        (&[(header, &newline)], "does not match"),
        (&[(header, &spaced)], "does not match"),
    ];
    let mut sender = Sender::tcp(&relay);
    for (headers, word) in table {
        let reply = sender.request("POST", "/track/track", headers, body.as_bytes());
        let said = reply.refusal();
        assert_eq!(reply.status, 401, "{headers:?}: {said}");
        assert!(said.contains(word), "{headers:?}: {said}");
        assert!(!said.contains(SECRET) && !said.contains(&right[7..]), "{said}");
    }
    let reserialised = serde_json::from_str::<Value>(&body).unwrap();
    let reserialised = serde_json::to_string_pretty(&reserialised).unwrap();
    let headers = [("x-webhook-signature-256", right.as_str())];
    assert_eq!(sender.request("POST", "/track/track", &headers, reserialised.as_bytes()).status, 401);
    assert_eq!(relay.get("/api/why/7").status, 404);

    let seen = seen(&relay, "track");
    assert_eq!((&seen["refused"], &seen["events"]), (&json!(9), &json!(0)));
    assert_eq!(seen["last_refusal"]["reason"], "signature");
    let refused = "trackrelay_source_refused_total{source=\"track\",reason=\"signature\"}";
    assert_eq!(relay.metric(refused), Some(9.0));
    let told = relay.cli(&["status"]);
    assert!(told.stdout.contains("last refused") && told.stdout.contains("does not match"), "{told:?}");
    let doctor = relay.cli(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(doctor.stdout.contains("warning sources: `track` refused what came last"), "{doctor:?}");
    let log = relay.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN delivery refused")).collect();
    assert_eq!(lines.len(), 1, "strangers do not fill the log: {lines:#?}");
    assert!(lines[0].contains("trackrelay verify FILE --secret … --signature …"), "{}", lines[0]);

    assert_eq!(deliver(&relay, &event("tag.created", 7)).status, 200);
    receiver.wait_for(1);
}

/// A tunnel sends its own `Host`, a browser somebody's `Origin`; neither proves anything.
#[test]
fn the_signature_alone_is_the_guard() {
    let relay = Relay::start(&source("track", SECRET));
    let mut sender = Sender::tcp(&relay);
    let mut post = |id: i64, headers: &[(&str, &str)]| {
        let body = event("tag.created", id).json();
        let signature = signature(SECRET, body.as_bytes());
        let headers = [headers, &[("x-webhook-signature-256", signature.as_str())]].concat();
        sender.request("POST", "/track/track", &headers, body.as_bytes()).status
    };
    let elsewhere = [("host", "abc.tunnel.example"), ("origin", "https://evil.example")];
    assert_eq!(post(1, &elsewhere), 200);
    assert_eq!(post(2, &[]), 200, "without a content type");
    assert_eq!(post(3, &[("content-type", "text/plain; charset=utf-8")]), 200);
    assert_eq!(post(4, &[("content-encoding", "gzip")]), 415);
    assert_eq!(
        Sender::unix(&relay).deliver("track", SECRET, event("tag.created", 5).json().as_bytes()).status,
        200
    );
    let got = sender.get("/track/track");
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));

    let lost = sender.deliver("trak", SECRET, event("tag.created", 6).json().as_bytes());
    assert_eq!((lost.status, lost.refusal()), (404, "no source of this name is in the config".into()));
    assert!(relay.log().contains("`/track/track`"), "the log knows which may have been meant");
    for path in ["/track", "/track/", "/track/track/", "/track/tr%61ck", "/track/a/b"] {
        assert_eq!(sender.post(path, "application/json", b"{}").status, 404, "{path}");
    }
}

#[test]
fn the_bounds_of_events_hold() {
    let relay = Relay::start(&source("track", SECRET));
    let mut sender = Sender::tcp(&relay);
    let mut post = |body: &str| {
        let reply = sender.deliver("track", SECRET, body.as_bytes());
        (reply.status, reply.refusal())
    };
    let deep = event("tag.created", 1).with("name", 0).json();
    let deep = deep.replace("\"name\":0", &format!("\"name\":{}{}", "[".repeat(80), "]".repeat(80)));
    let one = event("tag.created", 2).json();
    let table = [
        (deep, 400, "nested deeper"),
        (event("tag.created", 3).with("name", "x".repeat(1 << 20)).json(), 413, "max_body"),
        (format!("[{one}]"), 400, "must be an object, found an array"),
        (format!("{one}\n{one}"), 400, "not JSON"),
        (one.replace("\"tag\"", "\"tga\""), 400, "did you mean `tag`"),
        (one.replace("\"event_id\":2", "\"event_id\":-2"), 400, "event_id"),
    ];
    for (body, status, word) in table {
        let (found, said) = post(&body);
        assert_eq!(found, status, "{said}");
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(relay.get("/api/why/2").status, 404);
    let refusal = seen(&relay, "track")["last_refusal"].clone();
    assert_eq!(refusal["reason"], "bad_id", "{refusal}");
}

#[test]
fn a_duplicate_is_delivered_once_whichever_way_it_comes() {
    let receiver = Receiver::start();
    let tables = receiver.table("all") + &source("track", SECRET) + &source("second", "of the second");
    let mut relay = Relay::start(&tables);
    let first = event("time_entry.updated", 21);
    assert_eq!(deliver(&relay, &first).json()["duplicate"], false);
    // The envelope of another upstream subscription, and a retry's later `timestamp`.
    let again =
        first.json().replacen('{', "{\"subscription_id\":20012,\"timestamp\":\"2026-01-01T00:00:00Z\",", 1);
    assert_eq!(Sender::tcp(&relay).deliver("track", SECRET, again.as_bytes()).json()["duplicate"], true);
    let second = Sender::tcp(&relay).deliver("second", "of the second", again.as_bytes());
    assert_eq!((second.status, second.json()["duplicate"].clone()), (200, json!(true)));
    assert_eq!(relay.send(&first)["events"][0]["duplicate"], true);
    relay.send(&event("tag.created", 22));
    assert_eq!(deliver(&relay, &event("tag.created", 22)).json()["duplicate"], true);
    receiver.wait_for(2);
    relay.restart();
    assert_eq!(deliver(&relay, &first).json()["duplicate"], true);
    deliver(&relay, &event("tag.created", 23));
    receiver.wait_for(3);
    let mut ids = receiver.ids_at("all");
    ids.sort_unstable();
    assert_eq!(ids, [21, 22, 23]);
}

#[test]
fn what_was_answered_200_survives_at_once() {
    let receiver = Receiver::start();
    receiver.stop();
    let table = receiver.table("all") + "when_unreachable = \"wait\"\n" + &source("track", SECRET);
    let mut relay = Relay::start(&table);
    let mut sender = Sender::tcp(&relay);
    for id in 101..131 {
        let body = event("tag.updated", id).of(id % 7).json();
        assert_eq!(sender.deliver("track", SECRET, body.as_bytes()).status, 200);
    }
    relay.kill9();
    receiver.start_again();
    relay.start_again();
    receiver.wait_for(30);
    let mut ids = receiver.ids_at("all");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, (101..131).collect::<Vec<_>>());
}

#[test]
fn a_source_comes_changes_and_goes_without_a_restart() {
    let relay = Relay::start("");
    let status = |id: i64, secret: &str| {
        Sender::tcp(&relay).deliver("track", secret, event("tag.created", id).json().as_bytes()).status
    };
    let save = |tables: &str| {
        relay.save(tables);
        assert_eq!(relay.cli(&["reload"]).code, 0);
    };
    assert_eq!(status(1, SECRET), 404);
    save(&source("track", SECRET));
    assert_eq!((status(1, SECRET), status(2, "another")), (200, 401));
    save(&source("track", "another"));
    assert_eq!((status(3, SECRET), status(4, "another")), (401, 200));
    std::fs::write(relay.path("of-track"), "from a file\n").unwrap();
    save("\n[source.track]\nsecret = { file = \"of-track\" }\n");
    assert_eq!((status(5, "another"), status(5, "from a file")), (401, 200));
    std::fs::write(relay.path("of-track"), "rotated\n").unwrap();
    assert_eq!(relay.cli(&["reload"]).code, 0);
    assert_eq!((status(6, "from a file"), status(6, "rotated")), (401, 200));
    save("");
    assert_eq!(status(7, "rotated"), 404);
    assert_eq!(relay.status()["sources"], json!([]));
    for (what, times) in [("added", 1), ("changed", 3), ("removed", 1)] {
        let said = format!("config in force: source `track` {what}");
        assert_eq!(relay.log().matches(&said).count(), times, "{what}: {}", relay.log());
    }
}

/// Another relay stands in for Track: it validates us, signs, and tries again what it heard
/// no answer to. What it delivers goes on from here, once.
#[test]
fn another_relay_delivers_as_track_does() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("all") + &source("track", SECRET)));
    let waits = vec!["\"100ms\""; 50].join(", ");
    let track = Relay::start(&format!(
        "\n[subscription.upstream]\nurl_callback = \"http://{}/track/track\"\nevent_filters = [\"*.*\"]\n\
         secret = \"{SECRET}\"\ntimeout = \"300ms\"\nretry = [{waits}]\ndisable_after = 1000\n",
        relay.tcp()
    ));
    track.wait_for("upstream", "is validated by the answer to its PING", |it| it["validated_at"].is_string());
    let events = |ids: std::ops::Range<i64>| ids.map(|id| event("tag.updated", id)).collect::<Vec<_>>();
    track.send_all(&events(1..11));
    receiver.wait_for(10);
    // What it was sent while it stood still it may take afterwards, when nobody hears the answer.
    relay.signal(Signal::STOP);
    track.send_all(&events(11..21));
    track.wait_for("upstream", "hears nothing", |it| it["failed_attempts"].as_u64() > Some(1));
    relay.signal(Signal::CONT);
    track.wait_for("upstream", "has delivered everything", |it| it["delivered"] == 20 && it["pending"] == 0);
    receiver.wait_for(20);
    assert_eq!(receiver.ids_at("all"), (1..21).collect::<Vec<_>>());
}

/// The command that `upstream plan` prints, pasted into a shell, with this machine in the
/// places of Track and of the tunnel.
#[test]
fn the_command_of_the_plan_makes_the_subscription_that_feeds_us() {
    let receiver = Receiver::start();
    let wanted = r#"["tag.*", "time_entry.created"]"#;
    let relay = Relay::start(&(receiver.table_for("all", wanted) + &source("track", SECRET)));
    let track = Relay::start("\n[user.ana]\nid = 5300029\nrole = \"admin\"\napi_token = \"of-ana\"\n");
    let plan = relay.cli(&["upstream", "plan", "--json"]).json();
    let line =
        plan["curl"].as_str().unwrap().replace("https://YOUR-TUNNEL", &format!("http://{}", relay.tcp()));
    let line = line.replace("https://api.track.toggl.com", &format!("http://{}", track.tcp()));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("TRACK_SECRET", SECRET).env("TRACK_API_TOKEN", "of-ana");
    let made = output(shell, "");
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.json()["validated_at"].is_string(), "{made:?}");
    for (kind, id) in [("tag.created", 1), ("client.created", 2), ("time_entry.created", 3)] {
        track.send(&event(kind, id));
    }
    receiver.wait_for(2);
    track.wait_for("trackrelay", "has delivered", |it| it["delivered"] == 2 && it["pending"] == 0);
    assert_eq!(seen(&relay, "track")["events"], 2, "nothing was asked for that nobody wants");
}
