//! `trackrelay plugin …`: makes, builds, tries and measures plugins. Needs no daemon: plugins
//! run here as they do there, in `plugin`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::config::{Isolation, PluginSpec};
use crate::plugin::{Host, Plugin};

pub mod bench;
pub mod build;
pub mod cost;
pub mod facts;
pub mod inputs;
pub mod inspect;
pub mod kit;
pub mod linker;
pub mod new;
pub mod snapshot;
pub mod test;
pub mod toolchain;
pub mod trial;
pub mod watch;

/// Write, build and try plugins
///
/// A plugin is a WebAssembly file that decides whether an event is delivered (a filter) or in
/// which form (a transform).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay plugin new long-only               a folder with a filter to start from
  cd long-only && trackrelay plugin build       make it a .wasm file
  trackrelay plugin test plugins/slack.wasm --events events.ndjson
                                                what it makes of recorded events
  trackrelay plugin bench plugins/slack.wasm --events events.ndjson
                                                what it costs
  trackrelay plugin inspect plugins/slack.wasm  what a file is and asks for")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(new::Args),
    Build(build::Args),
    Test(test::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    match args.action {
        Action::New(args) => new::run(args),
        Action::Build(args) => build::run(args),
        Action::Test(args) => test::run(args, here).await,
        Action::Bench(args) => bench::run(args, here).await,
        Action::Inspect(args) => inspect::run(args),
    }
}

/// A file as the config would name it, under the default limits.
fn spec(file: &Path, isolation: Isolation) -> PluginSpec {
    PluginSpec { isolation, ..PluginSpec::of_file(facts::name(file), file.to_owned()) }
}

fn load(host: &Host, file: &Path) -> Result<Arc<Plugin>, Failure> {
    host.load(&spec(file, Isolation::Reuse)).map_err(|error| Failure::Failed(error.into()))
}

/// With three digits: calls take microseconds.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}
