//! Finds an event by its `event_id`, and the latest event of an entity, however long the
//! history: an index over unordered ids that is never one big tree.
//!
//! It is cut into parts of `PART` arrivals. The open part is in memory; a closed one is
//! written once and asked only if its filter, in memory, says maybe. What leaves with old
//! history is whole parts. A hit may name an event that is gone already; who asks looks.

use std::collections::VecDeque;

use rusqlite::{Connection, params};

use super::filter::Filters;
use crate::event::EventId;
use crate::store::Seq;
use notes::{NOTE_BYTES, event_key, load_notes, pack, read_events, unpack};
use part::{ENTITIES, EVENTS, OpenPart, Part, find_in_closed};

mod notes;
mod part;

pub(super) use notes::{Note, entity_key};

/// Arrivals per part. At ten million events there are 77, and closing one writes 3 MiB.
const PART_BITS: u32 = 17;
pub(super) const PART: i64 = 1 << PART_BITS;

/// Arrivals after which what the open part learned is noted down. At most so many rows of
/// events are read at start.
const NOTE: usize = 8192;

/// The latest event of an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latest {
    pub(super) seq: Seq,
    pub(super) deleted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    closed: VecDeque<Span>,
    /// Of the events of the closed parts, and of their entities.
    events: Filters,
    entities: Filters,
    /// Nearly always one: a second appears when it is full, until the first is written.
    open: VecDeque<OpenPart>,
    /// Learned, but not noted down.
    unnoted: Vec<Note>,
}

/// What is known of a closed part beside its filters.
#[derive(Clone, Copy, Debug)]
struct Span {
    number: i64,
    /// The latest of its events.
    arrived_at: i64,
}

/// What a transaction has to tell the index once it has been committed.
#[derive(Default)]
pub(super) struct Learned {
    /// In order of arrival.
    pub(super) notes: Vec<Note>,
    pub(super) written: Written,
    pub(super) part_pruned: bool,
}

#[derive(Default)]
pub(super) enum Written {
    #[default]
    Nothing,
    Notes,
    Part(Part),
}

impl Index {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Index> {
        let mut index = Index::default();
        Part::load_all(connection, |part| index.close(part))?;
        let first_open = index.closed.back().map_or(0, |part| part.number + 1) * PART;
        let mut noted = first_open;
        for (first, notes) in load_notes(connection)? {
            let (notes, _) = notes.as_chunks::<NOTE_BYTES>();
            noted = noted.max(first + notes.len() as i64);
            let open = (first..).zip(notes).filter(|(seq, _)| *seq >= first_open);
            open.for_each(|(seq, note)| index.learn(unpack(seq, note)));
        }
        for note in read_events(connection, noted)? {
            index.learn(note);
            index.unnoted.push(note);
        }
        Ok(index)
    }

    pub(super) fn find_event(
        &self,
        connection: &Connection,
        event: EventId,
    ) -> rusqlite::Result<Option<Seq>> {
        let key = event_key(event);
        let latest = match self.open.iter().rev().find_map(|part| part.find_event(key)) {
            Some(latest) => Some(latest),
            None => find_in_closed(self.parts(&self.events, key), connection, EVENTS, key)?,
        };
        Ok(latest.map(|latest| latest.seq))
    }

    pub(super) fn find_entity(&self, connection: &Connection, key: u64) -> rusqlite::Result<Option<Latest>> {
        match self.open.iter().rev().find_map(|part| part.find_entity(key)) {
            Some(latest) => Ok(Some(latest)),
            None => find_in_closed(self.parts(&self.entities, key), connection, ENTITIES, key),
        }
    }

    /// The closed parts that may hold a key, the latest first.
    fn parts(&self, filters: &Filters, key: u64) -> impl Iterator<Item = i64> {
        filters.holding(key).filter_map(|place| Some(self.closed.get(place)?.number))
    }

    /// The first event that may have arrived at this time or later.
    pub(super) fn first_since(&self, arrived_at: i64) -> Seq {
        let closed = self.closed.iter().map(|part| (part.number, part.arrived_at));
        let open = self.open.iter().map(|part| (part.number, part.arrived_at));
        let mut parts = closed.chain(open).filter(|(_, latest)| *latest >= arrived_at);
        Seq(parts.next().map_or(i64::MAX, |(number, _)| number * PART))
    }

    /// Writes what is due: a full part, or notes.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<Written> {
        if let Some(full) = self.open.front().filter(|_| self.open.len() > 1) {
            let part = full.close(connection)?;
            connection
                .prepare_cached("DELETE FROM index_notes WHERE first_seq + length(notes) / ?2 <= ?1")?
                .execute(params![(part.number + 1) * PART, NOTE_BYTES as i64])?;
            Ok(Written::Part(part))
        } else if let Some(first) = self.unnoted.first().filter(|_| self.unnoted.len() >= NOTE) {
            let notes: Vec<u8> = self.unnoted.iter().flat_map(pack).collect();
            connection
                .prepare_cached("INSERT INTO index_notes (first_seq, notes) VALUES (?1, ?2)")?
                .execute(params![first.seq.0, notes])?;
            Ok(Written::Notes)
        } else {
            Ok(Written::Nothing)
        }
    }

    /// Takes in what a transaction that has been committed learned and wrote.
    pub(super) fn committed(&mut self, learned: Learned) {
        match learned.written {
            Written::Nothing => {}
            Written::Notes => self.unnoted.clear(),
            Written::Part(part) => {
                self.open.pop_front();
                self.close(part);
            }
        }
        if learned.part_pruned {
            self.closed.pop_front();
            self.events.pop_oldest();
            self.entities.pop_oldest();
        }
        learned.notes.iter().for_each(|note| self.learn(*note));
        self.unnoted.extend(learned.notes);
    }

    /// Deletes the oldest closed part if all of it came before `oldest`.
    pub(super) fn prune(&self, connection: &Connection, oldest: Seq) -> rusqlite::Result<bool> {
        match self.closed.front().filter(|part| (part.number + 1) * PART <= oldest.0) {
            Some(part) => part::delete(part.number, connection).map(|()| true),
            None => Ok(false),
        }
    }

    fn close(&mut self, part: Part) {
        let Part { number, arrived_at, events, entities } = part;
        self.closed.push_back(Span { number, arrived_at });
        self.events.push(events);
        self.entities.push(entities);
    }

    fn learn(&mut self, note: Note) {
        let number = note.seq.0 >> PART_BITS;
        if self.open.back().is_none_or(|part| part.number != number) {
            self.open.push_back(OpenPart::new(number));
        }
        if let Some(part) = self.open.back_mut() {
            part.learn(note);
        }
    }
}

/// Notes down every event, into a store that has no notes: in runs without gaps, since a
/// note does not say which event it is of.
pub(super) fn note_all(connection: &Connection) -> rusqlite::Result<()> {
    let notes = read_events(connection, i64::MIN)?;
    let mut insert = connection.prepare("INSERT INTO index_notes (first_seq, notes) VALUES (?1, ?2)")?;
    for run in notes.chunk_by(|one, next| one.seq.0 + 1 == next.seq.0) {
        for run in run.chunks(NOTE) {
            let packed: Vec<u8> = run.iter().flat_map(pack).collect();
            insert.execute(params![run[0].seq.0, packed])?;
        }
    }
    Ok(())
}
