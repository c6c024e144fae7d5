//! `trackrelay rm`: ends a subscription.

use std::io::BufRead;

use serde_json::json;

use crate::cli::change::{self, Change, Done};
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::reply::StatusReply;
use crate::cli::{args, output};
use crate::config::edit::Edit;

/// Remove a subscription for good
///
/// Takes its table out of the config, with the comments that touch it. What waits for it
/// is cancelled. A subscription of the same name that comes later is another one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay rm slack
  trackrelay rm slack --yes      without asking, for scripts")]
pub struct Args {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    if !args.yes {
        confirm(&question(&args.name, &stands(&args.name, here).await?), std::io::stdin().lock())?;
    }
    let edit = Edit::Remove { name: args.name.clone() };
    let cancelled = match change::make(Change::Edit(edit), here).await? {
        Done::Live(reply) => reply.json::<serde_json::Value>()?["cancelled"].as_u64().unwrap_or(0),
        Done::Alone(cancelled) => cancelled,
    };
    match args.json {
        true => output::document(&json!({ "name": args.name, "cancelled": cancelled })),
        false => output::facts(&removed(&args.name, cancelled)),
    }
}

/// What a daemon knows of it.
enum Stands {
    Waiting(u64),
    /// A table that was deleted by hand leaves behind what waited.
    NotInConfig,
    NobodyKnows,
}

async fn stands(name: &str, here: &Invocation) -> Result<Stands, Failure> {
    let Some(daemon) = here.running() else { return Ok(Stands::NobodyKnows) };
    let status: StatusReply = daemon.get(&Target::new(&["api", "status"])).await?.json()?;
    let found = status.subscriptions.iter().find(|one| one.name == name);
    Ok(found.map_or(Stands::NotInConfig, |one| Stands::Waiting(one.pending)))
}

fn question(name: &str, stands: &Stands) -> String {
    let name = output::clean(name);
    match stands {
        Stands::Waiting(0) => format!("remove `{name}`? Nothing waits for it [y/N] "),
        Stands::Waiting(1) => format!("remove `{name}`? 1 event waits for it and is cancelled [y/N] "),
        Stands::Waiting(n) => format!("remove `{name}`? {n} events wait for it and are cancelled [y/N] "),
        Stands::NotInConfig => {
            format!("`{name}` is not in the config; end what it has left behind? [y/N] ")
        }
        Stands::NobodyKnows => format!("remove `{name}`? What waits for it is cancelled [y/N] "),
    }
}

/// Only a clear yes is one.
fn confirm(question: &str, mut answers: impl BufRead) -> Result<(), Failure> {
    output::ask(question);
    let mut answer = String::new();
    let read = answers.read_line(&mut answer).map_err(anyhow::Error::from)?;
    if read == 0 {
        output::ask("\n");
    }
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ if read == 0 => Err(Failure::Usage("nobody answers; `--yes` removes it without asking".to_owned())),
        _ => Err(Failure::failed("nothing was removed")),
    }
}

fn removed(name: &str, cancelled: u64) -> String {
    let name = output::clean(name);
    match cancelled {
        0 => format!("{name}: removed"),
        n => format!("{name}: removed, {} cancelled", output::count(n, "waiting event")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_removes() {
        let answered = |answer: &str| confirm("?", answer.as_bytes()).map_err(|failure| failure.exit_code());
        for (answer, result) in [
            ("y\n", Ok(())),
            ("YES\n", Ok(())),
            ("\n", Err(1)),
            ("n\n", Err(1)),
            ("yesterday\n", Err(1)),
            ("", Err(2)),
        ] {
            assert_eq!(answered(answer), result, "{answer:?}");
        }
        assert!(question("a", &Stands::Waiting(3)).contains("3 events wait for it and are cancelled"));
        assert_eq!(removed("a", 1), "a: removed, 1 waiting event cancelled");
    }
}
