//! `trackrelay replay`: makes new deliveries of past events.

use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, clean, styled};
use crate::cli::reply::{Replay, Replayed};
use crate::cli::send::set::Change;
use crate::cli::why::outcome_style;
use crate::delivery::Outcome;

mod edit;
mod expect;

/// Send past events again
///
/// Each becomes a new delivery with today's config and the same event_id. Event filters and
/// rights apply, unless `--to` names the one subscription that gets them. With `--set` a new
/// event is made from each; what was received stays as it is.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["what", "since", "missed", "failed"]),
    after_help = "\
Examples:
  trackrelay replay 4000000000000000017 --to slack
  trackrelay replay 4000000000000000017 --set payload.description=lunch --dry-run
  trackrelay replay --since 1h --until 30m --dry-run
  trackrelay replay --missed slack     what it missed while disabled or not validated
  trackrelay replay --failed slack     what used up all its attempts
  trackrelay replay tests/webhooks --expect     compare what is sent with a recording"
)]
pub struct Args {
    /// These events; with --expect the folder of a recording
    #[arg(value_name = "EVENT_ID|DIR", add = args::events_or_folder())]
    what: Vec<String>,

    /// Every event of so long ago or less, such as 90s, 1h or 2d, or since a time
    #[arg(long, value_name = "WHEN", value_parser = args::past)]
    since: Option<String>,

    /// With --since: those that arrived before so long ago, or before a time
    #[arg(long, value_name = "WHEN", value_parser = args::past, requires = "since")]
    until: Option<String>,

    /// What this subscription missed while it was disabled or not validated
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    missed: Option<String>,

    /// What failed for this subscription
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    failed: Option<String>,

    /// Send them to this subscription, whatever its event filters
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    to: Option<String>,

    /// Change this before: a new event is made from each
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Change>,

    /// Only tell what would be sent
    #[arg(long)]
    dry_run: bool,

    /// Compare what the config sends now with a recording; no daemon is needed
    #[arg(long, requires = "what", conflicts_with_all = ["to", "set", "dry_run"])]
    expect: bool,

    /// With --expect: take over what is sent now
    #[arg(long, requires = "expect")]
    update: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    if args.expect {
        let [folder] = &args.what[..] else {
            return Err(Failure::Usage(
                "`--expect` takes one folder, as `trackrelay record DIR` made it".to_owned(),
            ));
        };
        return expect::run(Path::new(folder), args.update, args.json, here).await;
    }
    let (client, request) = (here.daemon()?, request(&args)?);
    let document = match args.set.is_empty() {
        true => client.post(&Target::new(&["api", "replay"]), &request.into()).await?.json::<Value>()?,
        false => edit::run(&args, request, &client).await?,
    };
    if args.json {
        return output::document(&document);
    }
    let replay: Replay = serde_json::from_value(document).map_err(anyhow::Error::from)?;
    let lines: String = replay.replayed.iter().map(render).collect();
    if !lines.is_empty() {
        output::facts(&lines)?;
    }
    output::say(&summary(&replay, args.dry_run));
    Ok(())
}

/// Only what was asked for; the daemon takes what is absent as not asked for.
fn request(args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    let id = |text: &String| {
        args::event_id(text)
            .map_err(|wrong| Failure::Usage(format!("`{text}`: {wrong}; a folder goes with `--expect`")))
    };
    if args.until.is_some() && args.since.is_none() {
        return Err(Failure::Usage("`--until` goes with `--since`".to_owned()));
    }
    let ids = args.what.iter().map(id).collect::<Result<Vec<_>, _>>()?;
    if !ids.is_empty() {
        body.insert("events".to_owned(), ids.into());
    }
    let said = [
        ("since", &args.since),
        ("until", &args.until),
        ("missed", &args.missed),
        ("failed", &args.failed),
        ("to", &args.to),
    ];
    for (key, value) in said {
        if let Some(value) = value {
            body.insert(key.to_owned(), value.clone().into());
        }
    }
    body.insert("dry_run".to_owned(), args.dry_run.into());
    Ok(body)
}

fn render(replayed: &Replayed) -> String {
    let outcome = styled(outcome_style(replayed.outcome), replayed.outcome.as_str());
    let reason = replayed.reason.as_deref().map(|reason| format!(", {}", clean(reason))).unwrap_or_default();
    let event = match replayed.made_from {
        // Nothing has been made by a dry run.
        Some(from) if from == replayed.event_id => format!("a new event (made from {from})"),
        Some(from) => format!("{} (made from {from})", replayed.event_id),
        None => replayed.event_id.to_string(),
    };
    format!("{event} {}: {outcome}{reason}\n", clean(&replayed.subscription))
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
            ("--since 2h --until 1h", r#"{"since":"2h","until":"1h","dry_run":false}"#),
            ("--missed a", r#"{"missed":"a","dry_run":false}"#),
            ("--failed a --json", r#"{"failed":"a","dry_run":false}"#),
        ];
        for (line, wanted) in table {
            let request = Value::from(request(&parse(line).unwrap()).unwrap());
            assert_eq!(request.to_string(), wanted, "{line}");
        }
    }

    #[test]
    fn exactly_one_way_to_choose() {
        for line in ["", "--to a", "7 --since 1h", "--missed a --failed b", "--since nonsense", "--since 0s"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in ["7 --update", "7 --expect --set payload.a=1", "dir --expect --dry-run"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(request(&parse("7 --until 1h").unwrap()).is_err());
        let refused = request(&parse("tests/webhooks").unwrap()).unwrap_err().to_string();
        assert!(refused.ends_with("a folder goes with `--expect`"), "{refused}");
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
