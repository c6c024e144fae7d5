//! Which part this process plays. One program is the driver of the load, both floors and,
//! where no binary is at hand, the daemon: it starts itself again and says who to be.

use std::path::Path;
use std::process::{Command, ExitCode};

/// The variable that tells a process what it is.
const VARIABLE: &str = "TRACKRELAY_RIG_ROLE";

/// The daemon's own binary, which cargo names to benches but not to examples.
const BINARY: Option<&str> = option_env!("CARGO_BIN_EXE_trackrelay");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    ForwardFloor,
    DurableFloor,
    Daemon,
}

impl Role {
    const ALL: [Role; 3] = [Role::ForwardFloor, Role::DurableFloor, Role::Daemon];

    fn word(self) -> &'static str {
        match self {
            Role::ForwardFloor => "forward-floor",
            Role::DurableFloor => "durable-floor",
            Role::Daemon => "daemon",
        }
    }

    /// A command that is this, with nothing of the surrounding environment.
    pub fn command(self) -> std::io::Result<Command> {
        let mut command = match BINARY {
            Some(binary) if self == Role::Daemon => Command::new(binary),
            _ => Command::new(std::env::current_exe()?),
        };
        command.env_clear().env(VARIABLE, self.word());
        Ok(command)
    }
}

/// Plays the part this process was started for; none is the driver of the whole.
pub fn play() -> Option<ExitCode> {
    let word = std::env::var(VARIABLE).ok()?;
    let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
    if role == Role::Daemon {
        return Some(trackrelay::cli::main());
    }
    let mut words = std::env::args().skip(1);
    let folder = words.next()?;
    match super::floor::run(role, Path::new(&folder), &words.collect::<Vec<_>>()) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("{}: {error:#}", role.word());
            Some(ExitCode::FAILURE)
        }
    }
}
