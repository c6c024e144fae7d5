//! What `test` and `bench` are given: a plugin, its config, and the events of a file as plugins
//! are shown them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::send::events::{self, Input as Source};
use crate::deliver::envelope;
use crate::delivery::SubscriptionId;
use crate::event::read::{Fill, read};
use crate::event::{Action, Entity, Event, EventId};
use crate::plugin::Input;

/// What the envelope names as its callback; nothing is sent there.
const CALLBACK: &str = "http://127.0.0.1:3000/";

// No doc comment: clap would show it in place of what the command does.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// The plugin, a .wasm file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Events, as `send` takes them: one, a JSON array, or one after the other; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,

    /// The plugin's config
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = config)]
    pub with: Value,
}

/// A plugin's config, as `--with` takes it.
fn config(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(config)) => Ok(Value::Object(config)),
        Ok(_) => Err("write a JSON object such as {\"seconds\":3600}".to_owned()),
        Err(error) => Err(format!("not JSON: {error}; write an object such as {{\"seconds\":3600}}")),
    }
}

/// The events of a file, `-` for stdin, each with what its entity was in an earlier one.
pub fn read_all(file: &Path) -> Result<Vec<Input>, Failure> {
    let stdin = file == Path::new("-");
    let source = if stdin { Source::Stdin } else { Source::File(file.to_owned()) };
    let mut known = HashMap::new();
    let pieces = events::recorded(&source, &[])?.into_iter().zip(1..);
    pieces
        .map(|(piece, at)| {
            let event = event(Bytes::copy_from_slice(piece.json.get().as_bytes()), at)
                .map_err(|error| Failure::failed(format!("event {at} of `{}`: {error}", file.display())))?;
            Ok(input(event, &mut known))
        })
        .collect()
}

/// What an event does not say itself is the same in every run, or snapshots would differ.
fn event(received: Bytes, at: i64) -> Result<Event, crate::event::read::ReadError> {
    let next_id = || EventId(at);
    read(received, &Fill { now: Timestamp::UNIX_EPOCH, next_id: &next_id, only_admin: None })
}

fn input(event: Event, known: &mut HashMap<(Entity, i64), Bytes>) -> Input {
    let payload = Bytes::copy_from_slice(event.payload_bytes());
    let previous = event.entity_id.map(|id| (event.entity, id)).and_then(|key| match event.action {
        Action::Deleted => known.remove(&key),
        _ => known.insert(key, payload),
    });
    let json = envelope::build(&event, SubscriptionId(1), CALLBACK, event.created_at);
    Input { event: Arc::new(event), json, previous: Arc::new(move || previous.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_is_what_the_entity_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        let event = |action: &str, name: &str| {
            format!(
                r#"{{"metadata":{{"action":"{action}","model":"tag","tag_id":"7"}},"payload":{{"id":7,"name":"{name}"}}}}"#
            )
        };
        let events = [("created", "a"), ("updated", "b"), ("deleted", "b"), ("created", "c")];
        let text = events.map(|(action, name)| event(action, name)).join("\n");
        std::fs::write(&file, &text).unwrap();
        let name = |payload: Bytes| {
            String::from_utf8(payload.to_vec()).unwrap().split('"').nth(5).unwrap().to_owned()
        };
        let inputs = read_all(&file).unwrap();
        let previous: Vec<_> = inputs.iter().map(|input| (input.previous)().map(name)).collect();
        assert_eq!(previous, [None, Some("a".to_owned()), Some("b".to_owned()), None]);
        let again = read_all(&file).unwrap();
        assert!(inputs.iter().zip(&again).all(|(one, other)| one.json == other.json));
        std::fs::write(&file, format!("{text}\n{{}}")).unwrap();
        assert!(read_all(&file).err().unwrap().to_string().starts_with("event 5 of `"));
    }

    #[test]
    fn a_config_is_an_object() {
        assert!(config(r#"{"a":1}"#).is_ok());
        for wrong in ["", "1", "[]", "{a:1}"] {
            assert!(config(wrong).unwrap_err().contains("object such as"), "{wrong}");
        }
    }
}
