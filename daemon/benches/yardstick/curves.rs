//! Growth curves: one thing grows, the load stays the same, and nothing should change.
//! Here is what they share; each has a file of its own.

use std::time::Duration;

use super::args::{Args, Curve};
use super::facts::{Fact, Facts, median};
use super::measure::{self, WARM_UP};
use super::rig::driver::{Load, Pattern, Until};
use super::rig::event::Action;
use super::rig::scene::Scene;

mod dead;
mod history;
mod subscriptions;
mod waiting;

/// One value of what grows, and how the daemon does there.
pub type Point = (String, Facts);

/// A second's events at a steady load: what a busy laptop may see.
const STEADY: u32 = 1000;

pub fn points(curve: Curve, args: &Args) -> anyhow::Result<Vec<Point>> {
    match curve {
        Curve::Waiting => waiting::points(args.length()),
        Curve::History => history::points(args.rows, args.length()),
        Curve::Prune => history::prune(args.rows),
        Curve::Subscriptions => in_turn(args.rounds(), || subscriptions::points(args.length())),
        Curve::Dead => in_turn(args.rounds(), || dead::points(args.length())),
    }
}

/// The median over rounds of points that take turns: what the machine does for a moment would
/// otherwise pass for the curve.
fn in_turn(rounds: usize, points: impl Fn() -> anyhow::Result<Vec<Point>>) -> anyhow::Result<Vec<Point>> {
    let rounds: Vec<Vec<Point>> = (0..rounds).map(|_| points()).collect::<anyhow::Result<_>>()?;
    let of = |place: usize| rounds.iter().map(|points| points[place].1.clone()).collect::<Vec<_>>();
    let names = rounds.first().into_iter().flatten().enumerate();
    Ok(names.map(|(place, (name, _))| (name.clone(), median(&of(place)))).collect())
}

/// The daemon with so many deliveries waiting.
pub fn waiting(count: usize, length: Duration) -> anyhow::Result<Facts> {
    waiting::point(count, length)
}

/// The daemon with more and more of a history, up to so many events.
pub fn history(rows: usize, length: Duration) -> anyhow::Result<Vec<Point>> {
    history::points(rows, length)
}

pub fn name(curve: Curve) -> &'static str {
    match curve {
        Curve::Waiting => "deliveries that wait for another endpoint",
        Curve::History => "events in the history",
        Curve::Prune => "the whole history is thrown away",
        Curve::Subscriptions => "subscriptions, one of which matches",
        Curve::Dead => "dead endpoints beside the one that is measured",
    }
}

/// What a full load costs, and how long events take at a steady one.
fn at_work(scene: &Scene<'_>, length: Duration) -> anyhow::Result<Facts> {
    let load = |pattern, time| Load { action: Action::Created, pattern, until: Until::After(time) };
    let full = Pattern::Closed { connections: 32, batch: 1 };
    scene.warm_up(load(full, WARM_UP))?;
    let mut facts = measure::facts(scene, &scene.run(load(full, length))?)?;
    let steady = Pattern::Open { connections: 16, rate: STEADY };
    let calm = measure::facts(scene, &scene.run(load(steady, length))?)?;
    for fact in [Fact::P50, Fact::P99, Fact::AnswerP50, Fact::AnswerP99] {
        facts.insert(fact, calm[&fact]);
    }
    facts.insert(Fact::Others, facts[&Fact::Others].max(calm[&Fact::Others]));
    facts.remove(&Fact::Refused);
    Ok(facts)
}

/// Room in a book for `at_work`.
fn room(length: Duration) -> usize {
    measure::room(measure::ROOM, WARM_UP + length * 2)
}
