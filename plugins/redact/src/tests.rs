use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use trackrelay_plugin::testing::event;
use trackrelay_plugin::{Content, Outcome, Transform};

use super::Redact;

#[path = "../../native.rs"]
mod native;

/// The body that goes out, the event itself if it stays as it is.
fn body(config: &str, json: &str) -> String {
    match Redact::configure(config).unwrap().apply(&event(json)).unwrap() {
        Outcome::Unchanged => json.to_owned(),
        Outcome::Replace(message) => match message.body {
            Content::Text(body) => body,
            Content::Bytes(_) => panic!("not text"),
        },
        Outcome::Skip(reason) => panic!("{reason}"),
    }
}

fn drop(paths: &str, json: &str) -> String {
    body(&format!(r#"{{"drop":[{paths}]}}"#), json)
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn dropped_members_take_one_comma_along() {
    let json = r#"{ "a" : 1 , "b" : 2 , "c" : 3 }"#;
    assert_eq!(drop(r#""a""#, json), r#"{ "b" : 2 , "c" : 3 }"#);
    assert_eq!(drop(r#""b""#, json), r#"{ "a" : 1 , "c" : 3 }"#);
    assert_eq!(drop(r#""c""#, json), r#"{ "a" : 1 , "b" : 2 }"#);
    assert_eq!(drop(r#""a","b""#, json), r#"{ "c" : 3 }"#);
    assert_eq!(drop(r#""a","c""#, json), r#"{ "b" : 2 }"#);
    assert_eq!(drop(r#""b","c""#, json), r#"{ "a" : 1 }"#);
    assert_eq!(drop(r#""a","b","c""#, json), r#"{  }"#);
    assert_eq!(drop(r#""*""#, json), r#"{  }"#);
}

#[test]
fn items_are_found_by_place_and_star() {
    let json = r#"{"l":[1,{"x":2,"y":3},{"x":4}],"01":5}"#;
    assert_eq!(drop(r#""l.0""#, json), r#"{"l":[{"x":2,"y":3},{"x":4}],"01":5}"#);
    assert_eq!(drop(r#""l.0","l.1","l.2""#, json), r#"{"l":[],"01":5}"#);
    assert_eq!(drop(r#""l.*.x""#, json), r#"{"l":[1,{"y":3},{}],"01":5}"#);
    assert_eq!(drop(r#""l.01""#, json), json);
    assert_eq!(drop(r#""01""#, json), r#"{"l":[1,{"x":2,"y":3},{"x":4}]}"#);
}

#[test]
fn every_member_of_that_name_is_redacted_however_it_is_written() {
    let json = r#"{"a":1,"b":2,"\u0061":3}"#;
    assert_eq!(drop(r#""a""#, json), r#"{"b":2}"#);
}

#[test]
fn masked_and_hashed_values_are_replaced_where_they_stand() {
    let json = r#"{"t":"x\ny","n":4200017,"s":"4200017","z":null,"o":{"k":[1]}}"#;
    assert_eq!(
        body(r#"{"mask":["t","n","z","o.k"]}"#, json),
        r#"{"t":"***","n":"***","s":"4200017","z":null,"o":{"k":"***"}}"#
    );
    let hashed = body(r#"{"hash":["t","n","s","z"],"salt":"pepper"}"#, json);
    let (text, id) = (sha256("pepperx\ny"), sha256("pepper4200017"));
    assert_eq!(
        hashed,
        format!(r#"{{"t":"sha256:{text}","n":"sha256:{id}","s":"sha256:{id}","z":null,"o":{{"k":[1]}}}}"#)
    );
}

#[test]
fn the_stronger_and_the_outer_rule_wins() {
    let json = r#"{"a":{"b":1,"c":2},"d":3}"#;
    let config = r#"{"salt":"s","hash":["a.b","d"],"mask":["a","d"]}"#;
    assert_eq!(body(config, json), r#"{"a":"***","d":"***"}"#);
    assert_eq!(body(r#"{"mask":["a.b"],"drop":["a","a.b"]}"#, json), r#"{"d":3}"#);
    assert_eq!(body(r#"{"mask":["a.c"],"drop":["a.b","d"]}"#, json), r#"{"a":{"c":"***"}}"#);
}

#[test]
fn what_no_rule_finds_stays_unchanged() {
    let redact = Redact::configure(r#"{"drop":["a.b.c"],"mask":["x.0"]}"#).unwrap();
    for json in [r#"{"a":{"b":1}}"#, "[]", "1", r#"{"a":null,"x":"0"}"#] {
        assert!(matches!(redact.apply(&event(json)), Ok(Outcome::Unchanged)), "{json}");
    }
}

#[test]
fn what_cannot_be_read_does_not_go_out() {
    let redact = Redact::configure(r#"{"drop":["a"]}"#).unwrap();
    for json in ["", "{\"a\":1", "{\"a\":1}}", "hello"] {
        assert!(redact.apply(&event(json)).is_err(), "{json}");
    }
}

#[test]
fn wrong_configs_are_refused() {
    for (config, error) in [
        ("{}", "nothing to redact; write for example `drop = [\"payload.description\"]`"),
        (r#"{"drop":[]}"#, "nothing to redact; write for example `drop = [\"payload.description\"]`"),
        (r#"{"drop":"a"}"#, "`drop` must be a list of paths"),
        (r#"{"mask":[1]}"#, "`mask` must be a list of paths"),
        (r#"{"mask":["a..b"]}"#, "`mask`: `a..b` is no path; write one like `payload.tags.0`"),
        (r#"{"hash":["a"]}"#, "`hash` needs a `salt`; without one a hash is undone by guessing"),
        (r#"{"hash":["a"],"salt":""}"#, "`hash` needs a `salt`; without one a hash is undone by guessing"),
        (r#"{"salt":1}"#, "`salt` must be text"),
        (r#"{"remove":["a"]}"#, "unknown key `remove`; there are drop, mask, hash, salt"),
    ] {
        assert_eq!(Redact::configure(config).err().unwrap(), error, "{config}");
    }
}

/// A JSON text with spaces and escapes as no serialiser would write them, and repeated keys.
fn texts() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(vec!["", "", " ", "\n\t"]);
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "1.50",
        "9007199254740993",
        "1e3",
        r#""x\u0061""#,
        r#""}],{""#,
        r#""""#,
        "{}",
        "[ ]",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let key = prop::sample::select(vec![r#""a""#, r#""\u0061""#, r#""b""#, r#""c""#]);
        let member = (key, space(), space(), inner.clone())
            .prop_map(|(key, before, after, value)| format!("{key}{before}:{after}{value}"));
        let spaced = |element: BoxedStrategy<String>| {
            let padded = (space(), element, space()).prop_map(|(a, element, b)| format!("{a}{element}{b}"));
            prop::collection::vec(padded, 1..4).prop_map(|elements| elements.join(","))
        };
        prop_oneof![
            spaced(member.boxed()).prop_map(|members| format!("{{{members}}}")),
            spaced(inner.boxed()).prop_map(|items| format!("[{items}]")),
        ]
    })
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "0", "1", "*"]), 1..4)
        .prop_map(|segments| segments.join("."))
}

/// Every value at the path that the test's own reader finds, changed or, for `None`, gone.
fn changed(value: &mut Value, path: &[&str], change: fn(&Value) -> Option<Value>) {
    let Some((first, rest)) = path.split_first() else { return };
    let apply = |value: &mut Value| {
        if rest.is_empty() {
            change(value).map(|new| *value = new).is_some()
        } else {
            changed(value, rest, change);
            true
        }
    };
    match value {
        Value::Object(members) => {
            *members = std::mem::take(members)
                .into_iter()
                .filter_map(|(key, mut value)| {
                    let keep = !(*first == "*" || key == *first) || apply(&mut value);
                    keep.then_some((key, value))
                })
                .collect();
        }
        Value::Array(items) => {
            *items = std::mem::take(items)
                .into_iter()
                .enumerate()
                .filter_map(|(at, mut value)| {
                    let keep = !(*first == "*" || *first == at.to_string()) || apply(&mut value);
                    keep.then_some(value)
                })
                .collect();
        }
        _ => {}
    }
}

/// What the rule should make of the text, by value.
fn expected(text: &str, path: &str, change: fn(&Value) -> Option<Value>) -> Value {
    let mut value = serde_json::from_str(text).unwrap();
    changed(&mut value, &path.split('.').collect::<Vec<_>>(), change);
    value
}

proptest! {
    #[test]
    fn masking_changes_what_it_should_and_no_other_byte(text in texts(), path in paths()) {
        let out = body(&format!(r#"{{"mask":["{path}"]}}"#), &text);
        let mask = |value: &Value| Some(if value.is_null() { Value::Null } else { "***".into() });
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected(&text, &path, mask));

        // Between the masks stand the bytes of the text: where a mask is, the text has a value.
        let mut rest = text.as_str();
        for (at, piece) in out.split("\"***\"").enumerate() {
            if at > 0 {
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
                prop_assert!(matches!(values.next(), Some(Ok(_))));
                rest = &rest[values.byte_offset()..];
            }
            prop_assert!(rest.starts_with(piece), "{} {}", rest, piece);
            rest = &rest[piece.len()..];
        }
        prop_assert_eq!(rest, "");
    }

    #[test]
    fn dropping_removes_what_it_should_and_writes_nothing(text in texts(), path in paths()) {
        let out = drop(&format!("\"{path}\""), &text);
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected(&text, &path, |_| None));
        let mut bytes = text.bytes();
        prop_assert!(out.bytes().all(|byte| bytes.any(|own| own == byte)), "{} {}", text, out);
    }
}

#[test]
#[ignore = "`cargo bench --bench plugins` runs it and reads the time"]
fn native_calls() {
    native::time(Redact::configure, Redact::apply);
}
