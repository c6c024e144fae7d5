//! The files of `tests/vectors`: bodies of Track, published, observed and composed.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::repository;

/// How many files hold an event; a loop over them must not pass because it found none.
pub const EVENTS: usize = 30;

/// The same for PINGs.
const PINGS: usize = 4;

/// Every file with an event (no PINGs), by name.
pub fn events() -> Vec<(String, Vec<u8>)> {
    let mut events = files(|name| !name.starts_with("ping") && !name.starts_with("signing"));
    events.sort();
    assert_eq!(events.len(), EVENTS, "event files in tests/vectors");
    events
}

/// Every PING, by name.
pub fn pings() -> Vec<(String, Vec<u8>)> {
    let pings = files(|name| name.starts_with("ping"));
    assert_eq!(pings.len(), PINGS, "PINGs in tests/vectors");
    pings
}

/// A body with the secret and the signature that go with it.
pub struct Signed {
    pub name: String,
    pub secret: String,
    pub body: Vec<u8>,
    pub signature: String,
}

/// `signing.json` and `signing-negative.json`.
pub fn signed(file: &str) -> Vec<Signed> {
    let text = fs::read(repository("tests/vectors").join(file)).unwrap();
    let entries: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let signed = entries.iter().map(|entry| Signed {
        name: text(entry, "name"),
        secret: text(entry, "secret"),
        body: BASE64_STANDARD.decode(text(entry, "body_base64")).unwrap(),
        signature: text(entry, "signature"),
    });
    signed.collect()
}

fn files(wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(repository("tests/vectors")).unwrap().map(Result::unwrap);
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let json = named.filter(|(name, _)| name.ends_with(".json") && wanted(name));
    json.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}
