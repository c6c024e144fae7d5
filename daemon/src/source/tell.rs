//! What a listener of the feed hears of events that came in: each of them, and what routing
//! decided. Built only if somebody listens.

use std::sync::Arc;

use jiff::Timestamp;

use crate::event::Event;
use crate::feed::close::{MOST, Seen};
use crate::feed::{About, Arrived, Decided, Feed, News};
use crate::plan::Plan;
use crate::store::{Arrival, Receipt, Routed};

/// What is about to be written down, to be told once it is.
pub(super) struct Story {
    feed: Feed,
    arrivals: Vec<Told>,
}

struct Told {
    event: Arc<Event>,
    at: Timestamp,
    routed: Vec<Routed>,
}

impl Story {
    /// None if nobody listens.
    pub(super) fn of(feed: &Feed, arrivals: &[Arrival]) -> Option<Story> {
        let copy = |arrival: &Arrival| Told {
            event: Arc::clone(&arrival.event),
            at: arrival.arrived_at,
            routed: arrival.routed.clone(),
        };
        let arrivals = || arrivals.iter().map(copy).collect();
        feed.is_heard().then(|| Story { feed: feed.clone(), arrivals: arrivals() })
    }

    pub(super) fn tell(self, source: &str, receipts: &[Receipt], plan: &Plan) {
        for (told, receipt) in self.arrivals.iter().zip(receipts) {
            // A duplicate makes no new decision.
            let routed: &[Routed] = if receipt.duplicate { &[] } else { &told.routed };
            let seen = self.feed.closely(|| seen(told, routed, plan));
            self.feed.tell(|| News::Event(Arrived { seen, ..arrived(&told.event, source, receipt, plan) }));
            for routed in routed {
                let Some(planned) = plan.get(routed.subscription) else { continue };
                self.feed.tell(|| News::Decision(decided(&told.event, planned.name(), routed)));
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
        seen: None,
    }
}

fn seen(told: &Told, routed: &[Routed], plan: &Plan) -> Seen {
    let line = |routed: &Routed| {
        let (name, outcome) = (plan.get(routed.subscription)?.name(), routed.outcome.as_str());
        let reason = routed.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{name} {outcome}{reason}"))
    };
    Seen {
        began: told.at,
        workspace_id: told.event.workspace_id,
        decisions: routed.iter().take(MOST).filter_map(line).collect(),
        more: routed.len().saturating_sub(MOST),
    }
}

fn decided(event: &Event, subscription: &str, routed: &Routed) -> Decided {
    Decided {
        about: About::of(event),
        subscription: subscription.to_owned(),
        outcome: routed.outcome,
        reason: routed.reason.clone(),
        replay: false,
        tried: None,
        made: None,
    }
}
