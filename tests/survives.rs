//! `kill -9` under load: what was answered 202 is delivered, in the order it had, and
//! only what was in flight may come twice.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::harness::load::{Load, entity_of};
use crate::harness::{Answer, Receiver, Relay, wait_until};

const KILLS: usize = 12;
const SENDERS: i64 = 4;

/// Deliveries that a crash may cut off: one per lane in flight, plus what was answered
/// and not yet written down, which the store's group commit bounds.
const DOUBLES_PER_KILL: usize = 50;

#[test]
fn twelve_kills_under_load_lose_nothing() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::status(200).after(Duration::from_millis(1)));
    let table = receiver.table("all") + "when_unreachable = \"wait\"\nconcurrency = 8\n";
    let mut relay = Relay::start(&table);
    let load = Load::start(&relay, SENDERS);
    for _ in 0..KILLS {
        load.wait_for_more(40);
        relay.kill9();
        relay.start_again();
    }
    load.wait_for_more(40);
    let acknowledged = load.finish();
    relay.wait_for("all", "has delivered everything", |it| it["pending"] == 0 && it["status"] == "enabled");

    let arrived = receiver.ids_at("all");
    let mut first = Vec::new();
    let mut seen = HashSet::new();
    for id in &arrived {
        if seen.insert(*id) {
            first.push(*id);
        }
    }
    let lost: Vec<_> = acknowledged.iter().filter(|id| !seen.contains(id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged events were lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    let mut lanes: HashMap<i64, Vec<i64>> = HashMap::new();
    for id in &first {
        lanes.entry(entity_of(*id)).or_default().push(*id);
    }
    for (entity, ids) in &lanes {
        assert!(ids.is_sorted(), "entity {entity}: {ids:?}");
    }
    let doubles = arrived.len() - first.len();
    eprintln!(
        "{KILLS} kills, {} acknowledged, {} delivered, {doubles} doubles",
        acknowledged.len(),
        first.len()
    );
    assert!(doubles <= KILLS * DOUBLES_PER_KILL, "{doubles} doubles");
}

#[test]
fn a_delivery_cut_off_by_a_crash_is_made_again_and_is_no_failure() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| if before == 0 { Answer::Hang } else { Answer::status(200) });
    let mut relay = Relay::start(&receiver.table("all"));
    relay.send(&crate::harness::event("tag.created", 1));
    receiver.wait_for(1);
    relay.kill9();
    relay.start_again();
    relay.wait_for_outcome(1, "all", "delivered");
    let state = relay.subscription("all");
    assert_eq!((&state["status"], &state["failed_attempts"]), (&"enabled".into(), &0.into()));
}

/// With nothing else to write, an outcome is written all the same; then a crash doubles nothing.
#[test]
fn an_outcome_is_written_down_though_nothing_else_comes() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("all"));
    let database = relay.store().join("trackrelay.db");
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    for id in 1..=5 {
        relay.send(&crate::harness::event("tag.created", id));
        wait_until("the outcome is in the file", || {
            let sql = "SELECT count(*) FROM decisions";
            let written: i64 = database.query_row(sql, [], |row| row.get(0)).ok()?;
            (written == id).then_some(())
        });
        relay.kill9();
        relay.start_again();
        relay.wait_for("all", "remembers it", |it| it["delivered"] == id && it["pending"] == 0);
    }
    assert_eq!(receiver.ids_at("all"), [1, 2, 3, 4, 5]);
}

/// To look for an endpoint that is away uses up nothing, so a start need not wait with it.
#[test]
fn what_waits_for_an_endpoint_goes_out_at_once_after_a_start() {
    let receiver = Receiver::start();
    receiver.stop();
    let mut relay = Relay::start(&(receiver.table("all") + "when_unreachable = \"wait\"\n"));
    relay.send(&crate::harness::event("tag.created", 1));
    relay.wait_for("all", "is looked for only every five seconds", |it| {
        let next = it["retry_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        next.is_some_and(|next| next.duration_since(now()).as_millis() > 4000)
    });
    relay.stop();
    receiver.start_again();
    let started = Instant::now();
    relay.start_again();
    receiver.wait_for(1);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[expect(clippy::disallowed_methods, reason = "the daemon's clock is right here")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
