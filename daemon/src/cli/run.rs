//! `trackrelay run`: the daemon itself, in the foreground.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustix::process::Resource;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::{check, output};
use crate::clock;
use crate::daemon::shutdown::Signals;
use crate::daemon::{Daemon, Reachable, StartError};
use crate::drill;
use crate::otel::{self, Traces};
use crate::runtime::{self, Announced, Runtime};
use crate::telemetry::{self, LogFormat};

/// Run the daemon (the default command)
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay
  trackrelay run --config ~/toggl/config.toml
  trackrelay --log debug")]
pub struct Args {
    #[command(flatten)]
    pub logging: Logging,
}

// A plain comment: the words of a flattened group would take the place of the command's own.
// What the daemon logs. Said after `run`, or before any command for a daemon without the word.
#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Logging {
    /// What the daemon logs: a level, or a filter like `trackrelay=debug,hyper=info` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,

    /// The form of its log lines [default: text]
    #[arg(long, value_enum, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
}

impl Logging {
    /// This, and for what it leaves open the other.
    pub fn or(self, other: Logging) -> Logging {
        Logging { log: self.log.or(other.log), log_format: self.log_format.or(other.log_format) }
    }
}

pub fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let Logging { log, log_format } = args.logging;
    telemetry::log_to_stderr(log.as_deref(), log_format.unwrap_or_default())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    drill::arm(here.env()).map_err(|error| Failure::Usage(error.to_string()))?;
    let path = here.config_file()?;
    let traces = otel::of_environment(here.env()).map_err(|error| Failure::Usage(error.to_string()))?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let result = runtime.block_on(serve(&path, here, traces));
    // A plugin or a name look-up that hangs must not keep the process.
    runtime.shutdown_background();
    result
}

/// Asks for as many file descriptors as the system lets us have: a thousand endpoints that
/// hang hold more sockets than the 1024 that shells give. Refused, less has to do.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
}

async fn serve(path: &Path, here: &Invocation, traces: Option<Traces>) -> Result<(), Failure> {
    let cancel = CancellationToken::new();
    let signals = Signals::catch().context("failed to listen for signals")?;
    let daemon = Daemon::build(path.to_owned()).await.map_err(|error| explain(error, path))?;
    let reachable = daemon.reachable();
    let _announced = announce(&reachable, path, here)?;
    tell(&reachable, &daemon);
    let run = signals.govern(daemon.with_traces(traces).run(cancel.clone()), cancel);
    run.await.map_err(anyhow::Error::from)??;
    tracing::info!("stopped");
    Ok(())
}

fn announce(reachable: &Reachable, path: &Path, here: &Invocation) -> Result<Announced, Failure> {
    let runtime = Runtime {
        pid: std::process::id(),
        config: reachable.config.clone(),
        tcp: reachable.tcp,
        unix: reachable.unix.clone(),
        token_file: reachable.token_file.clone(),
        started_at: clock::now(),
    };
    let announced = runtime::announce(here.env(), path, &runtime);
    Ok(announced.context("failed to write the runtime file by which commands find the daemon")?)
}

fn tell(reachable: &Reachable, daemon: &Daemon) {
    let plan = Arc::clone(&daemon.plan());
    let unix = reachable.unix.as_ref().map(|path| format!(" and {}", path.display())).unwrap_or_default();
    tracing::info!(
        "listening on http://{}{unix}; {}; config {}",
        reachable.tcp,
        output::count(plan.subscriptions.len() as u64, "subscription"),
        reachable.config.display()
    );
}

/// What keeps a daemon from starting, with every problem of the config printed first.
fn explain(error: StartError, path: &Path) -> Failure {
    match error {
        StartError::Config(bad) => {
            check::tell(&bad.0);
            check::refused(path, bad.0.problems())
        }
        StartError::AlreadyRunning(error) => Failure::failed(error.to_string()),
        StartError::Other(error) => Failure::Failed(error),
    }
}
