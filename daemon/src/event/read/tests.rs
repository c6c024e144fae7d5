use std::cell::Cell;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MADE: i64 = 4_000_000_000_000_000_000;

fn fill_with<T>(only_admin: Option<i64>, run: impl FnOnce(&Fill<'_>) -> T) -> T {
    let next = Cell::new(MADE);
    let next_id = || EventId(next.replace(next.get() + 1));
    let now = "2026-01-02T03:04:05.120999Z".parse().unwrap();
    run(&Fill { now, next_id: &next_id, only_admin })
}

fn read_text(text: impl Into<Vec<u8>>) -> Result<Event, ReadError> {
    fill_with(None, |fill| read(Bytes::from(text.into()), fill))
}

fn refusal(text: impl Into<Vec<u8>>) -> String {
    read_text(text).unwrap_err().to_string()
}

fn all(body: impl Into<Vec<u8>>, kind: Kind) -> Result<Vec<Event>, ReadError> {
    fill_with(None, |fill| read_all(&Bytes::from(body.into()), kind, fill))
}

fn vectors() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name.ends_with(".json") && !name.starts_with("signing"))
        .collect();
    files.sort();
    files
}

fn events() -> Vec<(String, Vec<u8>)> {
    vectors().into_iter().filter(|(name, _)| !name.starts_with("ping")).collect()
}

/// A small valid event with some of its metadata and top-level keys replaced.
fn event_with(metadata: Value, top: Value) -> String {
    let mut event = json!({"metadata": {"action": "created", "model": "tag"}, "payload": {}});
    event["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    event.as_object_mut().unwrap().extend(top.as_object().unwrap().clone());
    event.to_string()
}

#[test]
fn every_vector_reads_as_its_name_says() {
    let events = events();
    assert_eq!(events.len(), 30);
    for (name, bytes) in events {
        let event = read_text(bytes.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let (entity, action) = name.split_once('-').unwrap();
        assert_eq!(event.entity.as_str(), entity, "{name}");
        assert_eq!(event.action.as_str(), action.split_once('.').unwrap().0, "{name}");
        assert_eq!(event.id.0, value["event_id"].as_i64().unwrap(), "{name}");
        assert_eq!(event.created_at_text, value["created_at"].as_str().unwrap(), "{name}");
        assert_eq!(event.created_at, event.created_at_text.parse().unwrap(), "{name}");
        assert_eq!(event.creator_id, 5300029, "{name}");
        assert_eq!(event.workspace_id, Some(4200017), "{name}");
        assert_eq!(event.entity_id, value["payload"]["id"].as_i64(), "{name}");
        assert_eq!(event.event_user_id, Some(5300029), "{name}");
        assert_eq!(event.received, bytes, "{name}");
        let metadata: Value = serde_json::from_slice(event.metadata_bytes()).unwrap();
        let payload: Value = serde_json::from_slice(event.payload_bytes()).unwrap();
        assert_eq!((metadata, payload), (value["metadata"].clone(), value["payload"].clone()), "{name}");
    }
}

#[test]
fn a_ping_is_refused() {
    let pings: Vec<_> = vectors().into_iter().filter(|(name, _)| name.starts_with("ping")).collect();
    assert_eq!(pings.len(), 4);
    for (name, bytes) in pings {
        let error = read_text(bytes).unwrap_err();
        assert_eq!((error.field, &error.wrong), ("payload", &Wrong::Ping), "{name}");
    }
}

#[test]
fn restoring_gives_the_same_event() {
    for (name, bytes) in events() {
        let event = read_text(bytes).unwrap();
        let again =
            restore(event.id, &event.created_at_text, event.creator_id, event.received.clone()).unwrap();
        assert_eq!(event, again, "{name}");
    }
    let filled = read_text(event_with(json!({}), json!({}))).unwrap();
    let again =
        restore(filled.id, &filled.created_at_text, filled.creator_id, filled.received.clone()).unwrap();
    assert_eq!(filled, again);
}

#[test]
fn what_is_absent_is_filled_in() {
    let event = read_text(event_with(json!({}), json!({}))).unwrap();
    assert_eq!(event.id, EventId(MADE));
    assert_eq!(event.created_at_text, "2026-01-02T03:04:05.12Z", "milliseconds, no zeros at the end");
    assert_eq!(event.created_at, "2026-01-02T03:04:05.120Z".parse().unwrap());
    assert_eq!((event.creator_id, event.owner_id), (0, 0));
    assert_eq!((event.entity_id, event.workspace_id, event.project_id), (None, None, None));
}

#[test]
fn the_creator_falls_back_step_by_step() {
    let creator = |metadata, payload, only_admin| {
        let text = event_with(metadata, json!({ "payload": payload }));
        fill_with(only_admin, |fill| read(text.into(), fill)).unwrap().creator_id
    };
    assert_eq!(creator(json!({"event_user_id": "7"}), json!({"user_id": 8}), Some(9)), 7);
    assert_eq!(creator(json!({}), json!({"user_id": 8}), Some(9)), 8);
    assert_eq!(creator(json!({}), json!({"user_id": null}), Some(9)), 9);
    assert_eq!(creator(json!({}), json!({}), None), 0);
    let given = event_with(json!({"event_user_id": "7"}), json!({"creator_id": 6}));
    assert_eq!(read_text(given).unwrap().creator_id, 6);
}

#[test]
fn only_time_entries_belong_to_their_user() {
    let owner = |model: &str, metadata: Value, payload: Value| {
        let mut metadata = metadata;
        metadata["model"] = model.into();
        read_text(event_with(metadata, json!({ "payload": payload, "creator_id": 1 }))).unwrap().owner_id
    };
    let acting = json!({"event_user_id": "2"});
    assert_eq!(owner("time_entry", acting.clone(), json!({"user_id": 3, "uid": 4})), 3);
    assert_eq!(owner("time_entry", acting.clone(), json!({"uid": 4})), 4);
    assert_eq!(owner("time_entry", acting.clone(), json!({})), 2);
    assert_eq!(owner("workspace_user", acting, json!({"user_id": 3})), 2);
    assert_eq!(owner("tag", json!({}), json!({"user_id": 3})), 1);
}

#[test]
fn the_entity_id_is_the_first_that_is_there() {
    let id = |metadata: Value, payload: Value| {
        read_text(event_with(metadata, json!({ "payload": payload }))).unwrap().entity_id
    };
    assert_eq!(id(json!({"entity_id": "1", "tag_id": "2"}), json!({"id": 3})), Some(1));
    assert_eq!(id(json!({"tag_id": 2, "client_id": 9}), json!({"id": 3})), Some(2));
    assert_eq!(id(json!({"entity_id": null}), json!({"id": 3})), Some(3));
    assert_eq!(id(json!({}), json!({"id": 3.5})), None);
}

#[test]
fn the_project_comes_from_metadata_payload_or_itself() {
    let project = |metadata: Value, payload: Value| {
        read_text(event_with(metadata, json!({ "payload": payload }))).unwrap().project_id
    };
    assert_eq!(project(json!({"project_id": "1"}), json!({"project_id": 2})), Some(1));
    assert_eq!(project(json!({}), json!({"project_id": 2})), Some(2));
    assert_eq!(project(json!({"model": "project", "entity_id": "3"}), json!({})), Some(3));
    assert_eq!(project(json!({"entity_id": "3"}), json!({"project_id": null})), None);
}

#[test]
fn ids_beyond_a_float_stay_exact() {
    let text = event_with(json!({"entity_id": "9007199254740993"}), json!({"event_id": i64::MAX}));
    let event = read_text(text).unwrap();
    assert_eq!((event.id.0, event.entity_id), (i64::MAX, Some(9_007_199_254_740_993)));
}

#[test]
fn escaped_keys_and_words_are_understood() {
    let text = r#"{"met\u0061data":{"action":"creat\u0065d","model":"tag"},"payl\u006fad":{"\u0069d":5}}"#;
    let event = read_text(text).unwrap();
    assert_eq!((event.action, event.entity_id), (Action::Created, Some(5)));
}

#[test]
fn refusals_name_the_field_and_the_way_out() {
    let table: &[(&str, &str)] = &[
        ("", "not JSON: no value at line 1, column 1 (byte 0)"),
        ("nonsense", "not JSON: expected value at line 1, column 2 (byte 1)"),
        ("{\"metadata\":\n {", "not JSON: it ends too early at line 2, column 3 (byte 15)"),
        ("{\"metadata\":\n {\"model\" 1}}", "not JSON: expected `:` at line 2, column 11 (byte 23)"),
        ("{} {}", "not JSON: trailing characters at line 1, column 4 (byte 3)"),
        ("[]", "`event`: must be an object, found an array"),
        ("12", "`event`: must be an object, found a number"),
        ("{}", "`metadata`: missing; an event needs `metadata` with `model` and `action`, and `payload`"),
        (
            r#"{"metadata":{}}"#,
            "`payload`: missing; an event needs `metadata` with `model` and `action`, and `payload`",
        ),
        (r#"{"metadata":[],"payload":{}}"#, "`metadata`: must be an object, found an array"),
        (
            r#"{"metadata":{"action":"created","model":"tag"},"payload":"pong"}"#,
            "`payload`: must be an object, found text",
        ),
        (
            r#"{"metadata":{"action":"created","model":"tag"},"payload":null}"#,
            "`payload`: must be an object, found null",
        ),
        (r#"{"metadata":{},"metadata":{},"payload":{}}"#, "`metadata`: stands there twice; leave one out"),
        (r#"{"payload":{},"metadata":{},"payload":{}}"#, "`payload`: stands there twice; leave one out"),
        (
            r#"{"metadata":{"model":"tag","model":"task"},"payload":{}}"#,
            "`metadata.model`: stands there twice; leave one out",
        ),
        (
            r#"{"metadata":{"action":"created"},"payload":{}}"#,
            "`metadata.model`: missing; an event needs `metadata` with `model` and `action`, and `payload`",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(refusal(*text), *expected, "{text}");
    }
}

#[test]
fn wrong_fields_are_named() {
    let table = [
        (
            event_with(json!({"model": "time_entri"}), json!({})),
            "`metadata.model`: unknown model `time_entri`, did you mean `time_entry`?",
        ),
        (
            event_with(json!({"model": "Time Entry"}), json!({})),
            "`metadata.model`: unknown model `Time Entry`, did you mean `time_entry`?",
        ),
        (
            event_with(json!({"action": "exploded"}), json!({})),
            "`metadata.action`: unknown action `exploded`; Track has created, updated, deleted",
        ),
        (event_with(json!({"action": 1}), json!({})), "`metadata.action`: must be text, found a number"),
        (
            event_with(json!({"entity_id": 1.5}), json!({})),
            "`metadata.entity_id`: must be an integer of 64 bits, found `1.5`",
        ),
        (
            event_with(json!({"workspace_id": "abc"}), json!({})),
            "`metadata.workspace_id`: must be an integer of 64 bits, found `\"abc\"`",
        ),
        (
            event_with(json!({}), json!({"creator_id": "5"})),
            "`creator_id`: must be an integer of 64 bits, found `\"5\"`",
        ),
        (event_with(json!({}), json!({"created_at": 5})), "`created_at`: must be text, found a number"),
    ];
    for (text, expected) in table {
        assert_eq!(refusal(text.clone()), expected, "{text}");
    }
}

#[test]
fn an_event_id_is_a_positive_integer() {
    for wrong in ["0", "-1", "1.0", "1e3", "\"1\"", "null", "9223372036854775808", "true", "[]"] {
        let text = format!(
            r#"{{"event_id":{wrong},"metadata":{{"action":"created","model":"tag"}},"payload":{{}}}}"#
        );
        let error = read_text(text).unwrap_err();
        assert_eq!((error.field, error.wrong.kind()), ("event_id", "bad_id"), "{wrong}");
    }
}

#[test]
fn created_at_is_rfc_3339_and_kept_as_written() {
    let read_at = |time: &str| read_text(event_with(json!({}), json!({ "created_at": time })));
    for (given, means) in [
        ("2025-09-10T08:15:30Z", "2025-09-10T08:15:30Z"),
        ("2025-09-10t08:15:30.5z", "2025-09-10T08:15:30.5Z"),
        ("2025-09-10T10:15:30.991+02:00", "2025-09-10T08:15:30.991Z"),
        ("2025-09-10T08:15:30.1234567899999Z", "2025-09-10T08:15:30.123456789Z"),
    ] {
        let event = read_at(given).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(event.created_at, means.parse().unwrap(), "{given}");
        assert_eq!(event.created_at_text, given);
    }
    for wrong in [
        "",
        "yesterday",
        "2025-09-10",
        "2025-09-10 08:15:30Z",
        "2025-09-10T08:15Z",
        "2025-09-10T08:15:30",
        "2025-09-10T08:15:30.Z",
        "2025-09-10T08:15:30,5Z",
        "2025-09-10T08:15:30+02",
        "2025-09-10T08:15:30Z[Europe/Tallinn]",
        "2025-13-10T08:15:30Z",
        "2025-09-10T08:15:30+24:00",
        "2025-09-10T08:15:30Z00:00",
        "2025-09-10T08:15:30é+00:00",
    ] {
        let error = read_at(wrong).unwrap_err();
        assert_eq!((error.field, error.wrong.kind()), ("created_at", "bad_time"), "{wrong}");
    }
    for (far, refused) in [
        ("9999-12-31T23:59:59Z", true),
        ("9999-12-30T23:59:59.1234567891Z", true),
        ("9999-12-31T23:59:59+24:00", false),
        ("9999-12-31T24:59:59Z", false),
    ] {
        let said = read_at(far).unwrap_err().to_string();
        assert_eq!(said.contains("is out of range; the last time"), refused, "{said}");
    }
    assert!(read_at("9999-12-30T22:00:00Z").is_ok());
    assert!(read_at("0000-01-01T00:00:00+23:59").is_ok());
    let endless = format!("2025-09-10T08:15:30.{}Z", "1".repeat(100));
    assert!(read_at(&endless).is_err());
}

#[test]
fn depth_is_bounded_and_brackets_in_text_do_not_count() {
    let nested = |levels: usize| {
        let payload = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"metadata":{{"action":"created","model":"tag"}},"payload":{payload}}}"#)
    };
    assert!(read_text(nested(MAX_DEPTH - 2)).is_ok());
    assert_eq!(refusal(nested(MAX_DEPTH - 1)), "`payload`: nested deeper than 64 levels");
    assert_eq!(refusal(nested(1_000_000)), "`payload`: nested deeper than 64 levels");
    let of_metadata = nested(MAX_DEPTH).replace("metadata", "x").replace("payload", "metadata");
    assert_eq!(refusal(of_metadata), "`metadata`: nested deeper than 64 levels");
    let foreign = nested(MAX_DEPTH).replace("payload", "x");
    assert_eq!(refusal(foreign), "`event`: nested deeper than 64 levels");
    assert_eq!(refusal("[".repeat(MAX_DEPTH + 1)), "`event`: nested deeper than 64 levels");
    assert!(read_text(event_with(json!({}), json!({"payload": {"a": r#"[\"{"#.repeat(200)}}))).is_ok());
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    assert_eq!(refusal(b"{\"a\":\"\xff\"}".as_slice()), "`body`: not UTF-8 from byte 6 on");
}

#[test]
fn numbers_of_the_payload_are_not_judged() {
    let payload = r#"{"id":1e999,"x":123456789012345678901234567890,"y":1.10000}"#;
    let text = format!(r#"{{"metadata":{{"action":"created","model":"tag"}},"payload":{payload}}}"#);
    assert_eq!(read_text(text).unwrap().payload_bytes(), payload.as_bytes());
}

#[test]
fn a_body_is_one_event_an_array_or_lines() {
    let event = event_with(json!({}), json!({}));
    assert_eq!(all(format!(" {event}\n"), Kind::Json).unwrap()[0].received, event);
    assert_eq!(all(format!("[{event}, {event}]"), Kind::Json).unwrap().len(), 2);
    assert_eq!(all("[]", Kind::Json).unwrap(), []);
    let lines = all(format!("{event}\r\n\n{event}"), Kind::NdJson).unwrap();
    assert_eq!(lines.iter().map(|event| event.received.clone()).collect::<Vec<_>>(), [&event, &event]);
    assert_eq!(lines[1].id.0, MADE + 1);
    assert_eq!(all("", Kind::NdJson).unwrap(), []);
}

#[test]
fn pieces_are_slices_of_the_body() {
    let event = event_with(json!({}), json!({}));
    let body = Bytes::from(format!("[{event},{event}]"));
    for piece in split(body.clone(), Kind::Json).unwrap() {
        assert!(body.as_ptr_range().contains(&piece.as_ptr()));
    }
}

#[test]
fn a_bad_event_of_a_batch_is_found() {
    let good = event_with(json!({}), json!({}));
    let bad = event_with(json!({"model": "tagg"}), json!({}));
    let said = |body: String, kind| all(body, kind).unwrap_err().to_string();
    assert_eq!(
        said(format!("[{good},{bad}]"), Kind::Json),
        "`[1].metadata.model`: unknown model `tagg`, did you mean `tag`?"
    );
    assert_eq!(
        said(format!("{good}\n\n{bad}\n"), Kind::NdJson),
        "line 3: `metadata.model`: unknown model `tagg`, did you mean `tag`?"
    );
    assert_eq!(said(format!("[{good},7]"), Kind::Json), "`[1]`: must be an object, found a number");
    assert_eq!(said(bad.clone(), Kind::Json), "`metadata.model`: unknown model `tagg`, did you mean `tag`?");
    assert_eq!(
        said(format!("[{good}\n{good}]"), Kind::Json),
        format!("not JSON: expected `,` or `]` at line 2, column 1 (byte {})", good.len() + 2)
    );
    assert_eq!(said(" ".into(), Kind::Json), "not JSON: no value at line 1, column 2 (byte 1)");
    assert_eq!(
        said(format!("[{good},\n"), Kind::Json),
        format!("not JSON: it ends too early at line 2, column 1 (byte {})", good.len() + 3)
    );
}

#[test]
fn a_syntax_error_has_one_place_and_that_is_in_the_body() {
    let good = event_with(json!({}), json!({}));
    let said = |body: String, kind| all(body, kind).unwrap_err().to_string();
    assert_eq!(
        said(format!("{good}\n  {{\"a\" 1}}"), Kind::NdJson),
        "line 2: not JSON: expected `:` at column 8"
    );
    assert_eq!(
        said(format!("{good}\n{{\"a\":\n"), Kind::NdJson),
        "line 2: not JSON: it ends too early at column 6"
    );
    assert_eq!(
        said("\n {\"a\" 1}".into(), Kind::Json),
        "not JSON: expected `:` at line 2, column 7 (byte 7)"
    );
}

#[test]
fn a_batch_is_bounded() {
    let event = event_with(json!({}), json!({}));
    let lines = |count: usize| format!("{event}\n").repeat(count);
    let array = |count: usize| format!("[{}]", vec![event.as_str(); count].join(","));
    assert_eq!(all(lines(MAX_EVENTS), Kind::NdJson).unwrap().len(), MAX_EVENTS);
    assert_eq!(all(array(MAX_EVENTS), Kind::Json).unwrap().len(), MAX_EVENTS);
    assert_eq!(all(lines(MAX_EVENTS + 1), Kind::NdJson).unwrap_err().wrong, Wrong::TooMany);
    assert_eq!(all(array(MAX_EVENTS + 1), Kind::Json).unwrap_err().wrong, Wrong::TooMany);
}

#[test]
fn excerpts_are_short_and_tame() {
    let said = refusal(event_with(json!({"model": format!("\u{1b}[31m{}", "é".repeat(300))}), json!({})));
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(said.len() < 300, "{said}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".*", inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(all(bytes.clone(), Kind::Json));
        drop(all(bytes, Kind::NdJson));
    }

    #[test]
    fn random_brackets_never_panic(text in r#"[\[\]{}",:\\a1 \n]{0,80}"#) {
        drop(all(text.clone(), Kind::Json));
        drop(all(text, Kind::NdJson));
    }

    #[test]
    fn mutated_vectors_never_panic(which in 0..30_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = events().swap_remove(which).1;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(event) = read_text(bytes.clone()) {
            prop_assert!(bytes.windows(event.payload.len()).any(|window| window == event.payload_bytes()));
        }
    }

    #[test]
    fn metadata_and_payload_are_the_bytes_that_came_in(payload in any_json(), other in any_json(), space in "[ \t\r\n]{0,3}") {
        let payload = json!({ "payload": payload, "id": 1 }).to_string();
        let metadata = json!({"extra": other.clone(), "model": "task", "action": "deleted"}).to_string();
        let text = format!(r#"{{"other":{other},{space}"payload":{space}{payload}{space},"metadata":{metadata}{space}}}"#);
        let event = read_text(text.clone()).unwrap();
        prop_assert_eq!(event.payload_bytes(), payload.as_bytes());
        prop_assert_eq!(event.metadata_bytes(), metadata.as_bytes());
        prop_assert_eq!(event.received, text.as_bytes());
        prop_assert_eq!(event.entity_id, Some(1));
    }

    #[test]
    fn the_quick_look_at_depth_agrees_with_the_exact_one(value in any_json()) {
        fn levels(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
                Value::Object(items) => 1 + items.values().map(levels).max().unwrap_or(0),
                _ => 0,
            }
        }
        prop_assert_eq!(depth(value.to_string().as_bytes()), levels(&value));
    }
}
