//! Clocks that cannot be trusted. A laptop that sleeps sees its wall clock jump ahead while
//! the time awake stands still, which is also what a clock set wrong looks like; so one
//! variable of a debug build plays both. Waits must count time awake and nothing else.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Curl, Receiver, Relay, event};

const HOURS: i64 = 3600;

/// The wait between attempts, and the least and the most that ±20 % and a busy machine make of it.
const WAIT: &str = "retry = [\"2s\", \"2s\", \"2s\"]\ndisable_after = 100\n";
const LEAST: Duration = Duration::from_millis(1600);
const MOST: Duration = Duration::from_millis(2400 + 2000);

fn relay_with_a_clock(tables: &str) -> Relay {
    let mut relay = Relay::prepare(tables);
    relay.use_wrong_clock();
    relay.start_again();
    relay
}

#[test]
fn a_night_asleep_costs_no_attempt_and_a_clock_set_back_delays_none() {
    thread::scope(|scope| {
        for hours in [8, -8, 24 * 365, -24 * 365] {
            scope.spawn(move || the_schedule_is_kept(hours));
        }
    });
}

/// Two failures and a success, with the clock wrong between the first two.
fn the_schedule_is_kept(hours: i64) {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before < 2 { 503 } else { 200 }));
    let relay = relay_with_a_clock(&(receiver.table("all") + WAIT));
    relay.send(&event("tag.created", 1));
    relay.wait_for("all", "has failed once", |it| it["failed_attempts"] == 1);
    relay.set_clock(hours * HOURS);
    relay.wait_for("all", "has failed again", |it| it["failed_attempts"] == 2);
    relay.set_clock(0);
    let attempts = receiver.wait_for(3);
    for pair in attempts.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!((LEAST..MOST).contains(&gap), "{hours} hours: tried again after {gap:?}");
    }
    let decision = relay.wait_for_outcome(1, "all", "delivered");
    assert_eq!(decision["attempts"].as_array().map(Vec::len), Some(3), "{decision}");
}

#[test]
fn the_next_try_is_told_by_the_clock_of_the_moment() {
    let receiver = Receiver::start();
    receiver.answer_all(503);
    let relay = relay_with_a_clock(&(receiver.table("all") + "retry = [\"10m\"]\n"));
    relay.send(&event("tag.created", 1));
    relay.wait_for("all", "has failed once", |it| it["failed_attempts"] == 1);
    relay.set_clock(8 * HOURS);
    let moment = |value: &Value| value["retry_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let away = moment(&relay.subscription("all")).duration_since(now());
    let (earliest, latest) = (8 * HOURS + 8 * 60 - 30, 8 * HOURS + 12 * 60 + 1);
    assert!((earliest..=latest).contains(&away.as_secs()), "{away:?}");
}

/// What was left of a wait when the daemon ended is waited after its next start, whether
/// it ended well or not.
#[test]
fn a_wait_that_spans_a_restart_counts_on_from_what_was_left() {
    for killed in [false, true] {
        let receiver = Receiver::start();
        receiver.answer(|_, before| Answer::status(if before < 1 { 503 } else { 200 }));
        let mut relay = relay_with_a_clock(&(receiver.table("all") + WAIT));
        relay.send(&event("tag.created", 1));
        relay.wait_for("all", "has failed once", |it| it["failed_attempts"] == 1);
        // Its outcome is on disk once history has been asked for.
        relay.why(1);
        let ran = receiver.wait_for(1)[0].at.elapsed();
        if killed {
            relay.kill9()
        } else {
            relay.stop()
        }
        relay.set_clock(8 * HOURS);
        let started = Instant::now();
        relay.start_again();
        let attempts = receiver.wait_for(2);
        let waited = attempts[1].at - started;
        assert!(waited + ran >= LEAST && waited < MOST, "killed: {killed}; {waited:?} after {ran:?}");
        relay.wait_for_outcome(1, "all", "delivered");
    }
}

/// Events that do not say when they happened are stamped here; a clock that a time server
/// sets back a little must not put the later one first.
#[test]
fn a_clock_set_back_a_little_swaps_no_events() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before < 1 { 503 } else { 200 }));
    let relay = relay_with_a_clock(&(receiver.table("all") + "retry = [\"1s\"]\n"));
    relay.send(&event("tag.created", 1).of(2));
    relay.wait_for_status("all", "pending");
    for (id, seconds) in [(2, 0), (3, -20), (4, -40), (5, -50)] {
        relay.set_clock(seconds);
        relay.send(&event("tag.created", id).undated());
    }
    receiver.wait_for(6);
    assert_eq!(receiver.ids_at("all"), [1, 1, 2, 3, 4, 5]);
}

#[expect(clippy::disallowed_methods, reason = "the test's own clock, which is right")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// As Track does. What is older stays in the history for as long as `keep` says.
#[test]
fn the_event_list_of_a_subscription_goes_back_a_week() {
    let receiver = Receiver::start();
    let relay = relay_with_a_clock(&receiver.table("all"));
    for (id, hours_ago) in [(1, 7 * 24 + 1), (2, 7 * 24 - 1), (3, 0)] {
        relay.set_clock(-hours_ago * HOURS);
        relay.send(&event("tag.created", id).of(id));
    }
    let id = relay.subscription("all")["subscription_id"].clone();
    let list =
        Curl::with_token(&relay, &relay.token()).get(&format!("/subscriptions/4200017/{id}/events")).ok();
    let ids: Vec<_> = list["events"].as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
    assert_eq!((&list["total"], ids), (&json!(2), vec![&json!(3), &json!(2)]));
}
