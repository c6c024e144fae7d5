//! What happens can be watched as it happens, over reloads and restarts; who watches slowly,
//! or not at all any more, holds nobody up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::guest::talker;
use crate::harness::relay::signal;
#[cfg(debug_assertions)]
use crate::harness::relay::{DIE, HURRY};
use crate::harness::{Answer, DEADLINE, Receiver, Relay, event, wait_until};

/// `trackrelay tail`, running.
struct Tail {
    child: Child,
    dir: TempDir,
}

impl Tail {
    /// Starts it and waits until it listens.
    #[track_caller]
    fn start(relay: &Relay, words: &[&str]) -> Tail {
        let dir = tempfile::tempdir().unwrap();
        let mut command = relay.command(&[&["tail"], words].concat());
        command.stdin(Stdio::null());
        command.stdout(File::create(dir.path().join("out")).unwrap());
        command.stderr(File::create(dir.path().join("err")).unwrap());
        let tail = Tail { child: command.spawn().unwrap(), dir };
        tail.wait_until_told("listening to trackrelay");
        tail
    }

    fn text(&self, name: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        fs::read_to_string(path).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.text("out").lines().map(str::to_owned).collect()
    }

    /// A line that has all of these, without its time.
    #[track_caller]
    fn wait_for(&self, parts: &[&str]) -> String {
        let fits = |line: &String| parts.iter().all(|part| line.contains(part));
        let found = wait_until(&format!("a line with {parts:?}"), || self.lines().into_iter().find(fits));
        found.split_once("Z ").map_or(found.clone(), |(_, rest)| rest.to_owned())
    }

    #[track_caller]
    fn wait_until_told(&self, what: &str) {
        wait_until(what, || self.text("err").contains(what).then_some(()));
    }

    /// Ctrl-C.
    #[track_caller]
    fn end(mut self) -> Vec<String> {
        signal(&self.child, Signal::INT);
        let status = wait_until("it ends", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.text("err"));
        self.lines()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn an_event_is_followed_to_its_ends() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| match request.path.as_str() {
        "/broken" => Answer::status(500).with_body("out of \u{1b}[2Jorder"),
        _ => Answer::proper(request),
    });
    let tables = receiver.table("plain")
        + &receiver.table_for("tags", r#"["tag.*"]"#)
        + &receiver.table_for("off", r#"["tag.deleted"]"#)
        + "enabled = false\n"
        + &receiver.table_for("broken", r#"["project.*"]"#)
        + &receiver.table_for("odd", r#"["task.*"]"#)
        + "filter = [{ plugin = \"talks\" }]\n[plugin.talks]\npath = \"talks.wasm\"\n";
    let mut relay = Relay::prepare(&tables);
    fs::write(relay.path("talks.wasm"), talker()).unwrap();
    relay.start_again();
    let all = Tail::start(&relay, &[]);
    let tags = Tail::start(&relay, &["--json", "--subscription", "tags", "--entity", "tag"]);
    let unmatched = Tail::start(&relay, &["--outcome", "skipped_filter", "--subscription", "tags"]);

    relay.send_all(&[event("tag.deleted", 17), event("project.created", 18).of(2)]);
    assert_eq!(all.wait_for(&["event", " 17 "]), "event     tag.deleted 17 from events, for plain, tags");
    assert_eq!(
        all.wait_for(&["skipped_disabled"]),
        "skipped_disabled off tag.deleted 17: disabled in the config file (`enabled = false`)"
    );
    for name in ["plain", "tags"] {
        let line = all.wait_for(&["delivered", &format!(" {name} tag.deleted 17: ")]);
        assert!(line.contains("attempt 1, 200 in "), "{line}");
    }
    let failed = all.wait_for(&["pending ", "broken project.created 18: attempt 1, answered 500"]);
    assert!(failed.contains("order") && !failed.contains('\u{1b}'), "no word of others steers: {failed}");
    assert!(failed.contains("; next try in "), "{failed}");
    all.wait_for(&["status", "broken is pending: answered 500"]);
    relay.send(&event("tag.deleted", 17));
    relay.send(&event("task.created", 20));
    assert_eq!(all.wait_for(&["log"]), "log       odd task.created 20: plugin `talks`, info: saw it");
    all.wait_for(&["event", "17", "a duplicate, which changes nothing"]);

    let line = unmatched.wait_for(&["18"]);
    let place = format!("({}:", relay.config().display());
    assert!(line.starts_with("skipped_filter tags project.created 18: event_filters [\"tag.*\"]"), "{line}");
    assert!(line.contains(&place), "{line}");
    unmatched.wait_for(&["task.created 20"]);
    assert_eq!(unmatched.end().len(), 2, "all that was asked for");

    let removed = relay.cli(&["rm", "broken", "--yes"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    let line = all.wait_for(&["cancelled"]);
    assert_eq!(line, "cancelled broken 1 delivery that waited when it was removed");

    tags.wait_for(&["\"type\":\"attempt\""]);
    tags.wait_for(&["\"duplicate\":true"]);
    let objects: Vec<Value> = tags.end().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = objects.iter().map(|object| (&object["type"], &object["event_id"])).collect();
    assert!(told.iter().all(|(_, id)| *id == 17), "{told:?}");
    let one = |kind: &str| objects.iter().find(|object| object["type"] == kind).unwrap().clone();
    assert_eq!(one("decision")["outcome"], "pending");
    let attempt = one("attempt");
    assert_eq!((&attempt["outcome"], &attempt["status"]), (&"delivered".into(), &200.into()));
    assert_eq!((&attempt["n"], &attempt["subscription"]), (&1.into(), &"tags".into()));
}

/// The history has forgotten them by then.
#[cfg(debug_assertions)]
#[test]
fn deliveries_that_keep_ends_are_told() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let mut relay = Relay::prepare(&("\n[store]\nkeep = \"1h\"\n".to_owned() + &receiver.table("broken")));
    relay.use_wrong_clock();
    relay.set_clock(-2 * 3600);
    relay.set_env(DIE, HURRY);
    relay.start_again();
    let (tail, others) = (Tail::start(&relay, &[]), Tail::start(&relay, &["--outcome", "delivered"]));
    let json = Tail::start(&relay, &["--json", "--subscription", "broken", "--outcome", "dropped"]);
    relay.send(&event("tag.created", 1));
    relay.wait_for_status("broken", "pending");
    relay.set_clock(0);
    let line = tail.wait_for(&["dropped"]);
    assert_eq!(line, "dropped   broken 1 delivery that had waited longer than `[store] keep`");
    let told: Value = serde_json::from_str(&json.wait_for(&["dropped"])).unwrap();
    assert_eq!((&told["type"], &told["count"]), (&"ended".into(), &1.into()), "{told}");
    assert_eq!(others.end(), [""; 0], "nobody asked for them");
}

#[test]
fn it_goes_on_over_reloads_and_restarts() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("plain"));
    let tail = Tail::start(&relay, &[]);
    relay.save("[subscription.plain]\n");
    tail.wait_for(&["config", "refused, the last good set stays; "]);
    relay.save(&(receiver.table("plain") + &receiver.table("more")));
    tail.wait_for(&["config", "in force: ", "`more`"]);
    tail.wait_for(&["status", "more is enabled"]);
    relay.stop();
    tail.wait_until_told("the daemon went away; waiting for it to come back");
    relay.start_again();
    tail.wait_until_told("the daemon is back: trackrelay ");
    relay.send(&event("tag.created", 1));
    tail.wait_for(&["delivered", "more tag.created 1: attempt 1, 200 in "]);
    relay.kill9();
    relay.start_again();
    wait_until("it is back again", || {
        (tail.text("err").matches("the daemon is back").count() == 2).then_some(())
    });
    relay.send(&event("tag.created", 2));
    tail.wait_for(&["delivered", "plain tag.created 2: attempt 1, 200 in "]);
    tail.end();
}

#[test]
fn names_are_checked_and_a_daemon_is_needed() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare(&receiver.table("plain"));
    assert_eq!(relay.cli(&["tail"]).code, 69);
    relay.start_again();
    let table: [(&[&str], i32, &str); 4] = [
        (&["--subscription", "plian"], 1, "did you mean `plain`?"),
        (&["--entity", "time_entri"], 2, "did you mean `time_entry`?"),
        (&["--action", "changed"], 2, "there are created, updated, deleted"),
        (&["--outcome", "delivred"], 2, "did you mean `delivered`?"),
    ];
    for (words, code, said) in table {
        let output = relay.cli(&[&["tail"], words].concat());
        assert_eq!(output.code, code, "{words:?}: {output:?}");
        assert!(output.stderr.contains(said), "{words:?}: {output:?}");
    }
    for (query, status, said) in [
        ("entity=tags", 400, "no entity `tags`, did you mean `tag`?"),
        ("entiti=tag", 400, "no filter `entiti`, did you mean `entity`?"),
        ("subscription=plian", 404, "no subscription `plian`, did you mean `plain`?"),
    ] {
        let refused = relay.get(&format!("/api/stream?{query}"));
        assert_eq!((refused.status, refused.refusal().as_str()), (status, said));
    }
}

/// A stream that a test reads by itself, or does not.
struct Raw(BufReader<UnixStream>);

impl Raw {
    fn open(relay: &Relay) -> Raw {
        let mut stream = UnixStream::connect(relay.unix()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"GET /api/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        Raw(BufReader::new(stream))
    }

    /// Reads on to a line with this; what came before it is returned too.
    #[track_caller]
    fn read_to(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it ended before {part:?}: {lines:?}");
            lines.push(line.trim_end().to_owned());
            if line.contains(part) {
                return lines;
            }
        }
    }
}

#[test]
fn a_reader_that_is_slow_is_told_and_one_that_is_stuck_holds_nothing_up() {
    let mut relay = Relay::start("");
    let mut slow = Raw::open(&relay);
    let hello = slow.read_to("data:");
    assert!(hello.contains(&"content-type: text/event-stream".to_owned()), "{hello:?}");
    assert!(hello.last().unwrap().contains("\"started_at\":\""), "{hello:?}");
    let mut stuck = Raw::open(&relay);
    stuck.read_to("data:");
    let events: Vec<_> = (1..=3000).map(|id| event("tag.created", id)).collect();
    // Known ones are told too, and cost no more than the telling.
    for _ in 0..3 {
        relay.send_all(&events);
    }
    let read = slow.read_to("\"type\":\"missed\"");
    let ids: Vec<_> = read.iter().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert!(
        ids.first().is_some_and(|id| id.ends_with("-1")),
        "numbers begin with the daemon: {:?}",
        ids.first()
    );
    let missed: Value = serde_json::from_str(read.last().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    let next = slow.read_to("id: ").pop().unwrap();
    let number = |id: &str| id.rsplit('-').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(
        number(&next),
        number(ids.last().unwrap()) + missed["count"].as_u64().unwrap() + 1,
        "{missed}"
    );

    let others: Vec<_> = (0..30).map(|_| Raw::open(&relay)).collect();
    for mut other in
        others.iter().map(|raw| raw.0.get_ref().try_clone().unwrap()).map(BufReader::new).map(Raw)
    {
        other.read_to("data:");
    }
    let refused = relay.get("/api/stream");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")), "{}", refused.text());
    let started = Instant::now();
    relay.stop();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn top_prints_a_frame() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let mut relay =
        Relay::prepare(&(receiver.table("broken") + &receiver.table("off") + "enabled = false\n"));
    assert_eq!(relay.cli(&["top", "--once"]).code, 69);
    relay.start_again();
    let piped = relay.cli(&["top"]);
    assert_eq!(piped.code, 2, "{piped:?}");
    assert!(piped.stderr.contains(" top --once"), "{piped:?}");
    relay.send(&event("tag.created", 1));
    relay.wait_for_status("broken", "pending");
    let frame = relay.cli(&["top", "--once", "--sort", "status"]);
    assert_eq!(frame.code, 0, "{frame:?}");
    let lines: Vec<_> = frame.stdout.lines().collect();
    assert!(lines[0].starts_with("trackrelay ") && lines[0].ends_with("config ok  store ok"), "{lines:#?}");
    assert!(lines[4].starts_with("off ") && lines[4].contains(" disabled "), "{lines:#?}");
    assert!(lines[5].starts_with("broken ") && lines[5].contains(": answered 500"), "{lines:#?}");
}

#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("plain"));
    let mut child = relay.command(&["tail"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    told.read_line(&mut String::new()).unwrap();
    let mut read = BufReader::new(child.stdout.take().unwrap());
    relay.send(&event("tag.created", 1));
    let mut line = String::new();
    read.read_line(&mut line).unwrap();
    assert!(line.contains("tag.created"), "{line}");
    drop(read);
    let mut id = 1;
    let ended = wait_until("its end", || {
        id += 1;
        relay.send(&event("tag.created", id));
        child.try_wait().unwrap()
    });
    assert_eq!(ended.code(), Some(0), "like `trackrelay tail | head -1`");
    let mut said = String::new();
    told.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "a pipe that was closed is nobody's error");
}
