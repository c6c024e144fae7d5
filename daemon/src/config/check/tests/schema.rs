//! The patterns that editors check with flag what is plainly wrong, and nothing that loads.

use proptest::prelude::*;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use serde_json::{Value, json};

use super::{said, urls};
use crate::config::file;

/// Where a key's pattern stands in the schema.
const TIMEOUT: &str = "/properties/defaults/properties/timeout/pattern";
const RETRY: &str = "/properties/defaults/properties/retry/items/pattern";
const KEEP: &str = "/properties/store/properties/keep/pattern";
const BODY: &str = "/properties/listen/properties/max_body/pattern";
const TCP: &str = "/properties/listen/properties/tcp/pattern";
const URL: &str = "/properties/subscription/additionalProperties/properties/url_callback/pattern";
const PLUGIN_TIME: &str = "/properties/plugin/additionalProperties/properties/limits/properties/time/pattern";
const MEMORY: &str = "/properties/plugin/additionalProperties/properties/limits/properties/memory/pattern";

/// The pattern as an engine for Rust's regular expressions reads it.
fn pattern(schema: &Value, pointer: &str) -> PikeVM {
    let text = schema.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}"));
    PikeVM::new(text).unwrap()
}

fn matches(pattern: &PikeVM, text: &str) -> bool {
    pattern.is_match(&mut pattern.create_cache(), text)
}

/// A config in which the key of this pattern has this value.
fn config(pointer: &str, value: &str) -> String {
    let value = toml::Value::String(value.to_owned());
    match pointer {
        TIMEOUT => format!("[defaults]\ntimeout = {value}"),
        RETRY => format!("[defaults]\nretry = [{value}]"),
        KEEP => format!("[store]\nkeep = {value}"),
        BODY => format!("[listen]\nmax_body = {value}"),
        TCP => format!("[listen]\ntcp = {value}"),
        URL => format!("[subscription.a]\nurl_callback = {value}\nevent_filters = [\"*.*\"]"),
        PLUGIN_TIME => format!("[plugin.p]\npath = \"there.wasm\"\nlimits.time = {value}"),
        MEMORY => format!("[plugin.p]\npath = \"there.wasm\"\nlimits.memory = {value}"),
        _ => panic!("{pointer}"),
    }
}

#[test]
fn what_loads_is_not_flagged() {
    let schema = file::schema();
    let durations = [
        "10s",
        "1ms",
        "1m 30s",
        "1m30s",
        " 2min ",
        "1.5s",
        "1500us",
        "5000000 ns",
        "9 seconds",
        "1 000ms",
        "100msec",
    ];
    let sizes = ["1MiB", "100 kB", "70000b", " 2mb ", "1 mIb"];
    let addresses = ["127.0.0.1:7717", "127.1.2.3:0", "[::1]:7717", "[::1%1]:80", "[0:0:0:0:0:0:0:1]:80"];
    for (pointer, values) in [
        (TIMEOUT, &durations[..]),
        (RETRY, &durations),
        (RETRY, &["0", "0s", "7d", "1w", "2h 5hrs", "1day", "0M", "0years"]),
        (KEEP, &["7d", "10y", "1 month 2weeks", "6months", "1year"]),
        (PLUGIN_TIME, &["50ms", "1s", "2000 µs"]),
        (BODY, &sizes),
        (MEMORY, &sizes),
        (TCP, &addresses),
        (URL, &urls::GOOD),
    ] {
        let pattern = pattern(&schema, pointer);
        for value in values {
            assert_eq!(said(&config(pointer, value)), "", "{value}");
            assert!(matches(&pattern, value), "{pointer} flags {value}");
        }
    }
}

#[test]
fn what_is_plainly_wrong_is_flagged() {
    let schema = file::schema();
    for (pointer, values) in [
        (TIMEOUT, &["5", "", "soon", "s", "5 parsecs", "5S", "1:30"][..]),
        (RETRY, &["5", "1 fortnight"]),
        (BODY, &["5", "1 apple", "MiB", "1.5MiB", "1Mi"]),
        (TCP, &["127.0.0.1", "7717", ":7717", "localhost:7717", "0.0.0.0:7717", "::1:7717"]),
        (
            URL,
            &[
                "ftp://example.com/",
                "example.com",
                "http:example.com",
                "http://",
                "http:///a",
                "http://h/#a",
                "http://h/a b",
            ],
        ),
    ] {
        let pattern = pattern(&schema, pointer);
        for value in values {
            assert_ne!(said(&config(pointer, value)), "", "{value}");
            assert!(!matches(&pattern, value), "{pointer} lets {value} through");
        }
    }
}

#[test]
fn patterns_stand_where_texts_do() {
    fn patterned(schema: &Value, found: &mut usize) {
        if schema.get("pattern").is_some() {
            assert_eq!(schema["type"], json!("string"), "{schema}");
            *found += 1;
        }
        let inner = schema.as_object().into_iter().flat_map(|map| map.values());
        inner.chain(schema.as_array().into_iter().flatten()).for_each(|inner| patterned(inner, found));
    }
    let mut found = 0;
    patterned(&file::schema(), &mut found);
    assert!(found >= 12, "{found}");
}

proptest! {
    #[test]
    fn no_text_of_the_right_pieces_is_flagged_that_loads(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..8),
    ) {
        let (schema, text) = (file::schema(), pieces.concat());
        for pointer in [RETRY, BODY] {
            let loads = said(&config(pointer, &text)).is_empty();
            prop_assert!(!loads || matches(&pattern(&schema, pointer), &text), "{pointer} flags {text}");
        }
    }
}

const PIECES: &[&str] =
    &["1", "0", "70000", " ", "\u{85}", ".", "s", "ms", "µs", "h", "M", "min", "b", "k", "KiB", "x"];
