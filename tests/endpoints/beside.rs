//! Ten endpoints from hell at once, and a healthy one beside them: what the healthy one
//! notices, and what thousands of bad attempts leave behind in the daemon.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::endpoint::Manners;
use crate::harness::script::Step::{self, Drip, Hang, Pour, Request, Reset};
use crate::harness::script::{answer, say};
use crate::harness::{Endpoint, Receiver, Relay, SECRET, event, receiver, wait_at_most};

/// Events that are timed one by one, this far apart, and then batches of others.
const TIMED: i64 = 200;
const APART: Duration = Duration::from_millis(5);
const BATCHES: i64 = 5;
const AT_ONCE: i64 = 60;

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

/// A relay with a healthy endpoint, and what else it has to do.
struct Twin {
    relay: Relay,
    receiver: Receiver,
    /// Sorted, when asked for.
    took: Vec<Duration>,
    batches: Duration,
}

impl Twin {
    fn start(more: &str) -> Twin {
        let receiver = Receiver::start();
        let relay = Relay::start(&(receiver.table_for("good", r#"["tag.*"]"#) + more));
        Twin { relay, receiver, took: Vec::new(), batches: Duration::ZERO }
    }

    /// The time that so many of a hundred events took at most.
    fn percentile(&self, percent: usize) -> Duration {
        self.took[self.took.len() * percent / 100]
    }
}

/// Both do the same in turn, so that what the machine does meanwhile meets both.
fn measure(twins: &mut [Twin; 2]) {
    let mut sent = [Vec::new(), Vec::new()];
    for id in 1..=TIMED {
        for (twin, sent) in twins.iter().zip(&mut sent) {
            sent.push(Instant::now());
            twin.relay.send(&event("tag.created", id).of(id));
            thread::sleep(APART);
        }
    }
    for (twin, sent) in twins.iter_mut().zip(sent) {
        let arrived = twin.receiver.wait_for(TIMED as usize);
        let took = |request: &receiver::Request| request.at - sent[request.event_id() as usize - 1];
        twin.took = arrived.iter().map(took).collect();
        twin.took.sort();
    }
    for batch in 0..BATCHES {
        for twin in twins.iter_mut() {
            let first = TIMED + batch * AT_ONCE;
            let events: Vec<_> = (1..=AT_ONCE).map(|n| event("tag.updated", first + n).of(n)).collect();
            let started = Instant::now();
            twin.relay.send_all(&events);
            twin.receiver.wait_for((first + AT_ONCE) as usize);
            twin.batches += started.elapsed();
        }
    }
}

#[test]
fn ten_bad_endpoints_do_not_slow_a_good_one() {
    let hell = hell();
    let mut twins = [Twin::start(""), Twin::start(&tables(&hell, "100ms"))];
    keep_busy(&twins[1].relay);
    measure(&mut twins);
    let [alone, beside] = &twins;
    let told =
        |twin: &Twin| format!("{:?}, {:?}, {:?}", twin.percentile(50), twin.percentile(90), twin.batches);
    let told = format!("half, nine of ten, batches: alone {}, beside hell {}", told(alone), told(beside));
    let attempts = bad_attempts(&beside.relay, &hell);
    eprintln!("{told}; bad attempts {attempts}");
    // The bad ones need the processor too, of which a debug build has little. A thread that is
    // kept busy, or a delivery that waits for a bad one's timeout of 200 ms, shows.
    for percent in [50, 90] {
        let most = alone.percentile(percent) * 2 + Duration::from_millis(20);
        assert!(beside.percentile(percent) < most, "{told}");
    }
    assert!(beside.batches < alone.batches * 3, "{told}");
    assert!(attempts > 50.0, "hell was asleep");
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
