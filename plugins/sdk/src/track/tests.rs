use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::testing::event;

/// Every event in tests/vectors by its file's name.
fn vectors() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named = files.map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), file));
    let events = named.filter(|(name, _)| name.ends_with(".json") && !name.starts_with("signing"));
    events.map(|(name, file)| (name, std::fs::read_to_string(file).unwrap())).collect()
}

/// What the types make of an event, written out: `Debug` tells every field.
fn told(model: &str, text: &str) -> String {
    let event = event(text);
    match model {
        "client" => format!("{:?}", event.payload::<Client>().unwrap()),
        "project" => format!("{:?}", event.payload::<Project>().unwrap()),
        "project_group" => format!("{:?}", event.payload::<ProjectGroup>().unwrap()),
        "project_user" => format!("{:?}", event.payload::<ProjectUser>().unwrap()),
        "tag" => format!("{:?}", event.payload::<Tag>().unwrap()),
        "task" => format!("{:?}", event.payload::<Task>().unwrap()),
        "time_entry" => format!("{:?}", event.payload::<TimeEntry>().unwrap()),
        "workspace" => format!("{:?}", event.payload::<Workspace>().unwrap()),
        "workspace_user" => format!("{:?}", event.payload::<WorkspaceUser>().unwrap()),
        other => panic!("no type for {other}"),
    }
}

/// How a value shows in `Debug`, null and absent alike.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Array(items) => {
            let plain = items.iter().map(|item| match item {
                Value::String(text) => format!("{text:?}"),
                other => other.to_string(),
            });
            format!("Some([{}])", plain.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => format!("Some({text:?})"),
        other => format!("Some({other})"),
    }
}

#[test]
fn every_vector_is_read_with_all_its_values() {
    let (mut events, mut models) = (0, BTreeSet::new());
    for (name, text) in vectors() {
        let json: Value = serde_json::from_str(&text).unwrap();
        let Some(model) = json["metadata"]["model"].as_str() else { continue };
        let debug = told(model, &text);
        for (key, value) in json["payload"].as_object().unwrap() {
            let field = if key == "2fa_enabled" { "two_factor_enabled" } else { key };
            let wanted = match value {
                Value::Number(id) if key == "id" => format!("id: {id}"),
                value => format!("{field}: {}", shown(value)),
            };
            // Rates are fractions, and Rust writes a whole one with its point.
            let fraction = format!("{}.0)", wanted.trim_end_matches(')'));
            let passed_over = ["csv_upload", "subscription", "recurring_parameters"].contains(&key.as_str());
            assert!(
                passed_over || debug.contains(&wanted) || debug.contains(&fraction),
                "{name}: {wanted} in {debug}"
            );
        }
        events += 1;
        models.insert(model.to_owned());
    }
    assert_eq!((events, models.len()), (30, 9));
}

#[test]
fn every_envelope_is_read_with_all_its_ids() {
    for (name, text) in vectors() {
        let json: Value = serde_json::from_str(&text).unwrap();
        let event = event(&text);
        let read: Envelope<Value> = event.envelope().unwrap();
        assert_eq!(json["event_id"], read.event_id, "{name}");
        assert_eq!(json["created_at"], read.created_at, "{name}");
        assert_eq!(json["payload"], read.payload, "{name}");
        assert_eq!(json["timestamp"].as_str(), read.timestamp.as_deref(), "{name}");
        assert_eq!(json["validation_code"].as_str(), read.validation_code.as_deref(), "{name}");
        assert!(read.metadata.event_user_id.is_some(), "{name}");
        if let Some(id) = json["payload"]["id"].as_i64() {
            assert_eq!(read.metadata.entity(), Some(id), "{name}");
        }
    }
}

#[test]
fn absent_and_null_are_none_and_unknown_keys_are_passed_over() {
    let absent = event(r#"{"payload":{"id":9007199254740993,"brand_new":{"deep":[1]}}}"#);
    let null = event(r#"{"payload":{"id":9007199254740993,"tags":null,"stop":null,"project_id":null}}"#);
    let read = absent.payload::<TimeEntry>().unwrap();
    assert_eq!(read, null.payload().unwrap());
    assert_eq!((read.id, read.tags, read.stop), (9_007_199_254_740_993, None, None));
}

#[test]
fn ids_are_read_from_text_and_numbers_and_nothing_else() {
    let metadata = |id: &str| {
        event(&format!(
            r#"{{"event_id":1,"created_at":"","metadata":{{"entity_id":{id}}},"payload":"ping"}}"#
        ))
        .envelope::<String>()
        .map(|envelope| envelope.metadata.entity_id)
    };
    assert_eq!(metadata("\"9223372036854775807\""), Ok(Some(i64::MAX)));
    assert_eq!(metadata("9223372036854775807"), Ok(Some(i64::MAX)));
    assert_eq!(metadata("null"), Ok(None));
    for wrong in ["\"9223372036854775808\"", "9223372036854775808", "1.5", "\"x\"", "true", "[]"] {
        assert!(metadata(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn types_of_ones_own_may_borrow_and_errors_say_what_could_not_be_read() {
    #[derive(Debug, Deserialize)]
    struct Named<'a> {
        name: &'a str,
    }
    let tag = event(r#"{"payload":{"name":"call"}}"#);
    assert_eq!(tag.payload::<Named<'_>>().unwrap().name, "call");
    let error = tag.payload::<Tag>().unwrap_err();
    assert!(error.starts_with("cannot read the payload: missing field `id`"), "{error}");
    assert!(config::<Named<'_>>("{}").unwrap_err().starts_with("cannot read the config: "));
    assert_eq!(previous::<Tag>(), Ok(None));
}
