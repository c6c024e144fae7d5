//! Deliveries that wait: one subscription's endpoint is away, another's is measured. Then
//! the daemon is started again, the endpoint comes back, and what waited goes out.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Point;
use crate::facts::{Fact, Facts};
use crate::rig::book::{Arrivals, Sends};
use crate::rig::driver::{self, Load, Pattern, Until};
use crate::rig::event::Action;
use crate::rig::receiver::{Manner, Receiver};
use crate::rig::scene::Scene;
use crate::rig::system::{System, plugin_as, subscription_to};

const COUNTS: &[usize] = &[0, 10_000, 100_000, 1_000_000];

/// How the backlog is brought in: quickly.
const FILL: Pattern = Pattern::Closed { connections: 4, batch: 500 };

/// What `FILL` may send beyond what was asked for.
const BEYOND: usize = 4 * 500;

/// Plugins of the daemon that has to start with a backlog.
const PLUGINS: usize = 10;

/// Longest wait for the backlog to go out.
const DRAIN: Duration = Duration::from_secs(600);

pub(super) fn points(length: Duration) -> anyhow::Result<Vec<Point>> {
    COUNTS.iter().map(|count| Ok((count.to_string(), point(*count, length)?))).collect()
}

/// With so many deliveries waiting.
pub(super) fn point(count: usize, length: Duration) -> anyhow::Result<Facts> {
    eprintln!("{count} deliveries wait");
    let sends = Sends::new(super::room(length));
    let waiting = sends.beyond(count + BEYOND);
    let (live, away) = (Arc::new(Arrivals::new(&sends)), Arc::new(Arrivals::new(&waiting)));
    let receiver = Receiver::start(vec![Manner::Takes(Arc::clone(&live))])?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let tables = |timeout| tables(&receiver, &format!("http://{address}/0"), timeout);
    let mut system = System::daemon(&tables("10s"))?;
    if count > 0 {
        let fill = Load { action: Action::Updated, pattern: FILL, until: Until::Sent(count) };
        driver::run(&system.unix, fill, &waiting)?;
    }
    let scene = Scene { system: &system, target: &system.tcp, sends: &sends, arrivals: &[live] };
    let mut facts = super::at_work(&scene, length)?;
    system.stop()?;
    // A subscription whose table has changed is tried at once. Otherwise this would measure
    // how long it is until the daemon looks for an endpoint that was away.
    system.save(&tables("9s"))?;
    let _back = Receiver::start_at(address.to_string(), vec![Manner::Takes(Arc::clone(&away))])?;
    let started = Instant::now();
    system.start_again()?;
    facts.insert(Fact::StartMs, system.start.as_secs_f64() * 1e3);
    if count > 0 {
        drain(&waiting, &away, started, &mut facts)?;
    }
    Ok(facts)
}

/// Waits until the backlog has gone out, once each.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn drain(waiting: &Sends, away: &Arrivals, started: Instant, facts: &mut Facts) -> anyhow::Result<()> {
    let count = waiting.count_acknowledged(0..waiting.taken());
    let until = |wanted: usize| -> anyhow::Result<Instant> {
        while away.unique() < wanted {
            ensure!(started.elapsed() < DRAIN, "{} of {count} deliveries still wait", count - away.unique());
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Instant::now())
    };
    let first = until(1)?;
    let last = until(count)?;
    ensure!(away.unsigned() == 0, "{} deliveries had a wrong signature", away.unsigned());
    facts.insert(Fact::FirstWaitingMs, (first - started).as_secs_f64() * 1e3);
    facts.insert(Fact::DrainPerSecond, count as f64 / (last - first).as_secs_f64());
    facts.insert(Fact::Doubled, facts[&Fact::Doubled] + away.doubled(0..waiting.taken()) as f64);
    Ok(())
}

fn tables(live: &Receiver, away: &str, timeout: &str) -> String {
    let plugins: String = (0..PLUGINS)
        .map(|number| plugin_as(&format!("p{number}"), ["match", "redact", "slack"][number % 3]))
        .collect();
    let live = subscription_to(&Action::Created.event_filters(), "live", &live.url(0), "");
    let waits = format!("when_unreachable = \"wait\"\ntimeout = \"{timeout}\"");
    let away = subscription_to(&Action::Updated.event_filters(), "away", away, &waits);
    plugins + &live + &away
}
