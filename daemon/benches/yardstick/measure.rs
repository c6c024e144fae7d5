//! One case: its systems in turn, round after round, each in a fresh process with a fresh
//! store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::cases::{Case, Shape, Who};
use super::facts::{Fact, Facts};
use super::rig::book::{Arrivals, Sends, percentile};
use super::rig::driver::{Load, Pattern, Until};
use super::rig::event::Action;
use super::rig::receiver::{Manner, Receiver};
use super::rig::role::Role;
use super::rig::scene::{Run, Scene};
use super::rig::system::{System, plugin, subscription};

/// Load before anything is measured: connections stand, pages are mapped.
pub const WARM_UP: Duration = Duration::from_millis(400);

/// After a start, until all that belongs to it is done.
const CALM: Duration = Duration::from_secs(1);

/// Events a second that books have room for; no system here takes more.
pub const ROOM: f64 = 150_000.0;
const ROOM_IN_BATCHES: f64 = 1_500_000.0;

/// The rounds of each system of a case.
pub type Rounds = Vec<(Who, Vec<Facts>)>;

pub fn rounds(case: &Case, count: usize, length: Duration) -> anyhow::Result<Rounds> {
    let mut rounds: Rounds = case.who.iter().map(|who| (*who, Vec::new())).collect();
    for _ in 0..count {
        for (who, facts) in &mut rounds {
            let round = match case.pattern {
                Some(pattern) => loaded(case, pattern, *who, length),
                None => idle(case, *who, length),
            };
            facts.push(round.with_context(|| format!("{}, {}", case.name, who.name()))?);
        }
    }
    Ok(rounds)
}

fn loaded(case: &Case, pattern: Pattern, who: Who, length: Duration) -> anyhow::Result<Facts> {
    let in_batches = matches!(pattern, Pattern::Closed { batch: 2.., .. });
    let sends = Sends::new(room(if in_batches { ROOM_IN_BATCHES } else { ROOM }, length + WARM_UP));
    let arrivals: Vec<_> = (0..case.shape.deliveries()).map(|_| Arc::new(Arrivals::new(&sends))).collect();
    let receiver = Receiver::start(arrivals.iter().cloned().map(Manner::Takes).collect())?;
    let system = start(case.shape, who, &receiver)?;
    let target = if case.unix { &system.unix } else { &system.tcp };
    let scene = Scene { system: &system, target, sends: &sends, arrivals: &arrivals };
    let load = |time| Load { action: Action::Created, pattern, until: Until::After(time) };
    scene.warm_up(load(WARM_UP))?;
    let mut facts = facts(&scene, &scene.run(load(length))?)?;
    facts.insert(Fact::StartMs, system.start.as_secs_f64() * 1e3);
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

/// Room for what may be sent in this time.
pub fn room(a_second: f64, time: Duration) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of events")]
    let room = (a_second * time.as_secs_f64()) as usize;
    room
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

/// What a run says.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn facts(scene: &Scene<'_>, run: &Run) -> anyhow::Result<Facts> {
    let (cost, events) = (run.cost, scene.sends.count_acknowledged(run.places.clone()) as f64);
    ensure!(events > 0.0, "nothing was accepted");
    let mut facts = Facts::from([
        (Fact::AcceptedPerSecond, events / run.accepted.as_secs_f64()),
        (Fact::CpuPerEvent, cost.cpu.as_secs_f64() * 1e6 / events),
        (Fact::SwitchesPerEvent, cost.switches as f64 / events),
        (Fact::MemoryMib, run.after.memory.now),
        (Fact::PeakMemoryMib, run.after.memory.peak),
        (Fact::Refused, scene.sends.refusals() as f64),
        (Fact::Others, cost.others),
    ]);
    let answers = scene.sends.answer_times(run.places.clone());
    facts.insert(Fact::AnswerP50, percentile(&answers, 0.5));
    facts.insert(Fact::AnswerP99, percentile(&answers, 0.99));
    if let Some((flushes, bytes)) = cost.flushes.zip(cost.bytes) {
        facts.insert(Fact::FlushesPer1000, flushes as f64 * 1000.0 / events);
        facts.insert(Fact::DiskBytesPerEvent, bytes as f64 / events);
    }
    deliveries(scene, run, &mut facts);
    if scene.arrivals.len() > 1 {
        facts.insert(Fact::CpuPerDelivery, facts[&Fact::CpuPerEvent] / scene.arrivals.len() as f64);
    }
    Ok(facts)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn deliveries(scene: &Scene<'_>, run: &Run, facts: &mut Facts) {
    let Some(last) = scene.arrivals.iter().map(|arrivals| arrivals.last()).max() else { return };
    let of = |count: fn(&Arrivals, std::ops::Range<usize>) -> usize| -> f64 {
        scene.arrivals.iter().map(|arrivals| count(arrivals, run.places.clone())).sum::<usize>() as f64
    };
    let time = last.saturating_duration_since(run.started).as_secs_f64();
    facts.insert(Fact::DeliveredPerSecond, of(Arrivals::delivered) / time);
    facts.insert(Fact::Doubled, of(Arrivals::doubled));
    let lists = scene.arrivals.iter().map(|arrivals| arrivals.latencies(run.places.clone()));
    let mut latencies: Vec<_> = lists.flatten().collect();
    latencies.sort_unstable();
    facts.insert(Fact::P50, percentile(&latencies, 0.5));
    facts.insert(Fact::P99, percentile(&latencies, 0.99));
}
