//! The command line of the yardstick.

use std::path::PathBuf;
use std::time::Duration;

/// Measure trackrelay against the floors of any relay
#[derive(Debug, clap::Parser)]
#[command(name = "yardstick")]
pub struct Args {
    /// Fewer and shorter rounds, and only the cases that say most
    #[arg(long)]
    pub quick: bool,

    /// Only cases with one of these words in their name
    #[arg(long, value_name = "WORD", num_args = 1..)]
    pub only: Vec<String>,

    /// Rounds of each case; the median counts
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// Length of the load in each round
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,

    /// Write the same facts as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    pub fn length(&self) -> Duration {
        let seconds = self.seconds.unwrap_or(if self.quick { 1.0 } else { 2.0 });
        Duration::from_secs_f64(seconds.clamp(0.1, 3600.0))
    }
}
