//! Our own reader of pages against the engine's, and against garbage.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::types::Value;

use super::rows::Cells;
use super::strays::{Kind, Strays};
use super::*;

/// Rows of each table, or more; the events' are of all lengths.
const ROWS: i64 = 150;

/// A body as long as fits on a page with all else, and one more; then with one page more.
const EDGES: [usize; 4] = [3900, 4100, 4470, 8600];

fn all(connection: &Connection, kind: Kind) -> BTreeMap<i64, Cells> {
    let mut rows = connection.prepare(&format!("SELECT * FROM {}", kind.table())).unwrap();
    let columns = rows.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?))
    };
    rows.query_map([], row).unwrap().map(|it| it.unwrap()).collect()
}

fn found(strays: &Strays, kind: Kind) -> BTreeMap<i64, Cells> {
    let mut found = BTreeMap::new();
    let add = |key, cells| {
        assert_eq!(found.insert(key, cells), None, "{kind:?} {key} stands on two pages in use");
        Ok(())
    };
    strays.each(kind, add).unwrap();
    found
}

/// Something for a column of `Kind::columns`.
fn some(random: &mut StdRng, column: char, length: usize) -> Value {
    match column {
        upper if upper.is_ascii_uppercase() && random.random_bool(0.3) => Value::Null,
        'i' | 'I' => Value::Integer(random.random::<i64>() >> random.random_range(0..64)),
        't' | 'T' => Value::Text("é".repeat(random.random_range(0..40))),
        _ => Value::Blob(vec![random.random(); length]),
    }
}

fn fill(connection: &Connection, random: &mut StdRng, keys: std::ops::Range<i64>) {
    for (kind, key) in Kind::ALL.into_iter().flat_map(|kind| keys.clone().map(move |key| (kind, key))) {
        let length = EDGES[random.random_range(0..4)] + random.random_range(0..250) - 125;
        let length = if random.random_bool(0.5) { length } else { random.random_range(0..30_000) };
        let mut row: Cells = kind.columns().chars().map(|column| some(random, column, length)).collect();
        row[0] = Value::Integer(key * key);
        if kind == Kind::Subscriptions {
            row[1] = Value::Text(format!("{key}"));
        }
        let places = vec!["?"; row.len()].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({places})", kind.table());
        connection.execute(&insert, rusqlite::params_from_iter(row)).unwrap();
    }
}

/// A store with rows of all lengths, deleted ones among them, most of it in its log; and
/// with a transaction that was cut off.
fn filled(folder: &Path, seed: u64) -> PathBuf {
    let (file, cut) = (folder.join("full.db"), folder.join("cut.db"));
    let mut random = StdRng::seed_from_u64(seed);
    schema::make(&file).unwrap().close().unwrap();
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "cache_size", 4).unwrap();
    fill(&connection, &mut random, 1..ROWS / 3);
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0").unwrap();
    fill(&connection, &mut random, ROWS / 3..ROWS);
    for kind in Kind::ALL {
        let some = format!("rowid % 7 < 2 OR rowid BETWEEN {} AND {}", ROWS, ROWS * ROWS / 2);
        connection.execute(&format!("DELETE FROM {} WHERE {some}", kind.table()), []).unwrap();
    }
    connection.execute_batch("BEGIN; DELETE FROM events WHERE seq < 10000").unwrap();
    fill(&connection, &mut random, ROWS..ROWS + 40);
    for ending in ["", "-wal"] {
        fs::copy(beside(&file, ending), beside(&cut, ending)).unwrap();
    }
    cut
}

#[test]
fn what_the_engine_reads_is_read_alike() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let file = filled(folder.path(), seed);
        let strays = Strays::find(&file).unwrap();
        let engine = Connection::open(&file).unwrap();
        let free: i64 = engine.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
        assert!(strays.knows_free() && free > 0, "seed {seed}: {free} pages are free");
        for kind in Kind::ALL {
            let read = all(&engine, kind);
            assert!(read.len() > 20 && read == found(&strays, kind), "seed {seed}: {kind:?}");
        }
    }
}

#[test]
fn columns_are_those_of_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::make(&folder.path().join("new.db")).unwrap();
    let mut of_all = BTreeMap::new();
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    for table in tables.query_map([], |row| row.get::<_, String>(0)).unwrap().map(|it| it.unwrap()) {
        let mut columns = connection.prepare(&format!("PRAGMA table_info({table})")).unwrap();
        let letter = |row: &rusqlite::Row<'_>| {
            let (kind, not_null, key): (String, bool, bool) = (row.get(2)?, row.get(3)?, row.get(5)?);
            let letter = kind.to_lowercase().chars().next().unwrap_or('?');
            Ok(if key {
                'k'
            } else if not_null {
                letter
            } else {
                letter.to_ascii_uppercase()
            })
        };
        let letters: String = columns.query_map([], letter).unwrap().map(|it| it.unwrap()).collect();
        of_all.insert(table, letters);
    }
    for kind in Kind::ALL {
        assert_eq!(of_all[kind.table()], kind.columns());
        let alike = of_all.values().filter(|columns| *columns == kind.columns()).count();
        assert_eq!(alike, 1, "another table looks like {kind:?}");
    }
}

/// What may happen to a file.
#[derive(Clone, Debug)]
enum Damage {
    Byte { page: usize, at: usize, byte: u8 },
    Copied { from: usize, to: usize },
    Garbage { page: usize, seed: u64 },
    Cut { length: usize },
}

fn damage() -> impl Strategy<Value = Damage> {
    // Numbers, lengths and pointers stand at the beginning of a page.
    let at = prop_oneof![0..40_usize, 0..PAGE];
    prop_oneof![
        8 => (any::<usize>(), at, any::<u8>()).prop_map(|(page, at, byte)| Damage::Byte { page, at, byte }),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Damage::Copied { from, to }),
        2 => (any::<usize>(), any::<u64>()).prop_map(|(page, seed)| Damage::Garbage { page, seed }),
        1 => any::<usize>().prop_map(|length| Damage::Cut { length }),
    ]
}

impl Damage {
    fn befall(&self, bytes: &mut Vec<u8>) {
        let pages = bytes.len() / PAGE;
        let place = |page: usize| page % pages.max(1) * PAGE;
        match *self {
            _ if pages < 2 => {}
            Damage::Byte { page, at, byte } => bytes[place(page) + at] = byte,
            Damage::Copied { from, to } => bytes.copy_within(place(from)..place(from) + PAGE, place(to)),
            Damage::Garbage { page, seed } => {
                StdRng::seed_from_u64(seed).fill(&mut bytes[place(page)..place(page) + PAGE]);
            }
            Damage::Cut { length } => bytes.truncate(length % bytes.len()),
        }
    }
}

#[test]
fn a_page_of_garbage_is_read_to_its_end() {
    let garbage = || proptest::collection::vec(any::<u8>(), PAGE);
    proptest!(|(mut page in garbage(), further in garbage())| {
        page[0] = 0x0d;
        prop_assert!(leaf::rows(&page, |_| Some(further.clone())).count() <= PAGE / 2);
        prop_assert_eq!(leaf::rows(&page[1..], |_| None).count(), 0);
    });
}

#[test]
fn a_file_of_garbage_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let full = filled(folder.path(), 1);
    let sound = ["", "-wal"].map(|ending| fs::read(beside(&full, ending)).unwrap());
    let file = folder.path().join("garbage.db");
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let damages = proptest::collection::vec((any::<bool>(), damage()), 1..12);
    proptest!(config, |(damages in damages)| {
        for (ending, sound) in ["", "-wal"].iter().zip(&sound) {
            let mut bytes = sound.clone();
            let all = damages.iter().filter(|(in_log, _)| *in_log == (*ending == "-wal"));
            all.for_each(|(_, damage)| damage.befall(&mut bytes));
            fs::write(beside(&file, ending), bytes).unwrap();
        }
        let strays = Strays::find(&file).unwrap();
        for kind in Kind::ALL {
            let whole = |_, cells: Cells| {
                assert_eq!(cells.len(), kind.columns().len());
                Ok(())
            };
            strays.each(kind, whole).unwrap();
        }
    });
}
