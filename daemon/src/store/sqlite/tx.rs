//! One transaction: what is written into it, and what the memory of the writer will be
//! once it has been committed. A failed one leaves no trace.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::index::{Index, Latest, Learned, Note, entity_key};
use super::record::{self, MISSED, VERSION};
use super::young::{Births, Row, Young};
use super::{Counters, nanoseconds, read};
use crate::delivery::{DeliveryId, Lane, Outcome, Standing, SubscriptionId};
use crate::event::{Event, EventId};
use crate::store::lanes::{Entry, Place};
use crate::store::{Arrival, Next, Receipt, Routed, Seq};
pub(super) use outcomes::Settlement;

mod outcomes;

/// Ids reserved at a time for events that come without one. Also how many a start skips.
const EVENT_IDS: i64 = 1 << 20;

pub(super) struct Tx<'c> {
    pub(super) connection: &'c Connection,
    index: &'c Index,
    young: &'c Young,
    births: Births,
    pub(super) counters: Counters,
    often: Often<'c>,
    learned: Learned,
    /// What the index does not know yet.
    events: BTreeMap<EventId, Seq>,
    entities: BTreeMap<u64, Latest>,
    /// By how much the number of waiting rows changes.
    waiting: HashMap<SubscriptionId, i64>,
}

/// Statements of every event and every outcome: looked up once, not once a row.
struct Often<'c> {
    insert_event: CachedStatement<'c>,
    insert_waiting: CachedStatement<'c>,
    delete_waiting: CachedStatement<'c>,
    insert_decision: CachedStatement<'c>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        index: &'c Index,
        young: &'c Young,
        counters: Counters,
    ) -> rusqlite::Result<Tx<'c>> {
        Ok(Tx {
            connection,
            index,
            young,
            births: Births::default(),
            counters,
            often: Often::new(connection)?,
            learned: Learned::default(),
            events: BTreeMap::new(),
            entities: BTreeMap::new(),
            waiting: HashMap::new(),
        })
    }

    /// Writes an event with its decisions, unless it is known. What waits goes to `admitted`.
    pub(super) fn append(
        &mut self,
        arrival: &Arrival,
        admitted: &mut Vec<(SubscriptionId, Entry)>,
    ) -> rusqlite::Result<Receipt> {
        let event = arrival.event.id;
        if let Some(queued) = self.queued_for(event)? {
            return Ok(Receipt { event, duplicate: true, queued });
        }
        let seq = Seq(self.counters.next_seq);
        let first = self.counters.next_delivery;
        self.counters.next_seq += 1;
        self.counters.next_delivery += arrival.routed.len() as i64;
        self.insert_event(seq, first, arrival)?;

        let mut queued = Vec::new();
        for (delivery, route) in (first..).map(DeliveryId).zip(&arrival.routed) {
            let mut entry = entry(&arrival.event, seq, delivery, route, arrival.arrived_at, false);
            if self.begins_to_wait(route, seq)? {
                self.births.born(delivery, Row::of(&entry, route));
                queued.push(route.subscription);
                entry.event = Some(arrival.event.clone());
                admitted.push((route.subscription, entry));
            }
        }
        Ok(Receipt { event, duplicate: false, queued })
    }

    /// Makes a new delivery of a past event, if there is one. What waits comes with it.
    pub(super) fn replay(
        &mut self,
        seq: Seq,
        route: &Routed,
        at: i64,
    ) -> rusqlite::Result<Option<(DeliveryId, Option<Entry>)>> {
        let Some((event, arrived_at)) = read::event(self.connection, seq)? else { return Ok(None) };
        let delivery = DeliveryId(self.counters.next_delivery);
        self.counters.next_delivery += 1;
        self.set_meta("next_delivery", self.counters.next_delivery)?;
        self.forget_mendable(route.subscription, seq)?;
        let mut note =
            self.connection.prepare_cached("INSERT INTO replays (seq, delivery) VALUES (?1, ?2)")?;
        note.execute([seq.0, delivery.0])?;
        let next = Next { outcome: route.outcome, reason: route.reason.clone() };
        self.insert_decision(seq, delivery, route.subscription, &next, at, true, None)?;
        let entry = entry(&event, seq, delivery, route, arrived_at, true);
        let waits = self.begins_to_wait(route, seq)?;
        if waits {
            self.insert_waiting(delivery, Row::of(&entry, route), true)?;
        }
        Ok(Some((delivery, waits.then_some(Entry { event: Some(event), ..entry }))))
    }

    pub(super) fn write_standing(&self, id: SubscriptionId, standing: &Standing) -> rusqlite::Result<()> {
        let mut update = self
            .connection
            .prepare_cached("UPDATE subscriptions SET standing = ?2 WHERE id = ?1 AND name IS NOT NULL")?;
        update.execute(params![id.0, record::to_json(standing)])?;
        Ok(())
    }

    pub(super) fn set_meta(&self, key: &str, value: i64) -> rusqlite::Result<()> {
        let mut set =
            self.connection.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
        set.execute(params![key, value])?;
        Ok(())
    }

    /// Makes sure that ids up to well behind `upcoming` are never given again.
    pub(super) fn reserve_event_ids(&mut self, upcoming: i64) -> rusqlite::Result<()> {
        if upcoming + EVENT_IDS / 2 > self.counters.event_ids_end {
            self.counters.event_ids_end = upcoming + EVENT_IDS;
            self.set_meta("event_ids_end", self.counters.event_ids_end)?;
        }
        Ok(())
    }

    /// Deletes the oldest part of the index if all of it came before `oldest`.
    pub(super) fn prune_index(&mut self, oldest: Seq) -> rusqlite::Result<()> {
        self.learned.part_pruned = self.index.prune(self.connection, oldest)?;
        Ok(())
    }

    /// Writes the last things. Comes with what the memory is to learn after the commit.
    pub(super) fn finish(mut self) -> rusqlite::Result<(Counters, Learned, Births)> {
        if self.young.is_full(&self.births, self.counters.next_seq) {
            self.write_young()?;
        }
        let mut update = self
            .connection
            .prepare_cached("UPDATE subscriptions SET waiting = waiting + ?2 WHERE id = ?1")?;
        for (id, change) in self.waiting.into_iter().filter(|(_, change)| *change != 0) {
            update.execute(params![id.0, change])?;
        }
        self.learned.written = self.index.write(self.connection)?;
        Ok((self.counters, self.learned, self.births))
    }

    /// Whom an event was queued for at first, if it is known.
    fn queued_for(&self, event: EventId) -> rusqlite::Result<Option<Vec<SubscriptionId>>> {
        let seq = match self.events.get(&event) {
            Some(seq) => Some(*seq),
            None => self.index.find_event(self.connection, event)?,
        };
        let Some(seq) = seq else { return Ok(None) };
        let mut routes = self.connection.prepare_cached("SELECT routes FROM events WHERE seq = ?1")?;
        let Some(routes) = routes.query_row([seq.0], |row| record::routes(row.get(0)?)).optional()? else {
            return Ok(None);
        };
        let queued = routes.into_iter().filter(|route| route.outcome == Outcome::Pending);
        Ok(Some(queued.map(|route| route.subscription).collect()))
    }

    fn insert_event(&mut self, seq: Seq, first_delivery: i64, arrival: &Arrival) -> rusqlite::Result<()> {
        let event = &arrival.event;
        let arrived_at = nanoseconds(arrival.arrived_at);
        let entity = event.entity_id.map(|id| entity_key(event.workspace_id, event.entity, id));
        let previous = entity.map(|key| self.latest(key)).transpose()?.flatten();
        self.often.insert_event.execute(params![
            seq.0,
            VERSION,
            event.id.0,
            arrived_at,
            arrival.plan,
            event.workspace_id,
            event.entity.as_str(),
            event.entity_id,
            event.action.as_str(),
            previous.filter(|latest| !latest.deleted).map(|latest| latest.seq.0),
            first_delivery,
            record::routes_to_text(&arrival.routed),
            event.creator_id,
            nanoseconds(event.created_at),
            event.created_at_text,
            &event.received[..],
        ])?;
        self.learn(Note::of(seq, arrived_at, event.id, entity, event.action), event.id, entity);
        Ok(())
    }

    fn latest(&self, entity: u64) -> rusqlite::Result<Option<Latest>> {
        match self.entities.get(&entity) {
            Some(latest) => Ok(Some(*latest)),
            None => self.index.find_entity(self.connection, entity),
        }
    }

    fn learn(&mut self, note: Note, event: EventId, entity: Option<u64>) {
        let latest = note.latest();
        self.events.insert(event, latest.seq);
        self.entities.extend(entity.map(|key| (key, latest)));
        self.learned.notes.push(note);
    }

    /// Says whether this is a delivery that waits. If not, notes what a replay can mend.
    fn begins_to_wait(&mut self, route: &Routed, seq: Seq) -> rusqlite::Result<bool> {
        if matches!(route.outcome, Outcome::SkippedDisabled | Outcome::SkippedNotValidated) {
            self.insert_mendable(route.subscription, MISSED, seq)?;
        }
        Ok(route.outcome == Outcome::Pending)
    }
}

impl<'c> Often<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Often<'c>> {
        Ok(Often {
            insert_event: connection.prepare_cached(
                "INSERT INTO events (seq, version, event_id, arrived_at, plan, workspace_id, entity, entity_id, \
                 action, previous, first_delivery, routes, creator_id, created, created_at, received) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?,
            insert_waiting: connection.prepare_cached(
                "INSERT INTO waiting \
                 (subscription, created, event_id, delivery, seq, lane_order, replay, tries, outcome) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)",
            )?,
            delete_waiting: connection.prepare_cached(
                "DELETE FROM waiting \
                 WHERE subscription = ?1 AND created = ?2 AND event_id = ?3 AND delivery = ?4",
            )?,
            insert_decision: connection.prepare_cached(
                "INSERT OR REPLACE INTO decisions \
                 (delivery, seq, subscription, outcome, at, replay, reason, attempts) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?,
        })
    }
}

fn entry(
    event: &Event,
    seq: Seq,
    delivery: DeliveryId,
    route: &Routed,
    arrived_at: jiff::Timestamp,
    replay: bool,
) -> Entry {
    let (place, lane) = (Place::of(event, delivery), Lane::of(route.order, event, delivery));
    Entry { place, lane, seq, arrived_at, replay, attempts: 0, event: None }
}
