//! What a listener of the feed hears of events that came in: each of them, and what routing
//! decided. Built only if somebody listens.

use std::sync::Arc;

use crate::event::Event;
use crate::feed::{About, Arrived, Decided, Feed, News};
use crate::plan::Plan;
use crate::store::{Arrival, Receipt, Routed};

/// What is about to be written down, to be told once it is.
pub(super) struct Story {
    feed: Feed,
    arrivals: Vec<(Arc<Event>, Vec<Routed>)>,
}

impl Story {
    /// None if nobody listens.
    pub(super) fn of(feed: &Feed, arrivals: &[Arrival]) -> Option<Story> {
        let copy = |arrival: &Arrival| (Arc::clone(&arrival.event), arrival.routed.clone());
        let arrivals = || arrivals.iter().map(copy).collect();
        feed.is_heard().then(|| Story { feed: feed.clone(), arrivals: arrivals() })
    }

    pub(super) fn tell(self, source: &str, receipts: &[Receipt], plan: &Plan) {
        for ((event, routed), receipt) in self.arrivals.iter().zip(receipts) {
            self.feed.tell(|| News::Event(arrived(event, source, receipt, plan)));
            // A duplicate makes no new decision.
            for routed in routed.iter().filter(|_| !receipt.duplicate) {
                let Some(planned) = plan.get(routed.subscription) else { continue };
                self.feed.tell(|| News::Decision(decided(event, planned.name(), routed)));
            }
        }
    }
}

fn arrived(event: &Event, source: &str, receipt: &Receipt, plan: &Plan) -> Arrived {
    let names = receipt.queued.iter().filter_map(|id| Some(plan.get(*id)?.name().to_owned()));
    Arrived {
        about: About::of(event),
        source: source.to_owned(),
        duplicate: receipt.duplicate,
        subscriptions: names.collect(),
        plan: plan.number,
    }
}

fn decided(event: &Event, subscription: &str, routed: &Routed) -> Decided {
    Decided {
        about: About::of(event),
        subscription: subscription.to_owned(),
        outcome: routed.outcome,
        reason: routed.reason.clone(),
        replay: false,
    }
}
