//! Claiming: from the window if it can, else after a page has been read; the bodies that
//! had no room in memory are read back here.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::queue::Find;
use super::{Grant, Shared, SqliteStore, read, record};
use crate::delivery::{DeliveryId, Outcome, SubscriptionId};
use crate::store::lanes::{Entry, Place};
use crate::store::{Lease, Result, Routed, Take};

/// What a look into the window came to.
enum Look {
    Taken(Grant),
    /// Nothing there, but a page is being read; this rings when it has been.
    Reading(oneshot::Receiver<Result<()>>),
    /// Not there, but perhaps in the engine.
    Outside(DeliveryId),
}

impl SqliteStore {
    pub(super) async fn claim_waiting(&self, subscription: SubscriptionId, take: Take) -> Result<Vec<Lease>> {
        loop {
            match self.look(subscription, take)? {
                Look::Taken(grant) => return self.lease(subscription, grant).await,
                Look::Reading(read) => read.await.unwrap_or_else(|_| Err(self.shared.closed()))?,
                Look::Outside(delivery) => {
                    let grant = self.find(subscription, delivery).await?;
                    return self.lease(subscription, grant).await;
                }
            }
        }
    }

    /// A subscription may have been removed since it was routed to.
    pub(super) fn refuse_unknown<'a>(&self, routes: impl Iterator<Item = &'a mut Routed>) {
        let state = self.shared.queue.lock();
        for routed in routes.filter(|routed| routed.outcome == Outcome::Pending) {
            if !state.board.knows(routed.subscription) {
                routed.outcome = Outcome::Cancelled;
            }
        }
    }

    /// Takes from the window, and has it filled up if it runs low.
    fn look(&self, subscription: SubscriptionId, take: Take) -> Result<Look> {
        let mut state = self.shared.queue.lock();
        state.check_unwritten()?;
        let entries = state.board.take(subscription, take)?;
        let wants_page = state.board.wants_page(subscription).is_some();
        let look = match take {
            Take::Only(delivery) if entries.is_empty() && state.board.has_more(subscription) => {
                Look::Outside(delivery)
            }
            Take::Heads(_) | Take::Oldest if entries.is_empty() && wants_page => {
                let (ring, read) = oneshot::channel();
                state.want_page(subscription, Some(ring));
                Look::Reading(read)
            }
            _ => {
                if wants_page {
                    state.want_page(subscription, None);
                }
                Look::Taken(Grant::new(&self.shared, subscription, entries))
            }
        };
        self.shared.queue.nudge(state);
        Ok(look)
    }

    async fn find(&self, subscription: SubscriptionId, delivery: DeliveryId) -> Result<Grant> {
        let (answer, found) = oneshot::channel();
        self.shared.queue.find(Find { subscription, delivery, answer });
        found.await.unwrap_or_else(|_| Err(self.shared.closed()))
    }

    async fn lease(&self, subscription: SubscriptionId, mut grant: Grant) -> Result<Vec<Lease>> {
        if grant.entries.iter().any(|entry| entry.event.is_none()) {
            let shared = self.shared.clone();
            let task = move || {
                let read = shared.read_back(subscription, &mut grant);
                shared.queue.lock().was_read(subscription, read.as_ref().copied());
                read.map(|()| grant)
            };
            grant = tokio::task::spawn_blocking(task)
                .await
                .unwrap_or_else(|error| Err(self.shared.failed(&error)))?;
        }
        Ok(grant.take().into_iter().filter_map(|entry| lease(subscription, entry)).collect())
    }
}

impl Shared {
    /// Reads the bodies that are not in memory.
    fn read_back(self: &Arc<Self>, subscription: SubscriptionId, grant: &mut Grant) -> Result<()> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in grant.entries.iter_mut().filter(|entry| entry.event.is_none()) {
            match read::event(&reader, entry.seq) {
                Ok(Some((event, _))) => entry.event = Some(event),
                Ok(None) => self.queue.lock().board.let_go(subscription, entry.place.delivery),
                Err(error) if record::is_damage(&error) => self.set_aside(subscription, entry.place, &error),
                Err(error) => return Err(self.refused(&error)),
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Better than trying it for ever: what is damaged stays so, while the others can go.
    fn set_aside(&self, subscription: SubscriptionId, place: Place, error: &rusqlite::Error) {
        let error = self.refused(error);
        let mut state = self.queue.lock();
        state.board.set_aside(subscription, place);
        let more = state.damaged(error.clone(), Instant::now());
        if let Some(more) = more {
            let name = state.board.name(subscription).unwrap_or_default().to_owned();
            drop(state);
            tracing::error!(subscription.name = name, event.id = %place.event, more, %error,
                "a delivery cannot be read and is set aside; its lane waits");
        }
    }
}

/// None without a body: what there was to do about it has been done.
fn lease(subscription: SubscriptionId, entry: Entry) -> Option<Lease> {
    Some(Lease {
        delivery: entry.place.delivery,
        subscription,
        seq: entry.seq,
        event: entry.event?,
        arrived_at: entry.arrived_at,
        replay: entry.replay,
        attempts: entry.attempts,
    })
}
