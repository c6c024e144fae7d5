//! Event filters: "entity.action", with `*` in either place.

use std::collections::HashSet;

use super::Pen;
use crate::config::EventFilter;
use crate::config::file::{At, EventFilterForm, Key};
use crate::config::problem::{Flaw, did_you_mean};
use crate::event::{Action, Entity};

pub(super) fn event_filters(pen: &mut Pen<'_>, written: &Key<Vec<At<EventFilterForm>>>) -> Vec<EventFilter> {
    let mut seen = HashSet::new();
    let mut filters = Vec::new();
    for form in written.get().into_iter().flat_map(|list| &list.value) {
        let Some(filter) = event_filter(form).map_err(|flaw| pen.flaw(flaw)).ok().flatten() else { continue };
        if seen.insert(filter) {
            filters.push(filter);
        } else {
            let message = format!("event filter `{filter}` appears more than once");
            pen.flaw(Flaw::new(form.span.clone(), message));
        }
    }
    filters
}

/// Nothing if a half is missing, which was said before.
fn event_filter(form: &At<EventFilterForm>) -> Result<Option<EventFilter>, Flaw> {
    match &form.value {
        EventFilterForm::Text(text) => {
            let (entity, action) = text.split_once('.').ok_or_else(|| undivided(text, &form.span))?;
            let at = |part: &str| At { value: part.to_owned(), span: form.span.clone() };
            Ok(Some(EventFilter { entity: entity_of(&at(entity))?, action: action_of(&at(action))? }))
        }
        EventFilterForm::Pair(pair) => match (pair.entity.get(), pair.action.get()) {
            (Some(entity), Some(action)) => {
                Ok(Some(EventFilter { entity: entity_of(entity)?, action: action_of(action)? }))
            }
            _ => Ok(None),
        },
    }
}

fn undivided(text: &str, span: &std::ops::Range<usize>) -> Flaw {
    let hint = if text == "*" {
        "write \"*.*\" for every event".to_owned()
    } else if text.parse::<Entity>().is_ok() {
        format!("write \"{text}.*\" for every action")
    } else if text.parse::<Action>().is_ok() {
        format!("write \"*.{text}\" for every entity")
    } else {
        "write \"entity.action\", such as \"time_entry.created\" or \"project.*\"".to_owned()
    };
    Flaw::new(span.clone(), format!("event filter `{text}` is not an entity and an action")).hint(hint)
}

fn entity_of(word: &At<String>) -> Result<Option<Entity>, Flaw> {
    half("entity", word, &Entity::ALL.map(Entity::as_str))
}

fn action_of(word: &At<String>) -> Result<Option<Action>, Flaw> {
    half("action", word, &Action::ALL.map(Action::as_str))
}

/// `None` is `*`.
fn half<T: std::str::FromStr>(kind: &str, word: &At<String>, known: &[&str]) -> Result<Option<T>, Flaw> {
    if word.value == "*" {
        return Ok(None);
    }
    word.value.parse().map(Some).map_err(|_| {
        let hint = match did_you_mean(&word.value, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("Track knows {} and `*`", known.join(", ")),
        };
        Flaw::new(word.span.clone(), format!("unknown {kind} `{}`", word.value)).hint(hint)
    })
}
