//! `Retry-After` in every form: on 429 and 503 it makes the wait longer, never shorter, and
//! at most an hour; elsewhere it means nothing. Nobody waits here: `status` tells when the
//! next attempt is due.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::harness::{Answer, Receiver, Relay, event};

/// `retry` of every row, and what its jitter makes of it at most.
const SCHEDULE: i64 = 60;
const JITTERED: i64 = 72;
const HOUR: i64 = 3600;

/// The seconds that a wait is to last, from and to.
type Wait = (i64, i64);

const AS_SCHEDULED: Wait = (SCHEDULE * 8 / 10, JITTERED);

struct Row {
    name: &'static str,
    status: u16,
    retry_after: Vec<String>,
    wait: Wait,
}

fn row(name: &'static str, status: u16, retry_after: &[&str], wait: Wait) -> Row {
    Row { name, status, retry_after: retry_after.iter().map(ToString::to_string).collect(), wait }
}

#[test]
fn retry_after_in_every_form() {
    let date = |form: &str, seconds: i64| {
        let at = trackrelay::clock::now() + Duration::from_secs(seconds.unsigned_abs());
        strtime::format(form, at).unwrap()
    };
    let standard = "%a, %d %b %Y %H:%M:%S GMT";
    // A date is whole seconds and was written a moment ago.
    let dated = (600 - 30, 601);
    let rows = [
        row("seconds", 429, &["120"], (120, 121)),
        row("seconds-of-503", 503, &["120"], (120, 121)),
        row("with-spaces", 429, &["  120  "], (120, 121)),
        row("shorter", 429, &["5"], AS_SCHEDULED),
        row("zero", 429, &["0"], AS_SCHEDULED),
        row("negative", 429, &["-120"], AS_SCHEDULED),
        row("fraction", 503, &["120.5"], AS_SCHEDULED),
        row("huge", 503, &["99999999999999999999999999"], (HOUR, HOUR + 1)),
        row("two-hours", 503, &["7200"], (HOUR, HOUR + 1)),
        row("date", 503, &[&date(standard, 600)], dated),
        row("date-of-850", 503, &[&date("%A, %d-%b-%y %H:%M:%S GMT", 600)], dated),
        row("date-of-asctime", 429, &[&date("%a %b %e %H:%M:%S %Y", 600)], dated),
        row("past", 429, &["Sun, 06 Nov 1994 08:49:37 GMT"], AS_SCHEDULED),
        row("end-of-time", 429, &["Fri, 31 Dec 9999 23:59:59 GMT"], (HOUR, HOUR + 1)),
        row("garbage", 503, &["soon, promised"], AS_SCHEDULED),
        row("empty", 503, &[""], AS_SCHEDULED),
        row("several", 429, &["90", "soon", "120", "100"], (120, 121)),
        row("on-500", 500, &["1200"], AS_SCHEDULED),
        row("on-302", 302, &["1200"], AS_SCHEDULED),
        row("none", 429, &[], AS_SCHEDULED),
    ];
    let receiver = Receiver::start();
    let tables = rows.iter().map(|row| receiver.table(row.name) + &format!("retry = [\"{SCHEDULE}s\"]\n"));
    let relay = Relay::start(&(tables.collect::<String>() + &receiver.table("on-200")));
    let answers: Vec<_> = rows.iter().map(|row| (format!("/{}", row.name), answer(row))).collect();
    receiver.answer(move |request, _| {
        let asked = answers.iter().find(|(path, _)| *path == request.path);
        asked.map_or_else(
            || Answer::status(200).with_header("retry-after", "1200"),
            |(_, answer)| answer.clone(),
        )
    });
    relay.send(&event("tag.created", 1));
    for Row { name, wait: (from, to), .. } in rows {
        let state = relay.wait_for_status(name, "pending");
        let ended = at(&relay.decision(1, name)["attempts"][0]["at"]);
        let wait = at(&state["retry_at"]).duration_since(ended).as_secs_f64();
        // The wait begins with the end of the attempt, which began a little earlier.
        let (from, to) = (from as f64, to as f64 + 20.0);
        assert!((from..to).contains(&wait), "`{name}` waits {wait} s, not {from} to {to}");
        assert_eq!(state["failed_attempts"], 1, "`{name}`: the attempt counts");
    }
    let state = relay.wait_for("on-200", "has delivered", |it| it["delivered"] == 1);
    assert_eq!((&state["status"], &state["retry_at"]), (&"enabled".into(), &serde_json::Value::Null));
}

fn answer(row: &Row) -> Answer {
    let named = row.retry_after.iter();
    named.fold(Answer::status(row.status), |answer, asked| answer.with_header("retry-after", asked))
}

#[track_caller]
fn at(time: &serde_json::Value) -> Timestamp {
    time.as_str().unwrap_or_else(|| panic!("no time: {time}")).parse().unwrap()
}
