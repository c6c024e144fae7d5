//! What is copied from a broken store into a new one, and what is made anew: counts, the
//! index, what can be mended. No id that was ever seen is given again.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::Deserialize;

use super::rows::{Cells, Table, each};
use crate::delivery::{Outcome, Standing};
use crate::event::{EventId, read};
use crate::store::event_ids;
use crate::store::sqlite::{index, record};

/// How far ids go ahead if some may have been lost that were higher than all that was read.
const MARGIN: i64 = 1 << 20;

/// What was saved, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub events: u64,
    /// Known to have been there.
    pub events_lost: u64,
    /// Ended deliveries, and replays.
    pub decisions: u64,
    /// Some of those could not be read: deliveries of saved events may go out again.
    pub decisions_lost: bool,
    pub waiting: u64,
    pub subscriptions: u64,
    /// Subscriptions that begin anew: validation, counts and made-up secrets are gone.
    pub standings_lost: Vec<String>,
    pub plans: u64,
}

/// The ids that were seen.
#[derive(Default)]
struct Seen {
    seqs: Option<(i64, i64)>,
    next_delivery: i64,
    next_event: i64,
    subscriptions: BTreeMap<i64, ()>,
}

struct Copy<'c> {
    from: &'c Connection,
    to: &'c Connection,
    saved: Saved,
    seen: Seen,
    /// By id, as the latest plan that can be read has them.
    names: BTreeMap<i64, String>,
    broken: bool,
}

/// Copies all that can be read.
pub(super) fn copy(from: &Connection, to: &Connection, now: Timestamp) -> rusqlite::Result<Saved> {
    let (saved, seen) = (Saved::default(), Seen { next_event: event_ids::FIRST, ..Seen::default() });
    let mut copy = Copy { from, to, saved, seen, names: BTreeMap::new(), broken: false };
    copy.plans()?;
    copy.subscriptions()?;
    copy.events()?;
    copy.decisions()?;
    copy.waiting()?;
    copy.lost_subscriptions(now)?;
    copy.counters()?;
    index::note_all(to)?;
    let seqs = copy.seen.seqs.map_or(0, |(first, last)| (last - first + 1).cast_unsigned());
    copy.saved.events_lost = seqs.saturating_sub(copy.saved.events);
    Ok(copy.saved)
}

impl Seen {
    fn seq(&mut self, seq: i64) {
        let (first, last) = self.seqs.unwrap_or((seq, seq));
        self.seqs = Some((first.min(seq), last.max(seq)));
    }

    fn delivery(&mut self, delivery: i64) {
        self.next_delivery = self.next_delivery.max(delivery + 1);
    }

    fn event(&mut self, id: i64) {
        if (event_ids::FIRST..event_ids::END).contains(&id) {
            self.next_event = self.next_event.max(id + 1);
        }
    }
}

impl Copy<'_> {
    fn plans(&mut self) -> rusqlite::Result<()> {
        #[derive(Deserialize)]
        struct Summary {
            subscriptions: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: i64,
            name: String,
        }
        let table = Table { name: "plans", key: "plan", columns: "plan, summary", only: "true", first: 0 };
        self.broken |= each(self.from, &table, |row| {
            if let [_, Value::Text(summary)] = &row[..]
                && let Ok(summary) = serde_json::from_str::<Summary>(summary)
            {
                self.names = summary.subscriptions.into_iter().map(|named| (named.id, named.name)).collect();
            }
            self.saved.plans += 1;
            insert(self.to, "plans", &row)
        })?;
        Ok(())
    }

    fn subscriptions(&mut self) -> rusqlite::Result<()> {
        let columns = "id, name, removed_at, 0, standing";
        let table = Table { name: "subscriptions", key: "id", columns, only: "true", first: 0 };
        self.broken |= each(self.from, &table, |mut row| {
            let [Value::Integer(id), name, _, _, Value::Text(standing)] = &row[..] else { return Ok(()) };
            let (id, is_named) = (*id, matches!(name, Value::Text(_)));
            if is_named && record::from_json::<Standing>(standing).is_err() {
                self.saved.standings_lost.push(text(name));
                row[4] = Value::Text("{}".to_owned());
            }
            self.saved.subscriptions += u64::from(is_named);
            self.seen.subscriptions.insert(id, ());
            insert(self.to, "subscriptions", &row)
        })?;
        Ok(())
    }

    fn events(&mut self) -> rusqlite::Result<()> {
        let columns = "seq, version, event_id, arrived_at, plan, workspace_id, entity, entity_id, action, \
             previous, first_delivery, routes, creator_id, created, created_at, received";
        let table = Table { name: "events", key: "seq", columns, only: "true", first: 0 };
        self.broken |= each(self.from, &table, |row| {
            if let Value::Integer(seq) = row[0] {
                self.seen.seq(seq);
            }
            if self.event(&row)?.is_some() {
                self.saved.events += 1;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Copies an event that is whole; a page may be readable and yet hold nonsense.
    fn event(&mut self, row: &Cells) -> rusqlite::Result<Option<()>> {
        let [
            Value::Integer(seq),
            _,
            Value::Integer(id),
            ..,
            Value::Integer(creator),
            _,
            Value::Text(created_at),
            Value::Blob(received),
        ] = &row[..]
        else {
            return Ok(None);
        };
        let (Value::Integer(first), Some(routes)) = (&row[10], optional_text(&row[11])) else {
            return Ok(None);
        };
        let (Ok(routes), Ok(_)) = (
            record::routes(routes),
            read::restore(EventId(*id), created_at, *creator, Bytes::copy_from_slice(received)),
        ) else {
            return Ok(None);
        };
        if insert(self.to, "events", row).is_err() {
            return Ok(None);
        }
        self.seen.event(*id);
        self.seen.delivery(first + routes.len() as i64);
        for route in routes {
            self.seen.subscriptions.entry(route.subscription.0).or_default();
            if matches!(route.outcome, Outcome::SkippedDisabled | Outcome::SkippedNotValidated) {
                self.mendable(route.subscription.0, record::MISSED, *seq)?;
            }
        }
        Ok(Some(()))
    }

    /// In the order of their ids, so that the latest decides what a replay can mend.
    fn decisions(&mut self) -> rusqlite::Result<()> {
        let columns = "delivery, seq, subscription, outcome, at, replay, reason, attempts";
        let table = Table { name: "decisions", key: "delivery", columns, only: "true", first: 0 };
        let broken = each(self.from, &table, |row| {
            let [
                Value::Integer(delivery),
                Value::Integer(seq),
                Value::Integer(subscription),
                Value::Integer(outcome),
                _,
                Value::Integer(replay),
                ..,
            ] = row[..]
            else {
                return Ok(());
            };
            self.seen.seq(seq);
            self.seen.delivery(delivery);
            if !self.has_event(seq)? || insert(self.to, "decisions", &row).is_err() {
                return Ok(());
            }
            self.saved.decisions += 1;
            self.seen.subscriptions.entry(subscription).or_default();
            if replay != 0 {
                self.to.execute("INSERT INTO replays (seq, delivery) VALUES (?1, ?2)", [seq, delivery])?;
                self.to.execute(
                    "DELETE FROM mendable WHERE subscription = ?1 AND seq = ?2",
                    [subscription, seq],
                )?;
            }
            match u8::try_from(outcome).ok().and_then(Outcome::from_code) {
                Some(Outcome::Failed) => self.mendable(subscription, record::FAILED, seq),
                Some(Outcome::Pending | Outcome::Held) if replay != 0 => {
                    self.waits_again(seq, delivery, subscription)
                }
                _ => Ok(()),
            }
        })?;
        self.saved.decisions_lost = broken;
        self.broken |= broken;
        Ok(())
    }

    /// A replay that has not ended, should its row in `waiting` be lost.
    fn waits_again(&self, seq: i64, delivery: i64, subscription: i64) -> rusqlite::Result<()> {
        let mut insert = self.to.prepare_cached(
            "INSERT INTO waiting (subscription, created, event_id, delivery, seq, lane_order, replay, tries, outcome) \
             SELECT ?3, created, event_id, ?2, seq, 0, 1, 0, 0 FROM events WHERE seq = ?1",
        )?;
        insert.execute([seq, delivery, subscription]).map(drop)
    }

    fn waiting(&mut self) -> rusqlite::Result<()> {
        let ids: Vec<i64> = self.seen.subscriptions.keys().copied().collect();
        for id in ids {
            let columns = "subscription, created, event_id, delivery, seq, lane_order, replay, tries, outcome, \
                 at, reason, attempts";
            let only = format!("subscription = {id}");
            let table = Table { name: "waiting", key: "created", columns, only: &only, first: i64::MIN };
            self.broken |= each(self.from, &table, |row| {
                let [_, _, _, Value::Integer(delivery), Value::Integer(seq), ..] = row[..] else {
                    return Ok(());
                };
                self.seen.seq(seq);
                self.seen.delivery(delivery);
                let ended = "SELECT 1 FROM decisions WHERE delivery = ?1 AND outcome NOT IN (0, 3)";
                if self.has_event(seq)? && !self.to.prepare_cached(ended)?.exists([delivery])? {
                    // What is nonsense is left out; then it waits from its beginning.
                    drop(insert(self.to, "waiting", &row));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Subscriptions of which only traces are left keep their id, and their name if a plan
    /// knows it.
    fn lost_subscriptions(&mut self, now: Timestamp) -> rusqlite::Result<()> {
        let known = "SELECT 1 FROM subscriptions WHERE id = ?1 OR name = ?2";
        for id in self.seen.subscriptions.keys().chain(self.names.keys()) {
            if self.to.prepare_cached("SELECT 1 FROM subscriptions WHERE id = ?1")?.exists([id])? {
                continue;
            }
            let mut name = self.names.get(id).cloned().unwrap_or_else(|| format!("recovered-{id}"));
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
            insert(self.to, "subscriptions", &row)?;
            self.saved.standings_lost.push(name);
        }
        Ok(())
    }

    fn counters(&mut self) -> rusqlite::Result<()> {
        let margin = if self.broken { MARGIN } else { 0 };
        let next_seq = self.seen.seqs.map_or(1, |(_, last)| last + 1);
        let counters = [
            ("next_seq", next_seq + margin, 0),
            ("next_delivery", self.seen.next_delivery.max(1) + margin, 0),
            // Ids are reserved by the million.
            ("event_ids_end", self.seen.next_event, MARGIN << 10),
        ];
        for (key, seen, unknown) in counters {
            let mut row = self.from.prepare("SELECT value FROM meta WHERE key = ?1");
            let stored =
                row.as_mut().ok().and_then(|row| row.query_row([key], |row| row.get(0)).optional().ok());
            let value = match stored {
                Some(Some(stored)) => seen.max(stored),
                // Never written, or not to be read.
                Some(None) => seen,
                None => seen + MARGIN + unknown,
            };
            insert(self.to, "meta", &[Value::Text(key.to_owned()), Value::Integer(value)])?;
        }
        Ok(())
    }

    fn has_event(&self, seq: i64) -> rusqlite::Result<bool> {
        self.to.prepare_cached("SELECT 1 FROM events WHERE seq = ?1")?.exists([seq])
    }

    fn mendable(&self, subscription: i64, kind: i64, seq: i64) -> rusqlite::Result<()> {
        let insert = "INSERT OR IGNORE INTO mendable (subscription, kind, seq) VALUES (?1, ?2, ?3)";
        self.to.prepare_cached(insert)?.execute([subscription, kind, seq]).map(drop)
    }
}

/// All columns of a row, in their order.
fn insert(to: &Connection, table: &str, row: &[Value]) -> rusqlite::Result<()> {
    let places = vec!["?"; row.len()].join(", ");
    let insert = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
    to.prepare_cached(&insert)?.execute(params_from_iter(row)).map(drop)
}

fn text(value: &Value) -> String {
    optional_text(value).flatten().unwrap_or_default()
}

/// None if it is neither text nor nothing.
fn optional_text(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        Value::Text(text) => Some(Some(text.clone())),
        _ => None,
    }
}
