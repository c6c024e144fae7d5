//! More and more subscriptions, of which one wants the events.

use std::sync::Arc;
use std::time::Duration;

use super::Point;
use crate::facts::{Fact, Facts};
use crate::rig::book::{Arrivals, Sends};
use crate::rig::event::Action;
use crate::rig::receiver::{Manner, Receiver};
use crate::rig::scene::Scene;
use crate::rig::system::{System, subscription_to};

const COUNTS: &[usize] = &[1, 100, 1000, 10_000];

pub(super) fn points(length: Duration) -> anyhow::Result<Vec<Point>> {
    COUNTS.iter().map(|count| Ok((count.to_string(), point(*count, length)?))).collect()
}

fn point(count: usize, length: Duration) -> anyhow::Result<Facts> {
    eprintln!("{count} subscriptions");
    let sends = Sends::new(super::room(length));
    let live = Arc::new(Arrivals::new(&sends));
    let receiver = Receiver::start(vec![Manner::Takes(Arc::clone(&live))])?;
    let mut tables = subscription_to(&Action::Created.event_filters(), "live", &receiver.url(0), "");
    for number in 1..count {
        let filters = Action::Updated.event_filters();
        tables += &subscription_to(&filters, &format!("other-{number}"), &receiver.url(1), "");
    }
    let system = System::daemon(&tables)?;
    let scene = Scene { system: &system, target: &system.tcp, sends: &sends, arrivals: &[live] };
    let mut facts = super::at_work(&scene, length)?;
    facts.insert(Fact::StartMs, system.start.as_secs_f64() * 1e3);
    Ok(facts)
}
