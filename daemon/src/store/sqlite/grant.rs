//! Deliveries on their way from the window to whoever claimed them. Whatever goes wrong
//! in between, be it only that nobody waits for them any more, they go back.

use std::sync::Arc;

use super::Shared;
use crate::delivery::SubscriptionId;
use crate::store::lanes::Entry;

pub(super) struct Grant {
    shared: Arc<Shared>,
    subscription: SubscriptionId,
    pub(super) entries: Vec<Entry>,
}

impl Grant {
    pub(super) fn new(shared: &Arc<Shared>, subscription: SubscriptionId, entries: Vec<Entry>) -> Grant {
        Grant { shared: shared.clone(), subscription, entries }
    }

    /// They belong to the caller now.
    pub(super) fn take(mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.entries.is_empty() {
            let entries = std::mem::take(&mut self.entries);
            self.shared.queue.lock().board.put_back(self.subscription, entries);
        }
    }
}
