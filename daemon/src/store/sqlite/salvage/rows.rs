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

/// Keys between which the tree of a table cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// The last that could be read before it. None: it begins where the table does.
    pub(super) after: Option<i64>,
    /// Where it is known to end. None: nothing behind it could be read.
    pub(super) before: Option<i64>,
}

impl Hole {
    pub(super) fn holds(&self, key: i64) -> bool {
        self.after.is_none_or(|after| after < key) && self.before.is_none_or(|before| key < before)
    }
}

/// What a search behind a broken place came to.
enum Behind {
    /// The first key from which on rows can be read again.
    Goes(i64),
    /// Here the table is known to be at its end.
    Ends(i64),
    Unreadable,
}

/// Hands on every row that can be read. Says where there may have been others.
pub(super) fn each(
    connection: &Connection,
    table: &Table<'_>,
    mut put: impl FnMut(Cells) -> rusqlite::Result<()>,
) -> rusqlite::Result<Vec<Hole>> {
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
    let (mut from, mut last) = (*first, None);
    let mut holes: Vec<Hole> = Vec::new();
    let mut open = false;
    loop {
        let at_end = run(connection, &all, &mut from, &mut |key, cells| {
            if let Some(hole) = holes.last_mut().filter(|_| std::mem::take(&mut open)) {
                hole.before = Some(key);
            }
            last = Some(key);
            put(cells)
        })?;
        if at_end {
            return Ok(holes);
        }
        if !std::mem::replace(&mut open, true) {
            holes.push(Hole { after: last, before: None });
        }
        match behind(from, next) {
            Behind::Goes(key) => from = key,
            Behind::Unreadable => return Ok(holes),
            Behind::Ends(key) => {
                holes.last_mut().into_iter().for_each(|hole| hole.before = Some(key));
                return Ok(holes);
            }
        }
    }
}

/// Hands on rows until one cannot be read. Says whether it came to the end; `from` is then
/// behind the last row that it could read.
fn run(
    connection: &Connection,
    all: &str,
    from: &mut i64,
    put: &mut impl FnMut(i64, Cells) -> rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    let Ok(mut rows) = connection.prepare_cached(all) else { return Ok(false) };
    let Ok(mut rows) = rows.query([*from]) else { return Ok(false) };
    let mut last = *from;
    loop {
        match rows.next().and_then(|row| row.map(cells).transpose()) {
            // In a broken tree a search may lead backwards, and round in circles.
            Ok(Some((key, _))) if key < last => return Ok(false),
            Ok(Some((key, cells))) => {
                put(key, cells)?;
                last = key;
                *from = key.saturating_add(1);
            }
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

/// Where the table goes on after `broken`.
fn behind(broken: i64, next: impl Fn(i64) -> rusqlite::Result<Option<i64>>) -> Behind {
    let (mut last, mut step, mut tries) = (broken, 1_i64, 0);
    let (mut from, mut found) = loop {
        let Some(from) = last.checked_add(step) else { return Behind::Unreadable };
        match next(from) {
            Ok(found) => break (from, found),
            Err(_) => last = from,
        }
        tries += 1;
        if tries > ONE_BY_ONE {
            step = step.saturating_mul(2);
        }
    };
    // After a long step there may be some before what was found.
    while last + 1 < from {
        let middle = last.midpoint(from);
        match next(middle) {
            Ok(earlier) => (from, found) = (middle, earlier),
            Err(_) => last = middle,
        }
    }
    found.map_or(Behind::Ends(from), Behind::Goes)
}

fn cells(row: &Row<'_>) -> rusqlite::Result<(i64, Cells)> {
    let columns = row.as_ref().column_count();
    let cells: rusqlite::Result<Cells> = (1..columns).map(|column| row.get(column)).collect();
    Ok((row.get(0)?, cells?))
}
