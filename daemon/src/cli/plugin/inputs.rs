//! What `test` and `bench` are given: a plugin, its config, and events as plugins are shown them,
//! from a file or from the daemon's history.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::args;
use crate::cli::events::{Filters, History};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::send::events::{self, Input as Source};
use crate::deliver::envelope;
use crate::delivery::SubscriptionId;
use crate::event::read::{Fill, read, restore};
use crate::event::{Action, Entity, Event, EventId};
use crate::plugin::Input;

/// What the envelope names as its callback; nothing is sent there.
const CALLBACK: &str = "http://127.0.0.1:3000/";

/// Events are held in memory, as those of a file are.
const MOST_BYTES: usize = 64 << 20;

// No doc comment: clap would show it in place of what the command does.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// The plugin, a .wasm file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Events, as `send` takes them: one, a JSON array, or one after the other; `-` is stdin
    #[arg(long, value_name = "FILE", required_unless_present = "last")]
    pub events: Option<PathBuf>,

    /// The newest N events of the running daemon instead
    #[arg(long, value_name = "N", value_parser = args::count, conflicts_with = "events")]
    pub last: Option<u64>,

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

impl Given {
    /// The events, each with what its entity was in an earlier one.
    pub async fn inputs(&self, here: &Invocation) -> Result<Vec<Input>, Failure> {
        let events = match (&self.events, self.last) {
            (Some(file), _) => {
                refuse_config(here)?;
                of_file(file)?
            }
            (None, last) => of_history(here, last.unwrap_or(1)).await?,
        };
        let mut known = HashMap::new();
        Ok(events.into_iter().map(|event| input(event, &mut known)).collect())
    }
}

/// `--config` belongs to all of trackrelay. Whoever means the plugin's by it would test the
/// plugin without one and not know.
fn refuse_config(here: &Invocation) -> Result<(), Failure> {
    match here.config {
        Some(_) => Err(Failure::Usage(
            "`--config` is trackrelay's config file, which is not read here; the plugin's own config is \
             `--with JSON`"
                .to_owned(),
        )),
        None => Ok(()),
    }
}

/// The events of a file, `-` for stdin.
fn of_file(file: &Path) -> Result<Vec<Event>, Failure> {
    let stdin = file == Path::new("-");
    let source = if stdin { Source::Stdin } else { Source::File(file.to_owned()) };
    let pieces = events::recorded(&source, &[])?.into_iter().zip(1..);
    pieces
        .map(|(piece, at)| {
            event(Bytes::copy_from_slice(piece.json.get().as_bytes()), at)
                .map_err(|error| Failure::failed(format!("event {at} of `{}`: {error}", file.display())))
        })
        .collect()
}

/// An event as the daemon tells it.
#[derive(Deserialize)]
struct Known {
    event_id: EventId,
    created_at: String,
    creator_id: i64,
    event: Box<RawValue>,
}

/// The newest events of the daemon, oldest first.
async fn of_history(here: &Invocation, last: u64) -> Result<Vec<Event>, Failure> {
    let (client, filters) = (here.daemon()?, Filters::default());
    let mut history = History::new(&client, &filters, last, true);
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(page) = history.next().await? {
        for text in page {
            bytes += text.get().len();
            events.push(known(&text)?);
        }
        if bytes > MOST_BYTES {
            let most = MOST_BYTES >> 20;
            return Err(Failure::failed(format!(
                "the last {last} events have over {most} MiB; ask for fewer"
            )));
        }
    }
    if events.is_empty() {
        return Err(Failure::failed("the daemon has no events yet; `trackrelay send` makes some"));
    }
    events.reverse();
    Ok(events)
}

fn known(text: &RawValue) -> Result<Event, Failure> {
    let known: Known = serde_json::from_str(text.get()).context("cannot read the daemon's answer")?;
    let received = Bytes::copy_from_slice(known.event.get().as_bytes());
    restore(known.event_id, &known.created_at, known.creator_id, received)
        .map_err(|error| Failure::failed(format!("event {}: {error}", known.event_id)))
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
        let read_all = |file: &Path| {
            let mut known = HashMap::new();
            of_file(file)
                .map(|events| events.into_iter().map(|event| input(event, &mut known)).collect::<Vec<_>>())
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
