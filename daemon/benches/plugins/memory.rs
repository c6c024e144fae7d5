//! What a live instance adds to the memory of the process: many are made in places of the pool that
//! nobody used before, each has seen events, and the growth is shared out.

use anyhow::Context;
use trackrelay::config::Isolation;
use trackrelay::plugin::{Host, Input};

use super::{Case, calls};

/// Nearly as many as may live at once.
const INSTANCES: usize = 60;

/// Instances that are made and used before, so that what only the first one needs is not counted.
const WARM_UP: usize = 2;

/// In KiB. Private is what this process wrote; the rest are pages of the plugin's image that all
/// instances share.
pub struct Memory {
    pub resident: f64,
    pub private: f64,
}

pub async fn of_instance(case: &Case, events: &[Input]) -> anyhow::Result<Memory> {
    let host = Host::new(None)?;
    let plugin = host.load(&case.spec(Isolation::Reuse))?;
    let mut live = Vec::with_capacity(INSTANCES + WARM_UP);
    let mut before = None;
    for at in 0..INSTANCES + WARM_UP {
        if at == WARM_UP {
            before = Some(now()?);
        }
        let entry = plugin.entry(&format!("bench-{at}"), case.stage, &case.config)?;
        for input in events {
            calls::call(&entry, case.stage, input).await?;
        }
        live.push(entry);
    }
    let (before, after) = (before.context("no instance was measured")?, now()?);
    let share = |after: f64, before: f64| (after - before) / INSTANCES as f64;
    Ok(Memory {
        resident: share(after.resident, before.resident),
        private: share(after.private, before.private),
    })
}

fn now() -> anyhow::Result<Memory> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let kib = |key: &str| -> anyhow::Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok(Memory { resident: kib("Rss:")?, private: kib("Private_Dirty:")? })
}
