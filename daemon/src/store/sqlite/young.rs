//! Deliveries that have only just begun to wait. Most of them end within moments, so their
//! rows in `waiting` are not written with their event but once they turn out to be needed:
//! for a retry, for a page, when there are many, at the end.
//!
//! Nothing rests on this memory. What an event is routed to stands in its own row, so a
//! start after a crash finds the young ones again: routed, not ended, and no row.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::record;
use crate::delivery::{DeliveryId, Order, Outcome, SubscriptionId};
use crate::event::EventId;
use crate::store::lanes::{Entry, Place};
use crate::store::{Routed, Seq};

/// So many young deliveries, or events since the last that was written down: what a start
/// after a crash has to look through, in some ten milliseconds.
const MOST: usize = 4096;

/// What a row in `waiting` is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) subscription: SubscriptionId,
    pub(super) place: Place,
    pub(super) seq: Seq,
    pub(super) order: Order,
}

impl Row {
    pub(super) fn of(entry: &Entry, route: &Routed) -> Row {
        Row { subscription: route.subscription, place: entry.place, seq: entry.seq, order: route.order }
    }
}

#[derive(Debug, Default)]
pub(super) struct Young {
    rows: HashMap<DeliveryId, Row>,
    /// All deliveries of events before this one have rows.
    from: i64,
}

/// What a transaction changes about them, once it has been committed.
#[derive(Debug, Default)]
pub(super) struct Births {
    born: Vec<(DeliveryId, Row)>,
    gone: BTreeSet<DeliveryId>,
    /// All that were young before the event of this position have rows now.
    written_to: Option<i64>,
}

impl Births {
    pub(super) fn born(&mut self, delivery: DeliveryId, row: Row) {
        self.born.push((delivery, row));
    }

    /// From now on all have rows. Comes with those that were born in this transaction.
    pub(super) fn all_written(&mut self, next_seq: i64) -> Vec<(DeliveryId, Row)> {
        self.written_to = Some(next_seq);
        std::mem::take(&mut self.born)
    }
}

impl Young {
    /// None are young; all events before `from` have been seen to.
    pub(super) fn none(from: i64) -> Young {
        Young { rows: HashMap::new(), from }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// There is nothing to write down, not even that there is nothing.
    pub(super) fn is_settled(&self, births: &Births, next_seq: i64) -> bool {
        let from = births.written_to.unwrap_or(self.from);
        from == next_seq && births.born.is_empty()
    }

    /// Too many, counting those of the transaction that is about to end.
    pub(super) fn is_full(&self, births: &Births, next_seq: i64) -> bool {
        let (before, from) = births.written_to.map_or((self.rows.len(), self.from), |to| (0, to));
        before + births.born.len() > MOST || next_seq - from > MOST as i64
    }

    pub(super) fn still_young<'a>(
        &'a self,
        births: &Births,
    ) -> impl Iterator<Item = (&'a DeliveryId, &'a Row)> + use<'a> {
        let gone = births.gone.clone();
        let rows = if births.written_to.is_none() { Some(&self.rows) } else { None };
        rows.into_iter().flatten().filter(move |(delivery, _)| !gone.contains(delivery))
    }

    /// Takes one out, if it is young.
    pub(super) fn leaves(&self, delivery: DeliveryId, births: &mut Births) -> Option<Row> {
        let row = self.rows.get(&delivery).filter(|_| births.written_to.is_none())?;
        births.gone.insert(delivery).then_some(*row)
    }

    pub(super) fn committed(&mut self, births: Births) {
        if let Some(to) = births.written_to {
            self.rows.clear();
            self.from = to;
        }
        for delivery in &births.gone {
            self.rows.remove(delivery);
        }
        self.rows.extend(births.born);
    }

    /// Finds what was young when the last process ended.
    pub(super) fn recover(connection: &Connection, from: i64) -> rusqlite::Result<Young> {
        let mut young = Young { rows: HashMap::new(), from };
        let mut rows = connection
            .prepare("SELECT seq, event_id, created, first_delivery, routes FROM events WHERE seq >= ?1")?;
        let mut rows = rows.query([from])?;
        while let Some(row) = rows.next()? {
            for (delivery, found) in queued(row)? {
                if !has_row(connection, delivery, &found)? {
                    young.rows.insert(delivery, found);
                }
            }
        }
        Ok(young)
    }
}

/// Deliveries that an event was queued for at first.
fn queued(row: &SqlRow<'_>) -> rusqlite::Result<Vec<(DeliveryId, Row)>> {
    let seq = Seq(row.get(0)?);
    let (event, created_at) = (EventId(row.get(1)?), row.get(2)?);
    let first: i64 = row.get(3)?;
    let routes = (first..).map(DeliveryId).zip(record::routes(row.get(4)?)?);
    let queued = routes.filter(|(_, route)| route.outcome == Outcome::Pending).map(|(delivery, route)| {
        let place = Place { created_at, event, delivery };
        (delivery, Row { subscription: route.subscription, place, seq, order: route.order })
    });
    Ok(queued.collect())
}

/// It has ended, or waits with a row of its own.
fn has_row(connection: &Connection, delivery: DeliveryId, row: &Row) -> rusqlite::Result<bool> {
    let mut known = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM decisions WHERE delivery = ?4) OR EXISTS (SELECT 1 FROM waiting \
         WHERE subscription = ?1 AND created = ?2 AND event_id = ?3 AND delivery = ?4)",
    )?;
    let key = params![row.subscription.0, row.place.created_at, row.place.event.0, delivery.0];
    known.query_row(key, |row| row.get(0)).optional().map(Option::unwrap_or_default)
}
