//! `trackrelay plugin inspect`: what a plugin file is, without running anything of it.

use std::path::PathBuf;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::plugin::facts::Facts;

/// Tell what a plugin file is: worlds, imports, contract, size, digest
///
/// The file is compiled as the daemon would, which shows whether it is a plugin at all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay plugin inspect plugins/slack.wasm
  trackrelay plugin inspect plugins/slack.wasm --json | jq -r .sha256      for [plugin.slack]

Exit codes: 0 a plugin, 1 not one")]
pub struct Args {
    /// The plugin, a .wasm file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let facts = Facts::of(&args.file)?;
    match args.json {
        true => output::document(&facts),
        false => output::facts(&facts.render()),
    }
}
