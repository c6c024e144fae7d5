//! What a gate may ask of a machine that it does not know: nothing lost, doubled or
//! unsigned (any load ends with an error then), and costs within a wide margin of the
//! floor's. Never a time.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::cases::{CASES, Who};
use super::curves;
use super::facts::{Fact, Facts, least};
use super::measure::{self, Rounds};
use super::table::ratio_to_durable;

/// Cases of the check, and how long each load is.
const CHECKED: &[&str] =
    &["32 connections", "32 connections, one filter", "ten subscriptions", "batches of 128", "1000 a second"];
const LENGTH: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

/// Deliveries that wait, and what they may add to the memory of an idle daemon.
const WAITING: usize = 100_000;
const WAITING_MIB: f64 = 64.0;

/// Events of the past, and what an event may cost among so many for what it costs among few.
const HISTORY: usize = 1_000_000;
const HISTORY_CPU: f64 = 2.0;

/// How a cost is held against its limit.
#[derive(Clone, Copy)]
enum Against {
    /// The median over rounds of the ratio to the durable floor.
    Floor,
    /// The daemon's best round to the floor's best: others on the same disk only add.
    FloorAtBest,
    /// The best round as it is.
    Nothing,
}

/// A cost that must not be more than this: about twice what has been measured.
struct Limit {
    case: &'static str,
    fact: Fact,
    against: Against,
    at_most: f64,
}

const fn limit(case: &'static str, fact: Fact, against: Against, at_most: f64) -> Limit {
    Limit { case, fact, against, at_most }
}

const LIMITS: &[Limit] = &[
    limit("32 connections", Fact::CpuPerEvent, Against::Floor, 4.5),
    limit("32 connections, one filter", Fact::CpuPerEvent, Against::Floor, 5.0),
    limit("32 connections", Fact::FlushesPer1000, Against::FloorAtBest, 3.0),
    limit("32 connections", Fact::DiskBytesPerEvent, Against::Nothing, 10_000.0),
];

/// Runs it all; the first thing that is wrong ends it.
pub fn run() -> anyhow::Result<()> {
    for name in CHECKED {
        let case = CASES.iter().find(|case| case.name == *name).context("no such case")?;
        let rounds = measure::rounds(case, ROUNDS, LENGTH)?;
        let (_, daemon) = rounds.iter().find(|(who, _)| *who == Who::Daemon).context("no daemon in it")?;
        ensure!(daemon.iter().all(|facts| facts[&Fact::Doubled] == 0.0), "{name}: events were doubled");
        for limit in LIMITS.iter().filter(|limit| limit.case == *name) {
            hold(limit, measured(limit, &rounds))?;
        }
        println!("{name}: nothing lost, doubled or unsigned");
    }
    waiting()?;
    history()
}

fn measured(limit: &Limit, rounds: &Rounds) -> Option<f64> {
    let best = |wanted: Who| {
        let (_, rounds) = rounds.iter().find(|(who, _)| *who == wanted)?;
        least(limit.fact, rounds)
    };
    match limit.against {
        Against::Floor => ratio_to_durable(limit.fact, rounds),
        Against::FloorAtBest => Some(best(Who::Daemon)? / best(Who::Durable)?),
        Against::Nothing => best(Who::Daemon),
    }
}

fn hold(limit: &Limit, measured: Option<f64>) -> anyhow::Result<()> {
    let Limit { case, fact, against, at_most } = limit;
    let against = if matches!(against, Against::Nothing) { "" } else { " of the durable floor's" };
    let Some(measured) = measured else {
        println!("{case}: {fact:?} cannot be read here");
        return Ok(());
    };
    ensure!(measured <= *at_most, "{case}: {fact:?} is {measured:.2}{against}; the limit is {at_most}");
    println!("{case}: {fact:?} is {measured:.2}{against}; the limit is {at_most}");
    Ok(())
}

fn waiting() -> anyhow::Result<()> {
    let memory = |facts: &Facts| facts[&Fact::PeakMemoryMib];
    let without = memory(&curves::waiting(0, LENGTH)?);
    let with = memory(&curves::waiting(WAITING, LENGTH)?);
    let most = without + WAITING_MIB;
    ensure!(with <= most, "{WAITING} waiting deliveries take {with:.1} MiB; the limit is {most:.1}");
    println!("{WAITING} deliveries wait in {with:.1} MiB, none in {without:.1}; the limit is {most:.1}");
    Ok(())
}

fn history() -> anyhow::Result<()> {
    let points = curves::history(HISTORY, LENGTH)?;
    let cpu = |(_, facts): &curves::Point| facts.get(&Fact::CpuPerEvent).copied();
    let (first, last) = (points.first().context("no points")?, points.last().context("no points")?);
    let (Some(few), Some(many)) = (cpu(first), cpu(last)) else {
        println!("history: {:?} cannot be read here", Fact::CpuPerEvent);
        return Ok(());
    };
    let growth = many / few;
    let told = format!("an event among {} costs {growth:.2} of one among {}", last.0, first.0);
    ensure!(growth <= HISTORY_CPU, "{told}; the limit is {HISTORY_CPU}");
    println!("{told}; the limit is {HISTORY_CPU}");
    Ok(())
}
