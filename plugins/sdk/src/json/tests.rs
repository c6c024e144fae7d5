use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn at<'a>(document: &'a str, steps: &str) -> Option<&'a str> {
    Json::parse(document).unwrap().at(&path(steps)).map(|found| found.text())
}

#[test]
fn paths_lead_to_the_text_as_written() {
    let document = r#" { "a" : { "b" : [ 1 , "x\n" , { "c" : 1.50 } ] } , "0" : null } "#;
    assert_eq!(at(document, "a.b.0"), Some("1"));
    assert_eq!(at(document, "a.b.1"), Some(r#""x\n""#));
    assert_eq!(at(document, "a.b.2.c"), Some("1.50"));
    assert_eq!(at(document, "a.b"), Some(r#"[ 1 , "x\n" , { "c" : 1.50 } ]"#));
    assert_eq!(at(document, "0"), Some("null"));
    for missing in ["b", "a.c", "a.b.3", "a.b.x", "a.b.0.c", "a.b.-1", "a.b.*"] {
        assert_eq!(at(document, missing), None, "{missing}");
    }
}

#[test]
fn of_a_repeated_key_the_last_counts() {
    assert_eq!(at(r#"{"a":1,"b":2,"a":3}"#, "a"), Some("3"));
}

#[test]
fn keys_are_compared_by_what_they_mean() {
    assert_eq!(at(r#"{"p\u0061y":1}"#, "pay"), Some("1"));
    assert_eq!(at(r#"{"a\"b":1}"#, "a\"b"), Some("1"));
    assert_eq!(at(r#"{"":1}"#, "a"), None);
}

#[test]
fn brackets_and_quotes_in_strings_mean_nothing() {
    let document = r#"{"a":"}]\"{[","b":["]",{"}":"\\"}],"c":7}"#;
    assert_eq!(at(document, "c"), Some("7"));
    assert_eq!(at(document, "b.1"), Some(r#"{"}":"\\"}"#));
}

#[test]
fn half_a_surrogate_pair_is_replaced() {
    let json = Json::parse(r#""a\ud83d\ude00b\ud83dc\udc00""#).unwrap();
    assert_eq!(json.as_str().unwrap(), "a😀b\u{fffd}c\u{fffd}");
}

#[test]
fn text_that_is_not_json_is_refused() {
    for bad in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "tru",
        "nul",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "1 1",
        "[1]]",
        "NaN",
    ] {
        assert!(Json::parse(bad).is_err(), "{bad}");
        assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
    }
    let deep = "[".repeat(129) + &"]".repeat(129);
    assert_eq!(Json::parse(&deep).unwrap_err(), Malformed { at: 128 });
}

#[test]
fn numbers_compare_by_value() {
    use Ordering::{Equal, Greater, Less};
    for (one, two, expected) in [
        ("9007199254740993", "9007199254740992", Greater),
        ("9007199254740993", "9007199254740993", Equal),
        ("-9223372036854775808", "9223372036854775807", Less),
        ("1", "1.0", Equal),
        ("1", "1e0", Equal),
        ("2", "1.5", Greater),
        ("-2", "-1.5", Less),
        ("-1", "-1.5", Greater),
        ("9007199254740993", "9007199254740992.0", Greater),
        ("1", "1e300", Less),
        ("1", "-1e300", Greater),
        ("0.1", "0.10", Equal),
        ("-0", "0", Equal),
        ("1e400", "1", Greater),
    ] {
        let compare = |one, two| Json::trust(one).as_number()?.compare(Json::trust(two).as_number()?);
        assert_eq!(compare(one, two), Some(expected), "{one} {two}");
        assert_eq!(compare(two, one), Some(expected.reverse()), "{two} {one}");
    }
}

/// Any JSON value.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d\"\\\\é]{0,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn assert_same(json: Json<'_>, value: &Value) {
    match value {
        Value::Null => assert_eq!(json.kind(), Kind::Null),
        Value::Bool(value) => assert_eq!(json.as_bool(), Some(*value)),
        Value::Number(value) => {
            assert_eq!(json.text(), value.to_string());
            assert_eq!(json.kind(), Kind::Number);
        }
        Value::String(value) => {
            assert_eq!(json.as_str().unwrap(), value.as_str());
            assert!(json.is(value));
        }
        Value::Array(items) => {
            assert_eq!(json.items().count(), items.len());
            json.items().zip(items).for_each(|(json, value)| assert_same(json, value));
        }
        Value::Object(members) => {
            assert_eq!(json.members().count(), members.len());
            for (key, value) in members {
                assert_same(json.get(key).unwrap(), value);
            }
        }
    }
}

proptest! {
    #[test]
    fn reads_what_serde_json_writes(value in values(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        assert_same(Json::parse(&text.unwrap()).unwrap(), &value);
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in "[\\[\\]{}:,\"\\\\ntrue0-9.eE+ -]{0,12}") {
        // `1e999` is out of range for serde_json's float but well-formed.
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        prop_assert_eq!(Json::parse(&text).is_ok(), theirs.is_ok());
    }

    #[test]
    fn trusted_text_may_be_anything(text in ".{0,40}", steps in "[a-z0-9*]{1,3}(\\.[a-z0-9*]{1,3}){0,3}") {
        let json = Json::trust(&text);
        let _ = (json.kind(), json.as_str(), json.as_bool(), json.as_number().map(Number::as_integer));
        let _ = json.at(&path(&steps)).map(|found| found.text());
        json.members().chain([(json, json)]).for_each(|(key, value)| {
            let _ = (key.text(), value.items().count());
        });
    }

    #[test]
    fn quoted_text_reads_back(text in ".*") {
        let mut quoted = String::new();
        quote(&text, &mut quoted);
        prop_assert_eq!(Json::parse(&quoted).unwrap().as_str().unwrap(), text.as_str());
        prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }
}
