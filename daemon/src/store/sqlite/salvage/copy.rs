//! What is copied from a broken store into a new one: every row that a tree leads to, then
//! those that stand where a tree is torn. What waits is
//! `copy/waiting.rs`, what is made anew `copy/anew.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;

use super::rows::{Cells, Hole, Table, each};
use super::saved::Saved;
use super::strays::{Kind, Strays};
use crate::delivery::{Outcome, Standing};
use crate::event::{Event, EventId, read};
use crate::store::event_ids;
use crate::store::lanes::nanoseconds;
use crate::store::sqlite::{index, record};

mod anew;
mod waiting;

/// The ids that were seen.
struct Seen {
    seqs: Option<(i64, i64)>,
    next_delivery: i64,
    next_event: i64,
    subscriptions: BTreeMap<i64, ()>,
}

struct Copy<'c> {
    from: &'c Connection,
    /// The file that `from` reads, or that of which it reads a copy.
    file: &'c Path,
    to: &'c Connection,
    /// Looked for once a table is torn.
    strays: Option<Strays>,
    /// Pages that were freed are not among them.
    none_freed: bool,
    saved: Saved,
    seen: Seen,
    /// Number of the latest plan that can be read, and its subscriptions by id.
    latest: (i64, BTreeMap<i64, String>),
    /// Events that stood where no tree leads, on pages that may have been free.
    doubtful: Vec<i64>,
    broken: bool,
}

/// Copies all that can be read.
pub(super) fn copy(from: &Connection, file: &Path, to: &Connection, now: Timestamp) -> anyhow::Result<Saved> {
    let seen =
        Seen { seqs: None, next_delivery: 0, next_event: event_ids::FIRST, subscriptions: BTreeMap::new() };
    let (strays, saved, latest) = (None, Saved::default(), (0, BTreeMap::new()));
    let (doubtful, none_freed, broken) = (Vec::new(), false, false);
    let mut copy = Copy { from, file, to, strays, none_freed, saved, seen, latest, doubtful, broken };
    copy.table(Kind::Plans, "plan, summary", Copy::plan)?;
    let torn = copy.table(Kind::Subscriptions, "id, name, removed_at, 0, standing", Copy::subscription)?;
    copy.saved.subscriptions_doubtful = !torn.is_empty() && copy.saved.plans == 0;
    let torn = copy.table(
        Kind::Events,
        "seq, version, event_id, arrived_at, plan, workspace_id, entity, entity_id, action, \
         previous, first_delivery, routes, creator_id, created, created_at, received",
        Copy::event,
    )?;
    copy.forget_older_twins(&torn)?;
    copy.keep_deliveries_apart()?;
    let columns = "delivery, seq, subscription, outcome, at, replay, reason, attempts";
    copy.saved.decisions_doubtful |= !copy.table(Kind::Decisions, columns, Copy::decision)?.is_empty();
    let all_that_waits = copy.waiting()?;
    copy.end_doubtful(all_that_waits)?;
    copy.follow_decisions()?;
    copy.lost_subscriptions(now)?;
    copy.counters()?;
    index::note_all(to)?;
    copy.count_lost(&torn)?;
    Ok(copy.saved)
}

impl Seen {
    fn seq(&mut self, seq: i64) {
        let (first, last) = self.seqs.unwrap_or((seq, seq));
        self.seqs = Some((first.min(seq), last.max(seq)));
    }

    fn delivery(&mut self, delivery: i64) {
        self.next_delivery = self.next_delivery.max(delivery.saturating_add(1));
    }

    fn event(&mut self, id: i64) {
        if (event_ids::FIRST..event_ids::END).contains(&id) {
            self.next_event = self.next_event.max(id + 1);
        }
    }
}

/// Puts a row where it belongs, unless it is nonsense or there already.
type Put<'c> = fn(&mut Copy<'c>, &Cells, Found) -> rusqlite::Result<()>;

/// Where a row was found.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    ByTree,
    Astray,
}

impl<'c> Copy<'c> {
    /// All rows of a table: what the tree leads to goes before what is astray.
    fn table(&mut self, kind: Kind, columns: &str, put: Put<'c>) -> anyhow::Result<Vec<Hole>> {
        let (name, from) = (kind.table(), self.from);
        let key = columns.split(',').next().unwrap_or_default();
        let table = Table { name, key, columns, only: "true", first: 0 };
        let holes = each(from, &table, |row| put(self, &row, Found::ByTree))?;
        if !holes.is_empty() {
            self.broken = true;
            let strays = self.strays.take().map_or_else(|| Strays::find(self.file), Ok)?;
            self.none_freed = strays.knows_free();
            strays.each(kind, |key, row| {
                let is_missing = holes.iter().any(|hole| hole.holds(key));
                if is_missing { put(self, &row, Found::Astray) } else { Ok(()) }
            })?;
            self.strays = Some(strays);
        }
        Ok(holes)
    }

    fn plan(&mut self, row: &Cells, found: Found) -> rusqlite::Result<()> {
        #[derive(Deserialize)]
        struct Summary {
            subscriptions: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: i64,
            name: String,
        }
        let [Value::Integer(plan), Value::Text(summary)] = &row[..] else { return Ok(()) };
        let summary = serde_json::from_str::<Summary>(summary);
        if (summary.is_err() && found == Found::Astray) || !self.insert("plans", row) {
            return Ok(());
        }
        self.saved.plans += 1;
        if let Ok(summary) = summary.map_err(drop)
            && *plan >= self.latest.0
        {
            let names = summary.subscriptions.into_iter().map(|named| (named.id, named.name)).collect();
            self.latest = (*plan, names);
        }
        Ok(())
    }

    fn subscription(&mut self, row: &Cells, found: Found) -> rusqlite::Result<()> {
        let [Value::Integer(id), name, _, _, Value::Text(standing)] = &row[..] else { return Ok(()) };
        let is_named = matches!(name, Value::Text(_));
        let is_whole = !is_named || record::from_json::<Standing>(standing).is_ok();
        if found == Found::Astray && !is_whole {
            return Ok(());
        }
        let mut row = row.clone();
        row[3] = Value::Integer(0);
        if !is_whole {
            row[4] = Value::Text("{}".to_owned());
        }
        if self.insert("subscriptions", &row) {
            self.saved.subscriptions += u64::from(is_named);
            self.saved.standings_lost.extend((!is_whole).then(|| text(name)));
            self.seen.subscriptions.insert(*id, ());
        }
        Ok(())
    }

    /// Copies an event that is whole; a page may be readable and yet hold nonsense.
    fn event(&mut self, row: &Cells, found: Found) -> rusqlite::Result<()> {
        let Value::Integer(seq) = row[0] else { return Ok(()) };
        if found == Found::ByTree && is_id(seq) {
            self.seen.seq(seq);
        }
        if self.whole_event(row)?.is_some() {
            self.saved.events += 1;
            self.seen.seq(seq);
            if found == Found::Astray && !self.none_freed {
                self.doubtful.push(seq);
            }
        } else if found == Found::ByTree {
            self.saved.events_lost.at_least += 1;
        }
        Ok(())
    }

    fn whole_event(&mut self, row: &Cells) -> rusqlite::Result<Option<()>> {
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
        let (Ok(routes), Ok(event)) = (
            record::routes(routes),
            read::restore(EventId(*id), created_at, *creator, Bytes::copy_from_slice(received)),
        ) else {
            return Ok(None);
        };
        if !is_id(*seq) || !is_id(*first) || !self.insert("events", &as_received(row, &event)) {
            return Ok(None);
        }
        self.seen.event(*id);
        self.seen.delivery(first.saturating_add(routes.len() as i64 - 1));
        for route in routes {
            self.seen.subscriptions.entry(route.subscription.0).or_default();
            if matches!(route.outcome, Outcome::SkippedDisabled | Outcome::SkippedNotValidated) {
                self.mendable(route.subscription.0, record::MISSED, *seq)?;
            }
        }
        Ok(Some(()))
    }

    fn decision(&mut self, row: &Cells, _: Found) -> rusqlite::Result<()> {
        let [
            Value::Integer(delivery),
            Value::Integer(seq),
            Value::Integer(subscription),
            Value::Integer(outcome),
            _,
            Value::Integer(replay),
            _,
            attempts,
        ] = &row[..]
        else {
            return Ok(());
        };
        let is_known = u8::try_from(*outcome).ok().and_then(Outcome::from_code).is_some();
        let is_whole =
            is_known && *replay & !1 == 0 && record::attempts(optional_text(attempts).flatten()).is_ok();
        if !is_id(*seq) || !is_id(*delivery) || !is_whole {
            self.saved.decisions_doubtful = true;
            return Ok(());
        }
        self.seen.seq(*seq);
        self.seen.delivery(*delivery);
        if self.has_event(*seq)? && self.insert("decisions", row) {
            self.saved.decisions += 1;
            self.seen.subscriptions.entry(*subscription).or_default();
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

    /// All columns of a row, in their order. Says whether it is new and can be kept.
    fn insert(&self, table: &str, row: &[Value]) -> bool {
        let places = vec!["?"; row.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} VALUES ({places})");
        let inserted = self.to.prepare_cached(&insert).and_then(|mut it| it.execute(params_from_iter(row)));
        inserted.is_ok_and(|rows| rows > 0)
    }
}

/// The row with all that stands in the event itself as it stands there: what waits is found
/// by it.
fn as_received(row: &Cells, event: &Event) -> Cells {
    let mut row = row.clone();
    row[5] = event.workspace_id.map_or(Value::Null, Value::Integer);
    row[6] = Value::Text(event.entity.as_str().to_owned());
    row[7] = event.entity_id.map_or(Value::Null, Value::Integer);
    row[8] = Value::Text(event.action.as_str().to_owned());
    row[13] = Value::Integer(nanoseconds(event.created_at));
    row
}

/// Ids ascend from 1 and never come near the end of their range; garbage does, and must not
/// take all that are left along.
fn is_id(id: i64) -> bool {
    (1..i64::MAX / 2).contains(&id)
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
