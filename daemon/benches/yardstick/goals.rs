//! What trackrelay wants to reach, as ratios to a floor where there is one, and how near
//! a run came.

use super::cases::{Case, Who};
use super::facts::{Fact, median};
use super::measure::Rounds;
use super::table::ratio_to_durable;

/// A bound and the value that would be better still.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtMost(f64, f64),
    AtLeast(f64, f64),
}

#[derive(Clone, Copy, Debug)]
struct Goal {
    what: &'static str,
    case: &'static str,
    fact: Fact,
    /// Against the durable floor in the same run, or as it is.
    is_ratio: bool,
    bound: Bound,
}

const fn ratio(what: &'static str, case: &'static str, fact: Fact, bound: Bound) -> Goal {
    Goal { what, case, fact, is_ratio: true, bound }
}

const fn plain(what: &'static str, case: &'static str, fact: Fact, bound: Bound) -> Goal {
    Goal { what, case, fact, is_ratio: false, bound }
}

use Bound::{AtLeast, AtMost};

const GOALS: &[Goal] = &[
    ratio("CPU per event, no plugin", "32 connections", Fact::CpuPerEvent, AtMost(1.5, 1.2)),
    ratio("CPU per event, one filter", "32 connections, one filter", Fact::CpuPerEvent, AtMost(1.7, 1.35)),
    ratio(
        "delivered/s, one filter",
        "32 connections, one filter",
        Fact::DeliveredPerSecond,
        AtLeast(0.6, 0.85),
    ),
    ratio("sent to delivered at 1000/s, p99", "1000 a second", Fact::P99, AtMost(2.0, 1.2)),
    plain("acknowledgement at one connection, p50 ms", "1 connection", Fact::AnswerP50, AtMost(0.4, 0.25)),
    ratio("CPU at 100/s", "100 a second", Fact::CpuPerEvent, AtMost(1.3, 1.0)),
    ratio("CPU at 1000/s", "1000 a second", Fact::CpuPerEvent, AtMost(1.3, 1.0)),
    plain(
        "CPU µs per delivery, ten subscriptions",
        "ten subscriptions",
        Fact::CpuPerDelivery,
        AtMost(20.0, 15.0),
    ),
    plain(
        "batches of 128: accepted/s",
        "batches of 128, nobody wants them",
        Fact::AcceptedPerSecond,
        AtLeast(100_000.0, 250_000.0),
    ),
    ratio("disk flushes per event", "32 connections", Fact::FlushesPer1000, AtMost(1.2, 1.0)),
    plain("disk bytes per event", "32 connections", Fact::DiskBytesPerEvent, AtMost(2000.0, 1500.0)),
    plain("memory MiB, idle with three plugins", "idle", Fact::MemoryMib, AtMost(15.0, 10.0)),
    plain("memory MiB, peak at 128 connections", "128 connections", Fact::PeakMemoryMib, AtMost(40.0, 24.0)),
];

/// A goal and what a run says about it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Standing {
    pub what: &'static str,
    pub measured: f64,
    pub target: f64,
    pub stretch: f64,
    pub is_ratio: bool,
    pub verdict: &'static str,
}

/// How every goal stands that these results say something about.
pub fn standings(results: &[(Case, Rounds)]) -> Vec<Standing> {
    GOALS.iter().filter_map(|goal| standing(goal, results)).collect()
}

fn standing(goal: &Goal, results: &[(Case, Rounds)]) -> Option<Standing> {
    let (_, rounds) = results.iter().find(|(case, _)| case.name == goal.case)?;
    let measured = if goal.is_ratio {
        ratio_to_durable(goal.fact, rounds)?
    } else {
        let (_, daemon) = rounds.iter().find(|(who, _)| *who == Who::Daemon)?;
        *median(daemon).get(&goal.fact)?
    };
    let (target, stretch) = match goal.bound {
        AtMost(target, stretch) | AtLeast(target, stretch) => (target, stretch),
    };
    let verdict = verdict(measured, goal.bound);
    Some(Standing { what: goal.what, measured, target, stretch, is_ratio: goal.is_ratio, verdict })
}

fn verdict(measured: f64, bound: Bound) -> &'static str {
    let (met, better) = match bound {
        AtMost(target, stretch) => (measured <= target, measured <= stretch),
        AtLeast(target, stretch) => (measured >= target, measured >= stretch),
    };
    match (met, better) {
        (_, true) => "met, stretch too",
        (true, false) => "met",
        (false, false) => "**missed**",
    }
}
