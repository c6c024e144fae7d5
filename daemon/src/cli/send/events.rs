//! What is to be sent: sample events, or those of a file or of stdin with the bytes they
//! have there.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::client::{Client, Target};
use crate::cli::failure::Failure;
use crate::cli::samples::Sample;
use crate::cli::send::set::{self, Change};
use crate::cli::send::{Shape, gen2023};
use crate::config::problem::did_you_mean;
use crate::event::read::Place;
use crate::event::{Action, Entity};

/// Events of a file are held in memory; a recording of this size has some 80 000.
const MAX_INPUT: u64 = 64 << 20;

/// The workspace of a config that names none.
const DEFAULT_WORKSPACE: i64 = 1;

/// What people say of a timer, and what Track says.
const SYNONYMS: [(&str, Action); 4] = [
    ("started", Action::Created),
    ("start", Action::Created),
    ("stopped", Action::Updated),
    ("stop", Action::Updated),
];

/// Where events come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Sample(Entity, Action),
    Stdin,
    File(std::path::PathBuf),
}

impl Input {
    /// Reads the argument of `send`. A pair wins over a file of the same name, which can
    /// be written `./tag.created`.
    pub fn read(what: &str) -> Result<Input, Failure> {
        if what == "-" {
            return Ok(Input::Stdin);
        }
        if let Some((entity, action)) = what.split_once('.')
            && let (Ok(entity), Ok(action)) = (entity.parse(), action.parse())
        {
            return Ok(Input::Sample(entity, action));
        }
        match Path::new(what).exists() {
            true => Ok(Input::File(what.into())),
            false => Err(Failure::Usage(unknown(what))),
        }
    }
}

/// One event with its exact bytes, and where it stands in what the user gave.
#[derive(Debug)]
pub struct Piece {
    pub json: Box<RawValue>,
    /// `Whole` for a sample, and for the only event there is.
    pub place: Place,
}

/// Events, made or read as they are taken.
pub type Events = Box<dyn Iterator<Item = Result<Piece, Failure>>>;

/// Sample events without end, changed and shaped as asked.
pub fn samples(
    (entity, action): (Entity, Action),
    workspace_id: i64,
    changes: Vec<Change>,
    shape: Option<Shape>,
) -> Events {
    let sample = Sample::new(entity, action, workspace_id);
    Box::new((0..).map(move |n| {
        let mut event = sample.event(n, crate::clock::now());
        set::apply_with_twins(&mut event, &changes).map_err(Failure::Usage)?;
        match shape {
            Some(Shape::Gen2023) => gen2023::reshape(&mut event),
            None => {}
        }
        Ok(Piece { json: raw(&event)?, place: Place::Whole })
    }))
}

/// The events of a file or of stdin: one, an array, or one after the other.
pub fn recorded(input: &Input, changes: &[Change]) -> Result<Vec<Piece>, Failure> {
    let (name, text) = match input {
        Input::File(path) => {
            (format!("`{}`", path.display()), read_capped(File::open(path), path.display())?)
        }
        _ => ("stdin".to_owned(), read_capped(Ok(io::stdin()), "stdin")?),
    };
    let events = split(&text).with_context(|| format!("{name} is no JSON"))?;
    if events.is_empty() {
        return Err(Failure::failed(format!("{name} holds no event")));
    }
    if changes.is_empty() {
        return Ok(events);
    }
    events.into_iter().map(|event| changed(event, changes)).collect()
}

/// The workspace the daemon expects; what the file says if the daemon does not tell.
pub async fn workspace_id(client: &Client) -> Result<i64, Failure> {
    let status: Value = client.get(&Target::new(&["api", "status"])).await?.json()?;
    let told = status["workspace_id"].as_i64().or_else(|| workspace_in(client.config()));
    Ok(told.unwrap_or(DEFAULT_WORKSPACE))
}

fn workspace_in(config: &Path) -> Option<i64> {
    let mut text = String::new();
    File::open(config).ok()?.take(MAX_INPUT).read_to_string(&mut text).ok()?;
    text.parse::<toml::Table>().ok()?.get("workspace")?.get("id")?.as_integer()
}

fn read_capped(input: io::Result<impl Read>, name: impl std::fmt::Display) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = input.and_then(|input| input.take(MAX_INPUT + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read `{name}`"))?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(Failure::failed(format!("`{name}` is over {} MiB; send it in parts", MAX_INPUT >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        Failure::failed(format!("`{name}` is not UTF-8 from line {line} on (byte {at})"))
    })
}

/// Values one after the other, arrays taken apart. Their bytes stay as they are.
fn split(text: &str) -> serde_json::Result<Vec<Piece>> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    let values = values.collect::<serde_json::Result<Vec<&RawValue>>>()?;
    if let [only] = values[..] {
        let indexed = |(index, event): (usize, &RawValue)| piece(event, Place::Index(index));
        return match is_array(only) {
            true => Ok(elements(only)?.into_iter().enumerate().map(indexed).collect()),
            false => Ok(vec![piece(only, Place::Whole)]),
        };
    }
    let mut events = Vec::new();
    for value in values {
        match is_array(value) {
            true => events.append(&mut elements(value)?),
            false => events.push(value),
        }
    }
    Ok(with_lines(text, &events))
}

fn is_array(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

fn elements(array: &RawValue) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(array.get())
}

fn piece(event: &RawValue, place: Place) -> Piece {
    Piece { json: event.to_owned(), place }
}

/// The events with the lines of `text` where they begin.
fn with_lines(text: &str, events: &[&RawValue]) -> Vec<Piece> {
    let (mut line, mut counted) = (1, 0);
    let mut at_its_line = |event: &&RawValue| {
        let start = event.get().as_ptr().addr() - text.as_ptr().addr();
        line += text[counted..start].matches('\n').count();
        counted = start;
        piece(event, Place::Line(line))
    };
    events.iter().map(&mut at_its_line).collect()
}

fn changed(event: Piece, changes: &[Change]) -> Result<Piece, Failure> {
    let mut value: Value = serde_json::from_str(event.json.get()).context("an event cannot be changed")?;
    set::apply(&mut value, changes).map_err(Failure::Usage)?;
    Ok(Piece { json: raw(&value)?, ..event })
}

fn raw(event: &Value) -> Result<Box<RawValue>, Failure> {
    Ok(serde_json::value::to_raw_value(event).context("an event cannot be written as JSON")?)
}

fn unknown(what: &str) -> String {
    let hint = meant(what).map(|pair| format!("; did you mean `{pair}`?")).unwrap_or_default();
    format!(
        "no event `{what}`, and no file of that name{hint}\n  entities: {}\n  actions: {}",
        Entity::ALL.map(Entity::as_str).join(", "),
        Action::ALL.map(Action::as_str).join(", ")
    )
}

/// The pair that was probably meant.
fn meant(what: &str) -> Option<String> {
    let (entity, action) = what.split_once('.').unwrap_or((what, "created"));
    let entity = did_you_mean(entity, Entity::ALL.map(Entity::as_str))?;
    let synonym = SYNONYMS.iter().find(|(word, _)| *word == action).map(|(_, action)| action.as_str());
    let action = synonym.or_else(|| did_you_mean(action, Action::ALL.map(Action::as_str)))?;
    Some(format!("{entity}.{action}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::fake;

    fn texts(events: &[Piece]) -> Vec<&str> {
        events.iter().map(|event| event.json.get()).collect()
    }

    #[test]
    fn every_form_of_input_is_taken_apart_and_keeps_its_bytes() {
        let table: [(&str, &[&str]); 6] = [
            (r#" {"a": 1.50} "#, &[r#"{"a": 1.50}"#]),
            ("{\"a\":\n1}", &["{\"a\":\n1}"]),
            ("{\"a\":1}\n{\"a\":2}\n", &[r#"{"a":1}"#, r#"{"a":2}"#]),
            (r#"[{"a":1}, {"a": 12500000000000014}]"#, &[r#"{"a":1}"#, r#"{"a": 12500000000000014}"#]),
            ("[]", &[]),
            ("", &[]),
        ];
        for (text, wanted) in table {
            assert_eq!(texts(&split(text).unwrap()), wanted, "{text}");
        }
        assert!(split("{\"a\":1} nonsense").is_err());
    }

    #[test]
    fn every_event_knows_where_it_stands() {
        let table = [
            (r#" {"a":1} "#, vec![Place::Whole]),
            (r#"[1]"#, vec![Place::Index(0)]),
            ("[1,\n2]", vec![Place::Index(0), Place::Index(1)]),
            ("\n1\n\n  2 3\n{\n}\n4", [2, 4, 4, 5, 7].map(Place::Line).to_vec()),
            ("[1,\n2]\n3", [1, 2, 3].map(Place::Line).to_vec()),
        ];
        for (text, wanted) in table {
            let places: Vec<Place> = split(text).unwrap().iter().map(|event| event.place).collect();
            assert_eq!(places, wanted, "{text}");
        }
    }

    #[test]
    fn a_file_is_sent_as_it_is_or_changed() {
        let folder = tempfile::tempdir().unwrap();
        let input = Input::File(folder.path().join("event.json"));
        let Input::File(path) = &input else { unreachable!() };
        std::fs::write(path, r#"{"payload": {"name":"x", "rate":1.50}}"#).unwrap();
        assert_eq!(texts(&recorded(&input, &[]).unwrap()), [r#"{"payload": {"name":"x", "rate":1.50}}"#]);
        let changed = recorded(&input, &["payload.name=y".parse().unwrap()]).unwrap();
        assert_eq!(texts(&changed), [r#"{"payload":{"name":"y","rate":1.5}}"#]);
        std::fs::write(path, "[]").unwrap();
        assert!(recorded(&input, &[]).unwrap_err().to_string().ends_with("event.json` holds no event"));
        std::fs::write(path, b"{}\n{\"a\":\"\xff\"}").unwrap();
        let failure = recorded(&input, &[]).unwrap_err().to_string();
        assert!(failure.ends_with("event.json` is not UTF-8 from line 2 on (byte 9)"), "{failure}");
    }

    #[test]
    fn a_pair_is_a_sample_and_the_rest_a_file() {
        assert_eq!(Input::read("tag.created").unwrap(), Input::Sample(Entity::Tag, Action::Created));
        assert_eq!(Input::read("-").unwrap(), Input::Stdin);
        assert_eq!(Input::read(file!()).is_ok(), Path::new(file!()).exists());
    }

    #[test]
    fn what_is_neither_gets_a_hint() {
        let table = [
            ("tme_entry.created", "; did you mean `time_entry.created`?"),
            ("time_entry.create", "; did you mean `time_entry.created`?"),
            ("time_entry", "; did you mean `time_entry.created`?"),
            ("time_entry.stopped", "; did you mean `time_entry.updated`?"),
            ("Tag.Created", "; did you mean `tag.created`?"),
            ("foo.created", ""),
            ("zzz", ""),
        ];
        for (what, hint) in table {
            let failure = Input::read(what).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            let wanted = format!(
                "no event `{what}`, and no file of that name{hint}\n  entities: client, project, project_group, \
                 project_user, tag, task, time_entry, workspace, workspace_user\n  actions: created, updated, deleted"
            );
            assert_eq!(failure.to_string(), wanted);
        }
    }

    #[tokio::test]
    async fn the_workspace_is_the_daemons_or_else_the_default() {
        let daemon = fake(|_, _, _| (200, serde_json::json!({ "workspace_id": 7 })));
        assert_eq!(workspace_id(&daemon.client).await.unwrap(), 7);
        let daemon = fake(|_, _, _| (200, serde_json::json!({})));
        assert_eq!(workspace_id(&daemon.client).await.unwrap(), DEFAULT_WORKSPACE);
    }

    #[test]
    fn the_workspace_of_a_file_is_read_even_if_the_rest_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        assert_eq!(workspace_in(&config), None);
        std::fs::write(&config, "[workspace]\nid = 99\n[nonsense]\nx = 1").unwrap();
        assert_eq!(workspace_in(&config), Some(99));
        std::fs::write(&config, "[workspace\nid = 99").unwrap();
        assert_eq!(workspace_in(&config), None);
    }
}
