//! `trackrelay schema`: prints the JSON Schema of the config, for editors. It is made of
//! the types that read it, in `config/file.rs`.

use anyhow::Context;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::file;

/// Print the JSON Schema of the config
///
/// Editors use it for completion and checks. A config names it in its first line:
/// `#:schema config.schema.json`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay schema > config.schema.json")]
pub struct Args {}

pub fn run(_args: Args) -> Result<(), Failure> {
    output::facts(&text()?)
}

/// The schema as people read it.
pub fn text() -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(&file::schema()).context("cannot write the schema")?)
}
