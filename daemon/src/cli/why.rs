//! `trackrelay why`: what became of an event, per subscription, attempt by attempt.

use anstyle::Style;
use jiff::Timestamp;

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, BAD, GOOD, QUIET, STRONG, WARN, clean, styled};
use crate::cli::reply::{Decision, Why};
use crate::delivery::{Attempt, Outcome};

mod bodies;
mod missing;
mod trace;

/// Tell what became of an event, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay why 4000000000000000017
  trackrelay why 4000000000000000017 slack
  trackrelay why 4000000000000000017 --json | jq '.decisions[].outcome'
  trackrelay why --not slack               why the last events did not go there
  trackrelay why --not slack --last 20000")]
pub struct Args {
    /// The event, by its `event_id`
    #[arg(value_parser = args::event_id, add = args::events(), required_unless_present = "not")]
    event_id: Option<i64>,

    /// Only this subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: Option<String>,

    /// Why the last events did not go to this subscription, by reason
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions(), conflicts_with = "event_id")]
    not: Option<String>,

    /// How many events to look at, the newest first; at most 100000
    #[arg(long, value_name = "N", value_parser = last, requires = "not", default_value_t = missing::USUAL)]
    last: u64,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    if let Some(name) = &args.not {
        return missing::run(name, args.last, args.json, here).await;
    }
    let event_id = args.event_id.unwrap_or_default().to_string();
    let mut target = Target::new(&["api", "why", &event_id]).query("bodies", "1");
    if let Some(name) = &args.name {
        target = target.query("subscription", name);
    }
    let reply = here.daemon()?.get(&target).await?;
    if args.json {
        return output::document(&reply.json::<serde_json::Value>()?);
    }
    output::facts(&render(&reply.json()?, here, crate::clock::now()))
}

fn last(text: &str) -> Result<u64, String> {
    match args::count(text)? {
        count @ ..=missing::MOST => Ok(count),
        _ => Err(format!("looks at no more than {} events", missing::MOST)),
    }
}

/// An outcome in the colour of how it is taken.
pub fn outcome_style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Delivered => GOOD,
        Outcome::Pending | Outcome::Held => WARN,
        Outcome::Failed | Outcome::Dropped => BAD,
        _ => QUIET,
    }
}

/// `delivered, 200 in 12 ms`: what an attempt came to.
pub fn attempt_result(attempt: &Attempt) -> String {
    result(attempt.status, attempt.error.as_deref(), attempt.ms)
}

/// The same of what is known of one.
pub fn result(status: Option<u16>, error: Option<&str>, ms: u64) -> String {
    let answer = match (error, status) {
        (Some(error), Some(status)) if !error.contains(&status.to_string()) => format!("{status}, {error}"),
        (Some(error), _) => error.to_owned(),
        (None, Some(status)) => status.to_string(),
        (None, None) => "no answer".to_owned(),
    };
    format!("{} in {ms} ms", clean(&answer))
}

fn render(why: &Why, here: &Invocation, now: Timestamp) -> String {
    let made_from = why.made_from.map(|from| format!(" (made from {from})")).unwrap_or_default();
    let (entity, action) = (clean(&why.entity), clean(&why.action));
    let mut text = format!("event {} {entity}.{action}{made_from}\n", why.event_id);
    if why.decisions.is_empty() {
        text += "no subscription was there to want it\n";
    }
    for (at, decision) in why.decisions.iter().enumerate() {
        text.push('\n');
        text += &render_decision(decision, now);
        // A replay has taken up what it missed.
        if !why.decisions[at + 1..].iter().any(|later| later.subscription == decision.subscription) {
            text += &way_out(why, decision, here);
        }
    }
    text
}

fn render_decision(decision: &Decision, now: Timestamp) -> String {
    let outcome = styled(outcome_style(decision.outcome), decision.outcome.as_str());
    let replay = if decision.replay { " (replay)" } else { "" };
    let mut text = format!("{}{replay}: {outcome}", styled(STRONG, &decision.subscription));
    if let Some(at) = decision.at {
        text += &format!(" at {}", output::moment(at));
    }
    text.push('\n');
    // While it waits for its next attempt, the last one says the same.
    let again =
        |reason: &&String| decision.attempts.last().and_then(|last| last.error.as_ref()) == Some(reason);
    if let Some(reason) = decision.reason.as_ref().filter(|reason| !again(reason)) {
        text += &format!("  {}\n", clean(reason));
    }
    text += &passed(decision);
    decision.attempts.iter().for_each(|attempt| text += &render_attempt(attempt, decision));
    if let Some(stopped) = &decision.stopped {
        text += &render_stopped(stopped, decision);
    }
    if let Some(bodies) = &decision.bodies {
        text += &bodies::render(bodies);
    }
    // Most reasons why something is pending say it themselves.
    let said = decision.reason.as_ref().is_some_and(|reason| reason.contains("next try"));
    if let Some(at) = decision.next_try.filter(|_| !said) {
        text += &format!("  {}\n", output::next_try(at, now));
    }
    text
}

/// What it went by on its way here.
fn passed(decision: &Decision) -> String {
    let Some((filter, matched)) =
        decision.filter.as_ref().and_then(|filter| Some((filter, filter.matched.as_ref()?)))
    else {
        return String::new();
    };
    let here = std::env::current_dir().unwrap_or_default();
    let file = filter.file.strip_prefix(here).unwrap_or(&filter.file).display().to_string();
    let matched = format!("event filter \"{matched}\" matched ({file}:{})", filter.line);
    let checks = match decision.routing.as_ref().map(|routing| (&*routing.rights, routing.status.as_deref()))
    {
        Some(("ok", Some("ok"))) => "; rights and status ok",
        Some(("ok", _)) => "; rights ok",
        _ => "",
    };
    format!("  {}\n", styled(QUIET, &format!("{matched}{checks}")))
}

fn render_attempt(attempt: &Attempt, decision: &Decision) -> String {
    let (at, result) = (output::moment(attempt.at), attempt_result(attempt));
    let text = format!("  attempt {} at {at}: {result}\n", attempt.n);
    text + &traced(attempt, decision)
}

/// A look at it that was no attempt. What it came to, the reason says.
fn render_stopped(stopped: &Attempt, decision: &Decision) -> String {
    let text = format!("  looked at {}, no attempt\n", output::moment(stopped.at));
    text + &traced(stopped, decision)
}

fn traced(attempt: &Attempt, decision: &Decision) -> String {
    let said = [attempt.error.as_deref(), decision.reason.as_deref()];
    let said = said.into_iter().flatten().collect::<Vec<_>>().join("\n");
    attempt.trace.as_ref().map(|trace| trace::render(trace, &said)).unwrap_or_default()
}

/// What would have it sent after all, where it can be said.
fn way_out(why: &Why, decision: &Decision, here: &Invocation) -> String {
    let name = decision.subscription.as_str();
    let first = match decision.outcome {
        Outcome::SkippedDisabled => "enable",
        Outcome::SkippedNotValidated => "validate",
        Outcome::SkippedFilter => {
            return format!("  {}\n", clean(&filter_help(&why.entity, &why.action, name, here)));
        }
        Outcome::SkippedRights => return format!("  {}\n", rights_help(&why.entity)),
        _ => return String::new(),
    };
    let (first, then) = (here.command(&[first, name]), here.command(&["replay", "--missed", name]));
    format!("  run `{}`, then `{}` sends this event\n", clean(&first), clean(&then))
}

/// What has a subscription want such events.
pub fn filter_help(entity: &str, action: &str, name: &str, here: &Invocation) -> String {
    format!("add \"{entity}.{action}\" to its event_filters: `{}`", here.command(&["edit", name]))
}

/// What has a member see an event of this entity.
pub fn rights_help(entity: &str) -> String {
    // A time entry belongs to whom it names, whoever made the change.
    let owner = if entity == "time_entry" { "payload.user_id" } else { "metadata.event_user_id" };
    format!("give that user `role = \"admin\"`, or send the event as its own with `--set {owner}=ID`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_report() {
        let why: Why = serde_json::from_value(serde_json::json!({
            "event_id": 4_000_000_000_000_000_017_i64, "entity": "time_entry", "action": "created",
            "decisions": [
                { "subscription": "plain", "outcome": "delivered", "reason": null, "at": "2025-09-10T08:01:02Z",
                  "attempts": [
                      { "n": 1, "at": "2025-09-10T08:00:01Z", "status": 500, "error": "answered 500", "ms": 3 },
                      { "n": 2, "at": "2025-09-10T08:01:02Z", "status": 204, "error": null, "ms": 12 } ] },
                { "subscription": "slack", "outcome": "skipped_filter", "reason": "event_filters are project.*",
                  "at": "2025-09-10T08:00:01Z", "attempts": [] },
                { "subscription": "plain", "outcome": "pending", "reason": "waits: answered 500",
                  "at": "2025-09-10T09:00:00Z", "replay": true, "attempts": [], "next_try": "2025-09-10T09:01:00Z" },
                { "subscription": "new", "outcome": "pending", "reason": "waits; next try at nine",
                  "at": "2025-09-10T09:00:00Z", "attempts": [], "next_try": "2025-09-10T09:01:00Z" },
                { "subscription": "off", "outcome": "skipped_disabled", "reason": "disabled",
                  "at": "2025-09-10T08:00:01Z", "attempts": [] },
                { "subscription": "fresh", "outcome": "skipped_not_validated", "reason": "not validated",
                  "at": "2025-09-10T08:00:01Z", "attempts": [] },
                { "subscription": "off", "outcome": "delivered", "reason": null, "replay": true,
                  "at": "2025-09-10T09:00:00Z", "attempts": [] },
                { "subscription": "bo", "outcome": "skipped_rights", "reason": "not bo's",
                  "at": "2025-09-10T08:00:01Z", "attempts": [] },
            ],
        }))
        .unwrap();
        let wanted = "\
event 4000000000000000017 time_entry.created

plain: delivered at 2025-09-10 08:01:02Z
  attempt 1 at 2025-09-10 08:00:01Z: answered 500 in 3 ms
  attempt 2 at 2025-09-10 08:01:02Z: 204 in 12 ms

slack: skipped_filter at 2025-09-10 08:00:01Z
  event_filters are project.*
  add \"time_entry.created\" to its event_filters: `trackrelay edit slack`

plain (replay): pending at 2025-09-10 09:00:00Z
  waits: answered 500
  next try in 59s (2025-09-10 09:01:00Z)

new: pending at 2025-09-10 09:00:00Z
  waits; next try at nine

off: skipped_disabled at 2025-09-10 08:00:01Z
  disabled

fresh: skipped_not_validated at 2025-09-10 08:00:01Z
  not validated
  run `trackrelay validate fresh`, then `trackrelay replay --missed fresh` sends this event

off (replay): delivered at 2025-09-10 09:00:00Z

bo: skipped_rights at 2025-09-10 08:00:01Z
  not bo's
  give that user `role = \"admin\"`, or send the event as its own with `--set payload.user_id=ID`
";
        let here = Invocation::with_env(None, |_| None);
        let now = "2025-09-10T09:00:01Z".parse().unwrap();
        assert_eq!(output::plain(&render(&why, &here, now)), wanted);
    }

    #[test]
    fn an_attempt_says_status_or_error_or_both() {
        let attempt = |status: Option<u16>, error: Option<&str>| Attempt {
            n: 1,
            at: "2025-09-10T08:00:01Z".parse().unwrap(),
            status,
            error: error.map(str::to_owned),
            ms: 5,
            trace: None,
        };
        let table = [
            (attempt(Some(200), None), "200 in 5 ms"),
            (
                attempt(Some(302), Some("redirects are not followed")),
                "302, redirects are not followed in 5 ms",
            ),
            (attempt(None, Some("connection refused")), "connection refused in 5 ms"),
            (attempt(None, None), "no answer in 5 ms"),
        ];
        for (attempt, wanted) in table {
            assert_eq!(attempt_result(&attempt), wanted);
        }
    }
}
