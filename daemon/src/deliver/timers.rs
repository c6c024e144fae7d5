//! Subscriptions to be looked at later. Owned by the delivery loop; asleep while empty.

use std::collections::{BTreeSet, HashMap};

use std::time::Instant;

use crate::delivery::SubscriptionId;

/// At most one time per subscription, the earliest asked for.
#[derive(Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, SubscriptionId)>,
    set: HashMap<SubscriptionId, Instant>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, subscription: SubscriptionId) {
        match self.set.get(&subscription) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => self.queue.remove(&(*later, subscription)),
            None => false,
        };
        self.set.insert(subscription, at);
        self.queue.insert((at, subscription));
    }

    /// Waits for the next time and takes out what has come due. Forever, when nothing is set.
    pub(super) async fn due(&mut self) -> Vec<SubscriptionId> {
        let Some((first, _)) = self.queue.first() else { return std::future::pending().await };
        tokio::time::sleep_until((*first).into()).await;
        self.take_due(Instant::now())
    }

    fn take_due(&mut self, now: Instant) -> Vec<SubscriptionId> {
        let mut due = Vec::new();
        while let Some((at, subscription)) = self.queue.first().copied().filter(|(at, _)| *at <= now) {
            self.queue.remove(&(at, subscription));
            self.set.remove(&subscription);
            due.push(subscription);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_of_a_subscription_counts_once() {
        let start = Instant::now();
        let at = |second| start + std::time::Duration::from_secs(second);
        let mut timers = Timers::default();
        timers.set(at(20), SubscriptionId(1));
        timers.set(at(10), SubscriptionId(1));
        timers.set(at(30), SubscriptionId(1));
        timers.set(at(15), SubscriptionId(2));
        assert_eq!(timers.take_due(at(9)), []);
        assert_eq!(timers.take_due(at(15)), [SubscriptionId(1), SubscriptionId(2)]);
        assert_eq!(timers.take_due(at(99)), []);
    }
}
