//! The one thread that writes: takes all that waits, writes one transaction, syncs once,
//! brings the memory up to date, answers everybody. Between two commits it also reads
//! pages of what waits, so that nothing can change between reading and merging.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::queue::{Batch, Find, Work};
use super::tx::{Settlement, Tx};
use super::young::Young;
use super::{Counters, Grant, Shared, read, record};
use crate::delivery::{DeliveryId, Outcome, Standing, SubscriptionId};
use crate::drill::{self, Point};
use crate::store::Result;
use crate::store::lanes::Entry;

pub(super) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    counters: Counters,
    young: Young,
    /// The disk refused outcomes the last time; said once.
    failing: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        counters: Counters,
        young: Young,
    ) -> Writer {
        Writer { shared, connection, counters, young, failing: false }
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        let _abandon = Abandon(self.shared.clone());
        while let Some(batch) = self.shared.queue.next() {
            self.handle(batch);
        }
        if let Err(error) = self.commit(&[], &[], &mut [], true) {
            tracing::debug!(%error, "the next start has to look for what waits");
        }
        // So that the next start has no log to read. Without it the start reads it.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::debug!(%error, "the log is left for the next start");
        }
    }

    fn handle(&mut self, batch: Batch) {
        let Batch { mut works, settlements, standings, pages, finds } = batch;
        let reads = !pages.is_empty() || !finds.is_empty();
        let result = self.commit(&settlements, &standings, &mut works, reads);
        let kept = match result {
            // A disk may be too full for new events and still take outcomes, which make room.
            Err(_) if !works.is_empty() => self.commit(&settlements, &standings, &mut [], reads),
            _ => result.clone(),
        };
        if kept.is_ok() {
            settlements.iter().for_each(|_| drill::pass(Point::SettleSynced));
        }
        self.keep(&kept, settlements, &standings);
        if result.is_ok() {
            let mut state = self.shared.queue.lock();
            works.iter_mut().for_each(|work| work.apply(&mut state));
        }
        works.into_iter().for_each(|work| work.answer(result.clone()));

        for (subscription, wakers) in pages {
            let result = kept.clone().and_then(|()| self.read_page(subscription));
            wakers.into_iter().for_each(|waker| drop(waker.send(result.clone())));
        }
        for Find { subscription, delivery, answer } in finds {
            let result = kept.clone().and_then(|()| self.take_outside(subscription, delivery));
            drop(answer.send(result));
        }
    }

    /// `all_rows`: what waits is to be read next, so every delivery must have its row.
    fn commit(
        &mut self,
        settlements: &[Settlement],
        standings: &[(SubscriptionId, Arc<Standing>)],
        works: &mut [Box<dyn Work>],
        all_rows: bool,
    ) -> Result<()> {
        let nothing_new = settlements.is_empty() && standings.is_empty() && works.is_empty();
        if nothing_new && (!all_rows || self.young.is_empty()) {
            return Ok(());
        }
        self.write(settlements, standings, works, all_rows).map_err(|error| self.shared.refused(&error))
    }

    fn write(
        &mut self,
        settlements: &[Settlement],
        standings: &[(SubscriptionId, Arc<Standing>)],
        works: &mut [Box<dyn Work>],
        all_rows: bool,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let index = self.shared.read_index();
        let mut tx = Tx::new(&transaction, &index, &self.young, self.counters)?;
        settlements.iter().try_for_each(|settlement| tx.settle(settlement))?;
        standings.iter().try_for_each(|(id, standing)| tx.write_standing(*id, standing))?;
        works.iter_mut().try_for_each(|work| work.write(&mut tx))?;
        tx.reserve_event_ids(self.shared.upcoming_event_id())?;
        if all_rows {
            tx.write_young()?;
        }
        let (counters, learned, births) = tx.finish()?;
        drop(index);
        transaction.commit()?;
        self.counters = counters;
        self.young.committed(births);
        self.shared.write_index().committed(learned);
        Ok(())
    }

    /// Outcomes that could not be written stay, and are tried again.
    fn keep(
        &mut self,
        result: &Result<()>,
        settlements: Vec<Settlement>,
        standings: &[(SubscriptionId, Arc<Standing>)],
    ) {
        let Err(error) = result else {
            if std::mem::take(&mut self.failing) {
                tracing::info!("outcomes are written again");
                self.shared.queue.lock().board.wake_all();
            }
            return;
        };
        if !self.failing {
            tracing::error!(%error, "outcomes cannot be written; they are kept in memory and tried again");
        }
        self.failing = true;
        self.shared.queue.lock().keep_unwritten(settlements, standings.iter().map(|(id, _)| *id));
    }

    /// Reads the next page into a window, if it still has room.
    fn read_page(&self, subscription: SubscriptionId) -> Result<()> {
        let state = self.shared.queue.lock();
        let Some(from) = state.board.wants_page(subscription) else { return Ok(()) };
        let with_events = state.board.has_room();
        drop(state);
        let page = read::waiters(&self.connection, subscription, from, with_events);
        let page = page.map_err(|error| self.shared.refused(&error));
        let mut state = self.shared.queue.lock();
        state.was_read(subscription, page.as_ref().map(drop));
        let mut page = page?;
        let late = by_delivery(state.unwritten());
        page.entries.retain_mut(|entry| still_waits(entry, &late));
        state.board.merge(subscription, from, page);
        Ok(())
    }

    fn take_outside(&self, subscription: SubscriptionId, delivery: DeliveryId) -> Result<Grant> {
        let found = match read::waiter(&self.connection, subscription, delivery) {
            // It is found by its page, which says of whom it is; others go first.
            Err(error) if record::is_damage(&error) => None,
            found => found.map_err(|error| self.shared.refused(&error))?,
        };
        let mut state = self.shared.queue.lock();
        let late = by_delivery(state.unwritten());
        let found = found.and_then(|mut entry| still_waits(&mut entry, &late).then_some(entry));
        let taken = found.and_then(|entry| state.board.take_outside(subscription, entry));
        Ok(Grant::new(&self.shared, subscription, taken.into_iter().collect()))
    }
}

/// The outcomes that rows read now know nothing of; of several the last.
fn by_delivery(unwritten: &[Settlement]) -> HashMap<DeliveryId, (Outcome, u32)> {
    let outcome = |late: &Settlement| (late.next.outcome, late.tried + u32::from(late.attempt.is_some()));
    unwritten.iter().map(|late| (late.place.delivery, outcome(late))).collect()
}

/// Brings what was read up to date with an outcome that is not yet written.
fn still_waits(entry: &mut Entry, late: &HashMap<DeliveryId, (Outcome, u32)>) -> bool {
    let Some((outcome, tried)) = late.get(&entry.place.delivery) else { return true };
    entry.attempts = *tried;
    matches!(outcome, Outcome::Pending | Outcome::Held)
}

/// Tells everybody who waits, should the writer end by a panic.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}
