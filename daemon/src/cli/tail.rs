//! `trackrelay tail`: what happens, a line each, until it is told to end. How lines read is
//! `cli/tail/line.rs`; how a daemon is followed across restarts is `cli/live.rs`.

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::live::{Heard, Hello, Live};
use crate::cli::output::{self, clean};

mod line;

/// Show what happens, as it happens: a line per decision and attempt
///
/// Goes on over reloads and restarts of the daemon, until Ctrl-C. Filters of one kind add up, those of
/// different kinds narrow; what has no such thing, as a reload has no entity, is then left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay tail
  trackrelay tail --subscription slack --outcome pending --outcome failed
  trackrelay tail --entity time_entry --action deleted
  trackrelay tail --outcome skipped_filter          whose event_filters did not match
  trackrelay tail --json | jq -r 'select(.type == \"attempt\") | [.subscription, .ms] | @tsv'")]
pub struct Args {
    /// Only of this subscription; may be repeated
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    subscription: Vec<String>,

    /// Only events about this entity, such as time_entry; may be repeated
    #[arg(long, value_parser = args::entity, add = args::entities())]
    entity: Vec<String>,

    /// Only events of this action: created, updated, deleted; may be repeated
    #[arg(long, value_parser = args::action, add = args::actions())]
    action: Vec<String>,

    /// Only decisions and attempts that led to this, such as failed or skipped_plugin; may be repeated
    #[arg(long, value_parser = args::outcome, add = args::outcomes())]
    outcome: Vec<String>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let mut live = Live::begin(here, target(&args)).await?;
    let ended = tokio::signal::ctrl_c();
    tokio::select! {
        never = follow(&mut live, args.json) => never,
        _ = ended => Ok(()),
    }
}

fn target(args: &Args) -> Target {
    let kinds = [
        ("subscription", &args.subscription),
        ("entity", &args.entity),
        ("action", &args.action),
        ("outcome", &args.outcome),
    ];
    let pairs = kinds.into_iter().flat_map(|(kind, words)| words.iter().map(move |word| (kind, word)));
    pairs.fold(Target::new(&["api", "stream"]), |target, (kind, word)| target.query(kind, word))
}

async fn follow(live: &mut Live<'_>, json: bool) -> Result<(), Failure> {
    let mut was_there = false;
    loop {
        match live.next().await? {
            Heard::Hello { hello, anew } => {
                output::say(&greeting(&hello, was_there, anew));
                was_there = true;
            }
            Heard::Gone => output::say("the daemon went away; waiting for it to come back"),
            Heard::News { data, .. } | Heard::Missed { data, .. } | Heard::Unknown { data } if json => {
                output::facts(&data)?;
            }
            Heard::News { news, .. } => {
                if let Some(line) = line::render(&news) {
                    output::facts(&line)?;
                }
            }
            Heard::Missed { count, .. } => output::say(&format!(
                "too slow: missed {}; a filter, or less work behind the pipe, keeps up",
                output::count(count, "thing")
            )),
            Heard::Unknown { .. } => {}
        }
    }
}

fn greeting(hello: &Hello, was_there: bool, anew: bool) -> String {
    let (version, since) = (clean(&hello.version), output::moment(hello.started_at));
    match (was_there, anew) {
        (false, _) => {
            format!("listening to trackrelay {version}, which runs since {since}; Ctrl-C ends this")
        }
        (true, true) => format!("the daemon is back: trackrelay {version}, started at {since}"),
        (true, false) => "the daemon answers again; what happened in between is not shown".to_owned(),
    }
}
