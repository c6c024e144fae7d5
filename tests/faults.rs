//! Faults on purpose: each does what it says, the same events meet the same ones again, and
//! nobody else notices.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Receiver, Relay, Request, event, wait_until};

/// A subscription that meets these faults.
fn faulty(receiver: &Receiver, name: &str, faults: &str) -> String {
    receiver.table(name) + "retry = []\ndisable_after = 1000000\n" + &format!("faults = {{ {faults} }}\n")
}

/// What came to the path of this name, wrongly signed or not.
fn at(receiver: &Receiver, name: &str) -> Vec<Request> {
    receiver.events().into_iter().filter(|request| request.path == format!("/{name}")).collect()
}

fn injected(relay: &Relay, name: &str, fault: &str) -> f64 {
    let series = format!("trackrelay_faults_injected_total{{subscription=\"{name}\",fault=\"{fault}\"}}");
    relay.metric(&series).unwrap_or(0.0)
}

#[test]
fn each_fault_does_what_it_says_and_nobody_else_notices() {
    let receiver = Receiver::start();
    let plain = receiver.table("plain");
    let tables = [
        ("drop", "drop = 1.0"),
        ("fail", "fail = 1, drop = 1"),
        ("twice", "duplicate = 1.0"),
        ("late", "delay = 1.0, delay_for = \"300ms\""),
        ("forged", "bad_signature = 1.0"),
    ];
    let tables: String = tables.iter().map(|(name, faults)| faulty(&receiver, name, faults)).collect();
    let relay = Relay::start(&(tables + &plain));
    relay.send(&event("tag.created", 10));

    for (name, outcome) in [
        ("drop", "dropped"),
        ("fail", "failed"),
        ("twice", "delivered"),
        ("late", "delivered"),
        ("forged", "delivered"),
    ] {
        let decision = relay.wait_for_outcome(10, name, outcome);
        let fault = match name {
            "twice" => "duplicate",
            "late" => "delay",
            "forged" => "bad_signature",
            itself => itself,
        };
        assert!(decision.to_string().contains(&format!("fault injected: {fault}")), "{decision:#}");
        assert_eq!(injected(&relay, name, fault), 1.0, "{name}");
        let status = relay.subscription(name);
        assert_eq!(
            status["faults"].as_str().unwrap().split(' ').next(),
            Some(if name == "fail" { "fail" } else { fault })
        );
    }
    relay.wait_for_outcome(10, "plain", "delivered");
    assert!(at(&receiver, "drop").is_empty() && at(&receiver, "fail").is_empty(), "nothing is sent");
    let twice = at(&receiver, "twice");
    assert!(twice.len() == 2 && twice[0].body == twice[1].body && twice.iter().all(|request| request.signed));
    let signature = "x-webhook-signature-256";
    assert_eq!(twice[0].header(signature), twice[1].header(signature));
    let late = relay.decision(10, "late")["attempts"][0]["ms"].as_u64().unwrap();
    assert!(late >= 300, "{late}");
    let forged = at(&receiver, "forged");
    assert!(forged.len() == 1 && !forged[0].signed && forged[0].header(signature).is_some());
    let plain = at(&receiver, "plain");
    assert!(plain.len() == 1 && plain[0].signed);
    assert_eq!(relay.subscription("plain")["faults"], Value::Null);
    assert_eq!(relay.subscription("drop")["status"], "enabled", "what is dropped is no failed attempt");
    assert_eq!(relay.subscription("fail")["status"], "pending");

    for words in [["status"], ["list"]] {
        let shown = relay.cli(&words).stdout;
        assert_eq!(shown.matches("FAULTS INJECTED").count(), 5, "{shown}");
        assert!(shown.contains("delay 100% (300ms), seed 0"), "{shown}");
    }
    assert!(relay.log().contains("faults are injected into what goes to `forged`: bad_signature 100%"));
}

#[test]
fn a_later_event_of_the_lane_goes_first() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(faulty(&receiver, "mixed", "reorder = 1.0") + &receiver.table("plain")));
    // A machine that stands still for two seconds lets the first go before the second comes.
    let overtaken = (1..=5).any(|entity: i64| {
        let (first, second) = (10 * entity, 10 * entity + 1);
        relay.send(&event("tag.created", first).of(entity));
        wait_until("the first is held back", || {
            (injected(&relay, "mixed", "reorder") >= (2 * entity - 1) as f64).then_some(())
        });
        relay.send(&event("tag.updated", second).of(entity));
        receiver.wait_for_at("plain", 2 * entity as usize);
        let ids: Vec<i64> =
            receiver.wait_for_at("mixed", 2 * entity as usize).iter().map(Request::event_id).collect();
        assert!(receiver.ids_at("plain").ends_with(&[first, second]));
        ids.ends_with(&[second, first])
    });
    assert!(overtaken, "{:?}", receiver.ids_at("mixed"));
}

#[test]
fn taking_the_table_out_ends_it_at_once() {
    let receiver = Receiver::start();
    let relay = Relay::start(&faulty(&receiver, "late", "delay = 1.0, delay_for = \"10s\""));
    relay.send(&event("tag.created", 10));
    wait_until("it waits", || (injected(&relay, "late", "delay") == 1.0).then_some(()));
    let saved = Instant::now();
    relay.save(&receiver.table("late"));
    receiver.wait_for_at("late", 1);
    assert!(saved.elapsed() < Duration::from_secs(9), "{:?}", saved.elapsed());
    relay.send(&event("tag.created", 11));
    receiver.wait_for_at("late", 2);
    assert_eq!(injected(&relay, "late", "delay"), 1.0);
    assert_eq!(relay.subscription("late")["faults"], Value::Null);
}

/// What becomes of forty events: for each how often it came, rightly signed or not, and its outcome.
fn course(seed: u64) -> Vec<String> {
    let receiver = Receiver::start();
    let faults = format!("seed = {seed}, drop = 0.2, fail = 0.2, duplicate = 0.3, bad_signature = 0.3");
    let relay = Relay::start(&(faulty(&receiver, "shaky", &faults) + &receiver.table("plain")));
    let events: Vec<_> = (1..=40).map(|id| event("tag.created", id)).collect();
    relay.send_all(&events);
    relay.wait_for("shaky", "is done", |shaky| shaky["pending"] == 0);
    receiver.wait_for_at("plain", 40);
    assert_eq!(receiver.ids_at("plain"), (1..=40).collect::<Vec<_>>());
    assert!(at(&receiver, "plain").iter().all(|request| request.signed));
    let came = at(&receiver, "shaky");
    let line = |id: i64| {
        let of_it = came.iter().filter(|request| request.event_id() == id);
        let signed: Vec<_> = of_it.map(|request| request.signed).collect();
        format!("{id} {signed:?} {}", relay.decision(id, "shaky")["outcome"])
    };
    (1..=40).map(line).collect()
}

#[test]
fn the_same_events_meet_the_same_faults_again() {
    let first = course(7);
    assert_eq!(first, course(7));
    assert_ne!(first, course(8));
    for part in ["[] \"dropped\"", "[] \"failed\"", "[true] \"delivered\"", "[false]", "[true, true]"] {
        assert!(first.iter().any(|line| line.contains(part)), "{part}: {first:#?}");
    }
}
