//! `trackrelay secret`: the one command that prints a signing secret, and the one that
//! replaces it.

use serde_json::json;

use crate::cli::args;
use crate::cli::change::{self, Change, Done};
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::cli::reply::SecretReply;

/// Show or replace a subscription's signing secret
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay secret show slack
  trackrelay secret rotate slack
  export TOGGL_SECRET=\"$(trackrelay secret show slack)\"")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Show),
    Rotate(Rotate),
}

/// Print the secret, alone on stdout
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay secret show slack
  trackrelay secret show slack --standard-webhooks")]
struct Show {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Print it as libraries of Standard Webhooks take it: `whsec_` and base64
    #[arg(long)]
    standard_webhooks: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Replace the secret by a new one, at once
///
/// The new one goes where the old one lives: the store, the config or a file of its own. As
/// with Track there is no overlap: whatever is sent from now on, retries included, is signed
/// with the new one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay secret rotate slack && trackrelay secret show slack")]
struct Rotate {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    match args.command {
        Command::Show(args) => show(&args, here).await,
        Command::Rotate(args) => rotate(args, here).await,
    }
}

async fn show(args: &Show, here: &Invocation) -> Result<(), Failure> {
    let reply = here.daemon()?.get(&Target::subscription(&args.name, "secret")).await?;
    match args.json {
        true => output::document(&reply.json::<serde_json::Value>()?),
        // Not made harmless as other texts are: a secret must be printed as it is.
        false => {
            let SecretReply { secret, standard_webhooks } = reply.json()?;
            output::facts(if args.standard_webhooks { &standard_webhooks } else { &secret })
        }
    }
}

async fn rotate(args: Rotate, here: &Invocation) -> Result<(), Failure> {
    let done = change::make(Change::Rotate { name: args.name.clone() }, here).await?;
    let show = here.command(&["secret", "show", &args.name]);
    output::say(&format!(
        "whatever is sent from now on is signed with the new secret, there is no overlap; \
         give it to the receiver: `{show}`"
    ));
    match (done, args.json) {
        (Done::Live(reply), true) => output::document(&reply.json::<serde_json::Value>()?),
        (Done::Alone(_), true) => output::document(&json!({ "name": args.name })),
        (_, false) => output::facts(&format!("{}: new secret", output::clean(&args.name))),
    }
}
