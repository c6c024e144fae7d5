//! A system under load with its endpoints and their books: one load is one measurement.
//! A load that loses an event or sees a wrong signature is an error, not a figure.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::book::{Arrivals, Sends};
use super::driver::{self, Load, Target};
use super::gauge::{Cost, Reading};
use super::system::System;

/// Longest wait for the last deliveries.
const DRAIN: Duration = Duration::from_secs(60);

/// The daemon may write outcomes down this much later; that belongs to the cost.
const SETTLE: Duration = Duration::from_millis(150);

/// Who is loaded, who sends, and who must get everything that is sent.
pub struct Scene<'a> {
    pub system: &'a System,
    pub target: &'a Target,
    pub sends: &'a Arc<Sends>,
    pub arrivals: &'a [Arc<Arrivals>],
}

/// A load that is over, with everything delivered.
pub struct Run {
    pub places: Range<usize>,
    pub started: Instant,
    /// Until the last acknowledgement.
    pub accepted: Duration,
    pub after: Reading,
    pub cost: Cost,
}

impl Scene<'_> {
    /// Load whose cost nobody wants to know.
    pub fn warm_up(&self, load: Load) -> anyhow::Result<()> {
        driver::run(self.target, load, self.sends)?;
        self.drained()?;
        std::thread::sleep(SETTLE);
        Ok(())
    }

    pub fn run(&self, load: Load) -> anyhow::Result<Run> {
        let (before, started) = (self.system.read()?, Instant::now());
        let places = driver::run(self.target, load, self.sends)?;
        let accepted = started.elapsed();
        self.drained()?;
        std::thread::sleep(SETTLE);
        let after = self.system.read()?;
        self.checked(&places)?;
        let cost = after.since(&before);
        Ok(Run { places, started, accepted, after, cost })
    }

    /// Waits until everything that was acknowledged has arrived.
    pub fn drained(&self) -> anyhow::Result<()> {
        let (wanted, since) = (self.sends.count_acknowledged(0..self.sends.taken()), Instant::now());
        for arrivals in self.arrivals {
            while arrivals.unique() < wanted {
                let waited = since.elapsed() < DRAIN;
                ensure!(waited, "{} of {wanted} events have not arrived", wanted - arrivals.unique());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn checked(&self, places: &Range<usize>) -> anyhow::Result<()> {
        for arrivals in self.arrivals {
            let lost = arrivals.lost(places.clone());
            let (unsigned, foreign) = (arrivals.unsigned(), arrivals.foreign());
            ensure!(lost == 0, "{lost} acknowledged events were lost");
            ensure!(unsigned == 0, "{unsigned} deliveries had a wrong signature");
            ensure!(foreign == 0, "{foreign} deliveries were of events that nobody sent");
        }
        Ok(())
    }
}
