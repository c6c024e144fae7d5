//! Everything that a run found: printed as it comes in, and the whole as JSON at the end.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::args::{Args, Curve};
use super::cases::{Case, chosen};
use super::curves::{self, Point};
use super::facts::{Fact, Facts, median};
use super::goals::{self, Standing};
use super::measure::{self, Rounds};
use super::rig::gauge;
use super::table;

/// Cores that others may use before a run is doubtful.
const QUIET: f64 = 0.1;

pub struct Report {
    machine: Value,
    rounds: usize,
    seconds: f64,
    started: Instant,
    results: Vec<(Case, Rounds)>,
    curves: Vec<(&'static str, Vec<Point>)>,
    goals: Vec<Standing>,
}

impl Report {
    pub fn new(args: &Args) -> Report {
        let machine = gauge::machine_facts();
        let (rounds, seconds) = (args.rounds(), args.length().as_secs_f64());
        println!(
            "{} cores, {}, Linux {}; median of {rounds} × {seconds} s\n",
            machine["cores"],
            machine["cpu"].as_str().unwrap_or_default(),
            machine["kernel"].as_str().unwrap_or_default()
        );
        let (started, goals) = (Instant::now(), Vec::new());
        Report { machine, rounds, seconds, started, results: Vec::new(), curves: Vec::new(), goals }
    }

    pub fn measure_cases(&mut self, args: &Args) -> anyhow::Result<()> {
        for case in chosen(args)? {
            eprintln!("{} …", case.name);
            let rounds = measure::rounds(&case, args.rounds(), args.length())?;
            rounds.iter().for_each(|(_, facts)| warn(case.name, facts.iter()));
            println!("{}", table::of_case(&case, &rounds));
            self.results.push((case, rounds));
        }
        self.goals = goals::standings(&self.results);
        println!("{}", table::of_goals(&self.goals));
        let all = self.results.iter().flat_map(|(_, rounds)| rounds.iter().flat_map(|(_, facts)| facts));
        let others = most_by_others(all);
        if others > QUIET {
            println!(
                "Other processes used up to {others:.1} cores meanwhile: these verdicts are doubtful.\n"
            );
        }
        Ok(())
    }

    pub fn follow_curve(&mut self, curve: Curve, args: &Args) -> anyhow::Result<()> {
        let (name, points) = (curves::name(curve), curves::points(curve, args)?);
        warn(name, points.iter().map(|(_, facts)| facts));
        println!("{}", table::of_curve(name, &points));
        self.curves.push((name, points));
        Ok(())
    }

    pub fn save(&self, path: Option<&Path>) -> anyhow::Result<()> {
        eprintln!("took {:.0} s", self.started.elapsed().as_secs_f64());
        let Some(path) = path else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&self.json())?;
        std::fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
    }

    fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "machine": self.machine,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "cases": self.results.iter().map(case).collect::<Vec<_>>(),
            "curves": self.curves.iter().map(curve).collect::<Vec<_>>(),
            "targets": self.goals,
        })
    }
}

/// Says so when others were at work: the figures are then theirs as well.
fn warn<'a>(name: &str, facts: impl Iterator<Item = &'a Facts>) {
    let others = most_by_others(facts);
    if others > QUIET {
        eprintln!("{name}: other processes used up to {others:.2} cores; the figures are doubtful");
    }
}

fn most_by_others<'a>(facts: impl Iterator<Item = &'a Facts>) -> f64 {
    facts.filter_map(|facts| facts.get(&Fact::Others)).copied().fold(0.0, f64::max)
}

fn case((case, rounds): &(Case, Rounds)) -> Value {
    let system = |(who, rounds): &(super::cases::Who, Vec<Facts>)| {
        (who.name().to_owned(), json!({ "median": median(rounds), "rounds": rounds }))
    };
    let systems: Map<_, _> = rounds.iter().map(system).collect();
    let facts = rounds.iter().flat_map(|(_, rounds)| rounds.iter().flat_map(Facts::keys));
    let facts: std::collections::BTreeSet<_> = facts.copied().collect();
    let ratios: std::collections::BTreeMap<_, _> = facts
        .into_iter()
        .filter_map(|fact| Some((fact, table::ratio_to_durable(fact, rounds)?)))
        .filter(|(_, ratio)| ratio.is_finite())
        .collect();
    json!({ "case": case.name, "systems": systems, "ratios_to_durable_floor": ratios })
}

fn curve((name, points): &(&'static str, Vec<Point>)) -> Value {
    let points: Vec<_> = points.iter().map(|(at, facts)| json!({ "at": at, "facts": facts })).collect();
    json!({ "curve": name, "points": points })
}
