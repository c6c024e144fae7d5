//! What goes through many rows does so in steps, each in a transaction of its own between
//! those of others: giving up old events, and cancelling what waited of a removed
//! subscription.

use super::{Answer, State, Tx, Work};
use crate::delivery::{DeliveryId, Lane, Outcome, SubscriptionId};
use crate::drill::{self, Point};
use crate::event::EventId;
use crate::store::lanes::Place;
use crate::store::sqlite::{read, record};
use crate::store::{Next, Result, Seq};

/// Rows of one step: two or three milliseconds.
const STEP: usize = 512;

/// Bytes of events of one step; freeing the pages of large ones takes time.
const STEP_BYTES: i64 = 8 << 20;

/// Plans that routed none of the events that are left. Two batches may have come in the
/// wrong order when the plan changed, hence the look at more than the oldest event.
const OLD_PLANS: &str = "DELETE FROM plans WHERE plan < (SELECT max(plan) FROM plans) \
     AND plan < (SELECT min(plan) FROM (SELECT plan FROM events ORDER BY seq LIMIT 100))";

/// What was noted of failed deliveries. Two is `Outcome::Failed`, one is `record::FAILED`.
const FAILED_BEFORE: &str = "DELETE FROM mendable WHERE (subscription, kind, seq) IN \
     (SELECT subscription, 1, seq FROM decisions WHERE delivery < ?1 AND outcome = 2)";

/// What a step came to.
#[derive(Default)]
pub(in crate::store::sqlite) struct Swept {
    /// Deliveries that ended unfinished.
    pub(in crate::store::sqlite) ended: Vec<SubscriptionId>,
    /// There may be more to do.
    pub(in crate::store::sqlite) more: bool,
}

/// Gives up events that arrived before a moment.
pub(in crate::store::sqlite) struct Prune {
    pub(in crate::store::sqlite) before: i64,
    pub(in crate::store::sqlite) gone: Vec<(SubscriptionId, Place, Lane)>,
    pub(in crate::store::sqlite) more: bool,
    pub(in crate::store::sqlite) answer: Answer<Swept>,
}

struct OldEvent {
    seq: Seq,
    id: EventId,
    created: i64,
    workspace_id: Option<i64>,
    entity: crate::event::Entity,
    entity_id: Option<i64>,
    first_delivery: i64,
    routes: Option<String>,
}

impl Work for Prune {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        tx.write_young()?;
        let old = self.old_events(tx)?;
        let Some(last) = old.last() else { return Ok(()) };
        drill::pass(Point::PruneBegun);
        let mut end = last.first_delivery;
        for event in &old {
            end = event.first_delivery + self.end_unfinished(tx, event)?;
        }
        // A delivery before `end` belongs to one of these events or to one that went before:
        // a replay's id is above those of its event.
        for (statement, bound) in [
            (FAILED_BEFORE, end),
            ("DELETE FROM decisions WHERE delivery < ?1", end),
            (
                "DELETE FROM decisions WHERE delivery IN (SELECT delivery FROM replays WHERE seq <= ?1)",
                last.seq.0,
            ),
            ("DELETE FROM replays WHERE seq <= ?1", last.seq.0),
            ("DELETE FROM events WHERE seq <= ?1", last.seq.0),
        ] {
            tx.connection.prepare_cached(statement)?.execute([bound])?;
        }
        tx.connection.execute(OLD_PLANS, [])?;
        tx.set_meta("next_seq", tx.counters.next_seq)?;
        tx.set_meta("next_delivery", tx.counters.next_delivery)?;
        tx.prune_index(Seq(last.seq.0 + 1))?;
        drill::pass(Point::PruneWritten);
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        drill::pass(Point::PruneSynced);
        for (subscription, place, lane) in &self.gone {
            state.board.drop_waiting(*subscription, *place, *lane);
        }
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let Prune { gone, more, answer, .. } = *self;
        let ended = gone.into_iter().map(|(subscription, ..)| subscription).collect();
        drop(answer.send(result.map(|()| Swept { ended, more })));
    }
}

impl Prune {
    fn old_events(&mut self, tx: &Tx<'_>) -> rusqlite::Result<Vec<OldEvent>> {
        let mut rows = tx.connection.prepare_cached(
            "SELECT seq, event_id, created, workspace_id, entity, entity_id, first_delivery, routes, \
             arrived_at, length(received) FROM events ORDER BY seq",
        )?;
        let mut rows = rows.query([])?;
        let mut old = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(8)? >= self.before {
                return Ok(old);
            }
            if old.len() == STEP || bytes > STEP_BYTES {
                self.more = true;
                return Ok(old);
            }
            bytes += row.get::<_, i64>(9)?;
            old.push(OldEvent {
                seq: Seq(row.get(0)?),
                id: EventId(row.get(1)?),
                created: row.get(2)?,
                workspace_id: row.get(3)?,
                entity: read::entity(row, 4)?,
                entity_id: row.get(5)?,
                first_delivery: row.get(6)?,
                routes: row.get(7)?,
            });
        }
        Ok(old)
    }

    /// Returns how many routes the event had.
    fn end_unfinished(&mut self, tx: &mut Tx<'_>, event: &OldEvent) -> rusqlite::Result<i64> {
        let routes = record::routes(event.routes.clone())?;
        let count = routes.len() as i64;
        for (delivery, route) in (event.first_delivery..).map(DeliveryId).zip(routes) {
            match route.outcome {
                Outcome::Pending => self.end(tx, event, route.subscription, delivery)?,
                Outcome::SkippedDisabled | Outcome::SkippedNotValidated => {
                    tx.forget_mendable(route.subscription, event.seq)?;
                }
                _ => {}
            }
        }
        for (subscription, delivery) in replays(tx, event.seq)? {
            tx.forget_mendable(subscription, event.seq)?;
            self.end(tx, event, subscription, delivery)?;
        }
        Ok(count)
    }

    fn end(
        &mut self,
        tx: &mut Tx<'_>,
        event: &OldEvent,
        subscription: SubscriptionId,
        delivery: DeliveryId,
    ) -> rusqlite::Result<()> {
        let place = Place { created_at: event.created, event: event.id, delivery };
        if let Some(order) = tx.order_of(subscription, place)? {
            tx.stop_waiting(subscription, place)?;
            let lane = Lane::of_entity(order, event.workspace_id, event.entity, event.entity_id, delivery);
            self.gone.push((subscription, place, lane));
        }
        Ok(())
    }
}

fn replays(tx: &Tx<'_>, seq: Seq) -> rusqlite::Result<Vec<(SubscriptionId, DeliveryId)>> {
    let mut rows = tx.connection.prepare_cached(
        "SELECT subscription, delivery FROM replays CROSS JOIN decisions USING (delivery) WHERE replays.seq = ?1",
    )?;
    let replay = |row: &rusqlite::Row<'_>| Ok((SubscriptionId(row.get(0)?), DeliveryId(row.get(1)?)));
    rows.query_map([seq.0], replay)?.collect()
}

/// Cancels what waits of removed subscriptions.
pub(in crate::store::sqlite) struct Cancel {
    pub(in crate::store::sqlite) ended: Vec<SubscriptionId>,
    pub(in crate::store::sqlite) answer: Answer<Swept>,
}

impl Work for Cancel {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        tx.write_young()?;
        let next = Next { outcome: Outcome::Cancelled, reason: None };
        for (subscription, place, seq, replay, attempts, at) in waiting_of_removed(tx)? {
            tx.stop_waiting(subscription, place)?;
            tx.insert_decision(seq, place.delivery, subscription, &next, at, replay, attempts)?;
            self.ended.push(subscription);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let Cancel { ended, answer, .. } = *self;
        let more = ended.len() == STEP;
        drop(answer.send(result.map(|()| Swept { ended, more })));
    }
}

type Waiter = (SubscriptionId, Place, Seq, bool, Option<String>, i64);

fn waiting_of_removed(tx: &Tx<'_>) -> rusqlite::Result<Vec<Waiter>> {
    let mut rows = tx.connection.prepare_cached(
        "SELECT w.subscription, w.created, w.event_id, w.delivery, w.seq, w.replay, w.attempts, s.removed_at \
         FROM subscriptions s CROSS JOIN waiting w ON w.subscription = s.id \
         WHERE s.name IS NULL LIMIT ?1",
    )?;
    let waiter = |row: &rusqlite::Row<'_>| {
        let (event, delivery) = (EventId(row.get(2)?), DeliveryId(row.get(3)?));
        let place = Place { created_at: row.get(1)?, event, delivery };
        Ok((SubscriptionId(row.get(0)?), place, Seq(row.get(4)?), row.get(5)?, row.get(6)?, row.get(7)?))
    };
    rows.query_map([STEP as i64], waiter)?.collect()
}
