//! Outcomes in a transaction: what ends, what goes on waiting, and the rows of `waiting`.

use rusqlite::{OptionalExtension, params};

use super::Tx;
use crate::delivery::{self, Attempt, DeliveryId, Order, Outcome, SubscriptionId};
use crate::drill::{self, Point};
use crate::store::lanes::Place;
use crate::store::sqlite::record::{self, FAILED};
use crate::store::sqlite::young::Row;
use crate::store::{Next, Seq};

/// What became of a delivery in flight, to be written down.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Settlement {
    pub(in crate::store::sqlite) subscription: SubscriptionId,
    pub(in crate::store::sqlite) place: Place,
    pub(in crate::store::sqlite) seq: Seq,
    pub(in crate::store::sqlite) replay: bool,
    /// Attempts before this one.
    pub(in crate::store::sqlite) tried: u32,
    pub(in crate::store::sqlite) attempt: Option<Attempt>,
    pub(in crate::store::sqlite) next: Next,
    pub(in crate::store::sqlite) at: i64,
}

impl Tx<'_> {
    pub(in crate::store::sqlite) fn settle(&mut self, settlement: &Settlement) -> rusqlite::Result<()> {
        let mut attempts = match settlement.tried {
            0 => Vec::new(),
            _ => self.attempts_so_far(settlement.subscription, settlement.place)?,
        };
        delivery::add_try(&mut attempts, settlement.attempt.clone());
        let attempts = record::attempts_to_text(&attempts);
        match settlement.next.outcome {
            Outcome::Pending | Outcome::Held => self.wait_on(settlement, attempts)?,
            _ => self.end(settlement, attempts)?,
        }
        drill::pass(Point::SettleWritten);
        Ok(())
    }

    /// Writes the rows of all deliveries that are young; whatever reads `waiting` needs them.
    pub(in crate::store::sqlite) fn write_young(&mut self) -> rusqlite::Result<()> {
        let young = self.young;
        if young.is_settled(&self.births, self.counters.next_seq) {
            return Ok(());
        }
        for (delivery, row) in young.still_young(&self.births) {
            self.insert_waiting(*delivery, *row, false)?;
        }
        for (delivery, row) in self.births.all_written(self.counters.next_seq) {
            self.insert_waiting(delivery, row, false)?;
        }
        self.set_meta("young_from", self.counters.next_seq)
    }

    pub(in crate::store::sqlite) fn insert_waiting(
        &mut self,
        delivery: DeliveryId,
        row: Row,
        replay: bool,
    ) -> rusqlite::Result<()> {
        self.often.insert_waiting.execute(params![
            row.subscription.0,
            row.place.created_at,
            row.place.event.0,
            delivery.0,
            row.seq.0,
            record::order_code(row.order),
            replay
        ])?;
        *self.waiting.entry(row.subscription).or_default() += 1;
        Ok(())
    }

    /// Takes a row out of `waiting`. Says whether it was there.
    pub(in crate::store::sqlite) fn stop_waiting(
        &mut self,
        id: SubscriptionId,
        place: Place,
    ) -> rusqlite::Result<bool> {
        let waited = self.often.delete_waiting.execute(key(id, place))? > 0;
        if waited {
            *self.waiting.entry(id).or_default() -= 1;
        }
        Ok(waited)
    }

    /// In which order a delivery waits, if it does.
    pub(in crate::store::sqlite) fn order_of(
        &self,
        id: SubscriptionId,
        place: Place,
    ) -> rusqlite::Result<Option<Order>> {
        let mut select = self.connection.prepare_cached(
            "SELECT lane_order FROM waiting \
             WHERE subscription = ?1 AND created = ?2 AND event_id = ?3 AND delivery = ?4",
        )?;
        select.query_row(key(id, place), |row| record::order_of(row.get(0)?)).optional()
    }

    #[expect(clippy::too_many_arguments, reason = "one row, column by column")]
    pub(in crate::store::sqlite) fn insert_decision(
        &mut self,
        seq: Seq,
        delivery: DeliveryId,
        subscription: SubscriptionId,
        next: &Next,
        at: i64,
        replay: bool,
        attempts: Option<String>,
    ) -> rusqlite::Result<()> {
        self.often.insert_decision.execute(params![
            delivery.0,
            seq.0,
            subscription.0,
            next.outcome as u8,
            at,
            replay,
            next.reason,
            attempts
        ])?;
        Ok(())
    }

    fn wait_on(&mut self, settlement: &Settlement, attempts: Option<String>) -> rusqlite::Result<()> {
        let Settlement { subscription, place, next, .. } = settlement;
        if let Some(row) = self.young.leaves(place.delivery, &mut self.births) {
            self.insert_waiting(place.delivery, row, false)?;
        }
        self.connection
            .prepare_cached(
                "UPDATE waiting SET tries = ?5, outcome = ?6, at = ?7, reason = ?8, attempts = ?9 \
                 WHERE subscription = ?1 AND created = ?2 AND event_id = ?3 AND delivery = ?4",
            )?
            .execute(params![
                subscription.0,
                place.created_at,
                place.event.0,
                place.delivery.0,
                settlement.tried + u32::from(settlement.attempt.as_ref().is_some_and(Attempt::counts)),
                next.outcome as u8,
                settlement.at,
                next.reason,
                attempts
            ])?;
        Ok(())
    }

    /// One that is neither young nor in `waiting` has been given up meanwhile, and its event
    /// may be gone.
    fn end(&mut self, settlement: &Settlement, attempts: Option<String>) -> rusqlite::Result<()> {
        let Settlement { subscription, place, seq, replay, next, at, .. } = settlement;
        let young = self.young.leaves(place.delivery, &mut self.births).is_some();
        if !young && !self.stop_waiting(*subscription, *place)? {
            return Ok(());
        }
        self.insert_decision(*seq, place.delivery, *subscription, next, *at, *replay, attempts)?;
        if next.outcome == Outcome::Failed && self.is_latest(*seq, *subscription, place.delivery)? {
            self.insert_mendable(*subscription, FAILED, *seq)?;
        }
        Ok(())
    }

    fn attempts_so_far(&self, id: SubscriptionId, place: Place) -> rusqlite::Result<Vec<Attempt>> {
        let mut select = self.connection.prepare_cached(
            "SELECT attempts FROM waiting \
             WHERE subscription = ?1 AND created = ?2 AND event_id = ?3 AND delivery = ?4",
        )?;
        let text = select.query_row(key(id, place), |row| row.get(0)).optional()?;
        record::attempts(text.flatten())
    }

    fn is_latest(&self, seq: Seq, id: SubscriptionId, delivery: DeliveryId) -> rusqlite::Result<bool> {
        let mut later = self.connection.prepare_cached(
            "SELECT 1 FROM replays CROSS JOIN decisions USING (delivery) \
             WHERE replays.seq = ?1 AND replays.delivery > ?2 AND subscription = ?3",
        )?;
        Ok(!later.exists(params![seq.0, delivery.0, id.0])?)
    }

    pub(in crate::store::sqlite) fn insert_mendable(
        &self,
        id: SubscriptionId,
        kind: i64,
        seq: Seq,
    ) -> rusqlite::Result<()> {
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO mendable (subscription, kind, seq) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![id.0, kind, seq.0])?;
        Ok(())
    }

    pub(in crate::store::sqlite) fn forget_mendable(
        &self,
        id: SubscriptionId,
        seq: Seq,
    ) -> rusqlite::Result<()> {
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM mendable WHERE subscription = ?1 AND kind IN (0, 1) AND seq = ?2")?;
        delete.execute(params![id.0, seq.0])?;
        Ok(())
    }
}

/// The key of a row of `waiting`, as parameters 1 to 4.
fn key(id: SubscriptionId, place: Place) -> [i64; 4] {
    [id.0, place.created_at, place.event.0, place.delivery.0]
}
