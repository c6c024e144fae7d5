//! `trackrelay secret`: the one command that prints a signing secret.

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::cli::reply::SecretReply;

/// Show a subscription's signing secret
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay secret show slack
  export TOGGL_SECRET=\"$(trackrelay secret show slack)\"")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Show),
}

/// Print the secret, alone on stdout
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay secret show slack
  trackrelay secret show slack --standard-webhooks")]
struct Show {
    /// The subscription
    #[arg(value_parser = args::name)]
    name: String,

    /// Print it as libraries of Standard Webhooks take it: `whsec_` and base64
    #[arg(long)]
    standard_webhooks: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let Command::Show(args) = args.command;
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
