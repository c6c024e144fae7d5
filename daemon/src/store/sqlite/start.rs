//! Opening: takes the folder, reads what must be in memory, starts the writer. Whatever
//! waits or lies in history is not read, so a start takes the same time with millions.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use rusqlite::{Connection, OptionalExtension};

use super::index::Index;
use super::queue::Queue;
use super::schema::Folder;
use super::tx::Tx;
use super::writer::Writer;
use super::young::Young;
use super::{Counters, Shared, SqliteStore, record};
use crate::delivery::SubscriptionId;
use crate::drill::{self, Point};
use crate::store::Result;
use crate::store::board::Board;
use crate::store::event_ids::{self, EventIds};
use crate::store::lanes::Budget;

impl SqliteStore {
    pub(in crate::store) fn open_with(path: &Path, budget: Budget) -> Result<SqliteStore> {
        let folder = Folder::take(path)?;
        let mut connection = folder.open_writer()?;
        let failed = |error: rusqlite::Error| folder.refused(&error);
        let counters = load_counters(&connection).map_err(failed)?;
        let young = write_young(&mut connection, counters).map_err(failed)?;
        let board = load_board(&connection, budget).map_err(failed)?;
        let index = Index::load(&connection).map_err(failed)?;
        let last_plan =
            connection.query_row("SELECT coalesce(max(plan), 0) FROM plans", [], |row| row.get(0));
        let bell = board.bell();
        let shared = Arc::new(Shared {
            queue: Queue::new(board, last_plan.map_err(failed)?),
            index: RwLock::new(index),
            event_ids: EventIds::from(counters.event_ids_end),
            reader: Mutex::new(folder.open_reader()?),
            historian: Mutex::new(folder.open_reader()?),
            folder,
        });
        let writer = Writer::new(shared.clone(), connection, counters, young);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| shared.failed(&error))?;
        Ok(SqliteStore { shared, bell, writer: Mutex::new(Some(thread)) })
    }
}

/// Ids given but never used leave no trace, so they go on where the reserved ones end.
fn load_counters(connection: &Connection) -> rusqlite::Result<Counters> {
    let last = connection
        .query_row("SELECT seq, first_delivery, routes FROM events ORDER BY seq DESC LIMIT 1", [], |row| {
            let routes = record::routes(row.get(2)?)?.len() as i64;
            Ok((row.get::<_, i64>(0)? + 1, row.get::<_, i64>(1)? + routes))
        })
        .optional()?;
    let (after_seq, after_delivery) = last.unwrap_or((1, 1));
    Ok(Counters {
        next_seq: after_seq.max(meta(connection, "next_seq")?.unwrap_or(1)),
        next_delivery: after_delivery.max(meta(connection, "next_delivery")?.unwrap_or(1)),
        event_ids_end: meta(connection, "event_ids_end")?.unwrap_or(event_ids::FIRST),
    })
}

/// After a crash some deliveries have no row in `waiting` yet.
fn write_young(connection: &mut Connection, counters: Counters) -> rusqlite::Result<Young> {
    let young = Young::recover(connection, meta(connection, "young_from")?.unwrap_or(1))?;
    if young.is_empty() {
        return Ok(young);
    }
    let transaction = connection.transaction()?;
    let index = Index::default();
    let mut tx = Tx::new(&transaction, &index, &young, counters)?;
    tx.write_young()?;
    tx.finish()?;
    drill::pass(Point::StartYoungWritten);
    transaction.commit()?;
    Ok(Young::none(counters.next_seq))
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    let mut row = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    row.query_row([key], |row| row.get(0)).optional()
}

fn load_board(connection: &Connection, budget: Budget) -> rusqlite::Result<Board> {
    let mut board = Board::new(budget);
    let mut rows = connection.prepare(
        "SELECT id, name, standing, waiting FROM subscriptions WHERE name IS NOT NULL ORDER BY id",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let standing = record::from_json(row.get_ref(2)?.as_str()?)?;
        let waiting = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        board.enroll(SubscriptionId(row.get(0)?), row.get_ref(1)?.as_str()?, standing, waiting);
    }
    Ok(board)
}
