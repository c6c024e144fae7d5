//! Bytes become an `Event`: the routing fields are read in one pass, and the bytes of
//! `metadata` and `payload` are found but never rewritten. Pure: the clock, fresh ids and
//! the only admin are handed in.
//!
//! What can be wrong is `read/error.rs`, how keys are found `read/fields.rs`, how a body is
//! cut into events `read/split.rs`; a PING, which is no event, `read/ping.rs`. HTTP is `source.rs`.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::DateTime;

use super::{Action, Entity, Event, EventId};
use fields::{Picked, is_text, kind_of, pick, plain_text};

mod error;
mod fields;
mod ping;
mod split;
#[cfg(test)]
mod tests;

pub use error::{Place, ReadError, Wrong};
pub use ping::{Ping, ping};
pub use split::{Kind, MAX_EVENTS, read_all, read_one, split};

/// Track's own events nest four deep; this leaves room and keeps every later reader,
/// plugins included, far from its own limit.
pub const MAX_DEPTH: usize = 64;

/// Long enough for any time with an offset and nanoseconds, short enough to store twice.
const MAX_CREATED_AT: usize = 64;

/// What an event gets when it does not say it itself.
pub struct Fill<'a> {
    pub now: Timestamp,
    pub next_id: &'a dyn Fn() -> EventId,
    /// The creator of last resort.
    pub only_admin: Option<i64>,
}

/// Reads one event: Track's envelope, or just its `metadata` and `payload`.
pub fn read(received: Bytes, fill: &Fill<'_>) -> Result<Event, ReadError> {
    let text = utf8(&received)?;
    let top = Top::find(text)?;
    let facts = Facts::find(text, &top)?;
    let id = top.event_id.map(event_id).transpose()?;
    let created_at = top.created_at.map(created_at).transpose()?;
    let creator_id = top.creator_id.map(creator_id).transpose()?;

    let (created_at, created_at_text) = created_at.unwrap_or_else(|| arrival_time(fill.now));
    let creator_id =
        creator_id.or(facts.event_user_id).or(facts.user_id).or(fill.only_admin).unwrap_or_default();
    let id = id.unwrap_or_else(|| (fill.next_id)());
    Ok(facts.into_event(id, created_at, created_at_text, creator_id, received))
}

/// Reads an event that was accepted before and kept. What was filled in then is handed
/// back, so that the event comes out as it was.
pub fn restore(id: EventId, created_at: &str, creator_id: i64, received: Bytes) -> Result<Event, ReadError> {
    let text = utf8(&received)?;
    let top = Top::find(text)?;
    let facts = Facts::find(text, &top)?;
    let moment = moment(created_at)?;
    Ok(facts.into_event(id, moment, created_at.to_owned(), creator_id, received))
}

fn utf8(received: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(received)
        .map_err(|error| ReadError::of("", Wrong::NotUtf8 { offset: error.valid_up_to() }))
}

/// The top-level keys, each as it stands in the text.
struct Top<'a> {
    event_id: Option<&'a str>,
    created_at: Option<&'a str>,
    creator_id: Option<&'a str>,
    metadata: &'a str,
    payload: &'a str,
}

impl<'a> Top<'a> {
    const KEYS: [&'static str; 5] = ["event_id", "created_at", "creator_id", "metadata", "payload"];

    fn find(text: &'a str) -> Result<Top<'a>, ReadError> {
        if too_deep(text.as_bytes()) {
            return Err(ReadError::of(deepest_key(text), Wrong::TooDeep));
        }
        let Picked { values, twice } = pick(text, &Top::KEYS, text, "")?;
        if let Some(key) = twice {
            return Err(ReadError::of(Top::KEYS[key], Wrong::Twice));
        }
        let [event_id, created_at, creator_id, metadata, payload] = values;
        let metadata = metadata.ok_or(ReadError::of("metadata", Wrong::Missing))?;
        let payload = payload.ok_or(ReadError::of("payload", Wrong::Missing))?;
        if payload == "\"ping\"" {
            return Err(ReadError::of("payload", Wrong::Ping));
        }
        Ok(Top { event_id, created_at, creator_id, metadata, payload })
    }
}

/// What routing needs from `metadata` and `payload`.
struct Facts {
    entity: Entity,
    action: Action,
    workspace_id: Option<i64>,
    entity_id: Option<i64>,
    project_id: Option<i64>,
    event_user_id: Option<i64>,
    /// Payload `user_id` and `uid`: the new name and the old.
    user_id: Option<i64>,
    uid: Option<i64>,
    metadata: Range<usize>,
    payload: Range<usize>,
}

impl Facts {
    /// The last nine are `<model>_id` in the order of `Entity::ALL`.
    const METADATA: [&'static str; 13] = [
        "metadata.action",
        "metadata.model",
        "metadata.entity_id",
        "metadata.event_user_id",
        "metadata.client_id",
        "metadata.project_id",
        "metadata.project_group_id",
        "metadata.project_user_id",
        "metadata.tag_id",
        "metadata.task_id",
        "metadata.time_entry_id",
        "metadata.workspace_id",
        "metadata.workspace_user_id",
    ];
    const BY_MODEL: usize = 4;
    const PAYLOAD: [&'static str; 4] = ["payload.id", "payload.user_id", "payload.uid", "payload.project_id"];

    fn find(text: &str, top: &Top<'_>) -> Result<Facts, ReadError> {
        let Picked { values: given, twice } = pick(top.metadata, &Self::METADATA, text, "metadata")?;
        if let Some(key) = twice {
            return Err(ReadError::of(Self::METADATA[key], Wrong::Twice));
        }
        let action = word(Self::METADATA[0], given[0], "action", &Action::ALL.map(Action::as_str))?;
        let entity = word(Self::METADATA[1], given[1], "model", &Entity::ALL.map(Entity::as_str))?;
        let id = |key: usize| given[key].map_or(Ok(None), |text| metadata_id(Self::METADATA[key], text));
        let by_model = |entity: Entity| id(Self::BY_MODEL + entity as usize);

        // A payload belongs to whoever sent it: what does not look like an id is none.
        let [own_id, user_id, uid, project_id] = pick(top.payload, &Self::PAYLOAD, text, "payload")?.values;
        let entity_id = id(2)?.or(by_model(entity)?).or(own_id.and_then(integer));
        Ok(Facts {
            entity,
            action,
            workspace_id: by_model(Entity::Workspace)?,
            entity_id,
            project_id: by_model(Entity::Project)?
                .or(project_id.and_then(integer))
                .or(entity_id.filter(|_| entity == Entity::Project)),
            event_user_id: id(3)?,
            user_id: user_id.and_then(integer),
            uid: uid.and_then(integer),
            metadata: span(text, top.metadata),
            payload: span(text, top.payload),
        })
    }

    fn into_event(
        self,
        id: EventId,
        created_at: Timestamp,
        created_at_text: String,
        creator_id: i64,
        received: Bytes,
    ) -> Event {
        let tracked_by = self.user_id.or(self.uid).filter(|_| self.entity == Entity::TimeEntry);
        Event {
            id,
            entity: self.entity,
            action: self.action,
            created_at,
            created_at_text,
            creator_id,
            workspace_id: self.workspace_id,
            entity_id: self.entity_id,
            project_id: self.project_id,
            event_user_id: self.event_user_id,
            owner_id: tracked_by.or(self.event_user_id).unwrap_or(creator_id),
            received,
            metadata: self.metadata,
            payload: self.payload,
        }
    }
}

/// One of Track's words, or an error that suggests the nearest.
fn word<T: std::str::FromStr>(
    field: &'static str,
    given: Option<&str>,
    what: &'static str,
    known: &[&'static str],
) -> Result<T, ReadError> {
    let given = given.ok_or(ReadError::of(field, Wrong::Missing))?;
    if !is_text(given) {
        return Err(ReadError::of(field, Wrong::Type { wanted: "text", found: kind_of(given) }));
    }
    let given = plain_text(given);
    given.parse().map_err(|_| ReadError::of(field, Wrong::unknown(what, &given, known)))
}

/// Track writes ids of `metadata` as text, its PING and many tools as numbers.
fn metadata_id(field: &'static str, text: &str) -> Result<Option<i64>, ReadError> {
    match integer(text) {
        _ if text == "null" => Ok(None),
        None => Err(ReadError::of(field, Wrong::not_an_id(text))),
        id => Ok(id),
    }
}

/// A 64-bit integer, as a number or as text of digits.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

fn event_id(text: &str) -> Result<EventId, ReadError> {
    match text.parse() {
        Ok(id) if id > 0 => Ok(EventId(id)),
        _ => Err(ReadError::of("event_id", Wrong::not_an_event_id(text))),
    }
}

fn creator_id(text: &str) -> Result<i64, ReadError> {
    text.parse().map_err(|_| ReadError::of("creator_id", Wrong::not_an_id(text)))
}

fn created_at(text: &str) -> Result<(Timestamp, String), ReadError> {
    if !is_text(text) {
        return Err(ReadError::of("created_at", Wrong::Type { wanted: "text", found: kind_of(text) }));
    }
    let text = plain_text(text);
    Ok((moment(&text)?, text.into_owned()))
}

/// The time an event gets that came without one: milliseconds, zeros at the end dropped, as
/// Track writes them.
fn arrival_time(now: Timestamp) -> (Timestamp, String) {
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    (now, now.to_string())
}

/// RFC 3339 and nothing wider, with any number of digits after the point; those below a
/// nanosecond do not count.
fn moment(text: &str) -> Result<Timestamp, ReadError> {
    let wrong = || ReadError::of("created_at", Wrong::not_a_time(text));
    let (head, fraction, zone) = rfc3339(text).ok_or_else(wrong)?;
    let parsed = match fraction.get(..9) {
        Some(nanoseconds) => format!("{head}.{nanoseconds}{zone}").parse(),
        None => text.parse(),
    };
    parsed.map_err(|_| match is_too_far(head, zone) {
        true => ReadError::of("created_at", Wrong::time_too_far(text)),
        false => wrong(),
    })
}

/// Whether date, time and zone are each all right: then it is the last day of the year
/// 9999, which not every zone still has.
fn is_too_far(head: &str, zone: &str) -> bool {
    let any_day = format!("2000-01-01T00:00:00{zone}");
    head.parse::<DateTime>().is_ok() && any_day.parse::<Timestamp>().is_ok()
}

/// Cuts `2025-09-10T08:15:30`, `.991` and `Z` or `+02:00` apart, if that is its shape.
fn rfc3339(text: &str) -> Option<(&str, &str, &str)> {
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    let shaped = |text: &str, shape: &[u8]| {
        text.len() == shape.len()
            && text.bytes().zip(shape).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => byte.eq_ignore_ascii_case(shape),
            })
    };
    if text.len() > MAX_CREATED_AT {
        return None;
    }
    let (head, rest) = text.split_at_checked(SHAPE.len())?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let digits = fraction.strip_prefix('.').unwrap_or(fraction);
    let fraction_ok = fraction.is_empty()
        || (digits.len() + 1 == fraction.len()
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let zone_ok = shaped(zone, b"Z") || (shaped(zone.get(1..)?, b"00:00") && &zone[1..3] < "24");
    (shaped(head, SHAPE) && fraction_ok && zone_ok).then_some((head, digits, zone))
}

/// Where `part`, cut from `whole`, stands in it.
fn span(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// A look at the brackets alone, before any parser sees the text.
fn too_deep(text: &[u8]) -> bool {
    // Almost every event has fewer brackets than the limit, and counting them all is far
    // quicker than minding strings. Short chunks let the count fit in a byte, and so many
    // bytes be counted at once.
    let opening = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>();
    let brackets: usize = text.chunks(128).map(|chunk| usize::from(opening(chunk))).sum();
    brackets > MAX_DEPTH && depth(text) > MAX_DEPTH
}

/// Which of our keys holds what is nested too deep; none if it is another, or unreadable.
fn deepest_key(text: &str) -> &'static str {
    let values = pick(text, &Top::KEYS, text, "").map_or([None; 5], |picked| picked.values);
    let deep = |value: &Option<&str>| value.is_some_and(|value| depth(value.as_bytes()) >= MAX_DEPTH);
    values.iter().position(deep).map_or("", |key| Top::KEYS[key])
}

fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}
