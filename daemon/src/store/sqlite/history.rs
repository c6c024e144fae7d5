//! Past events with what was decided about them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{read, record};
use crate::delivery::{Decision, DeliveryId, Lane, Outcome, SubscriptionId};
use crate::store::find::{Effort, Find};
use crate::store::lanes::Place;
use crate::store::{LOOKED_AT, Page, Past, PastEvent, Queued, Routed, Seq};

/// Bytes of events in one page; there is always one event in it.
const PAGE_BYTES: usize = 8 << 20;

/// Asks the board whether a delivery is held now. A row says only that it was.
pub(super) type IsHeld<'a> = &'a dyn Fn(SubscriptionId, DeliveryId, Lane) -> bool;

const EVENTS: &str = "SELECT event_id, created_at, creator_id, received, seq, arrived_at, plan, first_delivery, routes FROM events";

pub(super) fn page(
    connection: &Connection,
    before: Option<Seq>,
    limit: usize,
    is_held: IsHeld<'_>,
) -> rusqlite::Result<Page> {
    let mut rows = connection.prepare_cached(&format!("{EVENTS} WHERE seq < ?1 ORDER BY seq DESC"))?;
    let mut rows = rows.query([before.map_or(i64::MAX, |seq| seq.0)])?;
    let mut page = Page::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if page.events.len() == limit || bytes > PAGE_BYTES {
            page.next = page.events.last().map(|event: &PastEvent| event.seq);
            break;
        }
        let event = past_event_of(connection, row, is_held)?;
        bytes += event.event.received.len();
        page.events.push(event);
    }
    Ok(page)
}

/// `among`: no event outside of it can belong.
pub(super) fn find(
    connection: &Connection,
    find: &Find,
    among: Range<Seq>,
    limit: usize,
    is_held: IsHeld<'_>,
) -> rusqlite::Result<Page> {
    let mut rows = connection.prepare_cached(
        "SELECT seq, entity, action, arrived_at, received FROM events \
         WHERE seq >= ?1 AND seq < ?2 ORDER BY seq DESC",
    )?;
    let mut rows = rows.query([among.start.0, among.end.0])?;
    let (mut page, mut effort, mut last) = (Page::default(), Effort::default(), None);
    while let Some(row) = rows.next()? {
        if page.events.len() == limit || effort.is_spent() {
            page.next = last;
            break;
        }
        let seq = Seq(row.get(0)?);
        last = Some(seq);
        if row_fits(find, row, &mut effort)? {
            let past = past_event(connection, seq, is_held)?;
            past.iter().for_each(|past| effort.whole(past));
            let past = past.filter(|past| find.fits_decisions(&past.decisions));
            past.iter().for_each(|past| effort.found(past));
            page.events.extend(past);
        }
    }
    Ok(page)
}

/// Whether the event fits, as far as its row says. Its body is read only if it is searched.
fn row_fits(find: &Find, row: &Row<'_>, effort: &mut Effort) -> rusqlite::Result<bool> {
    effort.row();
    let (entity, action) = (read::entity(row, 1)?, read::action(row, 2)?);
    if !find.fits(entity, action, record::moment(row.get(3)?)) {
        return Ok(false);
    }
    if find.text.is_none() {
        return Ok(true);
    }
    let received = row.get_ref(4)?.as_blob()?;
    effort.body(received.len());
    Ok(find.is_in(received))
}

/// `first`: no event before it can belong. Bodies are read of the part alone.
pub(super) fn queued(
    connection: &Connection,
    subscription: SubscriptionId,
    (first, since): (Seq, i64),
    part: Range<usize>,
    is_held: IsHeld<'_>,
) -> rusqlite::Result<Queued> {
    let mut newest = connection.prepare_cached(
        "SELECT seq, routes FROM events WHERE seq >= ?1 AND arrived_at >= ?2 ORDER BY seq DESC LIMIT ?3",
    )?;
    let replayed = replayed(connection, subscription, first)?;
    let mut rows = newest.query(params![first.0, since, LOOKED_AT as i64])?;
    let (mut queued, mut bytes) = (Queued::default(), 0);
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get(0)?);
        let wanted = |route: &Routed| route.subscription == subscription && route.outcome == Outcome::Pending;
        if replayed.contains(&seq) || record::routes(row.get(1)?)?.iter().any(wanted) {
            if part.contains(&queued.total) && bytes <= PAGE_BYTES {
                let past = past_event(connection, seq, is_held)?;
                bytes += past.as_ref().map_or(0, |past| past.event.received.len());
                queued.events.extend(past);
            }
            queued.total += 1;
        }
    }
    Ok(queued)
}

/// Events of which a replay was made for this subscription.
fn replayed(
    connection: &Connection,
    subscription: SubscriptionId,
    first: Seq,
) -> rusqlite::Result<HashSet<Seq>> {
    let mut rows = connection.prepare_cached(
        "SELECT d.seq FROM replays r JOIN decisions d ON d.delivery = r.delivery \
         WHERE r.seq >= ?1 AND d.subscription = ?2 ORDER BY r.seq DESC LIMIT ?3",
    )?;
    let seq = |row: &Row<'_>| Ok(Seq(row.get(0)?));
    rows.query_map(params![first.0, subscription.0, LOOKED_AT as i64], seq)?.collect()
}

pub(super) fn past_event(
    connection: &Connection,
    seq: Seq,
    is_held: IsHeld<'_>,
) -> rusqlite::Result<Option<PastEvent>> {
    let mut row = connection.prepare_cached(&format!("{EVENTS} WHERE seq = ?1"))?;
    row.query_row([seq.0], |row| past_event_of(connection, row, is_held)).optional()
}

/// The payload kept with the event of the same entity before this one.
pub(super) fn previous(connection: &Connection, seq: Seq) -> rusqlite::Result<Option<bytes::Bytes>> {
    let mut previous = connection.prepare_cached(
        "SELECT p.seq FROM events e JOIN events p ON p.seq = e.previous \
         WHERE e.seq = ?1 AND p.entity = e.entity AND p.entity_id IS e.entity_id \
         AND p.workspace_id IS e.workspace_id",
    )?;
    let previous: Option<i64> = previous.query_row([seq.0], |row| row.get(0)).optional()?;
    let event = previous.map(|seq| read::event(connection, Seq(seq))).transpose()?.flatten();
    Ok(event.map(|(event, _)| event.received.slice(event.payload.clone())))
}

/// `first`: no event before it can belong.
pub(super) fn past(
    connection: &Connection,
    which: &Past,
    first: Seq,
    limit: usize,
) -> rusqlite::Result<Vec<Seq>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut mendable = connection.prepare_cached(
        "SELECT seq FROM mendable WHERE subscription = ?1 AND kind = ?2 AND seq >= ?3 ORDER BY seq LIMIT ?4",
    )?;
    let mut arrived = connection.prepare_cached(
        "SELECT seq FROM events WHERE arrived_at >= ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let seq = |row: &Row<'_>| Ok(Seq(row.get(0)?));
    match which {
        Past::Missed(id) => mendable.query_map(params![id.0, record::MISSED, first.0, limit], seq)?.collect(),
        Past::Failed(id) => mendable.query_map(params![id.0, record::FAILED, first.0, limit], seq)?.collect(),
        Past::Since(moment) => {
            arrived.query_map(params![super::nanoseconds(*moment), first.0, limit], seq)?.collect()
        }
    }
}

pub(super) fn plan(connection: &Connection, plan: i64) -> rusqlite::Result<Option<String>> {
    let mut row = connection.prepare_cached("SELECT summary FROM plans WHERE plan = ?1")?;
    row.query_row([plan], |row| row.get(0)).optional()
}

fn past_event_of(connection: &Connection, row: &Row<'_>, is_held: IsHeld<'_>) -> rusqlite::Result<PastEvent> {
    let event = read::restore(row, 0)?;
    let seq = Seq(row.get(4)?);
    let arrived_at = record::moment(row.get(5)?);
    let mut decisions = BTreeMap::new();
    let first: i64 = row.get(7)?;
    for (delivery, route) in (first..).map(DeliveryId).zip(record::routes(row.get(8)?)?) {
        let (subscription, outcome, reason) = (route.subscription, route.outcome, route.reason);
        let tries = Vec::new();
        let decision =
            Decision { delivery, subscription, outcome, reason, at: arrived_at, replay: false, tries };
        decisions.insert(delivery, decision);
    }
    let end = first + decisions.len() as i64;
    for decision in ended(connection, seq, first, end)? {
        decisions.insert(decision.delivery, decision);
    }
    for decision in decisions.values_mut().filter(|decision| decision.outcome == Outcome::Pending) {
        let place = Place::of(&event, decision.delivery);
        if let Some(order) = as_it_waits(connection, place, decision)? {
            let lane = Lane::of(record::order_of(order)?, &event, decision.delivery);
            if decision.outcome == Outcome::Held && !is_held(decision.subscription, decision.delivery, lane) {
                decision.outcome = Outcome::Pending;
            }
        }
    }
    Ok(PastEvent { seq, event, arrived_at, plan: row.get(6)?, decisions: decisions.into_values().collect() })
}

/// The decisions of these ids, and those of replays.
fn ended(connection: &Connection, seq: Seq, first: i64, end: i64) -> rusqlite::Result<Vec<Decision>> {
    let mut rows = connection.prepare_cached(
        "SELECT delivery, subscription, outcome, reason, at, replay, attempts FROM decisions \
         WHERE delivery >= ?1 AND delivery < ?2 OR delivery IN (SELECT delivery FROM replays WHERE seq = ?3)",
    )?;
    let decision = |row: &Row<'_>| {
        Ok(Decision {
            delivery: DeliveryId(row.get(0)?),
            subscription: SubscriptionId(row.get(1)?),
            outcome: record::outcome(row.get(2)?)?,
            reason: row.get(3)?,
            at: record::moment(row.get(4)?),
            replay: row.get(5)?,
            tries: record::attempts(row.get(6)?)?,
        })
    };
    rows.query_map([first, end, seq.0], decision)?.collect()
}

/// Fills in what `waiting` knows of a delivery that has not ended. Says its order, if it is there.
fn as_it_waits(
    connection: &Connection,
    place: Place,
    decision: &mut Decision,
) -> rusqlite::Result<Option<i64>> {
    let mut row = connection.prepare_cached(
        "SELECT lane_order, outcome, reason, at, attempts FROM waiting \
         WHERE subscription = ?1 AND created = ?2 AND event_id = ?3 AND delivery = ?4",
    )?;
    let key = params![decision.subscription.0, place.created_at, place.event.0, place.delivery.0];
    let fill = |row: &Row<'_>| {
        decision.outcome = record::outcome(row.get(1)?)?;
        decision.reason = row.get(2)?;
        decision.at = row.get::<_, Option<i64>>(3)?.map_or(decision.at, record::moment);
        decision.tries = record::attempts(row.get(4)?)?;
        row.get(0)
    };
    row.query_row(key, fill).optional()
}
