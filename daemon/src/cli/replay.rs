//! `trackrelay replay`: makes new deliveries of past events.

use std::time::Duration;

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, clean, styled};
use crate::cli::reply::{Replay, Replayed};
use crate::cli::why::outcome_style;
use crate::delivery::Outcome;

/// Send past events again
///
/// Each becomes a new delivery with today's config and the same event_id. Event filters and
/// rights apply, unless `--to` names the one subscription that gets them.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["events", "since", "missed", "failed"]),
    after_help = "\
Examples:
  trackrelay replay 4000000000000000017 --to slack
  trackrelay replay --since 1h --dry-run
  trackrelay replay --missed slack     what it missed while disabled or not validated
  trackrelay replay --failed slack     what used up all its attempts"
)]
pub struct Args {
    /// These events
    #[arg(value_name = "EVENT_ID", value_parser = args::event_id)]
    events: Vec<i64>,

    /// Every event of so long ago or less, such as 90s, 1h or 2d
    #[arg(long, value_name = "DURATION", value_parser = since)]
    since: Option<String>,

    /// What this subscription missed while it was disabled or not validated
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    missed: Option<String>,

    /// What failed for this subscription
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    failed: Option<String>,

    /// Send them to this subscription, whatever its event filters
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    to: Option<String>,

    /// Only tell what would be sent
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let reply = here.daemon()?.post(&Target::new(&["api", "replay"]), &request(&args)).await?;
    if args.json {
        return output::document(&reply.json::<serde_json::Value>()?);
    }
    let replay: Replay = reply.json()?;
    let lines: String = replay.replayed.iter().map(render).collect();
    if !lines.is_empty() {
        output::facts(&lines)?;
    }
    output::say(&summary(&replay, args.dry_run));
    Ok(())
}

/// Only what was asked for; the daemon takes what is absent as not asked for.
fn request(args: &Args) -> serde_json::Value {
    let mut body = serde_json::Map::new();
    if !args.events.is_empty() {
        body.insert("events".to_owned(), args.events.clone().into());
    }
    for (key, value) in
        [("since", &args.since), ("missed", &args.missed), ("failed", &args.failed), ("to", &args.to)]
    {
        if let Some(value) = value {
            body.insert(key.to_owned(), value.clone().into());
        }
    }
    body.insert("dry_run".to_owned(), args.dry_run.into());
    body.into()
}

fn render(replayed: &Replayed) -> String {
    let outcome = styled(outcome_style(replayed.outcome), replayed.outcome.as_str());
    let reason = replayed.reason.as_deref().map(|reason| format!(", {}", clean(reason))).unwrap_or_default();
    format!("{} {}: {outcome}{reason}\n", replayed.event_id, clean(&replayed.subscription))
}

fn summary(replay: &Replay, dry_run: bool) -> String {
    let listed = replay.replayed.len() as u64;
    let total = replay.total.unwrap_or(listed);
    if total == 0 {
        return "nothing to replay".to_owned();
    }
    let mut text = output::count(total, "decision");
    if replay.truncated {
        text += &format!("; only the first {listed} are listed, the replay itself is complete");
    } else {
        text += &format!(": {}", tally(&replay.replayed));
    }
    if dry_run {
        text += "; nothing was sent (`--dry-run`)";
    }
    text
}

/// How many there are of each outcome: `2 pending, 1 skipped_rights`.
fn tally(replayed: &[Replayed]) -> String {
    let of = |outcome: Outcome| replayed.iter().filter(|line| line.outcome == outcome).count();
    let counted = Outcome::ALL.into_iter().map(|outcome| (of(outcome), outcome.as_str()));
    let counted: Vec<_> =
        counted.filter(|(n, _)| *n > 0).map(|(n, outcome)| format!("{n} {outcome}")).collect();
    counted.join(", ")
}

/// Checks a duration and hands its text on: the daemon counts back from its own clock.
fn since(text: &str) -> Result<String, String> {
    match args::duration(text)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("replay").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args)
    }

    #[test]
    fn asks_for_what_was_named() {
        let table = [
            ("7 8 --to a", r#"{"events":[7,8],"to":"a","dry_run":false}"#),
            ("--since 1h --dry-run", r#"{"since":"1h","dry_run":true}"#),
            ("--missed a", r#"{"missed":"a","dry_run":false}"#),
            ("--failed a --json", r#"{"failed":"a","dry_run":false}"#),
        ];
        for (line, wanted) in table {
            assert_eq!(request(&parse(line).unwrap()).to_string(), wanted, "{line}");
        }
    }

    #[test]
    fn exactly_one_way_to_choose() {
        for line in
            ["", "--to a", "7 --since 1h", "--missed a --failed b", "--since nonsense", "--since 0s", "x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn totals_are_of_the_whole_replay() {
        let replay = |total: u64, truncated: bool| -> Replay {
            let line =
                |outcome| serde_json::json!({ "event_id": 7, "subscription": "a", "outcome": outcome });
            let lines = ["pending", "skipped_rights", "pending"].map(line);
            let lines = &lines[..lines.len().min(total as usize)];
            serde_json::from_value(
                serde_json::json!({ "replayed": lines, "total": total, "truncated": truncated }),
            )
            .unwrap()
        };
        let table = [
            (replay(0, false), false, "nothing to replay"),
            (replay(1, false), false, "1 decision: 1 pending"),
            (
                replay(3, false),
                true,
                "3 decisions: 2 pending, 1 skipped_rights; nothing was sent (`--dry-run`)",
            ),
            (
                replay(250_000, true),
                false,
                "250000 decisions; only the first 3 are listed, the replay itself is complete",
            ),
        ];
        for (replay, dry_run, wanted) in table {
            assert_eq!(summary(&replay, dry_run), wanted);
        }
    }

    #[test]
    fn a_line_per_decision() {
        let replayed: Replayed = serde_json::from_str(
            r#"{"event_id":7,"subscription":"a","outcome":"skipped_rights","reason":"not ana's"}"#,
        )
        .unwrap();
        assert_eq!(output::plain(&render(&replayed)), "7 a: skipped_rights, not ana's\n");
    }
}
