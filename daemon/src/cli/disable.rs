//! `trackrelay disable`: stops a subscription.

use serde_json::json;

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::enable::line;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;

/// Disable a subscription
///
/// Writes `enabled = false` into the config. What waits stays; what comes meanwhile is
/// recorded and can be sent later with `trackrelay replay --missed NAME`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay disable slack")]
pub struct Args {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let target = Target::subscription(&args.name, "disable");
    let reply = here.daemon()?.post(&target, &json!({})).await?;
    match args.json {
        true => output::document(&reply.json::<serde_json::Value>()?),
        false => output::facts(&line(&reply.json()?)),
    }
}
