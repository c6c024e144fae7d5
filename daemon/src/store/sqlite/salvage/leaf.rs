//! The rows on a leaf page of a table, read without the tree above it. Whatever the bytes,
//! this comes to an end and gives only what is a row from its first byte to its last.
//!
//! The format is SQLite's, <https://sqlite.org/fileformat2.html>, sections 1.6 and 2.1.

use std::collections::HashSet;

use rusqlite::types::Value;

use super::pages::{PAGE, number};
use super::rows::Cells;

/// The kind of page that holds rows of a table.
const TABLE_LEAF: u8 = 0x0d;

/// Kind, first free block, number of rows, where they begin, lost bytes; then where each is.
const HEADER: usize = 8;

/// The longest row that stands on its page as a whole, and the least of a longer one that does.
const MOST_LOCAL: usize = PAGE - 35;
const LEAST_LOCAL: usize = (PAGE - 12) * 32 / 255 - 23;

/// Bytes of a longer row on each page behind the first, whose number stands before them.
const OVERFLOW: usize = PAGE - 4;

/// No body is larger than 64 MiB, and beside it a row has only a few short texts.
const MOST_BYTES: usize = 72 << 20;

/// No table of ours has more.
const MOST_COLUMNS: usize = 16;

/// A row with the number that it is kept under. A column that is this number is null in the row.
pub(super) struct Row {
    pub(super) key: i64,
    pub(super) cells: Cells,
}

/// The rows of a page that are whole; none if it is of another kind. `further` reads the
/// pages on which long ones go on.
pub(super) fn rows<'a>(
    page: &'a [u8],
    further: impl Fn(u32) -> Option<Vec<u8>> + 'a,
) -> impl Iterator<Item = Row> + 'a {
    let is_leaf = page.len() == PAGE && page[0] == TABLE_LEAF;
    let count = if is_leaf { usize::from(short(page, 3)) } else { 0 };
    let places = page.get(HEADER..).unwrap_or_default().chunks_exact(2).take(count);
    let behind = HEADER + 2 * count;
    places.filter_map(move |place| {
        let at = usize::from(short(place, 0));
        if at < behind { None } else { row(page.get(at..)?, &further) }
    })
}

fn row(bytes: &[u8], further: &dyn Fn(u32) -> Option<Vec<u8>>) -> Option<Row> {
    let mut rest = bytes;
    let length = usize::try_from(varint(&mut rest)?).ok().filter(|length| *length <= MOST_BYTES)?;
    let key = varint(&mut rest)?;
    let local = local(length);
    let mut payload = rest.get(..local)?.to_vec();
    if local < length {
        read_on(&mut payload, length, number(rest.get(local..local + 4)?, 0), further)?;
    }
    Some(Row { key, cells: cells(&payload)? })
}

/// How much of a row of this length stands on its own page.
fn local(length: usize) -> usize {
    if length <= MOST_LOCAL {
        return length;
    }
    let fitting = LEAST_LOCAL + (length - LEAST_LOCAL) % OVERFLOW;
    if fitting <= MOST_LOCAL { fitting } else { LEAST_LOCAL }
}

/// Follows a row over its pages, none of which comes twice.
fn read_on(
    payload: &mut Vec<u8>,
    length: usize,
    mut next: u32,
    further: &dyn Fn(u32) -> Option<Vec<u8>>,
) -> Option<()> {
    let mut seen = HashSet::new();
    while payload.len() < length {
        let page = further(next).filter(|page| page.len() == PAGE && seen.insert(next))?;
        let missing = OVERFLOW.min(length - payload.len());
        payload.extend_from_slice(&page[4..4 + missing]);
        next = number(&page, 0);
    }
    (next == 0).then_some(())
}

/// The values of a row, whose kinds stand before them.
fn cells(payload: &[u8]) -> Option<Cells> {
    let mut rest = payload;
    let header = usize::try_from(varint(&mut rest)?).ok()?;
    let mut kinds = payload.get(payload.len() - rest.len()..header)?;
    let mut values = payload.get(header..)?;
    let mut cells = Vec::new();
    while !kinds.is_empty() && cells.len() < MOST_COLUMNS {
        cells.push(value(varint(&mut kinds)?, &mut values)?);
    }
    (kinds.is_empty() && values.is_empty()).then_some(cells)
}

fn value(kind: i64, values: &mut &[u8]) -> Option<Value> {
    Some(match kind {
        0 => Value::Null,
        1..=4 => Value::Integer(integer(values, kind as usize)?),
        5 => Value::Integer(integer(values, 6)?),
        6 => Value::Integer(integer(values, 8)?),
        7 => Value::Real(f64::from_bits(integer(values, 8)?.cast_unsigned())),
        8 | 9 => Value::Integer(kind - 8),
        12.. => {
            let bytes = take(values, usize::try_from((kind - 12) / 2).ok()?)?.to_vec();
            if kind % 2 == 0 { Value::Blob(bytes) } else { Value::Text(String::from_utf8(bytes).ok()?) }
        }
        _ => return None,
    })
}

fn integer(values: &mut &[u8], length: usize) -> Option<i64> {
    let bytes = take(values, length)?;
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
    Some(bytes.iter().fold(sign, |so_far, byte| so_far << 8 | i64::from(*byte)))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Seven bits a byte, while the eighth is set; all eight of a ninth.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_i64;
    for n in 0..9 {
        let byte = take(bytes, 1)?[0];
        if n == 8 {
            return Some(value << 8 | i64::from(byte));
        }
        value = value << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
