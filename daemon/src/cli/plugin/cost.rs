//! What a plugin costs, and what it may cost. The budget is for a machine of the kind that the
//! figures of `docs/performance.md` are from; a small plugin in Rust needs half of it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstyle::Style;
use anyhow::Context;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::{Align, BAD, GOOD, QUIET, Table};
use crate::cli::plugin::load;
use crate::cli::plugin::trial::Trial;
use crate::plugin::{Call, Host, Input, Reshape};

const CALL: Duration = Duration::from_micros(5);
const FRESH: Duration = Duration::from_micros(50);
const COLD: Duration = Duration::from_millis(150);
const CACHED: Duration = Duration::from_millis(5);

/// A large file takes seconds to compile.
const COLD_LOADS: usize = 3;
const CACHED_LOADS: usize = 10;

/// Enough for a thread that writes two small files per load.
const REMOVALS: usize = 100;

/// Each kind of call is measured at most so long: one that runs into its limit of time would
/// take minutes.
const LONGEST: Duration = Duration::from_secs(10);

/// One thing that was measured. Times in µs.
#[derive(Debug, Serialize)]
pub struct Line {
    what: String,
    measured: usize,
    p50_us: f64,
    p99_us: f64,
    budget_us: f64,
    /// Whether the median is.
    within: bool,
}

impl Line {
    /// Of at least one time.
    fn new(what: String, mut times: Vec<Duration>, budget: Duration) -> Line {
        times.sort_unstable();
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        let us = |time: Duration| (time.as_secs_f64() * 1e8).round() / 1e2;
        let (p50_us, p99_us, budget_us) = (us(p50), us(p99), us(budget));
        Line { what, measured: times.len(), p50_us, p99_us, budget_us, within: p50 <= budget }
    }
}

/// The smallest time that so many of a hundred do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

/// Loading the file: compiled anew, and from a cache.
pub fn loads(file: &Path) -> Result<Vec<Line>, Failure> {
    let cache = Cache::new()?;
    let cold = (0..COLD_LOADS).map(|_| timed(None, file)).collect::<Result<_, _>>()?;
    timed(Some(&cache.0), file)?;
    let cached = (0..CACHED_LOADS).map(|_| timed(Some(&cache.0), file)).collect::<Result<_, _>>()?;
    Ok(vec![
        Line::new("load, compiled anew".to_owned(), cold, COLD),
        Line::new("load, compiled code in the cache".to_owned(), cached, CACHED),
    ])
}

/// In a host of its own, since one host compiles a file once.
fn timed(cache: Option<&Path>, file: &Path) -> Result<Duration, Failure> {
    let host = Host::new(cache)?;
    let begun = Instant::now();
    load(&host, file)?;
    Ok(begun.elapsed())
}

/// A folder for compiled code that is there for this measurement only.
struct Cache(PathBuf);

impl Cache {
    /// Fails where there is something already: code that another user put there would run.
    fn new() -> Result<Cache, Failure> {
        let path = std::env::temp_dir().join(format!("trackrelay-plugin-bench-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder `{}`", path.display()))?;
        Ok(Cache(path))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // The engine's own thread may still write how often a file was used, which makes a
        // removal under way fail. Once the folder is gone it writes no more.
        (0..REMOVALS).any(|_| fs::remove_dir_all(&self.0).is_ok() || !self.0.exists());
    }
}

/// Calls of a reused instance and of fresh ones, the events in turn.
pub async fn calls(trial: &Trial, events: &[Input], calls: u64) -> Result<Vec<Line>, Failure> {
    let stage = trial.stage.as_str();
    let reused = measure(events, calls, async |input| trial.reused(input).await).await?;
    let fresh = measure(events, calls, async |input| trial.fresh(input).await).await?;
    Ok(vec![
        Line::new(format!("{stage}, reused instance"), reused, CALL),
        Line::new(format!("{stage}, fresh instance"), fresh, FRESH),
    ])
}

/// A plugin that fails is not measured: its times would be those of failing.
async fn measure(
    events: &[Input],
    calls: u64,
    call: impl AsyncFn(&Input) -> Call<Reshape>,
) -> Result<Vec<Duration>, Failure> {
    let begun = Instant::now();
    let mut times = Vec::new();
    for (input, _) in events.iter().cycle().zip(0..calls) {
        let Call { answer, took, .. } = call(input).await;
        answer.map_err(|failure| Failure::failed(format!("event {}: {failure}", input.event.id)))?;
        times.push(took);
        if begun.elapsed() > LONGEST {
            break;
        }
    }
    Ok(times)
}

pub fn table(lines: &[Line]) -> String {
    let columns = [("WHAT", Align::Left), ("N", Align::Right), ("P50", Align::Right), ("P99", Align::Right)];
    let mut table =
        Table::new(&[&columns[..], &[("BUDGET", Align::Right), ("MEDIAN", Align::Left)]].concat());
    for line in lines {
        let (word, style) = if line.within { ("within", GOOD) } else { ("over", BAD) };
        let plain = |text: String| (text, Style::new());
        let cells = vec![
            plain(line.what.clone()),
            plain(line.measured.to_string()),
            plain(time(line.p50_us)),
            plain(time(line.p99_us)),
            (time(line.budget_us), QUIET),
            (word.to_owned(), style),
        ];
        table.row(cells, Vec::new());
    }
    table.render()
}

fn time(us: f64) -> String {
    if us < 1000.0 { format!("{us:.1} µs") } else { format!("{:.1} ms", us / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let micros = |times: &[u64]| times.iter().map(|us| Duration::from_micros(*us)).collect();
        let line = |times: &[u64]| Line::new("x".to_owned(), micros(times), Duration::from_micros(5));
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((line(&hundred).p50_us, line(&hundred).p99_us), (50.0, 99.0));
        assert_eq!((line(&[7]).p50_us, line(&[7]).p99_us), (7.0, 7.0));
        assert!(line(&[5, 5, 900]).within && !line(&[5, 6, 6]).within);
        assert_eq!((time(2.04), time(61_049.0)), ("2.0 µs".to_owned(), "61.0 ms".to_owned()));
    }
}
