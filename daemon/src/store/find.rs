//! What a search of history asks for, which events belong, and how much one search may look
//! at. Pure; how a store goes through its events is its own affair.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::PastEvent;
use crate::delivery::{Decision, Outcome, SubscriptionId};
use crate::event::{Action, Entity};

/// What is asked for; what is not said fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Find {
    pub entity: Option<Entity>,
    pub action: Option<Action>,
    /// Arrived at this moment or later.
    pub since: Option<Timestamp>,
    /// Arrived before this moment.
    pub until: Option<Timestamp>,
    /// Has a stored decision for it.
    pub subscription: Option<SubscriptionId>,
    /// The latest decision for a subscription, the one asked for or any, is this.
    pub outcome: Option<Outcome>,
    /// Stands in the received bytes, letter for letter.
    pub text: Option<String>,
}

impl Find {
    /// What the routing fields say.
    pub(super) fn fits(&self, entity: Entity, action: Action, arrived_at: Timestamp) -> bool {
        self.entity.is_none_or(|wanted| wanted == entity)
            && self.action.is_none_or(|wanted| wanted == action)
            && self.since.is_none_or(|since| arrived_at >= since)
            && self.until.is_none_or(|until| arrived_at < until)
    }

    /// What the body says. Received bytes are UTF-8, so searching text is searching bytes.
    pub(super) fn is_in(&self, received: &[u8]) -> bool {
        let Some(text) = &self.text else { return true };
        std::str::from_utf8(received).is_ok_and(|received| received.contains(text.as_str()))
    }

    /// What the decisions say.
    pub(super) fn fits_decisions(&self, decisions: &[Decision]) -> bool {
        if self.subscription.is_none() && self.outcome.is_none() {
            return true;
        }
        let of_it = |it: &Decision| self.subscription.is_none_or(|wanted| it.subscription == wanted);
        let so = |it: &Decision| self.outcome.is_none_or(|wanted| it.outcome == wanted);
        latest(decisions).any(|decision| of_it(decision) && so(decision))
    }
}

/// Of several decisions for a subscription, replays, the latest counts.
pub fn latest(decisions: &[Decision]) -> impl Iterator<Item = &Decision> {
    let by_subscription = decisions.iter().map(|decision| (decision.subscription, decision));
    by_subscription.collect::<BTreeMap<_, _>>().into_values()
}

/// What one search has looked at. It ends when that is `MOST`, and says where to go on: so
/// what it costs does not depend on how long the history is.
#[derive(Debug, Default)]
pub(super) struct Effort {
    spent: usize,
    found: usize,
}

impl Effort {
    /// Rows whose routing fields alone are looked at, about a microsecond each.
    const MOST: usize = 100_000;

    /// An event with its decisions, read whole: some ten times as much.
    const WHOLE: usize = 10;

    /// Bytes of what was found: an answer of this size is still held in memory at ease.
    const FOUND: usize = 8 << 20;

    /// A decision in memory, about.
    const DECISION: usize = 128;

    pub(super) fn row(&mut self) {
        self.spent += 1;
    }

    /// A body of so many bytes is searched: a KiB is as much as a row.
    pub(super) fn body(&mut self, bytes: usize) {
        self.spent += bytes >> 10;
    }

    pub(super) fn whole(&mut self, past: &PastEvent) {
        self.spent += Effort::WHOLE + past.decisions.len();
    }

    pub(super) fn found(&mut self, past: &PastEvent) {
        self.found += past.event.received.len() + past.decisions.len() * Effort::DECISION;
    }

    pub(super) fn is_spent(&self) -> bool {
        self.spent >= Effort::MOST || self.found >= Effort::FOUND
    }
}
