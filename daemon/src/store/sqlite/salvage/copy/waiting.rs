//! What waited in a broken store, as far as it fits what else was saved. What is left out here
//! is made anew from the routes of its event when the new store is settled, and waits from
//! its beginning.

use rusqlite::OptionalExtension;
use rusqlite::types::Value;

use super::{Cells, Copy, Table, each, is_id, optional_text};
use crate::delivery::Outcome;
use crate::store::sqlite::record;

const COLUMNS: &str = "subscription, created, event_id, delivery, seq, lane_order, replay, tries, outcome, \
     at, reason, attempts";

/// The columns that say what a row is about, and in what state.
struct Waiter {
    subscription: i64,
    created: i64,
    event: i64,
    delivery: i64,
    seq: i64,
    replay: bool,
}

impl Waiter {
    /// None if something in it is nonsense.
    fn of(row: &Cells) -> Option<Waiter> {
        let integers: Option<Vec<i64>> = row.iter().take(9).map(integer).collect();
        let [subscription, created, event, delivery, seq, order, replay, tries, outcome] = integers?[..]
        else {
            return None;
        };
        let waits = [Outcome::Pending as i64, Outcome::Held as i64].contains(&outcome);
        let is_whole =
            waits && is_id(seq) && is_id(delivery) && replay & !1 == 0 && u32::try_from(tries).is_ok();
        record::order_of(order).ok()?;
        record::attempts(optional_text(row.get(11)?)?).ok()?;
        is_whole.then_some(Waiter { subscription, created, event, delivery, seq, replay: replay == 1 })
    }
}

impl Copy<'_> {
    /// Says whether all of it could be read.
    pub(super) fn waiting(&mut self) -> rusqlite::Result<bool> {
        let ids: Vec<i64> = self.seen.subscriptions.keys().copied().collect();
        let mut all = true;
        for id in ids {
            let only = format!("subscription = {id}");
            let table =
                Table { name: "waiting", key: "created", columns: COLUMNS, only: &only, first: i64::MIN };
            let holes = each(self.from, &table, |row| {
                let Some(waiter) = Waiter::of(&row) else {
                    all = false;
                    return Ok(());
                };
                self.seen.seq(waiter.seq);
                self.seen.delivery(waiter.delivery);
                if self.fits(&waiter)? {
                    self.insert("waiting", &row);
                }
                Ok(())
            })?;
            all &= holes.is_empty();
        }
        self.broken |= !all;
        Ok(all)
    }

    /// It is one of its event's, and has not ended. One with the wrong place would be found
    /// twice: there, and where its event says.
    fn fits(&self, waiter: &Waiter) -> rusqlite::Result<bool> {
        let mut event = self.to.prepare_cached(
            "SELECT first_delivery, routes FROM events WHERE seq = ?1 AND created = ?2 AND event_id = ?3",
        )?;
        let event = event.query_row([waiter.seq, waiter.created, waiter.event], |row| {
            Ok((row.get::<_, i64>(0)?, record::routes(row.get(1)?)?))
        });
        let Some((first, routes)) = event.optional()? else { return Ok(false) };
        let mut decision = self.to.prepare_cached(
            "SELECT seq, subscription, replay, outcome IN (0, 3) FROM decisions WHERE delivery = ?1",
        )?;
        let decided = decision
            .query_row([waiter.delivery], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, bool>(2)?,
                    row.get::<_, bool>(3)?,
                ))
            })
            .optional()?;
        Ok(match decided {
            // Only replays are written down before they have ended.
            Some(decided) => decided == (waiter.seq, waiter.subscription, waiter.replay, true),
            None if waiter.replay => true,
            None => usize::try_from(waiter.delivery - first).ok().and_then(|n| routes.get(n)).is_some_and(
                |route| route.subscription.0 == waiter.subscription && route.outcome == Outcome::Pending,
            ),
        })
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        _ => None,
    }
}
