//! What a client asks a subscription to be: the body of POST and PUT, read and checked as far
//! as that needs nothing but the body. Pure.
//!
//! Keys that are the server's own, such as `subscription_id`, and any others are passed over,
//! so that a client may send back what it got.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::super::Refusal;
use super::UNLIMITED;
use crate::config::check::{callback_of, wrong_name};
use crate::config::problem::mask::mask;
use crate::config::{EventFilter, Limit, Secret};
use crate::event::Entity;
use crate::track::{Half, Refused};

/// As long as the config takes them.
const LONGEST_SECRET: usize = 4096;

/// A subscription as it is wanted. `None` where the client leaves it to us.
pub(super) struct Desired {
    pub(super) description: String,
    pub(super) event_filters: Vec<EventFilter>,
    pub(super) url_text: String,
    pub(super) enabled: Option<bool>,
    pub(super) secret: Option<Secret>,
}

impl Desired {
    /// Reads a body. Of several mistakes the first of this order is told: the form, the
    /// description, the list of filters, each filter, the URL.
    pub(super) fn read(body: &[u8], limit: Limit) -> Result<Desired, Refusal> {
        let body = Fields::read(body)?;
        let description = body.text("description")?.unwrap_or_default();
        let filters = body.filters()?;
        let url_text = body.text("url_callback")?.unwrap_or_default();
        let (enabled, secret) = (body.flag("enabled")?, body.secret()?);
        if description.trim().is_empty() {
            return Err(Refused::NoDescription.into());
        }
        if let Some(wrong) = wrong_name(&description) {
            return Err(Refusal::bad(format!("`description` {wrong}")));
        }
        let event_filters = event_filters(filters, limit)?;
        callback_of(&url_text).map_err(|flaw| unfit(&url_text, flaw.sentence()))?;
        Ok(Desired { description, event_filters, url_text, enabled, secret })
    }
}

/// The body of PATCH.
pub(super) fn enabled(body: &[u8]) -> Result<bool, Refusal> {
    let wanted = || Refusal::bad("`enabled` is missing; it must be true or false");
    Fields::read(body)?.flag("enabled")?.ok_or_else(wanted)
}

/// A URL that cannot even be tried, in the words for one that was.
fn unfit(url: &str, error: String) -> Refusal {
    // What follows the error may be a password.
    Refused::Failed { url: mask(url), error }.into()
}

/// The keys of a body. `null` counts as absent.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(body: &[u8]) -> Result<Fields, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            Ok(_) => Err(Refusal::bad("the body must be a JSON object")),
            Err(_) if body.trim_ascii().is_empty() => {
                Err(Refusal::bad("the body is empty; it must be a JSON object"))
            }
            Err(error) => Err(Refusal::bad(format!("the body is not JSON: {error}"))),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, Refusal> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| must_be(key, "text"));
        self.get(key).map(text).transpose()
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, Refusal> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| must_be(key, "true or false"));
        self.get(key).map(flag).transpose()
    }

    /// An empty secret asks for one to be made, as an empty field of Track's page does.
    fn secret(&self) -> Result<Option<Secret>, Refusal> {
        let secret = self.text("secret")?.filter(|secret| !secret.is_empty());
        match secret {
            Some(secret) if secret.len() > LONGEST_SECRET => {
                Err(must_be("secret", &format!("at most {LONGEST_SECRET} bytes long")))
            }
            secret => Ok(secret.map(Secret::new)),
        }
    }

    /// Entity and action of each filter; empty texts where they are missing.
    fn filters(&self) -> Result<Vec<[&str; 2]>, Refusal> {
        let list = match self.get("event_filters") {
            None => return Ok(Vec::new()),
            Some(list) => list.as_array().ok_or_else(|| must_be("event_filters", "a list"))?,
        };
        list.iter().enumerate().map(|(at, filter)| halves(at, filter)).collect()
    }
}

fn halves(at: usize, filter: &Value) -> Result<[&str; 2], Refusal> {
    let name = format!("event_filters[{at}]");
    let pair = filter.as_object().ok_or_else(|| must_be(&name, "an object"))?;
    let half = |key: &str| match pair.get(key) {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value.as_str().ok_or_else(|| must_be(&format!("{name}.{key}"), "text")),
    };
    Ok([half("entity")?, half("action")?])
}

fn must_be(key: &str, what: &str) -> Refusal {
    Refusal::bad(format!("`{key}` must be {what}"))
}

fn event_filters(written: Vec<[&str; 2]>, limit: Limit) -> Result<Vec<EventFilter>, Refused> {
    let (count, limit) = (written.len(), limit.event_filters().unwrap_or(UNLIMITED));
    if count == 0 {
        return Err(Refused::NoFilters);
    }
    if count > limit {
        return Err(Refused::TooManyFilters { limit, count });
    }
    let mut seen = HashSet::new();
    let mut filters = Vec::new();
    for [entity, action] in written {
        let filter = event_filter(entity, action)?;
        if !seen.insert(filter) {
            return Err(Refused::FilterTwice { filter: filter.to_string() });
        }
        filters.push(filter);
    }
    Ok(filters)
}

fn event_filter(entity: &str, action: &str) -> Result<EventFilter, Refused> {
    let (entity_word, action_word) = (word(Half::Entity, entity)?, word(Half::Action, action)?);
    let entity = entity_word.map(|word| word.parse().map_err(|_| unknown_entity(word))).transpose()?;
    let unknown_action = |word: &str| Refused::UnknownAction(word.to_owned());
    let action = action_word.map(|word| word.parse().map_err(|_| unknown_action(word))).transpose()?;
    Ok(EventFilter { entity, action })
}

/// `None` is `*`.
fn word(half: Half, text: &str) -> Result<Option<&str>, Refused> {
    let odd = |c: char| !c.is_alphanumeric() && c != '_';
    match text {
        "" => Err(Refused::EmptyHalf(half)),
        "*" => Ok(None),
        text if text.contains(odd) => Err(Refused::OddHalf { half, value: text.to_owned() }),
        text => Ok(Some(text)),
    }
}

/// Track has no words for it; a tool for trying things out must not let a typo pass.
fn unknown_entity(entity: &str) -> Refused {
    Refused::UnknownEntity { entity: entity.to_owned(), known: Entity::ALL.map(Entity::as_str).join(", ") }
}

#[cfg(test)]
mod tests;
