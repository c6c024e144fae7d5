//! Sample events: one for each of Track's 27 pairs of entity and action, made fresh for
//! every use. The texts stand in `cli/samples/`; what a user changes in them is
//! `cli/send/set.rs`.
//!
//! Key sets and value types follow recorded answers of Track's API and the metadata of
//! 2025; names and ids are made up.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::event::{Action, Entity};

/// Ids of one run start within this many of the sample's own, so that two runs
/// practically never send about the same entity, and all stay well below 2^53.
const SPREAD: i64 = 900_000_000;

/// Makes events of one pair, each about an entity of its own.
#[derive(Clone, Debug)]
pub struct Sample {
    entity: Entity,
    template: Value,
    workspace_id: i64,
    /// How far ids of this run are from those of the text.
    offset: i64,
}

impl Sample {
    pub fn new(entity: Entity, action: Action, workspace_id: i64) -> Sample {
        let template = serde_json::from_str(text(entity, action)).expect("samples are valid JSON");
        Sample { entity, template, workspace_id, offset: rand::random_range(1..=SPREAD) }
    }

    /// The `n`th event of a run, as it would have happened at `now`: `created_at`,
    /// `metadata` and `payload`. Its `event_id` is left to the daemon.
    pub fn event(&self, n: u64, now: Timestamp) -> Value {
        let (mut metadata, mut payload) =
            (self.template["metadata"].clone(), self.template["payload"].clone());
        let fields = payload.as_object_mut().expect("a sample's payload is an object");
        move_times(fields, now);
        self.renumber(fields, n);
        metadata["entity_id"] = fields["id"].to_string().into();
        metadata["workspace_id"] = self.workspace_id.to_string().into();
        json!({ "created_at": rfc3339(now, 3, "Z"), "metadata": metadata, "payload": payload })
    }

    fn renumber(&self, payload: &mut Map<String, Value>, n: u64) {
        for key in ["wid", "workspace_id"] {
            if let Some(value) = payload.get_mut(key) {
                *value = self.workspace_id.into();
            }
        }
        // A workspace is its own: there is only the configured one.
        let id = &mut payload["id"];
        *id = match self.entity {
            Entity::Workspace => self.workspace_id.into(),
            _ => (id.as_i64().unwrap_or(0) + self.offset + n as i64).into(),
        };
    }
}

/// The text of a sample.
pub fn text(entity: Entity, action: Action) -> &'static str {
    macro_rules! actions {
        ($entity:literal) => {
            match action {
                Action::Created => include_str!(concat!("samples/", $entity, ".created.json")),
                Action::Updated => include_str!(concat!("samples/", $entity, ".updated.json")),
                Action::Deleted => include_str!(concat!("samples/", $entity, ".deleted.json")),
            }
        };
    }
    match entity {
        Entity::Client => actions!("client"),
        Entity::Project => actions!("project"),
        Entity::ProjectGroup => actions!("project_group"),
        Entity::ProjectUser => actions!("project_user"),
        Entity::Tag => actions!("tag"),
        Entity::Task => actions!("task"),
        Entity::TimeEntry => actions!("time_entry"),
        Entity::Workspace => actions!("workspace"),
        Entity::WorkspaceUser => actions!("workspace_user"),
    }
}

/// Moves all times of a payload by the same span, so that its last change, `at`, is now.
/// A payload without `at` has no times.
fn move_times(payload: &mut Map<String, Value>, now: Timestamp) {
    let Some(at) = payload.get("at").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok())
    else {
        return;
    };
    for value in payload.values_mut() {
        if let Some(moved) = value.as_str().and_then(|text| moved(text, at, now)) {
            *value = Value::String(moved);
        }
    }
}

/// A time or date in the form it was written in, as far from `to` as it was from `from`.
/// `None` if it is neither.
fn moved(text: &str, from: Timestamp, to: Timestamp) -> Option<String> {
    if text.len() == "2025-09-10".len() {
        let day = |time: Timestamp| TimeZone::UTC.to_datetime(time).date();
        let date: Date = text.parse().ok()?;
        return Some(date.checked_add(day(to) - day(from)).ok()?.to_string());
    }
    let time = text.parse::<Timestamp>().ok()?.checked_add(to.duration_since(from)).ok()?;
    let zone = if text.ends_with('Z') { "Z" } else { "+00:00" };
    Some(rfc3339(time, if text.contains('.') { 6 } else { 0 }, zone))
}

/// RFC 3339 as Track prints it: up to `digits` digits of a second, without trailing zeros.
fn rfc3339(time: Timestamp, digits: usize, zone: &str) -> String {
    let full = time.strftime("%Y-%m-%dT%H:%M:%S%.9f").to_string();
    let (seconds, fraction) = full.split_once('.').unwrap_or((&full, ""));
    let fraction = fraction.get(..digits).unwrap_or("").trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{seconds}{point}{fraction}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-04T05:06:07.890120Z";

    fn pairs() -> impl Iterator<Item = (Entity, Action)> {
        Entity::ALL.into_iter().flat_map(|entity| Action::ALL.into_iter().map(move |action| (entity, action)))
    }

    fn sorted(object: &Value) -> bool {
        object.as_object().unwrap().keys().is_sorted()
    }

    #[test]
    fn all_27_have_tracks_metadata_and_sorted_payloads() {
        let mut seen = 0;
        for (entity, action) in pairs() {
            let event = Sample::new(entity, action, 7).event(0, NOW.parse().unwrap());
            let metadata = event["metadata"].as_object().unwrap();
            let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
            assert_eq!(keys, ["action", "entity_id", "event_user_id", "model", "workspace_id"]);
            assert!(metadata.values().all(Value::is_string), "{entity}.{action}");
            assert_eq!(metadata["model"], entity.as_str());
            assert_eq!(metadata["action"], action.as_str());
            assert_eq!(metadata["workspace_id"], "7");
            assert!(sorted(&event["payload"]), "{entity}.{action}");
            assert_eq!(metadata["entity_id"], event["payload"]["id"].to_string());
            seen += 1;
        }
        assert_eq!(seen, 27);
    }

    /// A value without what differs from event to event.
    fn form(value: &Value) -> String {
        match value {
            Value::String(text) => match moved(text, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH) {
                Some(time) => format!("time, fraction {}, zone {}", time.contains('.'), time.contains('Z')),
                None => "text".to_owned(),
            },
            Value::Number(_) => "number".to_owned(),
            Value::Array(items) => format!("list of {:?}", items.iter().map(form).collect::<Vec<_>>()),
            other => other.to_string(),
        }
    }

    fn forms(object: &Value) -> Vec<(String, String)> {
        object.as_object().unwrap().iter().map(|(key, value)| (key.clone(), form(value))).collect()
    }

    #[test]
    fn events_have_the_form_of_the_vectors() {
        let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
        for (entity, action) in pairs() {
            let vector = std::fs::read(vectors.join(format!("{entity}-{action}.json"))).unwrap();
            let vector: Value = serde_json::from_slice(&vector).unwrap();
            let event = Sample::new(entity, action, 7).event(0, NOW.parse().unwrap());
            for part in ["metadata", "payload"] {
                assert_eq!(forms(&event[part]), forms(&vector[part]), "{entity}.{action} {part}");
            }
        }
    }

    #[test]
    fn every_event_is_about_an_entity_of_its_own_but_a_workspace() {
        for (entity, action) in pairs() {
            let sample = Sample::new(entity, action, 7);
            let ids: Vec<i64> = (0..3)
                .map(|n| sample.event(n, NOW.parse().unwrap())["payload"]["id"].as_i64().unwrap())
                .collect();
            assert_eq!(
                ids[0] == ids[1] && ids[1] == ids[2],
                entity == Entity::Workspace,
                "{entity}.{action}"
            );
            assert!(ids.iter().all(|id| *id > 0 && *id < 1 << 53));
        }
    }

    #[test]
    fn no_time_of_the_text_is_left() {
        for (entity, action) in pairs() {
            let event = Sample::new(entity, action, 7).event(0, NOW.parse().unwrap()).to_string();
            assert!(!event.contains("2025-"), "{event}");
        }
    }

    #[test]
    fn times_of_a_stopped_entry_belong_together() {
        let event = Sample::new(Entity::TimeEntry, Action::Updated, 7).event(0, NOW.parse().unwrap());
        assert_eq!(event["created_at"], "2026-03-04T05:06:07.89Z");
        assert_eq!(event["payload"]["at"], "2026-03-04T05:06:07.89012Z");
        let time = |key: &str| event["payload"][key].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert_eq!(time("stop").duration_since(time("start")).as_secs(), 1800);
        assert_eq!(event["payload"]["duration"], 1800);
    }

    #[test]
    fn times_keep_their_form() {
        let (from, to) = ("2025-09-10T08:00:00Z".parse().unwrap(), "2025-09-12T07:00:00Z".parse().unwrap());
        let table = [
            ("2025-09-10T08:15:30Z", Some("2025-09-12T07:15:30Z")),
            ("2025-09-10T08:15:30+00:00", Some("2025-09-12T07:15:30+00:00")),
            ("2025-09-10T08:15:30.5Z", Some("2025-09-12T07:15:30.5Z")),
            ("2025-09-10", Some("2025-09-12")),
            ("client call", None),
            ("2025", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(moved(text, from, to).as_deref(), wanted, "{text}");
        }
    }
}
