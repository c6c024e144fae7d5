//! What the shipped plugins cost: a call through the boundary beside the same function as native
//! code, the memory of a live instance, and loading. `docs/performance.md` says what the figures
//! mean.

#![expect(unreachable_pub, reason = "nobody is outside of this binary; `pub` means for the other files")]
#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use trackrelay::config::{Isolation, PluginSpec};
use trackrelay::plugin::Stage;

#[path = "../rig/event.rs"]
#[expect(dead_code, reason = "the yardstick shares it and needs other parts")]
mod event;

mod calls;
mod events;
mod loads;
mod memory;
mod native;

/// The daemon has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure the shipped plugins against native code
#[derive(Debug, clap::Parser)]
#[command(name = "plugins")]
struct Args {
    /// Rounds in which WebAssembly and native code take turns; the median counts
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A plugin that comes with trackrelay, in a use that is like its README's.
struct Case {
    name: &'static str,
    stage: Stage,
    config: Value,
}

impl Case {
    fn all() -> [Case; 3] {
        [
            Case {
                name: "match",
                stage: Stage::Filter,
                config: json!({ "payload.billable": true, "payload.duration": { "lt": 28800 }, "payload.tags": { "contains": "call" } }),
            },
            Case {
                name: "redact",
                stage: Stage::Transform,
                config: json!({ "drop": ["payload.description"], "mask": ["payload.tags.*"], "hash": ["payload.user_id", "payload.uid", "metadata.event_user_id"], "salt": "long and random" }),
            },
            Case {
                name: "slack",
                stage: Stage::Transform,
                config: json!({ "template": "*{metadata.model}* {metadata.action}: {payload.description}", "channel": "#time" }),
            },
        ]
    }

    fn file(&self) -> PathBuf {
        repository().join(format!("plugins/{}.wasm", self.name))
    }

    /// As a config names it that says nothing else but, where it matters, the isolation.
    fn spec(&self, isolation: Isolation) -> PluginSpec {
        PluginSpec { isolation, ..PluginSpec::of_file(self.name.to_owned(), self.file()) }
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plugins: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let cases = Case::all();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let events = events::inputs()?;
    println!(
        "### Calls\n\n| | native, µs | reused instance, µs | to native | fresh instance, µs | to native |\n|---|---:|---:|---:|---:|---:|"
    );
    for case in &cases {
        println!("{}", runtime.block_on(calls::row(case, &events, args.rounds))?);
    }
    println!(
        "\n### Loading and memory\n\n| | file, KB | compiled anew, ms | compiled before, ms | live instance, KiB | of it private, KiB |\n|---|---:|---:|---:|---:|---:|"
    );
    for case in &cases {
        let instance = runtime.block_on(memory::of_instance(case, &events))?;
        println!("{} {:.0} | {:.0} |", loads::row(case)?, instance.resident, instance.private);
    }
    Ok(())
}

fn median<T: Copy>(mut values: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values[values.len() / 2]
}

fn middle(times: Vec<Duration>) -> Duration {
    median(times, Ord::cmp)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
