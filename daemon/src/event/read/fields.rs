//! Finds a few keys of a JSON object and hands out their values as they stand in the text,
//! without building anything of the rest. Knows nothing of events.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ReadError, Wrong};

/// The values of the keys asked for, and the first of these keys that stood twice.
pub(super) struct Picked<'a, const N: usize> {
    pub(super) values: [Option<&'a str>; N],
    pub(super) twice: Option<usize>,
}

/// Finds `keys` in the object `text`, which is part of `whole` and is called `field` in
/// errors. Keys are given as paths (`metadata.model`); the last step is what counts.
pub(super) fn pick<'a, const N: usize>(
    text: &'a str,
    keys: &[&'static str; N],
    whole: &str,
    field: &'static str,
) -> Result<Picked<'a, N>, ReadError> {
    let seed = Object { keys, prefix: if field.is_empty() { 0 } else { field.len() + 1 } };
    let mut json = serde_json::Deserializer::from_str(text);
    if !text.trim_start().starts_with('{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => ReadError::of(field, Wrong::Type { wanted: "an object", found: kind_of(text) }),
            Err(error) => ReadError::of("", Wrong::not_json(whole, text, &error)),
        });
    }
    seed.deserialize(&mut json)
        .and_then(|picked| json.end().map(|()| picked))
        .map_err(|error| ReadError::of("", Wrong::not_json(whole, text, &error)))
}

/// What a JSON value is, for people.
pub(super) fn kind_of(text: &str) -> &'static str {
    match text.trim_start().bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

pub(super) fn is_text(text: &str) -> bool {
    text.starts_with('"')
}

/// The text that a JSON string stands for. Its own source if that holds lone surrogates,
/// which is never one of the words we know.
pub(super) fn plain_text(text: &str) -> Cow<'_, str> {
    let inner = text.trim_matches('"');
    if !text.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(text).map_or(Cow::Borrowed(inner), Cow::Owned)
}

struct Object<'k, const N: usize> {
    keys: &'k [&'static str; N],
    /// Length of the path before the last step of each key.
    prefix: usize,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Object<'_, N> {
    type Value = Picked<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Object<'_, N> {
    type Value = Picked<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = Picked { values: [None; N], twice: None };
        while let Some(key) = map.next_key_seed(Key { keys: self.keys, prefix: self.prefix })? {
            let Some(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &'de RawValue = map.next_value()?;
            if picked.values[key].replace(value.get()).is_some() {
                picked.twice.get_or_insert(key);
            }
        }
        Ok(picked)
    }
}

/// Tells which of the keys this is, if any.
struct Key<'k> {
    keys: &'k [&'static str],
    prefix: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, given: &str) -> Result<Self::Value, E> {
        let (length, given) = (self.prefix + given.len(), given.as_bytes());
        // Most keys are none of ours, and their length alone tells.
        let same = |key: &&str| key.len() == length && key.as_bytes().ends_with(given);
        Ok(self.keys.iter().position(same))
    }
}
