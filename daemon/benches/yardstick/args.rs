//! The command line of the yardstick.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

/// Measure trackrelay against the floors of any relay
#[derive(Debug, clap::Parser)]
#[command(name = "yardstick")]
pub struct Args {
    /// Fewer and shorter rounds, and only the cases that say most
    #[arg(long)]
    pub quick: bool,

    /// The cases and every curve
    #[arg(long, conflicts_with_all = ["only", "curve", "check"])]
    pub all: bool,

    /// Measure what a gate may ask of an unknown machine, and fail if it does not hold
    #[arg(long)]
    pub check: bool,

    /// Run all processes before those of others (`chrt -r 1`), where that is allowed
    #[arg(long)]
    pub realtime: bool,

    /// Only cases with one of these words in their name
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub only: Vec<String>,

    /// Rounds of each case; the median counts
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// Length of the load in each round
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,

    /// A growth curve instead of the cases
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "only")]
    pub curve: Vec<Curve>,

    /// Where the history curve ends, and what is thrown away
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: usize,

    /// Write the same facts as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// What grows while the load stays the same.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Curve {
    /// Deliveries that wait for an endpoint that is away
    Waiting,
    /// Events that were delivered and are kept
    History,
    /// That history, thrown away at once because it is older than `keep`
    Prune,
    /// Subscriptions, of which one matches
    Subscriptions,
    /// Endpoints that refuse or hang beside the one that is measured
    Dead,
}

impl Args {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    /// The curves that are wanted.
    pub fn curves(&self) -> &[Curve] {
        if self.all { Curve::value_variants() } else { &self.curve }
    }

    pub fn length(&self) -> Duration {
        let seconds = self.seconds.unwrap_or(if self.quick { 1.0 } else { 2.0 });
        Duration::from_secs_f64(seconds.clamp(0.1, 3600.0))
    }
}
