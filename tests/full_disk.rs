//! A disk that is full: new events are refused with a way out, what waits goes on, and
//! with room again all is as before, without a restart. The limit on the size of files
//! stands in for the disk, set on the running daemon and lifted again.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Answer, Event, Receiver, Relay, Sender, event, wait_until};

/// Events before the disk is full. They take longer to deliver than it takes to fill it.
const BEFORE: i64 = 60;

/// Room that is left when the limit is set.
const ROOM: u64 = 64 << 10;

/// How large the files of this daemon may become.
fn limit(relay: &Relay, bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let pid = Pid::from_raw(relay.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

fn largest_file(relay: &Relay) -> u64 {
    let store = fs::read_dir(relay.store()).unwrap().flatten().map(|file| file.path());
    let sizes = store.chain([relay.path("log")]).map(|path| path.metadata().map_or(0, |it| it.len()));
    sizes.max().unwrap()
}

fn large(id: i64) -> Event {
    event("time_entry.created", id).of(id).with("filler", "x".repeat(8000))
}

#[test]
fn a_full_disk_refuses_delivers_and_recovers() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::status(200).after(Duration::from_millis(20)));
    let mut relay = Relay::prepare(&(receiver.table("all") + "concurrency = 1\n"));
    // The log is a file too, and would be cut off.
    relay.set_env("RUST_LOG", "trackrelay=warn");
    relay.start_again();
    relay.send_all(&(1..=BEFORE).map(large).collect::<Vec<_>>());
    let mut taken: BTreeSet<i64> = (1..=BEFORE).collect();
    limit(&relay, Some(largest_file(&relay) + ROOM));

    let mut sender = Sender::unix(&relay);
    let mut post = |id: i64| sender.post("/events", "application/json", large(id).json().as_bytes());
    let refused = (BEFORE + 1..).map(|id| (id, post(id))).find(|(id, reply)| {
        assert!(*id < 10_000, "it never fills");
        if reply.status == 202 {
            taken.insert(*id);
        }
        reply.status != 202
    });
    let (id, reply) = refused.unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()));
    assert!(reply.refusal().contains("trackrelay.db"), "{}", reply.refusal());
    assert_eq!(relay.get("/healthz").json()["store"], "failing");

    // What waits is delivered all the same, and its outcomes are remembered.
    relay.wait_for("all", "has delivered what it had", |it| it["pending"] == 0);
    assert_eq!(post(id).status, 503);

    limit(&relay, None);
    wait_until("the event is taken", || (post(id).status == 202).then_some(()));
    taken.insert(id);
    assert_eq!(relay.get("/healthz").json()["store"], "ok");
    relay.wait_for("all", "has delivered everything", |it| it["pending"] == 0);
    relay.restart();
    relay.send(&large(99_999));
    taken.insert(99_999);
    relay.wait_for("all", "has delivered the last", |it| it["delivered"] == taken.len() as u64);

    let arrived = receiver.ids_at("all");
    assert_eq!(arrived.len(), taken.len(), "nothing comes twice");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), taken);
    assert_eq!(relay.cli(&["doctor"]).code, 0);
}

#[test]
fn a_broken_store_is_named_and_repaired() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let mut relay = Relay::start(&(receiver.table("all") + "retry = [\"1h\"]\n"));
    relay.send_all(&(1..=40).map(large).collect::<Vec<_>>());
    relay.stop();
    let file = relay.store().join("trackrelay.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..4096].fill(0xa5);
    fs::write(&file, bytes).unwrap();

    relay.launch();
    assert_eq!(relay.wait_for_end().code(), Some(1));
    let log = relay.log();
    assert!(log.contains("trackrelay.db") && log.contains("trackrelay doctor --repair"), "{log}");
    let sick = relay.cli(&["doctor", "--json"]);
    assert_eq!((sick.code, &sick.json()["ok"]), (1, &false.into()), "{sick:?}");
    let repaired = relay.cli(&["doctor", "--repair", "--json"]);
    assert_eq!(repaired.code, 0, "{repaired:?}");
    assert_eq!((&repaired.json()["events"], &repaired.json()["waiting"]), (&40.into(), &40.into()));
    assert!(fs::metadata(repaired.json()["kept"][0].as_str().unwrap()).is_ok());

    receiver.answer_all(200);
    relay.save(&receiver.table("all"));
    relay.start_again();
    relay.wait_for("all", "has delivered everything", |it| it["pending"] == 0 && it["delivered"] == 40);
    assert_eq!(relay.cli(&["doctor"]).code, 0);
}
