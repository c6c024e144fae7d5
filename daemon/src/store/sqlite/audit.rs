//! Whether a store is sound: what the engine says of its file, and what our own tables
//! promise each other. Reads only, beside a running daemon too; mending is `salvage.rs`.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::index::Index;
use super::record;
use super::schema::{self, Folder};
use crate::delivery::Standing;
use crate::event::EventId;
use crate::store::{Error, Result, Seq, event_ids};

/// Complaints of the engine that are passed on; a broken file has thousands.
const MOST_COMPLAINTS: usize = 8;

/// Events that are looked up in the index, spread over all of them.
const LOOKUPS: i64 = 4096;

/// What waits; what waited of a removed subscription will be cancelled.
pub(super) const WAITING: &str = "SELECT count(*) FROM waiting \
     WHERE subscription IN (SELECT id FROM subscriptions WHERE name IS NOT NULL)";

/// Counts that must be nought, and what each counts.
const MUST_BE_NONE: [(&str, &str); 6] = [
    (
        "subscriptions whose count of waiting deliveries is wrong",
        "SELECT count(*) FROM subscriptions s WHERE waiting <> (SELECT count(*) FROM waiting w WHERE w.subscription = s.id)",
    ),
    (
        "deliveries waiting for a subscription that is not there",
        "SELECT count(*) FROM waiting WHERE subscription NOT IN (SELECT id FROM subscriptions)",
    ),
    (
        "deliveries waiting without their event",
        "SELECT count(*) FROM waiting w WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = w.seq)",
    ),
    (
        // Pending and held are the outcomes of what waits.
        "deliveries that wait although they have ended",
        "SELECT count(*) FROM waiting w JOIN decisions d USING (delivery) WHERE d.outcome NOT IN (0, 3)",
    ),
    (
        "replays without their delivery",
        "SELECT count(*) FROM replays r WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.delivery = r.delivery)",
    ),
    (
        "events that a replay could mend and that are not there",
        "SELECT count(*) FROM mendable m WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = m.seq)",
    ),
];

/// What a store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    pub events: u64,
    pub waiting: u64,
    pub subscriptions: u64,
    /// In words; none if all is well.
    pub problems: Vec<String>,
}

/// The process that has the store in this folder open, if any.
pub fn owner(path: &Path) -> Result<Option<u32>> {
    match Folder::take_if_there(path) {
        Err(Error::InUse { pid, .. }) => Ok(pid.or(Some(0))),
        Err(error) => Err(error),
        Ok(()) => Ok(None),
    }
}

/// Looks at the store in this folder; `None` if there is none yet. Fails if it cannot even
/// be opened.
pub fn examine(path: &Path) -> Result<Option<Audit>> {
    let Some(folder) = Folder::look_at(path) else { return Ok(None) };
    let mut connection = folder.open_reader()?;
    audit_at_once(&mut connection).map(Some).map_err(|error| folder.refused(&error))
}

/// One look at one moment, whatever a daemon does meanwhile.
fn audit_at_once(connection: &mut Connection) -> rusqlite::Result<Audit> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    match schema::newer(schema::version(&tx)?) {
        Some(newer) => Ok(Audit { problems: vec![newer], ..Audit::default() }),
        None => audit(&tx),
    }
}

pub(super) fn audit(connection: &Connection) -> rusqlite::Result<Audit> {
    let problems = complaints(connection)?;
    if !problems.is_empty() {
        // What tables promise each other is no question while pages are broken.
        return Ok(Audit { problems, ..Audit::default() });
    }
    let count =
        |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let mut audit = Audit {
        events: count("SELECT count(*) FROM events")?,
        waiting: count(WAITING)?,
        subscriptions: count("SELECT count(*) FROM subscriptions WHERE name IS NOT NULL")?,
        problems,
    };
    for (what, query) in MUST_BE_NONE {
        let found = count(query)?;
        if found > 0 {
            audit.problems.push(format!("{found} {what}"));
        }
    }
    audit.problems.extend(standings(connection)?);
    audit.problems.extend(ids(connection)?);
    audit.problems.extend(lookups(connection)?);
    Ok(audit)
}

/// What the engine finds wrong with the file.
fn complaints(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MOST_COMPLAINTS})"))?;
    let said: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let lines = said.iter().flat_map(|said| said.lines()).filter(|line| *line != "ok");
    Ok(lines.take(MOST_COMPLAINTS).map(str::to_owned).collect())
}

fn standings(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut rows = connection.prepare("SELECT id, standing FROM subscriptions WHERE name IS NOT NULL")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if record::from_json::<Standing>(row.get_ref(1)?.as_str()?).is_err() {
            let id: i64 = row.get(0)?;
            return Ok(Some(format!("how subscription {id} stands cannot be read")));
        }
    }
    Ok(None)
}

/// Ids made here are reserved before they are given.
fn ids(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let highest: Option<i64> = connection.query_row(
        "SELECT max(event_id) FROM events WHERE event_id >= ?1 AND event_id < ?2",
        [event_ids::FIRST, event_ids::END],
        |row| row.get(0),
    )?;
    let end: Option<i64> =
        connection
            .query_row("SELECT max(value) FROM meta WHERE key = 'event_ids_end'", [], |row| row.get(0))?;
    Ok(highest
        .filter(|highest| end.is_none_or(|end| end <= *highest))
        .map(|highest| format!("the id {highest} was given and would be given again")))
}

/// The index finds the events it should, and no others.
fn lookups(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let index = Index::load(connection)?;
    let mut rows = connection.prepare(
        "SELECT seq, event_id FROM events \
         WHERE seq % (SELECT max(1, count(*) / ?1) FROM events) = 0 ORDER BY seq",
    )?;
    let mut rows = rows.query([LOOKUPS])?;
    while let Some(row) = rows.next()? {
        let (seq, event) = (Seq(row.get(0)?), EventId(row.get(1)?));
        if index.find_event(connection, event)? != Some(seq) {
            return Ok(Some(format!("event {event} is not found by its id")));
        }
    }
    Ok(None)
}
