//! Reads the rows of a broken table: what stands on pages that can be read, one after the
//! other, and around those that cannot.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::store::sqlite::record;

/// Keys tried one by one behind a row that cannot be read; then ever longer steps. More
/// than the rows of any page, so that no page between two broken ones is overlooked.
const ONE_BY_ONE: u32 = 4096;

/// A table, or part of one, in the order of an integer.
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    /// Ascends; rows are found by it.
    pub(super) key: &'a str,
    pub(super) columns: &'a str,
    /// Which of the rows.
    pub(super) only: &'a str,
    /// No key is below this.
    pub(super) first: i64,
}

/// A row as it stands.
pub(super) type Cells = Vec<Value>;

/// Hands on every row that can be read. Says whether there were others.
pub(super) fn each(
    connection: &Connection,
    table: &Table<'_>,
    mut put: impl FnMut(Cells) -> rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    let Table { name, key, columns, only, first } = table;
    let all = format!("SELECT {key}, {columns} FROM {name} WHERE {key} >= ?1 AND {only} ORDER BY {key}");
    let next = format!("SELECT {key} FROM {name} WHERE {key} >= ?1 AND {only} ORDER BY {key} LIMIT 1");
    let next = |from: i64| {
        let found: Option<i64> =
            connection.prepare_cached(&next)?.query_row([from], |row| row.get(0)).optional()?;
        match found {
            Some(key) if key < from => Err(record::unreadable("a search led backwards")),
            found => Ok(found),
        }
    };
    let mut from = *first;
    let mut broken = false;
    loop {
        if run(connection, &all, &mut from, &mut put)? {
            return Ok(broken);
        }
        broken = true;
        match behind(from, next) {
            Some(found) => from = found,
            None => return Ok(broken),
        }
    }
}

/// Hands on rows until one cannot be read. Says whether it came to the end; `from` is then
/// behind the last row that it could read.
fn run(
    connection: &Connection,
    all: &str,
    from: &mut i64,
    put: &mut impl FnMut(Cells) -> rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    let Ok(mut rows) = connection.prepare_cached(all) else { return Ok(false) };
    let Ok(mut rows) = rows.query([*from]) else { return Ok(false) };
    let mut last = *from;
    loop {
        match rows.next().and_then(|row| row.map(cells).transpose()) {
            // In a broken tree a search may lead backwards, and round in circles.
            Ok(Some((key, _))) if key < last => return Ok(false),
            Ok(Some((key, cells))) => {
                put(cells)?;
                last = key;
                *from = key.saturating_add(1);
            }
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

/// The first key after `broken` from which on rows can be read again.
fn behind(broken: i64, next: impl Fn(i64) -> rusqlite::Result<Option<i64>>) -> Option<i64> {
    let (mut last, mut step, mut tries) = (broken, 1_i64, 0);
    let mut found = loop {
        let from = last.checked_add(step)?;
        match next(from) {
            Ok(found) => break found?,
            Err(_) => last = from,
        }
        tries += 1;
        if tries > ONE_BY_ONE {
            step = step.saturating_mul(2);
        }
    };
    // After a long step the first may lie before what was found.
    while last + 1 < found {
        let middle = last.midpoint(found);
        match next(middle) {
            Ok(Some(key)) if key < found => found = key,
            Ok(_) => return Some(found),
            Err(_) => last = middle,
        }
    }
    Some(found)
}

fn cells(row: &Row<'_>) -> rusqlite::Result<(i64, Cells)> {
    let columns = row.as_ref().column_count();
    let cells: rusqlite::Result<Cells> = (1..columns).map(|column| row.get(column)).collect();
    Ok((row.get(0)?, cells?))
}
