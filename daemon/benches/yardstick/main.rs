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
mod facts;
mod goals;
mod measure;
mod table;

fn main() -> ExitCode {
    if let Some(ended) = rig::role::play() {
        return ended;
    }
    let args = args::Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yardstick: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for case in cases::chosen(args)? {
        eprintln!("{}: {} rounds of {:?}", case.name, args.rounds(), args.length());
        let result = measure::case(&case, args)?;
        println!("{}", table::of(&case, &result));
        results.push((case, result));
    }
    println!("{}", table::of_goals(&goals::standings(&results)));
    Ok(())
}
