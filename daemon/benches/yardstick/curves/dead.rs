//! Endpoints that are dead beside one that is well: nine of ten that want the same events,
//! and a hundred of a thousand that hang while others are busy.

use std::sync::Arc;
use std::time::Duration;

use super::Point;
use crate::facts::Facts;
use crate::rig::book::{Arrivals, Sends};
use crate::rig::driver::{self, Load, Pattern, Until};
use crate::rig::event::Action;
use crate::rig::receiver::{Manner, Receiver};
use crate::rig::scene::Scene;
use crate::rig::system::{System, subscription_to};

/// Events that make the hanging endpoints hang: more than each has lanes.
const BAIT: usize = 20;

/// Beside the subscription that is measured.
struct Others {
    label: &'static str,
    dead: usize,
    manner: Manner,
    /// Whether they want the events of the one that is measured.
    same_events: bool,
    /// Subscriptions that nothing happens to.
    idle: usize,
}

pub(super) fn points(length: Duration) -> anyhow::Result<Vec<Point>> {
    let others = |label, dead, manner| Others { label, dead, manner, same_events: true, idle: 0 };
    let beside = [
        others("alone", 0, Manner::Hangs),
        others("9 of 10 fail", 9, Manner::Fails(500)),
        others("9 of 10 hang", 9, Manner::Hangs),
        Others { same_events: false, idle: 899, ..others("100 of 1000 hang", 100, Manner::Hangs) },
    ];
    beside.iter().map(|others| Ok((others.label.to_owned(), point(others, length)?))).collect()
}

fn point(others: &Others, length: Duration) -> anyhow::Result<Facts> {
    eprintln!("{}", others.label);
    let sends = Sends::new(super::room(length));
    let bait = sends.beyond(BAIT);
    let live = Arc::new(Arrivals::new(&sends));
    let receiver = Receiver::start(vec![Manner::Takes(Arc::clone(&live)), others.manner.clone()])?;
    let system = System::daemon(&tables(others, &receiver))?;
    if others.dead > 0 && !others.same_events {
        let pattern = Pattern::Closed { connections: 1, batch: 1 };
        let load = Load { action: Action::Updated, pattern, until: Until::Sent(BAIT) };
        driver::run(&system.unix, load, &bait)?;
    }
    let scene = Scene { system: &system, target: &system.tcp, sends: &sends, arrivals: &[live] };
    super::at_work(&scene, length)
}

fn tables(others: &Others, receiver: &Receiver) -> String {
    let created = Action::Created.event_filters();
    let wanted = if others.same_events { created.clone() } else { Action::Updated.event_filters() };
    let mut tables = subscription_to(&created, "live", &receiver.url(0), "");
    for number in 0..others.dead {
        tables += &subscription_to(&wanted, &format!("dead-{number}"), &receiver.url(1), "");
    }
    for number in 0..others.idle {
        tables += &subscription_to("[\"client.*\"]", &format!("idle-{number}"), &receiver.url(1), "");
    }
    tables
}
