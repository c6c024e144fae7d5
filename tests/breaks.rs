//! A store that is damaged under a running daemon: it takes only what it can keep, says
//! what is wrong and what helps, does not wear itself out, and what can be read is delivered
//! after the repair.

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

/// How long the damaged daemon is looked at, and what it may do in that time: asking again
/// once a second, with a line each time, and what can be delivered.
const LOOK: Duration = Duration::from_secs(3);
const LINES: usize = 20;
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

/// `readable`: what the repair finds says how much is lost. Below a root that is gone it
/// finds nothing at all.
fn goes_on_after_repair(what: &str, readable: bool, broken: impl Fn(u64) -> bool) {
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
        !readable || missing <= saved["events_lost"].as_u64().unwrap_or(0),
        "{what}: {missing} are missing, {saved}"
    );
    assert_eq!(relay.cli(&["doctor"]).code, 0);
}

#[test]
fn the_first_page_breaks() {
    goes_on_after_repair("the first page", true, |page| page == 0);
}

#[test]
fn the_tables_roots_break() {
    goes_on_after_repair("the roots", false, |page| (1..12).contains(&page));
}

#[test]
fn pages_break_all_over() {
    goes_on_after_repair("all over", true, |page| page > 12 && page % 40 < 8);
}
