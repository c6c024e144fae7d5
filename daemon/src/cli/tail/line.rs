//! One thing that happened, as a line for people.

use anstyle::Style;
use jiff::Timestamp;

use crate::cli::live::Line;
use crate::cli::output::{self, BAD, GOOD, QUIET, STRONG, WARN, on_a_line};
use crate::cli::status::status_style;
use crate::cli::why::{outcome_style, result};
use crate::delivery::Outcome;
use crate::feed::{About, Arrived, Attempted, Decided, Ended, Loaded, Logged, News, Stands};

/// Columns of the word that says what happened; few outcomes are longer.
const WORD: usize = 9;

/// None for what another line says as well: whom an event waits for stands in its own.
pub(super) fn render(line: &Line) -> Option<String> {
    let (style, word, text) = match &line.news {
        News::Event(arrived) => (QUIET, "event", event(arrived)),
        News::Decision(decided) if decided.outcome == Outcome::Pending && !decided.replay => return None,
        News::Decision(decided) => {
            (outcome_style(decided.outcome), decided.outcome.as_str(), decision(decided))
        }
        News::Attempt(tried) => {
            (outcome_style(tried.outcome), tried.outcome.as_str(), attempt(tried, line.at))
        }
        News::Ended(ended) => (outcome_style(ended.outcome), ended.outcome.as_str(), end(ended)),
        News::Standing(stands) => (status_style(stands.status), "status", standing(stands)),
        News::Reload(loaded) => (reload_style(loaded), "config", reload(loaded)),
        News::Log(logged) => (level_style(&logged.level), "log", log(logged)),
    };
    let time = line.at.strftime("%H:%M:%S%.3fZ");
    Some(format!("{QUIET}{time}{QUIET:#} {style}{word:<WORD$}{style:#} {text}"))
}

fn event(arrived: &Arrived) -> String {
    let names: Vec<_> = arrived.subscriptions.iter().map(|name| on_a_line(name)).collect();
    let whom = match names.as_slice() {
        _ if arrived.duplicate => "a duplicate, which changes nothing".to_owned(),
        [] => "waits for nobody".to_owned(),
        names => format!("for {}", names.join(", ")),
    };
    format!("{} from {}, {whom}", about(&arrived.about), on_a_line(&arrived.source))
}

fn decision(decided: &Decided) -> String {
    let reason = decided.reason.as_ref().map(|reason| format!(": {}", on_a_line(reason)));
    let (about, name) = (about(&decided.about), name(&decided.subscription, decided.replay));
    format!("{name} {about}{}", reason.unwrap_or_default())
}

fn attempt(tried: &Attempted, now: Timestamp) -> String {
    let (about, name) = (about(&tried.about), name(&tried.subscription, tried.replay));
    let came_to = result(tried.status, tried.error.as_deref(), tried.ms);
    let next = tried.next_try.map(|at| format!("; {}", next_try(at, now))).unwrap_or_default();
    format!("{name} {about}: attempt {}, {}{next}", tried.n, on_a_line(&came_to))
}

fn end(ended: &Ended) -> String {
    let why = match ended.outcome {
        Outcome::Dropped => "had waited longer than `[store] keep`",
        _ => "waited when it was removed",
    };
    let count =
        if ended.count == 1 { "1 delivery".to_owned() } else { format!("{} deliveries", ended.count) };
    format!("{} {count} that {why}", name(&ended.subscription, false))
}

fn standing(stands: &Stands) -> String {
    let reason = stands.reason.as_ref().map(|reason| format!(": {}", on_a_line(reason)));
    let style = status_style(stands.status);
    let status = stands.status.as_str();
    format!("{} is {style}{status}{style:#}{}", name(&stands.subscription, false), reason.unwrap_or_default())
}

fn reload(loaded: &Loaded) -> String {
    match &*loaded.state {
        "stale" => {
            let first = loaded.problems.first().map(|first| format!(": {}", on_a_line(first)));
            let problems = output::count(loaded.problems.len() as u64, "problem");
            format!("refused, the last good set stays; {problems}{}", first.unwrap_or_default())
        }
        "unchanged" => "good again; it says what is in force".to_owned(),
        _ => format!("in force: {}{}", on_a_line(&loaded.changes.join("; ")), restart(loaded)),
    }
}

fn restart(loaded: &Loaded) -> String {
    match loaded.restart_needed.as_slice() {
        [] => String::new(),
        keys => format!("; at the next start: {}", on_a_line(&keys.join(", "))),
    }
}

fn log(logged: &Logged) -> String {
    let (name, plugin) = (name(&logged.subscription, false), on_a_line(&logged.plugin));
    let (level, text) = (on_a_line(&logged.level), on_a_line(&logged.text));
    format!("{name} {}: plugin `{plugin}`, {level}: {text}", about(&logged.about))
}

fn about(about: &About) -> String {
    format!("{}.{} {}", on_a_line(&about.entity), on_a_line(&about.action), about.event_id)
}

fn name(subscription: &str, replay: bool) -> String {
    let replay = if replay { " (replay)" } else { "" };
    format!("{STRONG}{}{STRONG:#}{replay}", on_a_line(subscription))
}

fn next_try(at: Timestamp, now: Timestamp) -> String {
    match at.duration_since(now).as_secs() {
        ..=0 => "next try now".to_owned(),
        _ => format!("next try in {}", output::since(now, at)),
    }
}

fn reload_style(loaded: &Loaded) -> Style {
    if loaded.state == "stale" { BAD } else { GOOD }
}

fn level_style(level: &str) -> Style {
    match level {
        "error" => BAD,
        "warn" => WARN,
        _ => QUIET,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::output::plain;

    fn shown(mut news: Value) -> Option<String> {
        news["at"] = json!("2025-09-10T08:00:01.5Z");
        render(&serde_json::from_value(news).unwrap()).map(|line| plain(&line))
    }

    fn of_event(kind: &str, more: Value) -> Value {
        let mut news = json!({
            "type": kind, "event_id": 17, "entity": "time_entry", "action": "created", "subscription": "slack",
            "outcome": "pending", "reason": null, "replay": false, "n": 2, "status": null, "error": null, "ms": 3,
            "next_try": null,
        });
        news.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        news
    }

    #[test]
    fn everything_has_a_line_of_its_own() {
        let event = |names: &[&str], duplicate| {
            of_event("event", json!({ "source": "events", "duplicate": duplicate, "subscriptions": names }))
        };
        let decision = |more| of_event("decision", more);
        let attempt = |more| of_event("attempt", more);
        let standing = json!({
            "type": "standing", "subscription": "slack", "status": "disabled", "cause": "failures",
            "reason": "3 attempts failed in a row",
        });
        let reload = |state: &str, changes: &[&str], problems: &[&str]| json!({ "type": "reload", "state": state, "changes": changes, "restart_needed": [], "problems": problems });
        let table = [
            (
                event(&["plain", "slack"], false),
                "event     time_entry.created 17 from events, for plain, slack",
            ),
            (event(&[], false), "event     time_entry.created 17 from events, waits for nobody"),
            (
                event(&["slack"], true),
                "event     time_entry.created 17 from events, a duplicate, which changes nothing",
            ),
            (
                decision(json!({ "outcome": "skipped_plugin", "reason": "plugin `match`: no" })),
                "skipped_plugin slack time_entry.created 17: plugin `match`: no",
            ),
            (decision(json!({ "replay": true })), "pending   slack (replay) time_entry.created 17"),
            (
                attempt(json!({ "outcome": "delivered", "status": 204 })),
                "delivered slack time_entry.created 17: attempt 2, 204 in 3 ms",
            ),
            (
                attempt(
                    json!({ "status": 500, "error": "answered 500: oh\nno", "next_try": "2025-09-10T08:01:02Z" }),
                ),
                "pending   slack time_entry.created 17: attempt 2, answered 500: oh no in 3 ms; next try in 1m",
            ),
            (
                json!({ "type": "ended", "subscription": "slack", "outcome": "cancelled", "count": 1 }),
                "cancelled slack 1 delivery that waited when it was removed",
            ),
            (
                json!({ "type": "ended", "subscription": "slack", "outcome": "dropped", "count": 12 }),
                "dropped   slack 12 deliveries that had waited longer than `[store] keep`",
            ),
            (standing, "status    slack is disabled: 3 attempts failed in a row"),
            (reload("ok", &["subscription `a`: added"], &[]), "config    in force: subscription `a`: added"),
            (
                reload("stale", &[], &["config.toml:3:1: no", "more"]),
                "config    refused, the last good set stays; 2 problems: config.toml:3:1: no",
            ),
            (reload("unchanged", &[], &[]), "config    good again; it says what is in force"),
            (
                of_event("log", json!({ "plugin": "match", "level": "info", "text": "\u{1b}[2Jhi\nthere" })),
                "log       slack time_entry.created 17: plugin `match`, info: \\u{1b}[2Jhi there",
            ),
        ];
        for (news, wanted) in table {
            assert_eq!(shown(news.clone()).as_deref(), Some(&*format!("08:00:01.500Z {wanted}")), "{news}");
        }
        assert_eq!(shown(decision(json!({}))), None, "its event says whom it waits for");
    }
}
