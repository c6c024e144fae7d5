//! What is said of a store that does not hand out what waits: for each subscription when it
//! begins, once a minute while it lasts, and when it is over.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::delivery::SubscriptionId;
use crate::store;
use crate::telemetry::Complaint;

/// Subscriptions that never had trouble take no room.
#[derive(Default)]
pub(super) struct Complaints(Mutex<HashMap<SubscriptionId, Complaint>>);

impl Complaints {
    pub(super) fn note(&self, subscription: SubscriptionId, name: &str, error: Option<&store::Error>) {
        match error {
            Some(error) => {
                let more = self.all().entry(subscription).or_default().happened(Instant::now());
                if let Some(more) = more {
                    tracing::error!(subscription.name = name, more, %error,
                        "failed to read what waits; it is tried once a second");
                }
            }
            None if self.all().get_mut(&subscription).is_some_and(Complaint::is_over) => {
                tracing::info!(subscription.name = name, "what waits can be read again");
            }
            None => {}
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Complaint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
