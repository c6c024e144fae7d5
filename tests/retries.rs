//! Track's standard rule: a failure makes a subscription pending, one delivery is tried,
//! success opens the lanes, three failures in a row disable, `enable` delivers what waited.

use std::time::{Duration, Instant};

use crate::harness::{Answer, Gate, Receiver, Relay, event};

#[test]
fn while_pending_one_delivery_is_tried_and_success_opens_all_lanes() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before < 2 { 500 } else { 200 }));
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"50ms\", \"400ms\"]\n"));
    relay.send(&event("tag.created", 1).of(1));
    relay.wait_for_status("all", "pending");
    let others: Vec<_> = (2..=9).map(|id| event("tag.created", id).of(id)).collect();
    relay.send_all(&others);
    let state = relay.wait_for("all", "has tried again", |it| it["failed_attempts"] == 2);
    assert_eq!((&state["status"], &state["pending"]), (&"pending".into(), &9.into()));
    assert_eq!(state["has_pending_events"], true);

    receiver.wait_for(11);
    let ids = receiver.ids_at("all");
    assert_eq!(ids[..3], [1, 1, 1], "only the one that failed is tried: {ids:?}");
    let state = relay.wait_for("all", "is done", |it| it["pending"] == 0);
    assert_eq!((&state["status"], &state["failed_attempts"]), (&"enabled".into(), &0.into()));
    assert_eq!((&state["delivered"], &state["has_pending_events"]), (&9.into(), &false.into()));
}

#[test]
fn attempts_follow_the_schedule() {
    let receiver = Receiver::start();
    receiver.answer_all(503);
    let keys = "retry = [\"100ms\", \"600ms\"]\ndisable_after = 100\n";
    let relay = Relay::start(&(receiver.table("all") + keys));
    relay.send(&event("tag.created", 1));
    let attempts = receiver.wait_for(3);
    let gaps: Vec<_> = attempts.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    let within = |gap: Duration, wait: u64| {
        gap >= Duration::from_millis(wait * 8 / 10) && gap < Duration::from_millis(wait * 12 / 10 + 1_500)
    };
    assert!(within(gaps[0], 100) && within(gaps[1], 600), "{gaps:?}");
    let decision = relay.wait_for_outcome(1, "all", "failed");
    let attempts = decision["attempts"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|a| a["n"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(attempts.iter().all(|a| a["status"] == 503), "{decision}");
}

#[test]
fn after_the_last_attempt_the_next_oldest_is_tried() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| Answer::status(if request.event_id() == 1 { 500 } else { 200 }));
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"150ms\"]\ndisable_after = 10\n"));
    relay.send(&event("tag.created", 1).of(1));
    relay.wait_for_status("all", "pending");
    // The younger one comes first; it is its time that counts.
    let younger = event("tag.created", 3).of(3).at("2025-09-10T08:15:31Z");
    relay.send_all(&[younger, event("tag.created", 2).of(2)]);
    relay.wait_for_outcome(1, "all", "failed");
    receiver.wait_for(4);
    assert_eq!(receiver.ids_at("all"), [1, 1, 2, 3]);
    relay.wait_for_status("all", "enabled");

    // What failed is kept and can be sent again.
    receiver.answer_all(200);
    let output = relay.cli(&["replay", "--failed", "all", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    receiver.wait_for(5);
    assert_eq!(receiver.ids_at("all").last(), Some(&1));
    assert_eq!(relay.wait_for_outcome(1, "all", "delivered")["replay"], true);
}

#[test]
fn three_failures_disable_and_enable_delivers_what_waited_oldest_first() {
    let receiver = Receiver::start();
    let held = Gate::default();
    let gate = held.clone();
    receiver.answer(move |_, _| Answer::status(500).when(&gate));
    let relay =
        Relay::start(&(receiver.table("all") + "retry = [\"20ms\", \"20ms\"]\norder = \"subscription\"\n"));
    // Five wait behind the first attempt; sent in any order, they go out by their time.
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    for (id, second) in [(6, 36), (2, 32), (4, 34), (5, 35), (3, 33)] {
        relay.send(&event("tag.created", id).at(&format!("2025-09-10T08:15:{second}Z")));
    }
    held.open();
    let state = relay.wait_for_status("all", "disabled");
    assert_eq!((&state["enabled"], &state["pending"]), (&false.into(), &6.into()));
    let reason = state["disabled_reason"].as_str().unwrap();
    assert!(reason.contains('3') && reason.contains("500"), "{reason}");
    assert_eq!(receiver.ids_at("all"), [1, 1, 1]);
    assert!(
        std::fs::read_to_string(relay.config()).unwrap().find("enabled").is_none(),
        "never written to the file"
    );

    // While disabled, what comes is recorded and not queued.
    relay.send(&event("tag.created", 7));
    assert_eq!(relay.decision(7, "all")["outcome"], "skipped_disabled");

    // A refusal keeps things as they are, and says so in Track's words.
    let refused = relay.cli(&["enable", "all"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let text = format!("URL endpoint {} responded with status 500 instead of 2", receiver.url("all"));
    assert!(refused.stderr.contains(&text), "{refused:?}");
    assert_eq!(relay.subscription("all")["status"], "disabled");

    receiver.answer(|request, _| Answer::proper(request));
    assert_eq!(relay.cli(&["enable", "all"]).code, 0);
    receiver.wait_for(9);
    assert_eq!(receiver.ids_at("all"), [1, 1, 1, 1, 2, 3, 4, 5, 6]);
    relay.wait_for("all", "is done", |it| it["status"] == "enabled" && it["pending"] == 0);

    let output = relay.cli(&["replay", "--missed", "all"]);
    assert_eq!(output.code, 0, "{output:?}");
    receiver.wait_for(10);
    assert_eq!(receiver.ids_at("all").last(), Some(&7));
}

#[test]
fn a_success_in_between_starts_the_count_anew() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before % 3 == 2 { 200 } else { 500 }));
    let keys = "retry = [\"10ms\", \"10ms\"]\norder = \"subscription\"\n";
    let relay = Relay::start(&(receiver.table("all") + keys));
    let events: Vec<_> = (1..=5).map(|id| event("tag.created", id)).collect();
    relay.send_all(&events);
    receiver.wait_for(15);
    let state = relay.wait_for("all", "is done", |it| it["pending"] == 0);
    assert_eq!((&state["status"], &state["delivered"]), (&"enabled".into(), &5.into()));
}

#[test]
fn attempts_in_flight_at_the_first_failure_count_nothing() {
    let receiver = Receiver::start();
    let held = Gate::default();
    let gate = held.clone();
    receiver.answer(
        move |_, before| {
            if before < 4 { Answer::status(500).when(&gate) } else { Answer::status(200) }
        },
    );
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"300ms\", \"300ms\"]\n"));
    for id in 1..=4 {
        relay.send(&event("tag.created", id).of(id));
    }
    receiver.wait_for(4);
    held.open();
    receiver.wait_for(8);
    let state = relay.wait_for("all", "is done", |it| it["pending"] == 0);
    assert_eq!(state["status"], "enabled", "four failures at once are one: {state}");
    assert_eq!(receiver.ids_at("all")[4], 1, "the oldest of several is tried");
}

#[test]
fn retry_after_makes_a_wait_longer() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| match before {
        0 => Answer::status(429).with_header("retry-after", "1"),
        _ => Answer::status(200),
    });
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"10ms\"]\n"));
    relay.send(&event("tag.created", 1));
    let attempts = receiver.wait_for(2);
    let gap = attempts[1].at - attempts[0].at;
    assert!(gap >= Duration::from_millis(950), "{gap:?}");
    assert_eq!(relay.wait_for_outcome(1, "all", "delivered")["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn retry_after_never_makes_a_wait_shorter() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| match before {
        0 => Answer::status(503).with_header("retry-after", "Thu, 01 Jan 1970 00:00:01 GMT"),
        _ => Answer::status(200),
    });
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"300ms\"]\n"));
    relay.send(&event("tag.created", 1));
    let attempts = receiver.wait_for(2);
    assert!(attempts[1].at - attempts[0].at >= Duration::from_millis(240));
}

#[test]
fn a_refused_connection_counts_as_track_has_it() {
    let receiver = Receiver::start();
    receiver.stop();
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"10ms\", \"10ms\"]\n"));
    relay.send(&event("tag.created", 1));
    let state = relay.wait_for_status("all", "disabled");
    assert!(state["disabled_reason"].as_str().unwrap().contains("refused"), "{state}");
    assert_eq!(relay.decision(1, "all")["outcome"], "pending", "disabling wins, the delivery stays");
}

#[test]
fn a_refused_connection_pauses_where_the_config_says_so() {
    let receiver = Receiver::start();
    receiver.stop();
    let relay = Relay::start(
        &(receiver.table("all") + "when_unreachable = \"wait\"\nretry = []\ndisable_after = 1\n"),
    );
    relay.send(&event("tag.created", 1));
    let state = relay.wait_for_status("all", "pending");
    assert_eq!(state["failed_attempts"], 0);
    relay.wait_for("all", "looks again", |it| it["retry_at"] != state["retry_at"]);
    assert_eq!(relay.decision(1, "all")["attempts"], serde_json::json!([]), "no attempt is used up");
    receiver.start_again();
    let decision = relay.wait_for_outcome(1, "all", "delivered");
    assert_eq!(decision["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(relay.subscription("all")["status"], "enabled");
}

#[test]
fn other_subscriptions_do_not_notice() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| if request.path == "/slow" { Answer::Hang } else { Answer::status(200) });
    let tables = [receiver.table("slow") + "timeout = \"20s\"\n", receiver.table("quick")];
    let relay = Relay::start(&tables.concat());
    let started = Instant::now();
    let events: Vec<_> = (1..=40).map(|id| event("tag.created", id).of(id)).collect();
    relay.send_all(&events);
    receiver.wait_for_at("quick", 40);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(relay.subscription("slow")["delivered"], 0);
}

#[test]
fn a_restart_keeps_counters_and_disabling() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let mut relay = Relay::start(&(receiver.table("all") + "retry = [\"10ms\", \"10m\"]\n"));
    relay.send(&event("tag.created", 1));
    relay.wait_for("all", "failed twice", |it| it["failed_attempts"] == 2);
    relay.restart();
    let state = relay.subscription("all");
    assert_eq!((&state["status"], &state["failed_attempts"]), (&"pending".into(), &2.into()));
    assert_eq!(receiver.events().len(), 2, "the wait goes on, no attempt is made at once");
}

#[test]
fn enable_by_force_asks_nobody() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"10ms\", \"10ms\"]\n"));
    relay.send(&event("tag.created", 1));
    relay.wait_for_status("all", "disabled");
    receiver.answer(|request, _| Answer::status(if request.is_ping() { 500 } else { 200 }));
    assert_eq!(relay.cli(&["enable", "all"]).code, 1);
    assert_eq!(relay.cli(&["enable", "all", "--force"]).code, 0);
    relay.wait_for_outcome(1, "all", "delivered");
    assert_eq!(receiver.pings().len(), 1);
}
