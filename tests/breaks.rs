//! A store that is damaged under a running daemon: it takes only what it can keep, says
//! what is wrong and what helps, does not wear itself out, delivers what can be read, and the
//! rest of it after the repair.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::harness::{Answer, Event, Receiver, Relay, Sender, event};

/// Events that lie in the file when it is damaged: more than the engine has in memory.
const BEFORE: i64 = 700;

/// Events that come after that.
const AFTER: RangeInclusive<i64> = BEFORE + 1..=BEFORE + 150;

const PAGE: u64 = 4096;

/// Of events as large as these a page holds the beginnings.
const EVENTS_OF_A_PAGE: u64 = 9;

/// How long the damaged daemon is looked at, and what it may do in that time: asking again
/// once a second, which it says once, and what can be delivered.
const LOOK: Duration = Duration::from_secs(3);
const LINES: usize = 6;
const CPU: Duration = Duration::from_millis(900);

fn large(id: i64) -> Event {
    event("time_entry.created", id).of(id).with("filler", "x".repeat(6000))
}

/// Overwrites pages in place, as a failing disk does.
fn overwrite(relay: &Relay, broken: impl Fn(u64) -> bool) {
    let file = OpenOptions::new().write(true).open(relay.store().join("trackrelay.db")).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE;
    for page in (0..pages).filter(|page| broken(*page)) {
        file.write_all_at(&[0xa5; PAGE as usize], page * PAGE).unwrap();
    }
}

/// What the process has used of the processors.
fn cpu(relay: &Relay) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", relay.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// `most`: events that may be missing although the repair cannot say how many are.
fn goes_on_after_repair(what: &str, most: u64, broken: impl Fn(u64) -> bool) {
    let receiver = Receiver::start();
    // Slow enough that most still waits when it happens.
    receiver.answer(|_, _| Answer::status(200).after(Duration::from_millis(10)));
    let mut relay = Relay::prepare(&(receiver.table("all") + "concurrency = 1\n"));
    relay.set_env("RUST_LOG", "trackrelay=warn");
    relay.start_again();
    let before: Vec<Event> = (1..=BEFORE).map(large).collect();
    before.chunks(50).for_each(|chunk| drop(relay.send_all(chunk)));
    // Stopping writes everything back into the file.
    relay.restart();
    let mut taken: BTreeSet<i64> = (1..=BEFORE).collect();
    let quiet = relay.log().lines().count();
    overwrite(&relay, broken);

    let mut sender = Sender::unix(&relay);
    let mut refused = 0;
    for id in AFTER {
        let reply = sender.post("/events", "application/json", large(id).json().as_bytes());
        match reply.status {
            202 => drop(taken.insert(id)),
            503 => {
                refused += 1;
                assert!(reply.header("retry-after").is_some());
                let said = reply.refusal();
                assert!(
                    said.contains("trackrelay.db") && said.contains("trackrelay doctor --repair"),
                    "{said}"
                );
            }
            other => panic!("{what}: {other} {}", reply.text()),
        }
        let why = relay.get(&format!("/api/why/{}", id - BEFORE)).status;
        assert!([200, 404, 503].contains(&why), "{what}: {why}");
    }
    let (used, lines) = (cpu(&relay), relay.log().lines().count());
    std::thread::sleep(LOOK);
    let (used, more) = (cpu(&relay) - used, relay.log().lines().count() - lines);
    eprintln!(
        "{what}: {refused} refused, {} lines, then {more} in {LOOK:?} and {used:?} of CPU",
        lines - quiet
    );
    assert!(used < CPU && more <= LINES, "{what}: {used:?}, {more} lines\n{}", relay.log());

    relay.signal(rustix::process::Signal::TERM);
    relay.wait_for_end();
    let log = relay.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.matches("failed to read what waits").count() <= 1, "{what}: {log}");
    // Damage that the engine did not come across is not its to tell.
    if log.lines().count() > quiet {
        assert!(log.contains("trackrelay.db") && log.contains("trackrelay doctor --repair"), "{what}: {log}");
    }

    let repaired = relay.cli(&["doctor", "--repair", "--json"]);
    assert_eq!(repaired.code, 0, "{repaired:?}");
    let saved = repaired.json();
    receiver.answer_all(200);
    relay.start_again();
    relay.wait_for("all", "has delivered everything", |it| it["pending"] == 0 && it["status"] == "enabled");
    let arrived: BTreeSet<i64> = receiver.ids_at("all").into_iter().collect();
    eprintln!("{what}: {} taken, {} arrived, {saved}", taken.len(), arrived.len());
    assert!(arrived.is_subset(&taken), "{what}: nothing comes that was refused");
    let missing = (taken.len() - arrived.len()) as u64;
    assert!(
        missing <= saved["events_lost"].as_u64().unwrap_or(most),
        "{what}: {missing} are missing, {saved}"
    );
    assert_eq!(relay.cli(&["doctor"]).code, 0);
}

#[test]
fn the_first_page_breaks() {
    goes_on_after_repair("the first page", 0, |page| page == 0);
}

#[test]
fn the_tables_roots_break() {
    goes_on_after_repair("the roots", EVENTS_OF_A_PAGE * 11, |page| (1..12).contains(&page));
}

#[test]
fn pages_break_all_over() {
    goes_on_after_repair("all over", 0, |page| page > 12 && page % 40 < 8);
}

/// The pages on which this text stands that are for nothing but the ends of long rows: they
/// begin with the number of the next.
fn pages_with(relay: &Relay, text: &str) -> Vec<u64> {
    let file = fs::read(relay.store().join("trackrelay.db")).unwrap();
    let is_there = |page: &[u8]| page.windows(text.len()).any(|part| part == text.as_bytes());
    let pages = file.chunks(PAGE as usize).zip(0..);
    pages.filter(|(page, _)| page[0] == 0 && is_there(page)).map(|(_, number)| number).collect()
}

#[test]
fn what_cannot_be_read_keeps_only_its_own_lane_waiting() {
    const LAST: i64 = 60;
    let receiver = Receiver::start();
    receiver.answer_all(500);
    // Only the first is tried, and the others wait behind it.
    let mut relay = Relay::prepare(&(receiver.table("all") + "retry = [\"1h\"]\nconcurrency = 1\n"));
    relay.set_env("RUST_LOG", "trackrelay=warn");
    relay.start_again();
    let marked =
        |id: i64| event("time_entry.created", id).of(id).with("filler", format!("<{id:04}>").repeat(1500));
    let mate = event("time_entry.updated", LAST + 1).of(3);
    relay.send_all(&(1..=LAST).map(marked).chain([mate]).collect::<Vec<_>>());
    relay.stop();
    // One whose pages lead nowhere, and one that says nothing on the last of its pages.
    let broken = [
        *pages_with(&relay, "<0003><0003>").first().unwrap(),
        *pages_with(&relay, "<0005><0005>").last().unwrap(),
    ];
    overwrite(&relay, |page| broken.contains(&page));

    receiver.answer_all(200);
    relay.save(&receiver.table("all"));
    relay.start_again();
    let stays = relay.wait_for("all", "has delivered what it can", |it| it["pending"] == 3);
    assert_eq!(
        (&stays["unreadable"], &stays["held"], &stays["status"]),
        (&2.into(), &0.into(), &"enabled".into())
    );
    let mut expected: BTreeSet<i64> = (1..=LAST).filter(|id| ![3, 5].contains(id)).collect();
    assert_eq!(receiver.ids_at("all").into_iter().collect::<BTreeSet<_>>(), expected);

    // People are told, each time they look and once in the log.
    assert_eq!(
        (&relay.get("/healthz").json()["store"], &relay.status()["store"]),
        (&"unreadable".into(), &"unreadable".into())
    );
    let shown = relay.cli(&["status"]).stdout;
    assert!(shown.contains("3 pending, 2 of them set aside") && shown.contains("doctor --repair"), "{shown}");
    let reason = relay.decision(LAST + 1, "all")["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("waits behind event 3, which is held"), "{reason}");
    for id in [3, 5] {
        let why = relay.get(&format!("/api/why/{id}"));
        assert!(why.status == 503 && why.refusal().contains("trackrelay doctor --repair"), "{}", why.text());
    }
    assert_eq!(relay.log().matches("is set aside").count(), 1, "{}", relay.log());

    // New ones are taken, and go out.
    relay.send(&marked(LAST + 2));
    relay
        .wait_for("all", "has delivered the new one", |it| it["pending"] == 3 && it["delivered"] == LAST - 1);
    expected.insert(LAST + 2);

    relay.stop();
    let repaired = relay.cli(&["doctor", "--repair", "--json"]).json();
    assert_eq!((&repaired["events_lost"], &repaired["waiting"]), (&2.into(), &1.into()), "{repaired}");
    relay.start_again();
    relay.wait_for("all", "has delivered everything", |it| it["pending"] == 0);
    expected.insert(LAST + 1);
    assert_eq!(receiver.ids_at("all").into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(relay.get("/healthz").json()["store"], "ok");
}
