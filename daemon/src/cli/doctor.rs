//! `trackrelay doctor`: looks at everything a daemon needs, tells each thing in one line
//! with the way out, and with `--repair` saves what a broken store still holds. What is
//! looked at is `cli/doctor/checks.rs`; what a store's soundness is, `store/sqlite/audit.rs`.

use anstyle::Style;
use anyhow::Context;
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, BAD, GOOD, WARN, clean, count, styled};
use crate::store::sqlite::audit;
use crate::store::sqlite::salvage::{Lost, Salvaged, salvage};
use checks::{CHECKS, Finding, Ground, State};

mod callbacks;
mod checks;
mod machine;
mod network;
mod permissions;
mod sources;

/// Find out what is wrong, and repair a broken store
///
/// Looks at the config, the daemon, its sockets and sources, the callbacks, the store and the
/// machine. Connects to each callback as a delivery would, TLS included, and sends it nothing.
/// Changes nothing, unless `--repair` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay doctor
  trackrelay doctor --json | jq -r '.checks[] | select(.state == \"problem\").text'
  trackrelay doctor --repair            save what a broken store still holds; stop the daemon first

Exit codes: 0 all is well, 1 something is wrong")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Make a new store of all that can be read of a broken one, which is kept beside it
    #[arg(long)]
    repair: bool,
}

pub fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let ground = Ground::survey(here)?;
    if args.repair {
        return repair(&ground, args.json);
    }
    let found: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&ground)).collect();
    let problems = found.iter().filter(|finding| finding.state == State::Problem).count();
    if args.json {
        output::document(&json!({ "ok": problems == 0, "checks": found }))?;
    } else {
        output::facts(&found.iter().map(line).collect::<String>())?;
    }
    match problems {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{} found", count(n as u64, "problem")))),
    }
}

fn line(finding: &Finding) -> String {
    let style: Style = match finding.state {
        State::Ok => GOOD,
        State::Warning => WARN,
        State::Problem => BAD,
    };
    let help = finding.help.as_ref().map(|help| format!("; {}", clean(help))).unwrap_or_default();
    let word = styled(style, finding.state.word());
    format!("{word} {}: {}{help}\n", finding.check, clean(&finding.text))
}

fn repair(ground: &Ground<'_>, json: bool) -> Result<(), Failure> {
    let Some(store) = &ground.store else {
        let why =
            ground.loaded.problems().first().map_or_else(String::new, |problem| problem.message.clone());
        return Err(Failure::BadConfig(why));
    };
    if let Ok(found) = audit::examine(store)
        && found.as_ref().is_none_or(|audit| audit.problems.is_empty())
    {
        if json {
            return output::document(&json!({ "repaired": false }));
        }
        return output::facts(&format!("the store in `{}` needs no repair", store.display()));
    }
    let done = salvage(store, crate::clock::now()).context("cannot repair the store")?;
    match json {
        true => output::document(&document(&done)),
        false => output::facts(&told(&done)),
    }
}

fn document(done: &Salvaged) -> serde_json::Value {
    let saved = &done.saved;
    json!({
        "repaired": true,
        "kept": done.kept,
        "events": saved.events,
        "events_lost": saved.events_lost.count(),
        "events_lost_at_least": saved.events_lost.at_least,
        "decisions": saved.decisions,
        "decisions_lost": none_or_unknown(saved.decisions_doubtful),
        "waiting": saved.waiting,
        "subscriptions": saved.subscriptions,
        "standings_lost": saved.standings_lost,
        "subscriptions_lost": none_or_unknown(saved.subscriptions_doubtful),
    })
}

/// Whether something was lost: no, or nobody can know.
fn none_or_unknown(doubtful: bool) -> Option<bool> {
    (!doubtful).then_some(false)
}

fn told(done: &Salvaged) -> String {
    let saved = &done.saved;
    let mut text = format!(
        "saved: {}, {} of ended deliveries, {} {} waiting, {}\n",
        count(saved.events, "event"),
        count(saved.decisions, "outcome"),
        saved.waiting,
        if saved.waiting == 1 { "delivery" } else { "deliveries" },
        count(saved.subscriptions, "subscription"),
    );
    text += &match saved.events_lost {
        Lost { at_least: 0, perhaps_more: false } => String::new(),
        Lost { at_least, perhaps_more: false } => format!("lost: {}\n", count(at_least, "event")),
        Lost { at_least: 0, perhaps_more: true } => {
            "lost: perhaps some events; how many cannot be known\n".to_owned()
        }
        Lost { at_least, perhaps_more: true } => {
            format!("lost: at least {}; how many more cannot be known\n", count(at_least, "event"))
        }
    };
    if saved.decisions_doubtful {
        text += "lost: perhaps some outcomes; deliveries of saved events may go out a second time\n";
    }
    if saved.subscriptions_doubtful {
        text += "lost: perhaps how further subscriptions stood; those in the config begin anew\n";
    }
    for name in &saved.standings_lost {
        text += &format!(
            "lost: how `{}` stood; it is validated again, and a secret made here is made anew\n",
            clean(name)
        );
    }
    for file in &done.kept {
        text += &format!("kept: `{}`, the damaged file; delete it when nothing is missed\n", file.display());
    }
    text
}

#[cfg(test)]
mod tests;
