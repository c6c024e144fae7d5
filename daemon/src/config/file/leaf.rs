//! The leaves of the config as written: values that know where they stand, and values with
//! more than one form.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::config::Secret;
use crate::event::{Action, Entity};

/// A value and the bytes of the file it stands in. Compares by its value.
#[derive(Clone)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A key that may be absent.
#[derive(Clone)]
pub struct Key<T>(pub Option<At<T>>);

/// A secret, or where it is kept.
pub enum SecretForm {
    Text(Secret),
    Kept(SecretKept),
}

/// A secret's place outside of the file. Exactly one of the two is given.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct SecretKept {
    /// Name of an environment variable of the daemon.
    pub env: Key<String>,
    /// A file that holds the secret, relative to this file. One line break at its end is ignored.
    pub file: Key<String>,
}

/// `"entity.action"` or its two halves.
pub enum EventFilterForm {
    Text(String),
    Pair(EventFilterPair),
}

/// An event filter as Track's API writes it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["entity", "action"]))]
pub struct EventFilterPair {
    /// An entity, or `*`.
    #[schemars(extend("enum" = words(&Entity::ALL.map(Entity::as_str))))]
    pub entity: Key<String>,
    /// An action, or `*`.
    #[schemars(extend("enum" = words(&Action::ALL.map(Action::as_str))))]
    pub action: Key<String>,
}

/// Any TOML value, for a plugin to make sense of.
pub struct Anything(pub toml::Value);

impl<T> Key<T> {
    pub fn get(&self) -> Option<&At<T>> {
        self.0.as_ref()
    }
}

impl<T> Default for Key<T> {
    fn default() -> Self {
        Key(None)
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(At { span: spanned.span(), value: spanned.into_inner() })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Key<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        At::deserialize(deserializer).map(|at| Key(Some(at)))
    }
}

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        toml::Value::deserialize(deserializer).map(Anything)
    }
}

impl<'de> Deserialize<'de> for SecretForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(TextOrTable(PhantomData))? {
            Either::Text(text) => SecretForm::Text(Secret::new(text)),
            Either::Table(kept) => SecretForm::Kept(kept),
        })
    }
}

impl<'de> Deserialize<'de> for EventFilterForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(TextOrTable(PhantomData))? {
            Either::Text(text) => EventFilterForm::Text(text),
            Either::Table(pair) => EventFilterForm::Pair(pair),
        })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Key<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Anything {
    fn schema_name() -> Cow<'static, str> {
        "Anything".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl JsonSchema for SecretForm {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kept = SecretKept::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, kept] })
    }
}

impl JsonSchema for EventFilterForm {
    fn schema_name() -> Cow<'static, str> {
        "EventFilter".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let pair = EventFilterPair::json_schema(generator);
        let entities = words(&Entity::ALL.map(Entity::as_str));
        let actions = words(&Action::ALL.map(Action::as_str));
        let texts: Vec<String> = entities
            .iter()
            .flat_map(|entity| actions.iter().map(move |action| format!("{entity}.{action}")))
            .collect();
        json_schema!({ "anyOf": [{ "type": "string", "enum": texts }, pair] })
    }
}

/// The words and `*`.
fn words(known: &[&'static str]) -> Vec<&'static str> {
    let mut words = known.to_vec();
    words.push("*");
    words
}

enum Either<T> {
    Text(String),
    Table(T),
}

struct TextOrTable<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrTable<T> {
    type Value = Either<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a table")
    }

    fn visit_str<E>(self, text: &str) -> Result<Either<T>, E> {
        Ok(Either::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Either<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Either::Table)
    }
}
