//! A part of the index: in memory while it is open, in buckets on disk once it is closed.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Latest, Note, PART};
use crate::store::Seq;
use crate::store::sqlite::filter::Filter;

/// 64 entries of 12 bytes on average: quick to look through, and five to a page.
const BUCKET_BITS: u32 = 11;
const BUCKETS: usize = 1 << BUCKET_BITS;

/// Tables of buckets.
pub(super) const EVENTS: &str = "index_events";
pub(super) const ENTITIES: &str = "index_entities";

/// A part when it is closed, or read at start.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Part {
    pub(super) number: i64,
    /// The latest of its events.
    pub(super) arrived_at: i64,
    pub(super) events: Filter,
    pub(super) entities: Filter,
}

#[derive(Debug)]
pub(super) struct OpenPart {
    pub(super) number: i64,
    pub(super) arrived_at: i64,
    events: Buckets,
    entities: Buckets,
}

impl Part {
    /// Reads all that are closed, in order.
    pub(super) fn load_all(connection: &Connection, mut take: impl FnMut(Part)) -> rusqlite::Result<()> {
        let mut rows =
            connection.prepare("SELECT part, arrived_at, events, entities FROM index_parts ORDER BY part")?;
        let filter = |row: &Row<'_>, column: usize| {
            let bytes = row.get_ref(column)?.as_blob()?;
            Filter::from_bytes(bytes).ok_or(rusqlite::Error::InvalidQuery)
        };
        let part = |row: &Row<'_>| {
            let (events, entities) = (filter(row, 2)?, filter(row, 3)?);
            Ok(Part { number: row.get(0)?, arrived_at: row.get(1)?, events, entities })
        };
        rows.query_map([], part)?.try_for_each(|part| part.map(&mut take))
    }
}

pub(super) fn delete(part: i64, connection: &Connection) -> rusqlite::Result<()> {
    let (first, end) = (part << BUCKET_BITS, (part + 1) << BUCKET_BITS);
    for table in [EVENTS, ENTITIES] {
        let delete = format!("DELETE FROM {table} WHERE bucket >= ?1 AND bucket < ?2");
        connection.execute(&delete, params![first, end])?;
    }
    connection.execute("DELETE FROM index_parts WHERE part = ?1", [part])?;
    Ok(())
}

/// The latest entry of a key in the first of these parts that has one.
pub(super) fn find_in_closed(
    parts: impl Iterator<Item = i64>,
    connection: &Connection,
    table: &str,
    key: u64,
) -> rusqlite::Result<Option<Latest>> {
    for part in parts {
        let row = part << BUCKET_BITS | bucket_of(key) as i64;
        let select = format!("SELECT entries FROM {table} WHERE bucket = ?1");
        let value = connection
            .prepare_cached(&select)?
            .query_row([row], |row| Ok(last_of(row.get_ref(0)?.as_blob()?, key)))
            .optional()?;
        if let Some(value) = value.flatten() {
            return Ok(Some(latest(part, value)));
        }
    }
    Ok(None)
}

impl OpenPart {
    pub(super) fn new(number: i64) -> OpenPart {
        let (events, entities) = (Buckets::default(), Buckets::default());
        OpenPart { number, arrived_at: i64::MIN, events, entities }
    }

    pub(super) fn learn(&mut self, note: Note) {
        let value = ((note.seq.0 & (PART - 1)) as u32) << 1 | u32::from(note.deleted);
        self.arrived_at = self.arrived_at.max(note.arrived_at);
        self.events.push(note.event, value);
        if let Some(entity) = note.entity {
            self.entities.push(entity, value);
        }
    }

    pub(super) fn find_event(&self, key: u64) -> Option<Latest> {
        self.events.last_of(key).map(|value| latest(self.number, value))
    }

    pub(super) fn find_entity(&self, key: u64) -> Option<Latest> {
        self.entities.last_of(key).map(|value| latest(self.number, value))
    }

    /// Writes it down.
    pub(super) fn close(&self, connection: &Connection) -> rusqlite::Result<Part> {
        self.events.write(connection, EVENTS, self.number)?;
        self.entities.write(connection, ENTITIES, self.number)?;
        let (events, entities) = (self.events.filter(), self.entities.filter());
        connection
            .prepare_cached(
                "INSERT INTO index_parts (part, arrived_at, events, entities) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![self.number, self.arrived_at, events.to_bytes(), entities.to_bytes()])?;
        Ok(Part { number: self.number, arrived_at: self.arrived_at, events, entities })
    }
}

fn latest(part: i64, value: u32) -> Latest {
    Latest { seq: Seq(part * PART + i64::from(value >> 1)), deleted: value & 1 == 1 }
}

/// Entries by the upper bits of their key, each bucket in order of arrival and packed as
/// it will be stored: key and value.
#[derive(Debug)]
struct Buckets(Vec<Vec<u8>>);

const ENTRY_BYTES: usize = 12;

impl Default for Buckets {
    fn default() -> Self {
        Buckets(vec![Vec::new(); BUCKETS])
    }
}

impl Buckets {
    fn push(&mut self, key: u64, value: u32) {
        let bucket = &mut self.0[bucket_of(key)];
        bucket.extend_from_slice(&key.to_le_bytes());
        bucket.extend_from_slice(&value.to_le_bytes());
    }

    fn last_of(&self, key: u64) -> Option<u32> {
        last_of(&self.0[bucket_of(key)], key)
    }

    fn filter(&self) -> Filter {
        let keys = self.0.iter().flat_map(|bucket| entries(bucket).map(|(key, _)| key));
        Filter::of(keys, PART as usize)
    }

    fn write(&self, connection: &Connection, table: &str, part: i64) -> rusqlite::Result<()> {
        let insert = format!("INSERT INTO {table} (bucket, entries) VALUES (?1, ?2)");
        let mut insert = connection.prepare_cached(&insert)?;
        for (bucket, entries) in (0..).zip(&self.0) {
            insert.execute(params![part << BUCKET_BITS | bucket, entries])?;
        }
        Ok(())
    }
}

fn bucket_of(key: u64) -> usize {
    (key >> (64 - BUCKET_BITS)) as usize
}

fn last_of(bucket: &[u8], key: u64) -> Option<u32> {
    entries(bucket).rev().find(|(other, _)| *other == key).map(|(_, value)| value)
}

fn entries(bucket: &[u8]) -> impl DoubleEndedIterator<Item = (u64, u32)> {
    let (entries, _) = bucket.as_chunks::<ENTRY_BYTES>();
    entries.iter().map(|entry| {
        let [a, b, c, d, e, f, g, h, value @ ..] = *entry;
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes(value))
    })
}
