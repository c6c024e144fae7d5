//! Loading a file: compiled anew, and found compiled in a cache as the state folder has one.

use std::path::Path;
use std::time::{Duration, Instant};

use trackrelay::config::Isolation;
use trackrelay::plugin::Host;

use super::{Case, micros, middle};

const COLD: usize = 5;
const WARM: usize = 20;

pub fn row(case: &Case) -> anyhow::Result<String> {
    let bytes = std::fs::metadata(case.file())?.len();
    let cache = tempfile::tempdir()?;
    let cold = (0..COLD).map(|_| load(case, None)).collect::<Result<_, _>>()?;
    load(case, Some(cache.path()))?;
    let warm = (0..WARM).map(|_| load(case, Some(cache.path()))).collect::<Result<_, _>>()?;
    let ms = |times| micros(middle(times)) / 1e3;
    let (name, kb) = (case.name, bytes as f64 / 1e3);
    Ok(format!("| `{name}` | {kb:.0} | {:.1} | {:.2} |", ms(cold), ms(warm)))
}

/// In a host of its own, since one host compiles a file once.
fn load(case: &Case, cache: Option<&Path>) -> anyhow::Result<Duration> {
    let host = Host::new(cache)?;
    let begun = Instant::now();
    host.load(&case.spec(Isolation::Reuse))?;
    Ok(begun.elapsed())
}
