//! The cases: who is loaded how. Each is run with the floors it is held against.

use anyhow::ensure;

use super::args::Args;
use super::rig::driver::Pattern;

/// A system that can be put under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Forward,
    Durable,
    Daemon,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Who::Forward => "forward floor",
            Who::Durable => "durable floor",
            Who::Daemon => "trackrelay",
        }
    }
}

/// What the daemon does with each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many subscriptions want it.
    Subscriptions(usize),
    /// One wants it, behind the `match` filter that the repository ships.
    Filtered,
    /// One wants it, and goes through each of the three plugins that the repository ships.
    ThreePlugins,
}

impl Shape {
    /// Deliveries that one event leads to.
    pub fn deliveries(self) -> usize {
        match self {
            Shape::Subscriptions(count) => count,
            Shape::Filtered | Shape::ThreePlugins => 1,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// None leaves it idle.
    pub pattern: Option<Pattern>,
    pub unix: bool,
    pub shape: Shape,
    pub who: &'static [Who],
    /// Whether `--quick` runs it.
    pub quick: bool,
}

const ALL: &[Who] = &[Who::Forward, Who::Durable, Who::Daemon];
const DURABLE: &[Who] = &[Who::Durable, Who::Daemon];

const fn closed(name: &'static str, connections: usize) -> Case {
    let pattern = Some(Pattern::Closed { connections, batch: 1 });
    Case { name, pattern, unix: false, shape: Shape::Subscriptions(1), who: DURABLE, quick: false }
}

const fn open(name: &'static str, rate: u32) -> Case {
    Case { pattern: Some(Pattern::Open { connections: 16, rate }), ..closed(name, 16) }
}

const fn batches(name: &'static str, subscriptions: usize) -> Case {
    let pattern = Some(Pattern::Closed { connections: 8, batch: 128 });
    Case { pattern, shape: Shape::Subscriptions(subscriptions), ..closed(name, 8) }
}

pub const CASES: &[Case] = &[
    Case { who: ALL, quick: true, ..closed("32 connections", 32) },
    Case { shape: Shape::Filtered, quick: true, ..closed("32 connections, one filter", 32) },
    Case { quick: true, ..closed("1 connection", 1) },
    closed("8 connections", 8),
    closed("128 connections", 128),
    Case { unix: true, ..closed("32 connections, Unix socket", 32) },
    open("100 a second", 100),
    Case { who: ALL, quick: true, ..open("1000 a second", 1000) },
    Case { shape: Shape::Subscriptions(10), ..closed("ten subscriptions", 32) },
    Case { quick: true, ..batches("batches of 128, nobody wants them", 0) },
    batches("batches of 128", 1),
    Case { pattern: None, shape: Shape::ThreePlugins, who: &[Who::Daemon], quick: true, ..closed("idle", 0) },
];

/// The cases that the command line asks for.
pub fn chosen(args: &Args) -> anyhow::Result<Vec<Case>> {
    let named =
        |case: &&Case| args.only.is_empty() || args.only.iter().any(|word| case.name.contains(word.as_str()));
    let wanted = |case: &&Case| named(case) && (case.quick || !args.quick || !args.only.is_empty());
    let chosen: Vec<_> = CASES.iter().filter(wanted).copied().collect();
    let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
    ensure!(!chosen.is_empty(), "no case has one of {:?} in its name; there are {names:?}", args.only);
    Ok(chosen)
}
