//! Events of one entity arrive in order, one at a time; different entities in parallel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Answer, Event, Receiver, Relay, Request, Sender, event};

const ENTITIES: i64 = 13;
const EVENTS: i64 = 300;

/// 300 events over 13 entities, in order.
fn events() -> Vec<Event> {
    (1..=EVENTS).map(|id| event("time_entry.updated", 10_000 + id).of(id % ENTITIES)).collect()
}

/// Watches for entities with two requests under way at the same time.
#[derive(Clone, Default)]
struct Overlaps(Arc<Mutex<Flights>>);

#[derive(Default)]
struct Flights {
    under_way: HashMap<i64, usize>,
    overlapping: Vec<i64>,
}

impl Overlaps {
    fn begin(&self, entity: i64) {
        let mut state = self.0.lock().unwrap();
        let flying = state.under_way.entry(entity).or_default();
        *flying += 1;
        if *flying > 1 {
            state.overlapping.push(entity);
        }
    }

    fn end(&self, entity: i64) {
        *self.0.lock().unwrap().under_way.entry(entity).or_default() -= 1;
    }

    fn found(&self) -> Vec<i64> {
        self.0.lock().unwrap().overlapping.clone()
    }
}

fn entity(request: &Request) -> i64 {
    request.json()["payload"]["id"].as_i64().unwrap()
}

fn by_entity(requests: &[Request]) -> HashMap<i64, Vec<i64>> {
    let mut lanes: HashMap<i64, Vec<i64>> = HashMap::new();
    for request in requests {
        lanes.entry(entity(request)).or_default().push(request.event_id());
    }
    lanes
}

#[test]
fn in_order_per_entity_and_in_parallel_across() {
    let receiver = Receiver::start();
    let overlaps = Overlaps::default();
    let seen = overlaps.clone();
    receiver.answer(move |request, _| {
        seen.begin(entity(request));
        std::thread::sleep(Duration::from_millis(3));
        seen.end(entity(request));
        Answer::status(200)
    });
    let relay = Relay::start(&receiver.table("all"));
    let mut sender = Sender::unix(&relay);
    for batch in events().chunks(25) {
        sender.send_all(batch);
    }
    let requests = receiver.wait_for(EVENTS.try_into().unwrap());
    let lanes = by_entity(&requests);
    assert_eq!(i64::try_from(lanes.len()), Ok(ENTITIES));
    for (entity, ids) in lanes {
        assert!(ids.is_sorted(), "entity {entity}: {ids:?}");
    }
    assert_eq!(overlaps.found(), [0; 0], "one at a time per entity");
    let at_once = receiver.most_at_once();
    assert!((2..=8).contains(&at_once), "in parallel, up to `concurrency`: {at_once}");
}

#[test]
fn failures_do_not_break_the_order() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before % 50 == 7 { 500 } else { 200 }));
    let relay = Relay::start(&(receiver.table("all") + "retry = [\"5ms\", \"5ms\"]\ndisable_after = 20\n"));
    for batch in events().chunks(60) {
        relay.send_all(batch);
    }
    relay.wait_for("all", "has delivered all", |it| it["delivered"] == EVENTS);
    for (entity, mut ids) in by_entity(&receiver.events()) {
        assert!(ids.is_sorted(), "entity {entity}: {ids:?}");
        ids.dedup();
        assert!(ids.len() >= 23, "entity {entity}: {ids:?}");
    }
}

#[test]
fn concurrency_bounds_what_is_under_way() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::status(200).after(Duration::from_millis(5)));
    let relay = Relay::start(&(receiver.table("all") + "concurrency = 3\norder = \"none\"\n"));
    relay.send_all(&events());
    receiver.wait_for(EVENTS.try_into().unwrap());
    assert_eq!(receiver.most_at_once(), 3);
}

#[test]
fn order_subscription_makes_one_lane() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("all") + "order = \"subscription\"\n"));
    relay.send_all(&events());
    let requests = receiver.wait_for(EVENTS.try_into().unwrap());
    let ids: Vec<_> = requests.iter().map(Request::event_id).collect();
    assert!(ids.is_sorted() && receiver.most_at_once() == 1);
}

#[test]
fn order_none_lets_one_entity_run_in_parallel() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::status(200).after(Duration::from_millis(5)));
    let relay = Relay::start(&(receiver.table("all") + "order = \"none\"\n"));
    let one: Vec<_> = (1..=60).map(|id| event("tag.updated", id).of(1)).collect();
    relay.send_all(&one);
    receiver.wait_for(60);
    assert!(receiver.most_at_once() > 1);
}

#[test]
fn one_slow_entity_holds_up_no_other() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| if entity(request) == 1 { Answer::Hang } else { Answer::status(200) });
    let relay = Relay::start(&(receiver.table("all") + "timeout = \"20s\"\n"));
    relay.send_all(&events());
    let slow = EVENTS / ENTITIES + 1;
    // All events but those of the slow entity, and its first.
    receiver.wait_for((EVENTS - slow + 1).try_into().unwrap());
    relay.wait_for("all", "has delivered the others", |it| it["pending"] == slow);
}

#[test]
fn another_order_takes_what_waits_along() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let table = |keys: &str| receiver.table("all") + "retry = [\"10m\"]\n" + keys;
    let relay = Relay::start(&table(""));
    relay.send(&event("tag.updated", 1).of(1));
    relay.wait_for_status("all", "pending");
    let waiting: Vec<_> = (2..=40).map(|id| event("tag.updated", id).of(id % 5)).collect();
    relay.send_all(&waiting);
    receiver.answer_all(200);
    relay.save(&table("order = \"subscription\"\n"));
    relay.wait_for("all", "has the new order", |_| relay.log().contains("order changed"));
    assert_eq!(relay.cli(&["enable", "all"]).code, 0);
    relay.wait_for("all", "has delivered all", |it| it["delivered"] == 40 && it["pending"] == 0);
    let mut ids = receiver.ids_at("all");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}
