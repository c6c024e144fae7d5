//! The yardstick: how near the daemon comes to the least that any relay does. Floors and
//! daemon are measured in turn, by the same load and the same endpoint, and what counts is
//! the ratio within one run. `docs/performance.md` says what the figures mean.

#![expect(unreachable_pub, reason = "nobody is outside of this binary; `pub` means for the other files")]
#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::process::ExitCode;

use clap::Parser;

#[path = "../rig/rig.rs"]
#[expect(dead_code, reason = "the soak shares it and needs other parts")]
mod rig;

mod args;
mod cases;
mod check;
mod curves;
mod facts;
mod goals;
mod measure;
mod report;
mod table;

/// The floors have what the daemon has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tells a process that it has its priority already.
const REALTIME: &str = "TRACKRELAY_RIG_REALTIME";

fn main() -> ExitCode {
    if let Some(ended) = rig::role::play() {
        return ended;
    }
    let args = args::Args::parse();
    if args.realtime && std::env::var_os(REALTIME).is_none() {
        return ahead_of_others();
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yardstick: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the whole again with a priority that the processes it starts inherit.
fn ahead_of_others() -> ExitCode {
    let mut again = std::process::Command::new("chrt");
    again.args(["-r", "1"]).args(std::env::args_os()).env(REALTIME, "1");
    match again.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("yardstick: failed to run `chrt`: {error}; leave `--realtime` out");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> anyhow::Result<()> {
    if args.check {
        return check::run();
    }
    let mut report = report::Report::new(args);
    if args.curve.is_empty() {
        report.measure_cases(args)?;
    }
    for curve in args.curves() {
        report.follow_curve(*curve, args)?;
    }
    report.save(args.json.as_deref())
}
