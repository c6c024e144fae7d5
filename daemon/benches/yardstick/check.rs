//! What a gate may ask of a machine that it does not know: nothing lost, doubled or
//! unsigned (any load ends with an error then), and costs within a wide margin of the
//! floor's. Never a time.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::cases::{CASES, Who};
use super::curves;
use super::facts::{Fact, Facts, median};
use super::measure;
use super::table::ratio_to_durable;

/// Cases of the check, and how long each load is.
const CHECKED: &[&str] =
    &["32 connections", "32 connections, one filter", "ten subscriptions", "batches of 128", "1000 a second"];
const LENGTH: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

/// Deliveries that wait, and what they may add to the memory of an idle daemon.
const WAITING: usize = 100_000;
const WAITING_MIB: f64 = 64.0;

/// A cost that must not be more than this: twice what a busy machine has shown.
struct Limit {
    case: &'static str,
    fact: Fact,
    to_durable: bool,
    at_most: f64,
}

const LIMITS: &[Limit] = &[
    Limit { case: "32 connections", fact: Fact::CpuPerEvent, to_durable: true, at_most: 5.0 },
    Limit { case: "32 connections, one filter", fact: Fact::CpuPerEvent, to_durable: true, at_most: 6.0 },
    Limit { case: "32 connections", fact: Fact::FlushesPer1000, to_durable: true, at_most: 4.0 },
    Limit { case: "32 connections", fact: Fact::DiskBytesPerEvent, to_durable: false, at_most: 16_000.0 },
];

/// Runs it all; the first thing that is wrong ends it.
pub fn run() -> anyhow::Result<()> {
    for name in CHECKED {
        let case = CASES.iter().find(|case| case.name == *name).context("no such case")?;
        let rounds = measure::rounds(case, ROUNDS, LENGTH)?;
        let (_, daemon) = rounds.iter().find(|(who, _)| *who == Who::Daemon).context("no daemon in it")?;
        ensure!(daemon.iter().all(|facts| facts[&Fact::Doubled] == 0.0), "{name}: events were doubled");
        for limit in LIMITS.iter().filter(|limit| limit.case == *name) {
            let measured = if limit.to_durable {
                ratio_to_durable(limit.fact, &rounds)
            } else {
                median(daemon).get(&limit.fact).copied()
            };
            hold(name, limit, measured)?;
        }
        println!("{name}: nothing lost, doubled or unsigned");
    }
    waiting()
}

fn hold(name: &str, limit: &Limit, measured: Option<f64>) -> anyhow::Result<()> {
    let Limit { fact, to_durable, at_most, .. } = limit;
    let against = if *to_durable { " of the durable floor" } else { "" };
    let Some(measured) = measured else {
        println!("{name}: {fact:?} cannot be read here");
        return Ok(());
    };
    ensure!(measured <= *at_most, "{name}: {fact:?} is {measured:.2}{against}; the limit is {at_most}");
    println!("{name}: {fact:?} is {measured:.2}{against}; the limit is {at_most}");
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
