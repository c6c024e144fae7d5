//! `--set PATH=VALUE`: changes to an event before it is sent.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::config::problem::did_you_mean;

/// What an event may hold at its top.
const TOP: [&str; 5] = ["created_at", "creator_id", "event_id", "metadata", "payload"];

/// Names for the same thing: set one, and the others that the event has follow, so that
/// a sample stays one that Track could have sent.
const TWINS: [&[&str]; 5] = [
    &["payload.id", "metadata.entity_id"],
    &["payload.workspace_id", "payload.wid", "metadata.workspace_id"],
    &["payload.project_id", "payload.pid"],
    &["payload.user_id", "payload.uid"],
    &["payload.client_id", "payload.cid"],
];

/// One `PATH=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    path: Vec<String>,
    value: Value,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Change, String> {
        let Some((path, value)) = text.split_once('=') else {
            return Err("write it as PATH=VALUE, such as payload.description=lunch".to_owned());
        };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(format!("`{}` has an empty part; parts are separated by one dot", path.join(".")));
        }
        let top = path[0].as_str();
        if !TOP.contains(&top) {
            let near =
                did_you_mean(top, TOP).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("an event has no `{top}`{near}; it has {}", TOP.join(", ")));
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let value = if top == "metadata" && path.len() > 1 { as_text(value) } else { value };
        Ok(Change { path, value })
    }
}

/// Makes the changes in a sample, and those that follow from them.
pub fn apply_with_twins(event: &mut Value, changes: &[Change]) -> Result<(), String> {
    apply(event, changes)?;
    let named: Vec<String> = changes.iter().map(|change| change.path.join(".")).collect();
    for twins in TWINS {
        let Some(last) = named.iter().rposition(|name| twins.contains(&name.as_str())) else { continue };
        for twin in twins.iter().filter(|twin| !named.iter().any(|name| name == *twin)) {
            follow(event, twin, &changes[last].value);
        }
    }
    // Track sends both sorted by key, and a new key comes last.
    for part in ["metadata", "payload"] {
        if let Some(object) = event.get_mut(part).and_then(Value::as_object_mut) {
            object.sort_keys();
        }
    }
    Ok(())
}

/// Makes the changes and nothing else.
pub fn apply(event: &mut Value, changes: &[Change]) -> Result<(), String> {
    changes.iter().try_for_each(|change| set(event, &change.path, change.value.clone()))
}

fn set(event: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    let mut place = event;
    for (depth, part) in path.iter().enumerate() {
        let wrong = |what: &str| Err(format!("`{}` {what}", path[..depth].join(".")));
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = match place {
            Value::Object(object) => object.entry(part).or_insert(Value::Null),
            Value::Array(items) => {
                let Some(index) = part.parse().ok().filter(|index: &usize| *index <= items.len()) else {
                    return wrong(&format!("is a list of {}; `{part}` is no place in it", items.len()));
                };
                if index == items.len() {
                    items.push(Value::Null);
                }
                &mut items[index]
            }
            _ => return wrong(&format!("is a single value; it has no `{part}`")),
        };
    }
    *place = value;
    Ok(())
}

fn follow(event: &mut Value, twin: &str, value: &Value) {
    let pointer = format!("/{}", twin.replace('.', "/"));
    if let Some(place) = event.pointer_mut(&pointer) {
        *place = match (twin.starts_with("metadata."), value) {
            (true, value) => as_text(value.clone()),
            // The other way round ids are numbers in a payload.
            (false, Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
            (false, value) => value.clone(),
        };
    }
}

/// Every value of `metadata` is a text, ids included.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn changes(texts: &[&str]) -> Vec<Change> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn sample() -> Value {
        json!({
            "metadata": { "entity_id": "1", "workspace_id": "7" },
            "payload": { "id": 1, "name": "call", "note": null, "tags": ["a", "b"], "wid": 7, "workspace_id": 7 },
        })
    }

    #[test]
    fn values_are_json_or_else_text() {
        let table = [
            ("payload.name=lunch break", json!("lunch break")),
            ("payload.name=", json!("")),
            ("payload.name=a=b", json!("a=b")),
            ("payload.name=12", json!(12)),
            ("payload.name=\"12\"", json!("12")),
            ("payload.name=9007199254740993", json!(9_007_199_254_740_993_i64)),
            ("payload.name=true", json!(true)),
            ("payload.name=null", json!(null)),
            ("payload.name={\"a\":[1]}", json!({ "a": [1] })),
            ("payload.name={broken", json!("{broken")),
        ];
        for (text, wanted) in table {
            let mut event = sample();
            apply(&mut event, &changes(&[text])).unwrap();
            assert_eq!(event["payload"]["name"], wanted, "{text}");
        }
    }

    #[test]
    fn paths_reach_and_make_what_they_name() {
        let table = [
            ("payload.tags.0=x", "/payload/tags", json!(["x", "b"])),
            ("payload.tags.2=c", "/payload/tags", json!(["a", "b", "c"])),
            ("payload.note.deep.er=1", "/payload/note", json!({ "deep": { "er": 1 } })),
            ("payload.fresh=1", "/payload/fresh", json!(1)),
            ("metadata.project_id=5", "/metadata/project_id", json!("5")),
            ("event_id=12", "/event_id", json!(12)),
        ];
        for (text, pointer, wanted) in table {
            let mut event = sample();
            apply(&mut event, &changes(&[text])).unwrap();
            assert_eq!(event.pointer(pointer), Some(&wanted), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let table = [
            ("payload", "write it as PATH=VALUE, such as payload.description=lunch"),
            ("payload..x=1", "`payload..x` has an empty part; parts are separated by one dot"),
            (
                "paylod.x=1",
                "an event has no `paylod`, did you mean `payload`?; \
                 it has created_at, creator_id, event_id, metadata, payload",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(text.parse::<Change>().unwrap_err(), wanted);
        }
        let table = [
            ("payload.name.x=1", "`payload.name` is a single value; it has no `x`"),
            ("payload.tags.9=1", "`payload.tags` is a list of 2; `9` is no place in it"),
            ("payload.tags.x=1", "`payload.tags` is a list of 2; `x` is no place in it"),
        ];
        for (text, wanted) in table {
            assert_eq!(apply(&mut sample(), &changes(&[text])).unwrap_err(), wanted);
        }
    }

    #[test]
    fn twins_follow_unless_set_themselves() {
        let mut event = sample();
        apply_with_twins(&mut event, &changes(&["payload.id=5", "metadata.workspace_id=8"])).unwrap();
        assert_eq!(event["metadata"], json!({ "entity_id": "5", "workspace_id": "8" }));
        assert_eq!((&event["payload"]["workspace_id"], &event["payload"]["wid"]), (&json!(8), &json!(8)));

        let mut event = sample();
        apply_with_twins(&mut event, &changes(&["payload.id=5", "metadata.entity_id=6"])).unwrap();
        assert_eq!((&event["metadata"]["entity_id"], &event["payload"]["id"]), (&json!("6"), &json!(5)));

        let mut event = sample();
        apply_with_twins(&mut event, &changes(&["payload.project_id=5"])).unwrap();
        assert_eq!(event["payload"].get("pid"), None);
    }

    #[test]
    fn a_sample_stays_sorted() {
        let mut event = sample();
        apply_with_twins(&mut event, &changes(&["payload.aaa=1"])).unwrap();
        assert_eq!(event["payload"].as_object().unwrap().keys().next().unwrap(), "aaa");
    }

    proptest! {
        #[test]
        fn what_is_set_is_there(keys in prop::collection::vec("[a-z]{1,4}", 1..6), number: i64) {
            let path = format!("payload.new.{}", keys.join("."));
            let mut event = sample();
            apply(&mut event, &changes(&[&format!("{path}={number}")])).unwrap();
            let pointer = format!("/{}", path.replace('.', "/"));
            prop_assert_eq!(event.pointer(&pointer), Some(&json!(number)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            if let Ok(change) = format!("payload.{text}").parse::<Change>() {
                drop(apply_with_twins(&mut sample(), &[change]));
            }
        }
    }
}
