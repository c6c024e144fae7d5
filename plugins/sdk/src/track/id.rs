//! Ids, which Track writes as text in `metadata` and as numbers elsewhere.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// An id that must be there.
pub(super) fn sure<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    perhaps(input)?.ok_or_else(|| D::Error::custom("an id is missing"))
}

/// An id, or null.
pub(super) fn perhaps<'de, D: Deserializer<'de>>(input: D) -> Result<Option<i64>, D::Error> {
    input.deserialize_any(Id)
}

struct Id;

impl Visitor<'_> for Id {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, as a whole number or its digits as text")
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<Self::Value, E> {
        Ok(Some(id))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Self::Value, E> {
        i64::try_from(id).map(Some).map_err(|_| E::custom("an id of more than 64 bits"))
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<Self::Value, E> {
        id.parse().map(Some).map_err(|_| E::custom("an id that is no whole number of 64 bits"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
