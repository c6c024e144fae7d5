//! One case: its systems in turn, round after round, each in a fresh process with a fresh
//! store. A run that loses an event or sees a wrong signature is an error, not a figure.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::args::Args;
use super::cases::{Case, Shape, Who};
use super::facts::{Fact, Facts};
use super::rig::book::{Arrivals, Sends, percentile};
use super::rig::driver::{self, Pattern, Until};
use super::rig::gauge::{Cost, Reading};
use super::rig::receiver::{Manner, Receiver};
use super::rig::role::Role;
use super::rig::system::{System, plugin, subscription};

/// Load before anything is measured: connections stand, pages are mapped.
const WARM_UP: Duration = Duration::from_millis(400);

/// Longest wait for the last deliveries.
const DRAIN: Duration = Duration::from_secs(60);

/// The daemon may write outcomes down this much later; that belongs to the cost.
const SETTLE: Duration = Duration::from_millis(150);

/// After a start, until all that belongs to it is done.
const CALM: Duration = Duration::from_secs(1);

/// Events a second that books have room for; no system here takes more.
const ROOM: f64 = 150_000.0;
const ROOM_IN_BATCHES: f64 = 1_500_000.0;

/// The rounds of each system of a case.
pub type Rounds = Vec<(Who, Vec<Facts>)>;

pub fn case(case: &Case, args: &Args) -> anyhow::Result<Rounds> {
    let mut rounds: Rounds = case.who.iter().map(|who| (*who, Vec::new())).collect();
    for _ in 0..args.rounds() {
        for (who, facts) in &mut rounds {
            let round = round(case, *who, args.length());
            facts.push(round.with_context(|| format!("{}, {}", case.name, who.name()))?);
        }
    }
    Ok(rounds)
}

fn round(case: &Case, who: Who, length: Duration) -> anyhow::Result<Facts> {
    match case.pattern {
        Some(pattern) => loaded(case, pattern, who, length),
        None => idle(case, who, length),
    }
}

fn loaded(case: &Case, pattern: Pattern, who: Who, length: Duration) -> anyhow::Result<Facts> {
    let a_second = if pattern.batch() > 1 { ROOM_IN_BATCHES } else { ROOM };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of events")]
    let sends = Sends::new((a_second * (length + WARM_UP).as_secs_f64()) as usize);
    let arrivals: Vec<_> = (0..case.shape.deliveries()).map(|_| Arc::new(Arrivals::new(&sends))).collect();
    let receiver = Receiver::start(arrivals.iter().cloned().map(Manner::Takes).collect())?;
    let system = start(case.shape, who, &receiver)?;
    let target = if case.unix { &system.unix } else { &system.tcp };

    driver::run(target, pattern, Until::After(WARM_UP), &sends)?;
    drained(&sends, &arrivals)?;
    std::thread::sleep(SETTLE);

    let (before, started) = (system.read()?, Instant::now());
    let places = driver::run(target, pattern, Until::After(length), &sends)?;
    let accepted = started.elapsed();
    drained(&sends, &arrivals)?;
    std::thread::sleep(SETTLE);
    let after = system.read()?;
    checked(&arrivals, &places)?;

    let run = Run { sends: &sends, arrivals: &arrivals, places, started, accepted };
    let mut facts = run.facts(&after, &after.since(&before))?;
    facts.insert(Fact::StartMs, system.start.as_secs_f64() * 1e3);
    if case.shape.deliveries() > 1 {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let deliveries = case.shape.deliveries() as f64;
        facts.insert(Fact::CpuPerDelivery, facts[&Fact::CpuPerEvent] / deliveries);
    }
    Ok(facts)
}

/// What it takes to do nothing. The daemon is started twice, so that its plugins come
/// from the cache.
fn idle(case: &Case, who: Who, length: Duration) -> anyhow::Result<Facts> {
    let receiver = Receiver::start(Vec::new())?;
    let mut system = start(case.shape, who, &receiver)?;
    system.stop()?;
    system.start_again()?;
    std::thread::sleep(CALM);
    let before = system.read()?;
    std::thread::sleep(length);
    let after = system.read()?;
    let (cost, seconds) = (after.since(&before), length.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let switches = cost.switches as f64;
    Ok(Facts::from([
        (Fact::MemoryMib, after.memory.now),
        (Fact::PeakMemoryMib, after.memory.peak),
        (Fact::IdleCpuPerSecond, cost.cpu.as_secs_f64() * 1e6 / seconds),
        (Fact::IdleSwitchesPerSecond, switches / seconds),
        (Fact::StartMs, system.start.as_secs_f64() * 1e3),
        (Fact::Others, cost.others),
    ]))
}

fn start(shape: Shape, who: Who, receiver: &Receiver) -> anyhow::Result<System> {
    let urls: Vec<_> = (0..shape.deliveries()).map(|place| receiver.url(place)).collect();
    let role = match who {
        Who::Forward => Role::ForwardFloor,
        Who::Durable => Role::DurableFloor,
        Who::Daemon => return System::daemon(&tables(shape, &urls)),
    };
    System::floor(role, &urls)
}

fn tables(shape: Shape, urls: &[String]) -> String {
    const BILLABLE: &str = "filter = [{ plugin = \"match\", config = { \"payload.billable\" = true } }]";
    const RESHAPED: &str = "transform = [{ plugin = \"redact\", config = { drop = [\"payload.at\"] } }, \
                            { plugin = \"slack\", config = { channel = \"#time\" } }]";
    let (plugins, more) = match shape {
        Shape::Subscriptions(_) => (String::new(), String::new()),
        Shape::Filtered => (plugin("match"), BILLABLE.to_owned()),
        Shape::ThreePlugins => {
            (["match", "redact", "slack"].map(plugin).concat(), format!("{BILLABLE}\n{RESHAPED}"))
        }
    };
    let subscriptions =
        urls.iter().enumerate().map(|(place, url)| subscription(&format!("s{place}"), url, &more));
    plugins + &subscriptions.collect::<String>()
}

/// Waits until everything that was acknowledged has arrived.
fn drained(sends: &Sends, arrivals: &[Arc<Arrivals>]) -> anyhow::Result<()> {
    let (wanted, since) = (sends.count_acknowledged(0..sends.taken()), Instant::now());
    for arrivals in arrivals {
        while arrivals.unique() < wanted {
            let waited = since.elapsed() < DRAIN;
            ensure!(waited, "{} of {wanted} events have not arrived", wanted - arrivals.unique());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn checked(arrivals: &[Arc<Arrivals>], places: &Range<usize>) -> anyhow::Result<()> {
    for arrivals in arrivals {
        let (lost, unsigned, foreign) =
            (arrivals.lost(places.clone()), arrivals.unsigned(), arrivals.foreign());
        ensure!(lost == 0, "{lost} acknowledged events were lost");
        ensure!(unsigned == 0, "{unsigned} deliveries had a wrong signature");
        ensure!(foreign == 0, "{foreign} deliveries were of events that nobody sent");
    }
    Ok(())
}

/// A load that is over, with everything delivered.
struct Run<'a> {
    sends: &'a Sends,
    arrivals: &'a [Arc<Arrivals>],
    places: Range<usize>,
    started: Instant,
    accepted: Duration,
}

impl Run<'_> {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn facts(&self, after: &Reading, cost: &Cost) -> anyhow::Result<Facts> {
        let events = self.sends.count_acknowledged(self.places.clone()) as f64;
        ensure!(events > 0.0, "nothing was accepted");
        let mut facts = Facts::from([
            (Fact::AcceptedPerSecond, events / self.accepted.as_secs_f64()),
            (Fact::CpuPerEvent, cost.cpu.as_secs_f64() * 1e6 / events),
            (Fact::SwitchesPerEvent, cost.switches as f64 / events),
            (Fact::MemoryMib, after.memory.now),
            (Fact::PeakMemoryMib, after.memory.peak),
            (Fact::Refused, self.sends.refusals() as f64),
            (Fact::Others, cost.others),
        ]);
        let answers = self.sends.answer_times(self.places.clone());
        facts.insert(Fact::AnswerP50, percentile(&answers, 0.5));
        facts.insert(Fact::AnswerP99, percentile(&answers, 0.99));
        if let Some((flushes, bytes)) = cost.flushes.zip(cost.bytes) {
            facts.insert(Fact::FlushesPer1000, flushes as f64 * 1000.0 / events);
            facts.insert(Fact::DiskBytesPerEvent, bytes as f64 / events);
        }
        self.deliveries(&mut facts);
        Ok(facts)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn deliveries(&self, facts: &mut Facts) {
        let Some(last) = self.arrivals.iter().map(|arrivals| arrivals.last()).max() else { return };
        let of = |count: fn(&Arrivals, Range<usize>) -> usize| -> usize {
            self.arrivals.iter().map(|arrivals| count(arrivals, self.places.clone())).sum()
        };
        let time = last.saturating_duration_since(self.started).as_secs_f64();
        facts.insert(Fact::DeliveredPerSecond, of(Arrivals::delivered) as f64 / time);
        facts.insert(Fact::Doubled, of(Arrivals::doubled) as f64);
        let lists = self.arrivals.iter().map(|arrivals| arrivals.latencies(self.places.clone()));
        let mut latencies: Vec<_> = lists.flatten().collect();
        latencies.sort_unstable();
        facts.insert(Fact::P50, percentile(&latencies, 0.5));
        facts.insert(Fact::P99, percentile(&latencies, 0.99));
    }
}

impl Pattern {
    fn batch(self) -> usize {
        match self {
            Pattern::Closed { batch, .. } => batch,
            Pattern::Open { .. } => 1,
        }
    }
}
