//! What the index learns of each event, and how it is kept until a part is closed.

use rusqlite::Connection;

use super::Latest;
use crate::event::{Action, Entity, EventId};
use crate::splitmix::mix;
use crate::store::Seq;

/// What the index keeps of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store::sqlite) struct Note {
    pub(super) seq: Seq,
    pub(super) arrived_at: i64,
    pub(super) event: u64,
    pub(super) entity: Option<u64>,
    pub(super) deleted: bool,
}

impl Note {
    pub(in crate::store::sqlite) fn of(
        seq: Seq,
        arrived_at: i64,
        event: EventId,
        entity: Option<u64>,
        action: Action,
    ) -> Note {
        Note { seq, arrived_at, event: event_key(event), entity, deleted: action == Action::Deleted }
    }

    pub(in crate::store::sqlite) fn latest(&self) -> Latest {
        Latest { seq: self.seq, deleted: self.deleted }
    }
}

pub(super) const NOTE_BYTES: usize = 8 + 8 + 8 + 1;

pub(super) fn pack(note: &Note) -> [u8; NOTE_BYTES] {
    let mut bytes = [0; NOTE_BYTES];
    bytes[0..8].copy_from_slice(&note.event.to_le_bytes());
    bytes[8..16].copy_from_slice(&note.entity.unwrap_or(0).to_le_bytes());
    bytes[16..24].copy_from_slice(&note.arrived_at.to_le_bytes());
    bytes[24] = u8::from(note.entity.is_some()) | u8::from(note.deleted) << 1;
    bytes
}

pub(super) fn unpack(seq: i64, bytes: &[u8; NOTE_BYTES]) -> Note {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]));
    let entity = (bytes[24] & 1 == 1).then(|| word(8));
    let arrived_at = word(16).cast_signed();
    Note { seq: Seq(seq), arrived_at, event: word(0), entity, deleted: bytes[24] & 2 == 2 }
}

pub(super) fn load_notes(connection: &Connection) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let mut rows = connection.prepare("SELECT first_seq, notes FROM index_notes ORDER BY first_seq")?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(super) fn read_events(connection: &Connection, from: i64) -> rusqlite::Result<Vec<Note>> {
    let mut rows = connection.prepare(
        "SELECT seq, arrived_at, event_id, workspace_id, entity, entity_id, action \
         FROM events WHERE seq >= ?1 ORDER BY seq",
    )?;
    let note = |row: &rusqlite::Row<'_>| {
        let (entity, action): (String, String) = (row.get(4)?, row.get(6)?);
        let entity = entity.parse().ok().zip(row.get(5)?);
        let workspace = row.get(3)?;
        Ok(Note {
            seq: Seq(row.get(0)?),
            arrived_at: row.get(1)?,
            event: event_key(EventId(row.get(2)?)),
            entity: entity.map(|(entity, id)| entity_key(workspace, entity, id)),
            deleted: action == Action::Deleted.as_str(),
        })
    };
    rows.query_map([from], note)?.collect()
}

/// Reversible, so that two ids never share a key.
pub(super) fn event_key(event: EventId) -> u64 {
    mix(event.0.cast_unsigned())
}

pub(in crate::store::sqlite) fn entity_key(workspace: Option<i64>, entity: Entity, id: i64) -> u64 {
    let kind = entity.as_str().bytes().fold(0, |kind, byte| mix(kind ^ u64::from(byte)));
    let workspace = mix(workspace.map_or(kind, |workspace| kind ^ mix(workspace.cast_unsigned())));
    mix(workspace ^ id.cast_unsigned())
}
