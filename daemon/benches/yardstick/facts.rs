//! What is known about a system after a round, and the median over rounds.

use std::collections::BTreeMap;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    AcceptedPerSecond,
    DeliveredPerSecond,
    /// User and system time of the system under test, in microseconds per event.
    CpuPerEvent,
    CpuPerDelivery,
    /// From sending to arrival at the endpoint, in milliseconds.
    P50,
    P99,
    /// From sending to the acknowledgement, in milliseconds.
    AnswerP50,
    AnswerP99,
    SwitchesPerEvent,
    FlushesPer1000,
    DiskBytesPerEvent,
    MemoryMib,
    PeakMemoryMib,
    /// Milliseconds from being started to listening.
    StartMs,
    /// Microseconds of CPU, and switches, in a second without any load.
    IdleCpuPerSecond,
    IdleSwitchesPerSecond,
    /// From a start to the first delivery of what waited, in milliseconds.
    FirstWaitingMs,
    DrainPerSecond,
    StoreBytesPerEvent,
    /// `why` for events at random, in milliseconds.
    WhyP50,
    WhyP99,
    Refused,
    Doubled,
    /// Cores that others used meanwhile.
    Others,
}

pub type Facts = BTreeMap<Fact, f64>;

/// The median of each fact that every round knows.
pub fn median(rounds: &[Facts]) -> Facts {
    let Some(first) = rounds.first() else { return Facts::new() };
    let of = |fact: &Fact| {
        let values: Option<Vec<f64>> = rounds.iter().map(|facts| facts.get(fact).copied()).collect();
        Some((*fact, middle(values?)))
    };
    first.keys().filter_map(of).collect()
}

/// The least of a fact: what others do to a shared disk can only add to it.
pub fn least(fact: Fact, rounds: &[Facts]) -> Option<f64> {
    rounds.iter().filter_map(|facts| facts.get(&fact).copied()).reduce(f64::min)
}

/// The median over rounds of the ratio within each: what one round shares, it shares out.
pub fn ratio(fact: Fact, of: &[Facts], to: &[Facts]) -> Option<f64> {
    let ratios: Option<Vec<f64>> =
        of.iter().zip(to).map(|(of, to)| Some(of.get(&fact)? / to.get(&fact)?)).collect();
    ratios.filter(|ratios| !ratios.is_empty()).map(middle)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}
