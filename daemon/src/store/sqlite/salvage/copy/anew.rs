//! What is made anew from the rows that were saved: lost subscriptions, counters, what can
//! be mended; and the count of what is gone. No id that was ever seen is given again.

use jiff::Timestamp;
use rusqlite::OptionalExtension;
use rusqlite::types::Value;

use super::{Copy, Hole};
use crate::delivery::{Outcome, Standing};
use crate::store::sqlite::record;

/// How far ids go ahead if some may have been lost that were higher than all that was read.
const MARGIN: i64 = 1 << 20;

/// Said of a delivery whose event was found on a page that may have been free, and which
/// waited no more.
const ENDED: &str = "it had ended; how, was lost with a damaged page";

impl Copy<'_> {
    /// No two events may have one id: the later of twins is kept. The earlier was pruned before
    /// the later came, if it stood on a page that may have been free; else one is garbage.
    pub(super) fn forget_older_twins(&mut self, torn: &[Hole]) -> rusqlite::Result<()> {
        let mut older = self.to.prepare(
            "SELECT seq FROM events WHERE seq NOT IN (SELECT max(seq) FROM events GROUP BY event_id)",
        )?;
        let older: Vec<i64> = older.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for seq in older {
            self.to.execute("DELETE FROM events WHERE seq = ?1", [seq])?;
            self.to.execute("DELETE FROM mendable WHERE seq = ?1", [seq])?;
            self.saved.events -= 1;
            self.saved.events_lost.at_least += u64::from(!torn.iter().any(|hole| hole.holds(seq)));
        }
        Ok(())
    }

    /// Deliveries are numbered as their events are. Where garbage has two events share some, the
    /// one that fits between its neighbours if moved is moved: else one would end the other's.
    pub(super) fn keep_deliveries_apart(&self) -> rusqlite::Result<()> {
        let mut rows = self.to.prepare(
            "SELECT seq, first_delivery, coalesce(json_array_length(routes), 0), \
             coalesce(lead(first_delivery) OVER (ORDER BY seq), ?1) FROM events ORDER BY seq",
        )?;
        let mut rows = rows.query([i64::MAX])?;
        let (mut free, mut moved) = (1_i64, Vec::new());
        while let Some(row) = rows.next()? {
            let (seq, mut first, count, next): (i64, i64, i64, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let fits = |first: i64| free <= first && first + count <= next;
            if count > 0 && !fits(first) && fits(free) {
                moved.push((seq, free));
                first = free;
            }
            free = free.max(first + count);
        }
        let mut update = self.to.prepare("UPDATE events SET first_delivery = ?2 WHERE seq = ?1")?;
        moved.into_iter().try_for_each(|event| update.execute(event).map(drop))
    }

    /// What `waiting` does not know has ended, unless it had only just come: else events that
    /// were pruned long ago would go out again.
    pub(super) fn end_doubtful(&mut self, all_that_waits: bool) -> rusqlite::Result<()> {
        let doubtful = std::mem::take(&mut self.doubtful);
        let young = self.stored("young_from").flatten().unwrap_or(1);
        self.saved.decisions_doubtful |= !doubtful.is_empty();
        for seq in doubtful.into_iter().filter(|seq| all_that_waits && *seq < young) {
            self.end_pending(seq)?;
        }
        Ok(())
    }

    fn end_pending(&self, seq: i64) -> rusqlite::Result<()> {
        let mut event =
            self.to.prepare_cached("SELECT first_delivery, routes, arrived_at FROM events WHERE seq = ?1")?;
        let event = event.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)));
        let Some((first, routes, at)) = event.optional()? else { return Ok(()) };
        for (delivery, route) in (first..).zip(record::routes(routes)?) {
            let (subscription, waits) =
                (route.subscription.0, self.waits(seq, delivery, route.subscription.0)?);
            if route.outcome == Outcome::Pending && !waits {
                let mut end = self.to.prepare_cached(
                    "INSERT OR IGNORE INTO decisions (delivery, seq, subscription, outcome, at, replay, reason) \
                     VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                )?;
                end.execute((delivery, seq, subscription, Outcome::Dropped as u8, at, ENDED))?;
            }
        }
        Ok(())
    }

    fn waits(&self, seq: i64, delivery: i64, subscription: i64) -> rusqlite::Result<bool> {
        let mut row = self.to.prepare_cached(
            "SELECT 1 FROM waiting w JOIN events e ON e.seq = ?1 WHERE w.subscription = ?3 \
             AND w.created = e.created AND w.event_id = e.event_id AND w.delivery = ?2",
        )?;
        row.exists([seq, delivery, subscription])
    }

    /// In the order of their ids, so that the latest decides what a replay can mend.
    pub(super) fn follow_decisions(&mut self) -> rusqlite::Result<()> {
        let mut rows = self.to.prepare(
            "SELECT delivery, seq, subscription, outcome, replay FROM decisions \
             WHERE replay <> 0 OR outcome = ?1 ORDER BY delivery",
        )?;
        let mut rows = rows.query([Outcome::Failed as u8])?;
        while let Some(row) = rows.next()? {
            let (delivery, seq, subscription): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (outcome, replay) = (Outcome::from_code(row.get(3)?), row.get::<_, i64>(4)? != 0);
            if replay {
                self.to.execute("INSERT INTO replays (seq, delivery) VALUES (?1, ?2)", [seq, delivery])?;
                let mended = "DELETE FROM mendable WHERE subscription = ?1 AND seq = ?2";
                self.to.execute(mended, [subscription, seq])?;
            }
            match outcome {
                Some(Outcome::Failed) => self.mendable(subscription, record::FAILED, seq)?,
                Some(Outcome::Pending | Outcome::Held) => self.waits_again(seq, delivery, subscription)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A replay that has not ended, should its row in `waiting` be lost.
    fn waits_again(&self, seq: i64, delivery: i64, subscription: i64) -> rusqlite::Result<()> {
        let mut insert = self.to.prepare_cached(
            "INSERT OR IGNORE INTO waiting \
             (subscription, created, event_id, delivery, seq, lane_order, replay, tries, outcome) \
             SELECT ?3, created, event_id, ?2, seq, 0, 1, 0, 0 FROM events WHERE seq = ?1",
        )?;
        insert.execute([seq, delivery, subscription]).map(drop)
    }

    /// Subscriptions of which only traces are left keep their id, and their name if a plan
    /// knows it.
    pub(super) fn lost_subscriptions(&mut self, now: Timestamp) -> rusqlite::Result<()> {
        let known = "SELECT 1 FROM subscriptions WHERE id = ?1 OR name = ?2";
        let names = &self.latest.1;
        for id in self.seen.subscriptions.keys().chain(names.keys()) {
            if self.to.prepare_cached("SELECT 1 FROM subscriptions WHERE id = ?1")?.exists([id])? {
                continue;
            }
            let mut name = names.get(id).cloned().unwrap_or_else(|| format!("recovered-{id}"));
            if self.to.prepare_cached(known)?.exists((id, &name))? {
                name = format!("recovered-{id}");
            }
            let standing = Standing { created_at: Some(now), ..Standing::default() };
            let row = [
                Value::Integer(*id),
                Value::Text(name.clone()),
                Value::Null,
                Value::Integer(0),
                Value::Text(record::to_json(&standing)),
            ];
            self.insert("subscriptions", &row);
            self.saved.standings_lost.push(name);
        }
        Ok(())
    }

    pub(super) fn counters(&mut self) -> rusqlite::Result<()> {
        let margin = if self.broken { MARGIN } else { 0 };
        let next_seq = self.seen.seqs.map_or(1, |(_, last)| last + 1);
        let counters = [
            ("next_seq", next_seq + margin, 0),
            ("next_delivery", self.seen.next_delivery.max(1) + margin, 0),
            // Ids are reserved by the million.
            ("event_ids_end", self.seen.next_event, MARGIN << 10),
        ];
        for (key, seen, unknown) in counters {
            let value = match self.stored(key) {
                Some(Some(stored)) => seen.max(stored),
                // Never written, or not to be read.
                Some(None) => seen,
                None => seen + MARGIN + unknown,
            };
            self.insert("meta", &[Value::Text(key.to_owned()), Value::Integer(value)]);
        }
        Ok(())
    }

    /// Adds up what is missing where the tree of the events was torn. What was pruned may be
    /// among what is there if pages may have been free; then nothing can be told from gaps.
    pub(super) fn count_lost(&mut self, torn: &[Hole]) -> rusqlite::Result<()> {
        if self.strays.is_some() && !self.none_freed && !torn.is_empty() {
            self.saved.events_lost.perhaps_more = true;
            return Ok(());
        }
        let (first, last) = self.seen.seqs.unwrap_or((1, 0));
        let lost = &mut self.saved.events_lost;
        for hole in torn {
            // The first event ever has the number 1.
            let mut before = hole.after.unwrap_or(first - 1);
            let end = hole.before.unwrap_or(last + 1);
            lost.perhaps_more |= hole.before.is_none() || (hole.after.is_none() && first != 1);
            let mut there =
                self.to.prepare("SELECT seq FROM events WHERE seq > ?1 AND seq < ?2 ORDER BY seq")?;
            let mut there = there.query([before, end])?;
            while let Some(row) = there.next()? {
                let seq = row.get(0)?;
                lost.between(before, seq, MARGIN);
                before = seq;
            }
            lost.between(before, end, MARGIN);
        }
        Ok(())
    }

    /// A value of `meta`. None if it cannot be read.
    fn stored(&self, key: &str) -> Option<Option<i64>> {
        let mut row = self.from.prepare("SELECT value FROM meta WHERE key = ?1").ok()?;
        row.query_row([key], |row| row.get(0)).optional().ok()
    }
}
