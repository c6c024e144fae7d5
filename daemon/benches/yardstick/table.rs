//! The report for people: a table per case, systems as columns, with the ratio to the
//! durable floor, and one of all goals. It is Markdown, so that it can be pasted as it is.

use super::cases::{Case, Who};
use super::facts::{Fact, Facts, median, ratio};
use super::goals::Standing;
use super::measure::Rounds;

/// What a table shows, and how.
const ROWS: &[(Fact, &str, usize)] = &[
    (Fact::AcceptedPerSecond, "accepted/s", 0),
    (Fact::DeliveredPerSecond, "delivered/s", 0),
    (Fact::CpuPerEvent, "CPU µs/event", 1),
    (Fact::CpuPerDelivery, "CPU µs/delivery", 1),
    (Fact::P50, "sent to delivered, p50 ms", 2),
    (Fact::P99, "sent to delivered, p99 ms", 2),
    (Fact::AnswerP50, "sent to acknowledged, p50 ms", 2),
    (Fact::AnswerP99, "sent to acknowledged, p99 ms", 2),
    (Fact::SwitchesPerEvent, "voluntary switches/event", 2),
    (Fact::FlushesPer1000, "disk flushes/1000 events", 1),
    (Fact::DiskBytesPerEvent, "disk bytes/event", 0),
    (Fact::MemoryMib, "memory MiB at the end", 1),
    (Fact::PeakMemoryMib, "memory MiB, peak", 1),
    (Fact::IdleCpuPerSecond, "CPU µs in an idle second", 0),
    (Fact::IdleSwitchesPerSecond, "voluntary switches in an idle second", 1),
    (Fact::StartMs, "start to listening, ms", 1),
    (Fact::FirstWaitingMs, "start to first waiting delivery, ms", 0),
    (Fact::DrainPerSecond, "waiting deliveries drained/s", 0),
    (Fact::StoreBytesPerEvent, "bytes in files/event", 0),
    (Fact::WhyP50, "`why`, p50 ms", 2),
    (Fact::WhyP99, "`why`, p99 ms", 2),
    (Fact::Doubled, "doubled", 0),
    (Fact::Refused, "refused with 503", 0),
    (Fact::Others, "cores used by others", 2),
];

/// The systems of a case beside each other.
pub fn of_case(case: &Case, rounds: &Rounds) -> String {
    let columns: Vec<_> =
        rounds.iter().map(|(who, rounds)| (who.name().to_owned(), median(rounds))).collect();
    let ratio = |fact| ratio_to_durable(fact, rounds);
    of(case.name, &columns, "to durable", &ratio)
}

/// The points of a curve beside each other.
pub fn of_curve(name: &str, points: &[(String, Facts)]) -> String {
    let end_to_end = |fact| {
        let ((_, first), (_, last)) = (points.first()?, points.last()?);
        Some(last.get(&fact)? / first.get(&fact)?)
    };
    of(name, points, "last to first", &end_to_end)
}

fn of(
    title: &str,
    columns: &[(String, Facts)],
    comparison: &str,
    ratio: &dyn Fn(Fact) -> Option<f64>,
) -> String {
    let names: String = columns.iter().map(|(name, _)| format!(" {name} |")).collect();
    let mut table = format!("### {title}\n\n| |{names} {comparison} |\n|---|");
    table += &"---:|".repeat(columns.len() + 1);
    for (fact, label, digits) in ROWS {
        if !columns.iter().any(|(_, facts)| facts.contains_key(fact)) {
            continue;
        }
        let cell =
            |facts: &Facts| facts.get(fact).map_or_else(String::new, |value| format!("{value:.digits$}"));
        let cells: String = columns.iter().map(|(_, facts)| format!(" {} |", cell(facts))).collect();
        let ratio = ratio(*fact).filter(|ratio| ratio.is_finite());
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}×"));
        table += &format!("\n| {label} |{cells} {ratio} |");
    }
    table + "\n"
}

/// The daemon's to the durable floor's.
pub fn ratio_to_durable(fact: Fact, rounds: &Rounds) -> Option<f64> {
    let of = |wanted: Who| rounds.iter().find(|(who, _)| *who == wanted).map(|(_, rounds)| rounds);
    ratio(fact, of(Who::Daemon)?, of(Who::Durable)?)
}

pub fn of_goals(standings: &[Standing]) -> String {
    let mut table =
        "### Against the targets\n\n| | measured | target | stretch | |\n|---|---:|---:|---:|---|".to_owned();
    for standing in standings {
        let cell = |value: f64| match (standing.is_ratio, value >= 100.0) {
            (true, _) => format!("{value:.2}×"),
            (false, true) => format!("{value:.0}"),
            (false, false) => format!("{value:.2}"),
        };
        let Standing { what, measured, target, stretch, verdict, .. } = standing;
        let (measured, target, stretch) = (cell(*measured), cell(*target), cell(*stretch));
        table += &format!("\n| {what} | {measured} | {target} | {stretch} | {verdict} |");
    }
    table + "\n"
}
