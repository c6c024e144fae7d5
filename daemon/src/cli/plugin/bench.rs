//! `trackrelay plugin bench`: what calls, fresh instances and loading cost, against a budget.
//! What is measured and the budget are `cli/plugin/cost.rs`.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::cli::plugin::cost::{self, Line};
use crate::cli::plugin::inputs::Given;
use crate::cli::plugin::trial::Trial;
use crate::plugin::Host;

/// Measure a plugin against the budget
///
/// Shows the events again and again, to an instance that is reused and to fresh ones, and loads
/// the file with and without compiled code in the cache. A plugin over the budget works as well;
/// one far over it takes time from the others.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay plugin bench long_only.wasm --events events.ndjson --with '{\"seconds\":3600}'
  trackrelay plugin bench slack.wasm --events events.ndjson --json | jq '.lines[].within'

Exit codes: 0 measured, whatever came out, 1 a failure")]
pub struct Args {
    #[command(flatten)]
    given: Given,

    /// Calls to measure of each kind; fewer if they take longer than ten seconds
    #[arg(long, value_name = "N", default_value = "10000", value_parser = args::count)]
    calls: u64,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Measured {
    file: PathBuf,
    /// Of trackrelay, which then takes several times as long.
    debug_build: bool,
    lines: Vec<Line>,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let events = args.given.inputs(here).await?;
    let mut lines = cost::loads(&args.given.file)?;
    let host = Host::new(None)?;
    for trial in Trial::all(&host, &args.given.file, &args.given.with)? {
        lines.extend(cost::calls(&trial, &events, args.calls).await?);
    }
    let measured = Measured { file: args.given.file, debug_build: cfg!(debug_assertions), lines };
    match args.json {
        true => output::document(&measured)?,
        false => output::facts(&cost::table(&measured.lines))?,
    }
    if measured.debug_build {
        output::say(
            "this trackrelay is a debug build, which takes several times as long; measure with a release build",
        );
    }
    Ok(())
}
