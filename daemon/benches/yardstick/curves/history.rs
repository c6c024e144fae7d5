//! Events that were delivered and are kept: what appending and looking up cost as they
//! grow, and whether anybody notices when all of them are thrown away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Point;
use crate::facts::{Fact, Facts};
use crate::measure;
use crate::rig::book::{Arrivals, Sends, percentile};
use crate::rig::driver::{Asker, Load, Pattern, Until};
use crate::rig::event::Action;
use crate::rig::receiver::{Manner, Receiver};
use crate::rig::scene::Scene;
use crate::rig::system::{System, subscription};

/// Where the curve begins; each point has ten times as many.
const FIRST: usize = 10_000;

/// How the history is brought in: quickly, but no faster than it is delivered.
const FILL: Pattern = Pattern::Closed { connections: 4, batch: 500 };

/// Events between two pauses in which the daemon catches up with its deliveries.
const STEP: usize = 100_000;

/// Questions from which the time of `why` is known.
const QUESTIONS: usize = 1000;

/// The shortest that history can be kept, and the time after a start at which it is looked
/// through first.
const KEEP: Duration = Duration::from_secs(60);

/// Load while the history is thrown away, and how long it goes on after that began.
const STEADY: u32 = 500;
const AFTERMATH: Duration = Duration::from_secs(40);

pub(super) fn points(rows: usize, length: Duration) -> anyhow::Result<Vec<Point>> {
    let counts: Vec<_> = std::iter::successors(Some(FIRST), |count| Some(count * 10))
        .take_while(|count| *count <= rows.max(FIRST))
        .collect();
    let sends = Sends::new(rows.max(FIRST) + STEP + counts.len() * super::room(length));
    let arrivals = [Arc::new(Arrivals::new(&sends))];
    let receiver = Receiver::start(vec![Manner::Takes(Arc::clone(&arrivals[0]))])?;
    let system = System::daemon(&subscription("live", &receiver.url(0), ""))?;
    let scene = Scene { system: &system, target: &system.unix, sends: &sends, arrivals: &arrivals };
    counts.into_iter().map(|count| Ok((count.to_string(), point(&scene, count, length)?))).collect()
}

/// A steady load before and across the moment at which the whole history is too old.
pub(super) fn prune(rows: usize) -> anyhow::Result<Vec<Point>> {
    let steady = STEADY as usize * (KEEP + AFTERMATH).as_secs() as usize;
    let sends = Sends::new(rows + STEP + steady);
    let arrivals = [Arc::new(Arrivals::new(&sends))];
    let receiver = Receiver::start(vec![Manner::Takes(Arc::clone(&arrivals[0]))])?;
    let table = subscription("live", &receiver.url(0), "");
    let mut system = System::daemon(&table)?;
    fill(&Scene { system: &system, target: &system.unix, sends: &sends, arrivals: &arrivals }, rows)?;
    system.stop()?;
    system.save(&format!("\n[store]\nkeep = \"{}s\"\n{table}", KEEP.as_secs()))?;
    system.start_again()?;
    let scene = Scene { system: &system, target: &system.unix, sends: &sends, arrivals: &arrivals };
    Ok(thrown_away(&scene)?.into())
}

fn fill(scene: &Scene<'_>, count: usize) -> anyhow::Result<()> {
    while scene.sends.taken() < count {
        let step = (count - scene.sends.taken()).min(STEP);
        scene.warm_up(Load { action: Action::Created, pattern: FILL, until: Until::Sent(step) })?;
    }
    Ok(())
}

fn point(scene: &Scene<'_>, count: usize, length: Duration) -> anyhow::Result<Facts> {
    eprintln!("{count} events in the history");
    fill(scene, count)?;
    let bytes = scene.system.store_bytes();
    let events = scene.sends.taken();
    let mut facts = super::at_work(scene, length)?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    facts.insert(Fact::StoreBytesPerEvent, bytes as f64 / events as f64);
    let times = why(scene)?;
    facts.insert(Fact::WhyP50, percentile(&times, 0.5));
    facts.insert(Fact::WhyP99, percentile(&times, 0.99));
    Ok(facts)
}

/// How long `why` takes for events all over the history, sorted.
fn why(scene: &Scene<'_>) -> anyhow::Result<Vec<u32>> {
    let (mut asker, events) = (Asker::new(&scene.system.unix)?, scene.sends.taken());
    let mut times = Vec::with_capacity(QUESTIONS);
    for question in 0..QUESTIONS {
        // A stride that has nothing in common with the count visits the whole at random enough.
        let id = scene.sends.id(question * 7919 % events);
        let asked = Instant::now();
        let (status, body) = asker.ask(&format!("/api/why/{id}"))?;
        times.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        ensure!(status == 200, "why {id}: {}", String::from_utf8_lossy(&body));
    }
    times.sort_unstable();
    Ok(times)
}

fn thrown_away(scene: &Scene<'_>) -> anyhow::Result<[Point; 2]> {
    eprintln!("{} events are thrown away, {} s from now", scene.sends.taken(), KEEP.as_secs());
    let pattern = Pattern::Open { connections: 16, rate: STEADY };
    let load = |time| Load { action: Action::Created, pattern, until: Until::After(time) };
    let quiet = KEEP.saturating_sub(scene.system.age() + Duration::from_secs(2));
    let before = measure::facts(scene, &scene.run(load(quiet))?)?;
    let after = measure::facts(scene, &scene.run(load(AFTERMATH))?)?;
    let (status, _) = Asker::new(&scene.system.unix)?.ask(&format!("/api/why/{}", scene.sends.id(0)))?;
    ensure!(status == 404, "the oldest event should be gone by now");
    Ok([("before".to_owned(), before), ("meanwhile".to_owned(), after)])
}
