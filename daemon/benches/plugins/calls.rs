//! Calls: of a reused instance, of fresh ones, and of the same function as native code. They take
//! turns, a ratio is formed within each round, and the median over rounds is shown.

use std::sync::Arc;
use std::time::Duration;

use trackrelay::config::Isolation;
use trackrelay::plugin::{Entry, Host, Input, Stage};

use super::native::Native;
use super::{Case, median, micros, middle};

/// In each round, of each kind; the median of their times is the round's.
const CALLS: usize = 20_000;
const FRESH_CALLS: usize = 2_000;

#[derive(Clone, Copy)]
struct Round {
    native: Duration,
    reused: Duration,
    fresh: Duration,
}

pub async fn row(case: &Case, events: &[Input], rounds: u32) -> anyhow::Result<String> {
    let native = Native::build(case, events)?;
    let host = Host::new(None)?;
    let entry = |isolation| -> anyhow::Result<_> {
        Ok(host.load(&case.spec(isolation))?.entry("bench", case.stage, &case.config)?)
    };
    let (reused, fresh) = (entry(Isolation::Reuse)?, entry(Isolation::Event)?);
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.push(Round {
            native: native.call(CALLS)?,
            reused: calls(&reused, case.stage, events, CALLS).await?,
            fresh: calls(&fresh, case.stage, events, FRESH_CALLS).await?,
        });
    }
    let time = |of: fn(&Round) -> Duration| micros(middle(all.iter().map(of).collect()));
    let ratio = |of: fn(&Round) -> Duration| {
        let ratios = all.iter().map(|round| of(round).as_secs_f64() / round.native.as_secs_f64());
        median(ratios.collect(), f64::total_cmp)
    };
    Ok(format!(
        "| `{}` | {:.2} | {:.2} | {:.1}× | {:.1} | {:.0}× |",
        case.name,
        time(|round| round.native),
        time(|round| round.reused),
        ratio(|round| round.reused),
        time(|round| round.fresh),
        ratio(|round| round.fresh),
    ))
}

/// The median time of a call, as the plugin's time is counted.
async fn calls(entry: &Arc<Entry>, stage: Stage, events: &[Input], calls: usize) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(calls);
    for input in events.iter().cycle().take(calls) {
        times.push(call(entry, stage, input).await?);
    }
    Ok(middle(times))
}

pub async fn call(entry: &Arc<Entry>, stage: Stage, input: &Input) -> anyhow::Result<Duration> {
    match stage {
        Stage::Filter => {
            let call = entry.check(input.clone()).await;
            call.answer?;
            Ok(call.took)
        }
        Stage::Transform => {
            let call = entry.apply(input.clone()).await;
            call.answer?;
            Ok(call.took)
        }
    }
}
