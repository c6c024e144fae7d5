//! The command line: which commands there are and what they share. One file per command
//! in `cli/`; what a running daemon is asked goes through `cli/client.rs`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;

pub mod add;
pub mod args;
pub mod change;
pub mod check;
pub mod client;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod difference;
pub mod disable;
pub mod doctor;
pub mod edit;
pub mod enable;
pub mod events;
pub mod failure;
#[cfg(test)]
pub mod fake;
pub mod init;
pub mod invocation;
pub mod list;
pub mod live;
pub mod man;
pub mod output;
pub mod plugin;
pub mod record;
pub mod recording;
pub mod reload;
pub mod replay;
pub mod reply;
pub mod rm;
pub mod run;
pub mod samples;
pub mod schema;
pub mod secret;
pub mod send;
pub mod status;
pub mod tail;
pub mod test;
pub mod top;
pub mod upstream;
pub mod validate;
pub mod verify;
pub mod why;

/// Columns of a help, where the terminal has as many; examples are not wrapped.
const WIDTH: usize = 100;

#[derive(Debug, Parser)]
#[command(
    name = "trackrelay",
    version,
    about = "Local webhook relay for Toggl Track",
    long_about = "Local webhook relay for Toggl Track: takes events, filters and transforms them, signs them as \
                  Track does and delivers them to your endpoints.",
    after_help = EXAMPLES,
    max_term_width = WIDTH
)]
pub struct Cli {
    /// The config file [default: ./config.toml, else $XDG_CONFIG_HOME/trackrelay/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    logging: run::Logging,

    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  trackrelay init                       write a config to start from
  trackrelay                            run the daemon
  trackrelay send time_entry.created    send a sample event and see what becomes of it

Exit codes: 0 ok, 1 failed, 2 wrong usage, 69 daemon not running, 78 bad config";

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    Check(check::Args),
    Reload(reload::Args),
    Status(status::Args),
    List(list::Args),
    Send(send::Args),
    Events(events::Args),
    Tail(tail::Args),
    Top(top::Args),
    Why(why::Args),
    Replay(replay::Args),
    Record(record::Args),
    Test(test::Args),
    Validate(validate::Args),
    Verify(verify::Args),
    Enable(enable::Args),
    Disable(disable::Args),
    Add(add::Args),
    Edit(edit::Args),
    Rm(rm::Args),
    Secret(secret::Args),
    Plugin(plugin::Args),
    Upstream(upstream::Args),
    Demo(demo::Args),
    Init(init::Args),
    Schema(schema::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the command of the process's arguments. Wrong usage ends the process within.
pub fn main() -> ExitCode {
    completions::answer();
    let cli = Cli::parse();
    let here = Invocation::new(cli.config);
    let command = command(cli.logging, cli.command);
    match command.and_then(|command| dispatch(command, &here)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Unread) {
                output::failure(&failure);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The command that is meant. What stands before one is for the daemon, which is the
/// command when none is named.
fn command(before: run::Logging, named: Option<Command>) -> Result<Command, Failure> {
    match named {
        None => Ok(Command::Run(run::Args { logging: before })),
        Some(Command::Run(args)) => Ok(Command::Run(run::Args { logging: args.logging.or(before) })),
        Some(_) if before != run::Logging::default() => Err(Failure::Usage(
            "`--log` and `--log-format` are for the daemon: `trackrelay run --log FILTER`".to_owned(),
        )),
        Some(command) => Ok(command),
    }
}

fn dispatch(command: Command, here: &Invocation) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, here),
        Command::Check(args) => check::run(args, here),
        Command::Reload(args) => wait(reload::run(args, here)),
        Command::Status(args) => wait(status::run(args, here)),
        Command::List(args) => wait(list::run(args, here)),
        Command::Send(args) => wait(send::run(args, here)),
        Command::Events(args) => wait(events::run(args, here)),
        Command::Tail(args) => wait(tail::run(args, here)),
        Command::Top(args) => wait(top::run(args, here)),
        Command::Why(args) => wait(why::run(args, here)),
        Command::Replay(args) => wait(replay::run(args, here)),
        Command::Record(args) => wait(record::run(args, here)),
        Command::Test(args) => wait(test::run(args, here)),
        Command::Validate(args) => wait(validate::run(args, here)),
        Command::Enable(args) => wait(enable::run(args, here)),
        Command::Disable(args) => wait(disable::run(args, here)),
        Command::Add(args) => wait(add::run(args, here)),
        Command::Edit(args) => wait(edit::run(args, here)),
        Command::Rm(args) => wait(rm::run(args, here)),
        Command::Secret(args) => wait(secret::run(args, here)),
        Command::Plugin(args) => wait(plugin::run(args, here)),
        Command::Upstream(args) => upstream::run(args, here),
        Command::Verify(args) => verify::run(args),
        Command::Demo(args) => demo::run(args, here),
        Command::Init(args) => init::run(args, here),
        Command::Schema(args) => schema::run(args),
        Command::Doctor(args) => doctor::run(args, here),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// One thread is plenty for a command that asks the daemon.
fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from)?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests;
