//! The soak: a steady load over several subscriptions, one of which fails and one of which
//! hangs, with a reload every few seconds. Nothing may be lost, and after a while nothing
//! may grow any more. Ends with 1 if it does.

#![expect(unreachable_pub, reason = "nobody is outside of this binary; `pub` means for the other files")]
#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;

use rig::book::{Arrivals, Sends};
use rig::driver::{self, Load, Pattern, Target, Until};
use rig::event::Action;
use rig::receiver::{Manner, Receiver};
use rig::system::{System, plugin, subscription};
use samples::{Sample, Series};

#[path = "../../benches/rig/rig.rs"]
#[expect(dead_code, reason = "the yardstick shares it and needs other parts")]
mod rig;
mod samples;

/// Run trackrelay under a steady load and see whether anything grows
#[derive(Debug, clap::Parser)]
struct Args {
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,

    /// Instead of minutes
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,

    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 500)]
    rate: u32,

    /// Stop the daemon halfway and start it again
    #[arg(long)]
    restart: bool,
}

/// Subscriptions that must get every event once.
const HEALTHY: [&str; 3] = ["plain", "filtered", "transformed"];

/// Between two looks at the daemon, two lines of the report, and two saves of its config.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS_PER_LINE: usize = 10;
const SAVE: Duration = Duration::from_secs(3);

/// Every so many saves the config is broken.
const BROKEN: usize = 4;

/// Longest wait for the last deliveries.
const DRAIN: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if let Some(ended) = rig::role::play() {
        return ended;
    }
    match soak(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all stayed flat. Losses and wrong signatures are errors.
fn soak(args: &Args) -> anyhow::Result<bool> {
    let length = Duration::from_secs_f64(args.seconds.unwrap_or(args.minutes * 60.0).clamp(1.0, 1e6));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of events")]
    let room = (length.as_secs_f64() * f64::from(args.rate)) as usize + 1000;
    let sends = Sends::new(room);
    let arrivals: Vec<_> = HEALTHY.iter().map(|_| Arc::new(Arrivals::new(&sends))).collect();
    let mut endpoints: Vec<_> = arrivals.iter().cloned().map(Manner::Takes).collect();
    endpoints.extend([Manner::Fails(500), Manner::Hangs]);
    let receiver = Receiver::start(endpoints)?;
    let system = System::daemon(&tables(&receiver, 0))?;
    let mut soak = Soak { args, receiver, system, sends, arrivals, series: Series::default(), saves: 0 };
    println!("{}", Sample::HEAD);
    if args.restart {
        soak.phase(length / 2)?;
        soak.system.stop()?;
        soak.system.start_again()?;
        soak.phase(length / 2)?;
    } else {
        soak.phase(length)?;
    }
    soak.conclude()
}

struct Soak<'a> {
    args: &'a Args,
    receiver: Receiver,
    system: System,
    sends: Arc<Sends>,
    arrivals: Vec<Arc<Arrivals>>,
    series: Series,
    saves: usize,
}

impl Soak<'_> {
    /// Load, looks and saves for this long, then a wait for what is under way.
    fn phase(&mut self, length: Duration) -> anyhow::Result<()> {
        let (target, sends, rate) = (self.system.unix.clone(), Arc::clone(&self.sends), self.args.rate);
        let load = thread::spawn(move || load(&target, rate, length, &sends));
        let (start, mut saved, mut seen) = (Instant::now(), Instant::now(), self.sends.taken());
        while start.elapsed() + LOOK <= length {
            thread::sleep(LOOK);
            if saved.elapsed() >= SAVE {
                saved = Instant::now();
                self.save()?;
            }
            // The events of the last second may still be on their way.
            let now = self.sends.taken().saturating_sub(self.args.rate as usize).max(seen);
            self.look(seen..now)?;
            seen = now;
        }
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        self.drained()
    }

    /// Valid with a change, or not valid at all: neither may cost an event.
    fn save(&mut self) -> anyhow::Result<()> {
        self.saves += 1;
        let broken = self.saves.is_multiple_of(BROKEN);
        let tables = tables(&self.receiver, self.saves);
        self.system.save(&if broken { format!("{tables}\n[subscription.broken") } else { tables })
    }

    fn look(&mut self, places: Range<usize>) -> anyhow::Result<()> {
        let reading = self.system.read()?;
        let mut latencies: Vec<_> =
            self.arrivals.iter().flat_map(|arrivals| arrivals.latencies(places.clone())).collect();
        latencies.sort_unstable();
        let sent = self.sends.taken();
        let late = self.arrivals.iter().map(|arrivals| arrivals.lost(0..places.end)).sum();
        let doubled = self.arrivals.iter().map(|arrivals| arrivals.doubled(0..sent)).sum();
        let store = self.system.store_bytes();
        self.series.add(Sample::new(&reading, &latencies, store, sent, late, doubled));
        if self.series.len().is_multiple_of(LOOKS_PER_LINE) {
            println!("{}", self.series.line(LOOKS_PER_LINE));
        }
        Ok(())
    }

    fn drained(&self) -> anyhow::Result<()> {
        let (sent, since) = (0..self.sends.taken(), Instant::now());
        while self.arrivals.iter().any(|arrivals| arrivals.lost(sent.clone()) > 0) {
            let lost: Vec<_> =
                HEALTHY.iter().zip(&self.arrivals).map(|(name, a)| (name, a.lost(sent.clone()))).collect();
            ensure!(since.elapsed() < DRAIN, "events were lost: {lost:?}");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn conclude(&self) -> anyhow::Result<bool> {
        let sent = 0..self.sends.taken();
        let acknowledged = self.sends.count_acknowledged(sent.clone());
        let doubled: usize = self.arrivals.iter().map(|arrivals| arrivals.doubled(sent.clone())).sum();
        let unsigned: usize = self.arrivals.iter().map(|arrivals| arrivals.unsigned()).sum();
        println!(
            "\n{acknowledged} of {} events acknowledged, {} refused with 503, 0 lost, {doubled} doubled, \
             {} saves of the config\n",
            sent.end,
            self.sends.refusals(),
            self.saves
        );
        ensure!(unsigned == 0, "{unsigned} deliveries had a wrong signature");
        ensure!(doubled == 0 || self.args.restart, "{doubled} deliveries were made twice");
        let (table, flat) = self.series.verdict();
        println!("{table}");
        Ok(flat)
    }
}

fn load(target: &Target, rate: u32, length: Duration, sends: &Arc<Sends>) -> anyhow::Result<()> {
    let pattern = Pattern::Open { connections: 16, rate };
    let load = Load { action: Action::Created, pattern, until: Until::After(length) };
    driver::run(target, load, sends).map(drop).context("the load failed")
}

/// The config, in which every save changes something of one subscription.
fn tables(receiver: &Receiver, save: usize) -> String {
    let keep = "\n[store]\nkeep = \"1m\"\n".to_owned();
    let plugins = ["match", "redact"].map(plugin).concat();
    let more = [
        ("plain", format!("headers = {{ x-save = \"{save}\" }}")),
        (
            "filtered",
            "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]".to_owned(),
        ),
        (
            "transformed",
            "transform = [{ plugin = \"redact\", config = { drop = [\"payload.at\"] } }]".to_owned(),
        ),
        ("failing", String::new()),
        ("hanging", "timeout = \"2s\"".to_owned()),
    ];
    let subscriptions =
        more.iter().enumerate().map(|(place, (name, more))| subscription(name, &receiver.url(place), more));
    keep + &plugins + &subscriptions.collect::<String>()
}
