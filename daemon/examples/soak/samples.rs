//! What the daemon looked like second by second, and whether it stayed so: after a warm-up
//! the last third is held against the first.

use crate::rig::book::percentile;
use crate::rig::gauge::Reading;

/// Share of the run in which pools fill and the store reaches its size.
const WARM_UP: f64 = 0.25;

/// The store holds a minute of history, looked through once a minute: before this many
/// seconds it has no size of its own to stay at.
const STORE_SETTLED: usize = 360;

/// A second whose median event took longer than this is a pause: what waits for the disk
/// takes a tenth of it.
const PAUSE_MS: f64 = 500.0;

/// The daemon at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    memory: f64,
    descriptors: f64,
    threads: f64,
    p50: f64,
    p99: f64,
    store: f64,
    sent: usize,
    late: usize,
    doubled: usize,
}

impl Sample {
    pub const HEAD: &'static str = "| s | sent | memory MiB | descriptors | threads | p50 ms | p99 ms | \
                                    store MiB | late | doubled |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

    /// `late` is acknowledged and not delivered a second later, `store` in bytes.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn new(
        reading: &Reading,
        latencies: &[u32],
        store: u64,
        sent: usize,
        late: usize,
        doubled: usize,
    ) -> Sample {
        Sample {
            memory: reading.memory.now,
            descriptors: reading.descriptors as f64,
            threads: reading.threads() as f64,
            p50: percentile(latencies, 0.5),
            p99: percentile(latencies, 0.99),
            store: store as f64 / f64::from(1 << 20),
            sent,
            late,
            doubled,
        }
    }
}

#[derive(Default)]
pub struct Series(Vec<Sample>);

/// A value that has to stay: what the last third may be for the first third's mean.
struct Rule {
    what: &'static str,
    of: fn(&Sample) -> f64,
    most: fn(f64) -> f64,
}

const RULES: &[Rule] = &[
    Rule { what: "memory MiB", of: |sample| sample.memory, most: |first| first * 1.1 + 2.0 },
    Rule { what: "descriptors", of: |sample| sample.descriptors, most: |first| first + 8.0 },
    Rule { what: "threads", of: |sample| sample.threads, most: |first| first + 4.0 },
    Rule { what: "p50 ms", of: |sample| sample.p50, most: |first| first * 1.5 + 1.0 },
    Rule { what: "p99 ms", of: |sample| sample.p99, most: |first| first * 1.5 + 5.0 },
    Rule { what: "store MiB", of: |sample| sample.store, most: |first| first * 1.2 + 4.0 },
];

impl Series {
    pub fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The last seconds as one line.
    pub fn line(&self, seconds: usize) -> String {
        let Some(last) = self.0.last() else { return String::new() };
        let recent = &self.0[self.0.len().saturating_sub(seconds)..];
        let of = |value: fn(&Sample) -> f64| median(recent, value);
        format!(
            "| {} | {} | {:.1} | {:.0} | {:.0} | {:.2} | {:.2} | {:.1} | {} | {} |",
            self.0.len(),
            last.sent,
            of(|sample| sample.memory),
            of(|sample| sample.descriptors),
            of(|sample| sample.threads),
            of(|sample| sample.p50),
            of(|sample| sample.p99),
            last.store,
            last.late,
            last.doubled
        )
    }

    /// First against last third of what comes after the warm-up, and pauses anywhere: the
    /// table, and whether all is well.
    pub fn verdict(&self) -> (String, bool) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of some seconds"
        )]
        let warm = (self.0.len() as f64 * WARM_UP) as usize;
        let judged = &self.0[warm..];
        let third = judged.len() / 3;
        let (first, last) = (&judged[..third], &judged[judged.len() - third..]);
        let mut table = "| | first third | last third | at most | |\n|---|---:|---:|---:|---|".to_owned();
        let mut flat = true;
        for Rule { what, of, most } in RULES {
            let (before, after) = (median(first, *of), median(last, *of));
            let most = most(before);
            let judged = *what != "store MiB" || self.0.len() >= STORE_SETTLED;
            // A median that does not exist is not flat either.
            let fine = after <= most;
            flat &= fine || !judged;
            let verdict = match (judged, fine) {
                (false, _) => "too short to say",
                (true, true) => "flat",
                (true, false) => "**grows**",
            };
            table += &format!("\n| {what} | {before:.2} | {after:.2} | {most:.2} | {verdict} |");
        }
        let pauses = self.pauses();
        let slowest =
            self.0.iter().map(|sample| sample.p50).filter(|p50| p50.is_finite()).fold(0.0, f64::max);
        table += &format!("\n\nSlowest second: p50 {slowest:.2} ms, where {PAUSE_MS} are a pause. ");
        table +=
            &if pauses.is_empty() { "No pauses.".to_owned() } else { format!("**Paused** in {pauses:?}.") };
        (table, flat && pauses.is_empty())
    }

    /// The seconds in which events waited for something. What medians over minutes hide.
    fn pauses(&self) -> Vec<usize> {
        let paused = |(_, sample): &(usize, &Sample)| sample.p50 > PAUSE_MS;
        self.0.iter().enumerate().filter(paused).map(|(second, _)| second + 1).collect()
    }
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<_> = samples.iter().map(of).filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
