//! What is read: waiting deliveries for the windows, events for claims.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::record;
use crate::delivery::{DeliveryId, Lane, SubscriptionId};
use crate::event::{Action, Entity, Event, EventId, read};
use crate::store::Seq;
use crate::store::lanes::{Entry, Place, Waiters};

/// Rows of one page.
const PAGE: usize = 256;

/// Bytes of events that come along with a page; the rest is read when it is claimed.
const PAGE_BYTES: i64 = 1 << 20;

const WAITERS: &str = "SELECT w.created, w.event_id, w.delivery, w.seq, w.lane_order, w.replay, w.tries, \
     e.workspace_id, e.entity, e.entity_id, e.arrived_at, length(e.received) \
     FROM waiting w CROSS JOIN events e ON e.seq = w.seq";

/// What waits of a subscription from a place on.
pub(super) fn waiters(
    connection: &Connection,
    subscription: SubscriptionId,
    from: Place,
    with_events: bool,
) -> rusqlite::Result<Waiters> {
    let rows = match page(connection, subscription, from) {
        Err(error) if record::is_damage(&error) => page_row_by_row(connection, subscription, from)?,
        page => page?,
    };
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|(last, _)| last.place.behind());

    let mut room = if with_events { PAGE_BYTES } else { 0 };
    let mut entries = Vec::with_capacity(rows.len());
    for (mut entry, bytes) in rows {
        room -= bytes;
        if room >= 0 {
            // One that cannot be read must not keep the others back; its claim will say so.
            entry.event = event(connection, entry.seq).ok().flatten().map(|(event, _)| event);
        }
        entries.push(entry);
    }
    Ok(Waiters { entries, next })
}

fn page(
    connection: &Connection,
    subscription: SubscriptionId,
    from: Place,
) -> rusqlite::Result<Vec<(Entry, i64)>> {
    let mut rows = connection.prepare_cached(&page_query())?;
    let parameters = params![subscription.0, from.created_at, from.event.0, from.delivery.0, PAGE as i64];
    rows.query_map(parameters, waiter_of)?.collect()
}

/// The same where an event of the page cannot be read. That one comes along in a lane of its
/// own, for what it is about is not known; whoever claims it finds that it is damaged.
fn page_row_by_row(
    connection: &Connection,
    subscription: SubscriptionId,
    from: Place,
) -> rusqlite::Result<Vec<(Entry, i64)>> {
    let mut keys = connection.prepare_cached(
        "SELECT created, event_id, delivery, seq, lane_order, replay, tries FROM waiting \
         WHERE subscription = ?1 AND (created, event_id, delivery) >= (?2, ?3, ?4) \
         ORDER BY created, event_id, delivery LIMIT ?5",
    )?;
    let mut one = connection.prepare_cached(&format!(
        "{WAITERS} WHERE w.subscription = ?1 AND w.created = ?2 AND w.event_id = ?3 AND w.delivery = ?4"
    ))?;
    let parameters = params![subscription.0, from.created_at, from.event.0, from.delivery.0, PAGE as i64];
    let mut keys = keys.query(parameters)?;
    let mut page = Vec::new();
    while let Some(key) = keys.next()? {
        let place: [i64; 4] = [subscription.0, key.get(0)?, key.get(1)?, key.get(2)?];
        match one.query_row(place, waiter_of).optional() {
            Ok(found) => page.extend(found),
            Err(error) if record::is_damage(&error) => page.push((damaged(key)?, 0)),
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

/// What its row in `waiting` alone says of a delivery.
fn damaged(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let delivery = DeliveryId(row.get(2)?);
    let created_at = row.get(0)?;
    Ok(Entry {
        place: Place { created_at, event: EventId(row.get(1)?), delivery },
        lane: Lane::of_entity(record::order_of(row.get(4)?)?, None, Entity::ALL[0], None, delivery),
        seq: Seq(row.get(3)?),
        arrived_at: record::moment(created_at),
        replay: row.get(5)?,
        attempts: row.get(6)?,
        event: None,
    })
}

/// One that waits, wherever it stands.
pub(super) fn waiter(
    connection: &Connection,
    subscription: SubscriptionId,
    delivery: DeliveryId,
) -> rusqlite::Result<Option<Entry>> {
    // A first delivery is found through its event; only replays are searched for.
    if let Some(seq) = routed_with(connection, delivery)? {
        let mut row = connection.prepare_cached(&by_key_query())?;
        let found = row.query_row(params![subscription.0, delivery.0, seq.0], waiter_of).optional()?;
        if let Some((entry, _)) = found {
            return Ok(Some(entry));
        }
    }
    let mut rows = connection.prepare_cached(&format!(
        "{WAITERS} WHERE w.subscription = ?1 AND w.delivery = ?2 AND w.replay LIMIT 1"
    ))?;
    let found = rows.query_row(params![subscription.0, delivery.0], waiter_of).optional()?;
    Ok(found.map(|(entry, _)| entry))
}

pub(super) fn page_query() -> String {
    format!(
        "{WAITERS} WHERE w.subscription = ?1 AND (w.created, w.event_id, w.delivery) >= (?2, ?3, ?4) \
         ORDER BY w.created, w.event_id, w.delivery LIMIT ?5"
    )
}

pub(super) fn by_key_query() -> String {
    format!(
        "{WAITERS} WHERE w.subscription = ?1 AND w.delivery = ?2 AND e.seq = ?3 \
         AND (w.created, w.event_id) = (SELECT created, event_id FROM events WHERE seq = ?3)"
    )
}

/// The event as it arrived, and when. None if it has been pruned.
pub(super) fn event(connection: &Connection, seq: Seq) -> rusqlite::Result<Option<(Arc<Event>, Timestamp)>> {
    let mut row = connection.prepare_cached(
        "SELECT event_id, created_at, creator_id, received, arrived_at FROM events WHERE seq = ?1",
    )?;
    let event = |row: &Row<'_>| Ok((restore(row, 0)?, record::moment(row.get(4)?)));
    row.query_row([seq.0], event).optional()
}

/// Reads `event_id`, `created_at`, `creator_id` and `received`, from column `first` on.
pub(super) fn restore(row: &Row<'_>, first: usize) -> rusqlite::Result<Arc<Event>> {
    let id = EventId(row.get(first)?);
    let created_at = row.get_ref(first + 1)?.as_str()?;
    let creator_id = row.get(first + 2)?;
    let received = Bytes::copy_from_slice(row.get_ref(first + 3)?.as_blob()?);
    let event = read::restore(id, created_at, creator_id, received);
    event
        .map(Arc::new)
        .map_err(|error| record::unreadable(format!("event {id} cannot be read back: {error}")))
}

pub(super) fn entity(row: &Row<'_>, column: usize) -> rusqlite::Result<Entity> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|_| record::unreadable(format!("there is no entity `{text}`")))
}

pub(super) fn action(row: &Row<'_>, column: usize) -> rusqlite::Result<Action> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|_| record::unreadable(format!("there is no action `{text}`")))
}

/// The event that a first delivery belongs to: their ids ascend together.
fn routed_with(connection: &Connection, delivery: DeliveryId) -> rusqlite::Result<Option<Seq>> {
    let range = |row: &Row<'_>| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?));
    let range = connection.query_row(
        "SELECT (SELECT min(seq) FROM events), (SELECT max(seq) FROM events)",
        [],
        range,
    )?;
    let Some((mut low, mut high)) = range else { return Ok(None) };
    let mut first_delivery = connection
        .prepare_cached("SELECT first_delivery FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    while low < high {
        let middle = low + (high - low + 1) / 2;
        let first: i64 = first_delivery.query_row([middle], |row| row.get(0))?;
        if first <= delivery.0 { low = middle } else { high = middle - 1 }
    }
    Ok(Some(Seq(low)))
}

fn waiter_of(row: &Row<'_>) -> rusqlite::Result<(Entry, i64)> {
    let delivery = DeliveryId(row.get(2)?);
    let place = Place { created_at: row.get(0)?, event: EventId(row.get(1)?), delivery };
    let order = record::order_of(row.get(4)?)?;
    let entry = Entry {
        place,
        lane: Lane::of_entity(order, row.get(7)?, entity(row, 8)?, row.get(9)?, delivery),
        seq: Seq(row.get(3)?),
        arrived_at: record::moment(row.get(10)?),
        replay: row.get(5)?,
        attempts: row.get(6)?,
        event: None,
    };
    Ok((entry, row.get(11)?))
}
