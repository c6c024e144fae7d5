//! Ten endpoints from hell at once, and a healthy one beside them: what the healthy one
//! notices, and what thousands of bad attempts leave behind in the daemon.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::endpoint::Manners;
use crate::harness::script::Step::{self, Drip, Hang, Pour, Request, Reset};
use crate::harness::script::{answer, say};
use crate::harness::{Endpoint, Receiver, Relay, SECRET, event, wait_at_most};

/// Events that are timed one by one, this far apart, and then all at once.
const TIMED: i64 = 200;
const APART: Duration = Duration::from_millis(5);
const AT_ONCE: i64 = 300;

fn hell() -> Vec<(&'static str, Endpoint)> {
    let pour = |head: &str, more: &str| vec![Request, say(head), Pour(more.repeat(64).into_bytes())];
    let scripts: [(&str, Vec<Step>); 10] = [
        ("hangs", vec![Request, Hang]),
        ("drips", vec![Request, Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), Duration::from_millis(50))]),
        ("accepts-and-closes", vec![]),
        ("resets", vec![Request, Reset]),
        ("resets-amid-the-body", vec![Request, say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), Reset]),
        ("endless-headers", pour("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n")),
        ("endless-body", pour("HTTP/1.1 500 No\r\n\r\n", "no, no, no, and no\r\n")),
        ("hints-for-ever", pour("", "HTTP/1.1 103 Early Hints\r\n\r\n")),
        ("loops", answer("HTTP/1.1 302 Found\r\nlocation: /loops\r\ncontent-length: 0\r\n\r\n")),
        ("speaks-tls", answer("\x15\x03\x01\x00\x02\x02\x46")),
    ];
    scripts.map(|(name, script)| (name, Endpoint::start(Manners::Plain(script)))).into()
}

fn tables(hell: &[(&str, Endpoint)], wait: &str) -> String {
    let retry = vec![format!("\"{wait}\""); 9].join(", ");
    let table = |(name, endpoint): &(&str, Endpoint)| {
        format!(
            "\n[subscription.{name}]\nurl_callback = \"{}\"\nevent_filters = [\"project.*\"]\nsecret = \"{SECRET}\"\n\
             validation = \"off\"\ntimeout = \"200ms\"\nretry = [{retry}]\ndisable_after = 1000000\n",
            endpoint.url(name)
        )
    };
    hell.iter().map(table).collect()
}

/// Hell gets events of its own, more than it can fail at.
fn keep_busy(relay: &Relay) {
    let events: Vec<_> = (1..=500).map(|n| event("project.created", 1_000_000 + n).of(n)).collect();
    relay.send_all(&events);
}

/// How the healthy endpoint is served: 99 of 100 events within this time, so many a second.
#[derive(Debug)]
struct Service {
    p99: Duration,
    throughput: f64,
}

fn measure(relay: &Relay, receiver: &Receiver) -> Service {
    let mut sent = Vec::new();
    for id in 1..=TIMED {
        sent.push(Instant::now());
        relay.send(&event("tag.created", id).of(id));
        thread::sleep(APART);
    }
    let arrived = receiver.wait_for(TIMED as usize);
    let mut took: Vec<_> =
        arrived.iter().map(|request| request.at - sent[request.event_id() as usize - 1]).collect();
    took.sort();
    let p99 = took[took.len() * 99 / 100];

    let batch: Vec<_> = (1..=AT_ONCE).map(|n| event("tag.updated", TIMED + n).of(n)).collect();
    let started = Instant::now();
    relay.send_all(&batch);
    receiver.wait_for((TIMED + AT_ONCE) as usize);
    Service { p99, throughput: AT_ONCE as f64 / started.elapsed().as_secs_f64() }
}

#[test]
fn ten_bad_endpoints_do_not_slow_a_good_one() {
    let receiver = Receiver::start();
    let alone = measure(&Relay::start(&receiver.table_for("good", r#"["tag.*"]"#)), &receiver);

    let (receiver, hell) = (Receiver::start(), hell());
    let relay = Relay::start(&(receiver.table_for("good", r#"["tag.*"]"#) + &tables(&hell, "100ms")));
    keep_busy(&relay);
    let beside = measure(&relay, &receiver);
    eprintln!("alone {alone:?}, beside hell {beside:?}, bad attempts {}", bad_attempts(&relay, &hell));
    // Wide, since a debug build shares two cores with the endpoints and other tests. A
    // thread that is kept busy, or a delivery that waits for a bad one, takes far longer.
    assert!(beside.p99 < alone.p99 * 10 + Duration::from_millis(500), "p99: {alone:?} {beside:?}");
    assert!(beside.throughput > alone.throughput / 10.0, "throughput: {alone:?} {beside:?}");
    assert!(bad_attempts(&relay, &hell) > 50.0, "hell was asleep");
}

#[cfg(target_os = "linux")]
#[test]
fn thousands_of_bad_attempts_leave_nothing_behind() {
    const ATTEMPTS: f64 = 3_000.0;
    /// A connection or two per endpoint may be on its way in or out.
    const DESCRIPTORS: usize = 40;
    const MEBIBYTES: f64 = 24.0;
    /// Thousands of attempts in a debug build take a while on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(120);
    let hell = hell();
    let mut relay = Relay::prepare(&tables(&hell, "1ms"));
    relay.set_env("RUST_LOG", "trackrelay=info");
    relay.start_again();
    keep_busy(&relay);
    let reach = |count: f64| {
        let made = wait_at_most(PATIENCE, || (bad_attempts(&relay, &hell) >= count).then_some(()));
        assert!(made.is_some(), "{} bad attempts of {count}", bad_attempts(&relay, &hell));
        (resident(&relay), descriptors(&relay))
    };
    let (early, held) = reach(ATTEMPTS / 3.0);
    let middle = reach(ATTEMPTS * 2.0 / 3.0);
    let (late, still) = reach(ATTEMPTS);
    eprintln!("{early:.1} MiB and {held} descriptors, then {middle:?}, then {late:.1} MiB and {still}");
    assert!(late < early + MEBIBYTES, "memory grew from {early:.1} to {late:.1} MiB");
    assert!(still < held + DESCRIPTORS, "descriptors went from {held} to {still}");

    // Less than a line for each delivery that failed, and none for each attempt.
    let (lines, attempts) = (relay.log().lines().count() as f64, bad_attempts(&relay, &hell));
    assert!(lines < attempts / 5.0, "{lines} lines in the log for {attempts} attempts");
}

fn bad_attempts(relay: &Relay, hell: &[(&str, Endpoint)]) -> f64 {
    let of = |name: &str| {
        relay.metric(&format!("trackrelay_attempts_total{{subscription=\"{name}\",result=\"failed\"}}"))
    };
    hell.iter().filter_map(|(name, _)| of(name)).sum()
}

/// In MiB.
#[cfg(target_os = "linux")]
fn resident(relay: &Relay) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", relay.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[cfg(target_os = "linux")]
fn descriptors(relay: &Relay) -> usize {
    fs::read_dir(format!("/proc/{}/fd", relay.pid())).unwrap().count()
}
