//! How much of a subscription may be under way: nothing while it is closed, one probe at a
//! time while it is pending, up to `concurrency` lanes otherwise. Pure.

use std::time::Instant;

use crate::clock::Due;
use crate::delivery::Standing;
use crate::plan::Planned;
use crate::store::Take;

/// What is under way of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    pub lanes: usize,
    /// Whether one of them is the probe of a pending subscription.
    pub probing: bool,
}

/// What may be claimed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing, until something happens that wakes the subscription.
    Closed,
    /// Nothing before this.
    Until(Due),
    /// One delivery, the only one tried while the subscription is pending.
    Probe(Take),
    /// So many lanes.
    Open(usize),
}

pub fn pace(planned: &Planned, standing: &Standing, in_flight: InFlight, now: Instant) -> Pace {
    let serves = planned.meant.enabled && standing.disabled.is_none() && planned.validated(standing);
    if !serves {
        return Pace::Closed;
    }
    match &standing.pending {
        Some(_) if in_flight.probing => Pace::Closed,
        Some(probe) if !probe.due.is_over(now) => Pace::Until(probe.due),
        Some(probe) => Pace::Probe(probe.delivery.map_or(Take::Oldest, Take::Only)),
        None => match planned.meant.concurrency.saturating_sub(in_flight.lanes) {
            0 => Pace::Closed,
            free => Pace::Open(free),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::config::{Subscription, ValidationMode, fixture};
    use crate::delivery::{DeliveryId, Disabled, Probe, SubscriptionId};
    use crate::plan::{Guests, Plan};
    use crate::store::Enrolled;

    fn planned(meant: Subscription) -> Arc<Planned> {
        let (id, name) = (SubscriptionId(1), meant.name.clone());
        let enrolled = Enrolled { id, name, standing: Arc::default() };
        let plan = Plan::new(1, Arc::new(fixture::config(vec![meant])), Guests::none(1), vec![enrolled]);
        Arc::clone(&plan.subscriptions[0])
    }

    /// Pending since second 0, to be tried at second 60.
    fn pending(delivery: Option<i64>, start: Instant) -> Standing {
        let delivery = delivery.map(DeliveryId);
        let due = Due::after(start, Duration::from_secs(60));
        let (place, since, said) = (None, Timestamp::UNIX_EPOCH, String::new());
        let probe = Probe { delivery, place, tried: 1, pauses: 0, due, since, said };
        Standing { pending: Some(probe), ..Standing::default() }
    }

    #[test]
    fn a_subscription_that_serves_takes_what_is_left_of_its_concurrency() {
        let planned = planned(fixture::subscription("a"));
        for (lanes, wanted) in [(0, Pace::Open(8)), (7, Pace::Open(1)), (8, Pace::Closed), (9, Pace::Closed)]
        {
            let in_flight = InFlight { lanes, probing: false };
            assert_eq!(
                pace(&planned, &Standing::default(), in_flight, Instant::now()),
                wanted,
                "{lanes} in flight"
            );
        }
    }

    #[test]
    fn a_pending_one_is_tried_one_at_a_time_and_not_before_its_time() {
        let planned = planned(fixture::subscription("a"));
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let standing = pending(Some(7), start);
        let due = Due::after(start, Duration::from_secs(60));
        let free = InFlight::default();
        assert_eq!(pace(&planned, &standing, free, at(59)), Pace::Until(due));
        assert_eq!(pace(&planned, &standing, free, at(60)), Pace::Probe(Take::Only(DeliveryId(7))));
        assert_eq!(pace(&planned, &pending(None, start), free, at(60)), Pace::Probe(Take::Oldest));
        let probing = InFlight { lanes: 1, probing: true };
        assert_eq!(pace(&planned, &standing, probing, at(60)), Pace::Closed);
        let stragglers = InFlight { lanes: 8, probing: false };
        assert_eq!(pace(&planned, &standing, stragglers, at(60)), Pace::Probe(Take::Only(DeliveryId(7))));
    }

    #[test]
    fn what_does_not_serve_is_closed() {
        let disabled = Standing {
            disabled: Some(Disabled { reason: "3 attempts failed".into(), at: Timestamp::UNIX_EPOCH }),
            ..Standing::default()
        };
        let serving = planned(fixture::subscription("a"));
        let off = planned(Subscription { enabled: false, ..fixture::subscription("a") });
        let unproven = Subscription { validation: ValidationMode::Required, ..fixture::subscription("a") };
        let unproven = planned(unproven);
        let standing = Standing::default();
        for (planned, standing) in [(&serving, &disabled), (&off, &standing), (&unproven, &standing)] {
            assert_eq!(pace(planned, standing, InFlight::default(), Instant::now()), Pace::Closed);
        }
    }
}
