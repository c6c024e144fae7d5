//! What arrives is Track's envelope: its keys in Track's order, metadata and payload byte
//! for byte as they came, a fresh timestamp, over connections that are kept.

use std::time::{Duration, Instant};

use hyper::Version;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::harness::tls::TlsReceiver;
use crate::harness::{Answer, ENVELOPE_KEYS, Receiver, Relay, Request, SECRET, Sender, event, vectors};

#[test]
fn every_recorded_event_arrives_as_tracks_envelope() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let before = trackrelay::clock::now();
    let mut sender = Sender::tcp(&relay);
    // Files of the same entity share ids, so each gets an id of its own.
    for (n, (name, body)) in vectors::events().into_iter().enumerate() {
        let sent = with_id(&body, 7_000 + i64::try_from(n).unwrap());
        let reply = sender.post("/events", "application/json", &sent);
        assert_eq!(reply.status, 202, "{name}: {}", reply.text());
        let arrived = receiver.wait_for(n + 1).pop().unwrap();
        check_envelope(&name, &sent, &arrived, &receiver.url("all"), before);
    }
    assert_eq!(receiver.events().len(), vectors::EVENTS);
}

fn check_envelope(name: &str, sent: &[u8], arrived: &Request, url: &str, before: jiff::Timestamp) {
    let body = arrived.text();
    let arrived_json = arrived.json();
    let keys: Vec<_> = arrived_json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ENVELOPE_KEYS, "{name}");
    let sent: &str = std::str::from_utf8(sent).unwrap();
    for key in ["event_id", "created_at", "creator_id", "metadata", "payload"] {
        assert_eq!(raw(&body, key), raw(sent, key), "{name}: `{key}` byte for byte");
    }
    let values: usize = ENVELOPE_KEYS.iter().map(|key| raw(&body, key).len() + key.len() + 4).sum();
    assert_eq!(body.len(), values + 1, "{name}: compact, without a line break at the end");
    assert_eq!(arrived_json["url_callback"], url, "{name}");
    let timestamp: jiff::Timestamp = arrived_json["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(timestamp >= before, "{name}: a fresh timestamp, not {timestamp}");
    assert_eq!(arrived.header("content-type"), Some("application/json"), "{name}");
    let agent = arrived.header("user-agent").unwrap_or_default();
    assert!(agent.starts_with("trackrelay/"), "{name}: {agent}");
    assert!(arrived.start.starts_with("POST "), "{name}");
}

#[test]
fn unusual_bytes_of_a_payload_stay() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let payload =
        r#"{"id":3 , "big":12345678901234567890123,"tiny":1.0e-7,"zero":-0.0,"a":"é😀\/","id2":[ ]}"#;
    let metadata = r#"{"model":"tag","action":"created","n":1.50}"#;
    let text = format!(r#"{{ "payload":{payload}, "metadata": {metadata}, "event_id":71, "extra":[1] }}"#);
    assert_eq!(Sender::unix(&relay).post("/events", "application/json", text.as_bytes()).status, 202);
    let arrived = receiver.wait_for(1).pop().unwrap();
    assert_eq!(raw(&arrived.text(), "payload"), payload);
    assert_eq!(raw(&arrived.text(), "metadata"), metadata);
    assert_eq!(arrived.json().get("extra"), None, "other keys of the input are not carried over");
}

#[test]
fn connections_are_kept() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("all") + "order = \"subscription\"\n"));
    let mut sender = Sender::unix(&relay);
    let batch: Vec<_> = (100..150).map(|id| event("tag.updated", id)).collect();
    sender.send_all(&batch);
    receiver.wait_for(50);
    assert_eq!(receiver.connections(), 1, "one at a time needs one connection");
}

#[test]
fn redirects_are_failures_and_not_followed() {
    let (receiver, elsewhere) = (Receiver::start(), Receiver::start());
    let target = elsewhere.url("stolen");
    receiver.answer(move |_, _| Answer::status(302).with_header("location", &target));
    let relay = Relay::start(&receiver.table("all"));
    relay.send(&event("tag.created", 81));
    relay.wait_for_status("all", "pending");
    let attempts = &relay.decision(81, "all")["attempts"];
    assert_eq!(attempts[0]["status"], 302);
    assert!(elsewhere.events().is_empty());
    let location = attempts[0]["error"].as_str().unwrap();
    assert!(location.contains("302") || location.contains("redirect"), "{location}");
}

#[test]
fn an_endless_answer_is_cut_off() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| if before == 0 { Answer::Endless } else { Answer::status(200) });
    let relay = Relay::start(&(receiver.table("all") + "timeout = \"20s\"\n"));
    let started = Instant::now();
    relay.send(&event("tag.created", 82));
    relay.send(&event("tag.created", 83));
    receiver.wait_for(2);
    assert!(started.elapsed() < Duration::from_secs(10), "well before the timeout");
    let poured = receiver.poured();
    assert!(poured < 16 << 20, "{poured} bytes: the buffers of the sockets and no more");
    relay.wait_for_outcome(83, "all", "delivered");
}

#[test]
fn an_answer_without_sense_is_a_failed_attempt() {
    let receiver = Receiver::start();
    let answers: [(&str, Answer); 6] = [
        ("nothing", Answer::Close),
        ("noise", Answer::Raw(b"\x16\x03\x01 what?\r\n\r\n".to_vec())),
        ("half-a-head", Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())),
        ("half-a-body", Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec())),
        (
            "two-lengths",
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec()),
        ),
        ("informational", Answer::Raw(b"HTTP/1.1 199 Hm\r\n\r\n".to_vec())),
    ];
    let tables: String = answers.iter().map(|(name, _)| receiver.table(name)).collect();
    let names: Vec<_> = answers.iter().map(|(name, _)| *name).collect();
    receiver.answer(move |request, _| {
        let asked = answers.iter().find(|(name, _)| request.path == format!("/{name}"));
        asked.expect("a path of this test").1.clone()
    });
    let relay = Relay::start(&tables);
    relay.send(&event("tag.created", 88));
    for name in names {
        relay.wait_for_status(name, "pending");
        let attempt = relay.decision(88, name)["attempts"][0].clone();
        assert!(attempt["error"].as_str().is_some_and(|error| !error.is_empty()), "{name}: {attempt}");
    }
}

#[test]
fn the_whole_exchange_fits_into_the_timeout() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| if before == 0 { Answer::Hang } else { Answer::status(200) });
    let relay = Relay::start(&(receiver.table("all") + "timeout = \"300ms\"\nretry = [\"50ms\"]\n"));
    relay.send(&event("tag.created", 84));
    let decision = relay.wait_for_outcome(84, "all", "delivered");
    let first = &decision["attempts"][0];
    assert!(first["error"].as_str().unwrap().contains("timeout"), "{first}");
    let ms = first["ms"].as_u64().unwrap();
    assert!((300..5_000).contains(&ms), "{ms} ms");
}

#[test]
fn headers_of_the_config_go_out() {
    let receiver = Receiver::start();
    let relay = Relay::start(
        &(receiver.table("all") + "headers = { x-env = \"dev\", authorization = \"Bearer t\" }\n"),
    );
    relay.send(&event("tag.created", 85));
    let arrived = receiver.wait_for(1).pop().unwrap();
    assert_eq!((arrived.header("x-env"), arrived.header("authorization")), (Some("dev"), Some("Bearer t")));
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let receiver = Receiver::start();
    let url = format!("http://localhost:{}/all", receiver.port());
    let relay = Relay::start(&receiver.table("all").replace(&receiver.url("all"), &url));
    relay.send(&event("tag.created", 86));
    let arrived = receiver.wait_for(1).pop().unwrap();
    assert_eq!(arrived.json()["url_callback"], url.as_str());
    assert_eq!(arrived.header("host"), Some(format!("localhost:{}", receiver.port()).as_str()));
}

#[test]
fn link_local_addresses_are_refused() {
    let url = |host: &str| format!("http://{host}/latest");
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"] {
        let receiver = Receiver::start();
        let relay = Relay::prepare(&receiver.table("all").replace(&receiver.url("all"), &url(host)));
        let check = relay.cli(&["check"]);
        assert_eq!(check.code, 78, "{host}: {check:?}");
        assert!(check.stderr.contains("url_callback"), "{host}: {check:?}");
    }
}

#[test]
fn https_goes_over_http2_where_it_is_offered() {
    let taken = deliver_over_tls(&["h2", "http/1.1"], true);
    assert!(taken.iter().all(|taken| taken.0 == Version::HTTP_2 && taken.1 == 0), "{taken:?}");
}

#[test]
fn https_goes_over_http1_else() {
    let taken = deliver_over_tls(&["http/1.1"], true);
    assert!(taken.iter().all(|taken| taken.0 == Version::HTTP_11 && taken.1 == 0), "{taken:?}");
}

#[test]
fn an_authority_nobody_trusts_is_refused() {
    assert!(deliver_over_tls(&["h2", "http/1.1"], false).is_empty());
}

/// Sends five events to an https endpoint, one after the other: version and connection of each.
fn deliver_over_tls(protocols: &[&str], trusted: bool) -> Vec<(Version, usize)> {
    let (receiver, other) = (TlsReceiver::start(protocols), TlsReceiver::start(protocols));
    let table = format!(
        "[subscription.secure]\nurl_callback = \"{}\"\nevent_filters = [\"*.*\"]\nsecret = \"{SECRET}\"\n\
         validation = \"off\"\norder = \"subscription\"\n",
        receiver.url()
    );
    let mut relay = Relay::prepare(&table);
    let authority = relay.path("authority.pem");
    if trusted {
        receiver.write_authority(&authority)
    } else {
        other.write_authority(&authority)
    }
    relay.set_env("SSL_CERT_FILE", authority.to_str().unwrap());
    relay.start_again();
    for id in 1..=5 {
        relay.send(&event("tag.created", 9_000 + id));
    }
    if !trusted {
        relay.wait_for_status("secure", "pending");
        let error = relay.decision(9_001, "secure")["attempts"][0]["error"].as_str().unwrap().to_owned();
        assert!(error.contains("certificate") || error.contains("TLS"), "{error}");
        return receiver.taken().iter().map(|taken| (taken.version, taken.connection)).collect();
    }
    let taken = receiver.wait_for(5);
    assert!(taken.iter().all(|taken| taken.signed));
    taken.iter().map(|taken| (taken.version, taken.connection)).collect()
}

/// The bytes of a top-level value.
fn raw<'a>(json: &'a str, key: &str) -> &'a str {
    let object: std::collections::HashMap<&str, &'a RawValue> = serde_json::from_str(json).unwrap();
    object[key].get()
}

fn with_id(body: &[u8], id: i64) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    let old = raw(text, "event_id");
    let changed = text.replacen(&format!("\"event_id\":{old}"), &format!("\"event_id\":{id}"), 1);
    assert_eq!(serde_json::from_str::<Value>(&changed).unwrap()["event_id"], id);
    changed.into_bytes()
}
