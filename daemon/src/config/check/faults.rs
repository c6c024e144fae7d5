//! `[subscription.NAME.faults]`.

use std::time::Duration;

use super::Pen;
use super::delivery::Delivery;
use crate::config::Faults;
use crate::config::faults::Fault;
use crate::config::file::{self, At, Key};
use crate::config::problem::Flaw;
use crate::config::units::Durations;
use crate::delivery::Order;

/// The longest `timeout`; the subscription's own is held against it afterwards.
const DELAY: Durations =
    Durations { allowed: Duration::ZERO..=Duration::from_secs(600), said: "at most 10m" };

/// Long enough to see it, short enough to wait for it.
const USUAL_DELAY: Duration = Duration::from_secs(1);

/// None if nothing of it can happen. Whatever can is warned of at each load.
pub(super) fn faults(
    pen: &mut Pen<'_>,
    name: &At<String>,
    table: &file::Subscription,
    delivery: &Delivery,
) -> Option<Faults> {
    let at = table.faults.get()?;
    let faults = pen.sound(|pen| Some(pen.within(["faults"], |pen| read(pen, &at.value, delivery))))?;
    if !Fault::ALL.into_iter().any(|fault| faults.probability(fault) > 0.0) {
        return None;
    }
    let message = format!("faults are injected into what goes to `{}`: {faults}", name.value);
    pen.warn(Flaw::new(at.span.clone(), message).hint("take this table out to end it"));
    Some(faults)
}

fn read(pen: &mut Pen<'_>, written: &file::Faults, delivery: &Delivery) -> Faults {
    let usual = USUAL_DELAY.min(delivery.timeout);
    let faults = Faults {
        seed: written.seed.get().map_or(0, |seed| seed.value),
        fail: probability(pen, Fault::Fail, &written.fail),
        drop: probability(pen, Fault::Drop, &written.drop),
        delay: probability(pen, Fault::Delay, &written.delay),
        delay_for: pen.duration("delay_for", &written.delay_for, &DELAY).unwrap_or(usual),
        duplicate: probability(pen, Fault::Duplicate, &written.duplicate),
        reorder: probability(pen, Fault::Reorder, &written.reorder),
        bad_signature: probability(pen, Fault::BadSignature, &written.bad_signature),
    };
    fits(pen, written, &faults, delivery);
    faults
}

fn probability(pen: &mut Pen<'_>, fault: Fault, written: &Key<f64>) -> f64 {
    let Some(at) = written.get() else { return 0.0 };
    if (0.0..=1.0).contains(&at.value) {
        return at.value;
    }
    let message = format!("{} must be from 0 to 1, not {}", pen.key(fault.as_str()), at.value);
    let hint = "it is a probability: 0.1 is one in ten";
    pen.flaw(Flaw::new(at.span.clone(), message).hint(hint));
    0.0
}

/// Whether these faults can happen to a subscription that is served like this.
fn fits(pen: &mut Pen<'_>, written: &file::Faults, faults: &Faults, delivery: &Delivery) {
    if let Some(at) = written.delay_for.get().filter(|_| faults.delay_for > delivery.timeout) {
        let timeout = humantime::format_duration(delivery.timeout);
        let message = format!("{} must be at most `timeout`, which is {timeout}", pen.key("delay_for"));
        pen.flaw(Flaw::new(at.span.clone(), message));
    }
    let Some(at) = written.reorder.get().filter(|at| at.value > 0.0) else { return };
    let why = match (delivery.order, delivery.concurrency) {
        (Order::None, _) => "there is no order with `order = \"none\"`",
        (_, 1) => "nothing can overtake with `concurrency = 1`",
        _ => return,
    };
    let message = format!("{} cannot happen: {why}", pen.key("reorder"));
    pen.flaw(Flaw::new(at.span.clone(), message));
}
