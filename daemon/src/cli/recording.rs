//! A recording: a folder with events, each in a file of its own just as it was received, and
//! an index of what is sent for them. `trackrelay record` writes it, `trackrelay replay DIR
//! --expect` holds today's config against it. What is sent is worked out in
//! `recording/rehearsal.rs`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::event::{Event, EventId, read};

pub mod rehearsal;

/// Events of one recording: what a pull request is tested with, not a history.
pub const MOST: usize = 10_000;

/// The index of so many events is a tenth of this.
const MAX_INDEX: u64 = 256 << 20;

/// The largest body that can be configured.
const MAX_EVENT: u64 = 64 << 20;

/// Of the index. A later trackrelay that changes it counts on.
const VERSION: u32 = 1;

const INDEX: &str = "index.json";

/// `index.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    version: u32,
    /// By which ids the subscriptions were known: they stand in the bodies.
    pub subscription_ids: BTreeMap<String, i64>,
    /// In order of arrival.
    pub events: Vec<Recorded>,
}

/// One event. What the daemon filled in where the event did not say it stands here, so that
/// the file can hold what was received and nothing else.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its name in the folder.
    pub file: String,
    pub event_id: EventId,
    pub created_at: String,
    pub creator_id: i64,
    pub arrived_at: Timestamp,
    /// One for each subscription whose event filters match, in the order of the config.
    pub deliveries: Vec<Delivered>,
}

/// What becomes of an event for one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivered {
    pub subscription: String,
    /// `sent`, or an outcome such as `skipped_plugin`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Sent>,
}

/// A request without what is another each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    /// Without `timestamp`.
    pub body: Body,
}

/// The exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Text(String),
    /// What is no UTF-8, byte by byte.
    Hex(String),
}

impl Body {
    pub fn of(bytes: &[u8]) -> Body {
        match std::str::from_utf8(bytes) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    /// What differences are told of.
    pub fn text(&self) -> &str {
        match self {
            Body::Text(text) | Body::Hex(text) => text,
        }
    }
}

impl Index {
    pub fn new(subscription_ids: BTreeMap<String, i64>) -> Index {
        Index { version: VERSION, subscription_ids, events: Vec::new() }
    }

    pub fn deliveries(&self) -> usize {
        let sent = |event: &Recorded| event.deliveries.iter().filter(|it| it.request.is_some()).count();
        self.events.iter().map(sent).sum()
    }
}

/// Whether there is a recording in this folder.
pub fn is_there(folder: &Path) -> bool {
    folder.join(INDEX).exists()
}

/// Reads the index of a recording.
pub fn read_index(folder: &Path) -> Result<Index, Failure> {
    let path = folder.join(INDEX);
    let text = read_file(&path, MAX_INDEX).with_context(|| {
        format!(
            "cannot read `{}`; `trackrelay record {}` makes a recording",
            path.display(),
            folder.display()
        )
    })?;
    let index: Index = serde_json::from_slice(&text)
        .with_context(|| format!("`{}` is no index of a recording of this version", path.display()))?;
    if index.version != VERSION {
        let (path, version) = (path.display(), index.version);
        return Err(Failure::failed(format!(
            "`{path}` has version {version}, this trackrelay knows {VERSION}"
        )));
    }
    Ok(index)
}

/// Writes the index, whole or not at all.
pub fn write_index(folder: &Path, index: &Index) -> Result<(), Failure> {
    let (path, beside) = (folder.join(INDEX), folder.join(".index.json.new"));
    let text = serde_json::to_string_pretty(index).context("cannot write JSON")? + "\n";
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    });
    Ok(written.with_context(|| format!("cannot write `{}`", path.display()))?)
}

/// Writes one event as it was received.
pub fn write_event(folder: &Path, file: &str, received: &str) -> Result<(), Failure> {
    let path = folder.join(file);
    Ok(fs::write(&path, received).with_context(|| format!("cannot write `{}`", path.display()))?)
}

/// Reads one event back.
pub fn read_event(folder: &Path, recorded: &Recorded) -> Result<Event, Failure> {
    let path = file_in(folder, &recorded.file)?;
    let received =
        read_file(&path, MAX_EVENT).with_context(|| format!("cannot read `{}`", path.display()))?;
    let Recorded { event_id, created_at, creator_id, .. } = recorded;
    let event = read::restore(*event_id, created_at, *creator_id, Bytes::from(received));
    event.map_err(|error| Failure::failed(format!("`{}` is no event: {error}", path.display())))
}

/// A file of the folder, and nothing else: an index may come from anywhere.
fn file_in(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    match Path::new(name).file_name() {
        Some(plain) if plain == name => Ok(folder.join(name)),
        _ => Err(Failure::failed(format!("the index names a file `{name}` that is not in its folder"))),
    }
}

fn read_file(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(std::io::Error::other(format!("it is over {} MiB", most >> 20))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reaches_into_its_own_folder_only() {
        for name in ["../a.json", "/etc/passwd", "a/b.json", "..", "", "./a.json"] {
            assert!(file_in(Path::new("/recording"), name).is_err(), "{name}");
        }
        assert_eq!(
            file_in(Path::new("/r"), "0001-tag.created-7.json").unwrap(),
            Path::new("/r/0001-tag.created-7.json")
        );
    }

    #[test]
    fn a_later_version_is_told_and_not_guessed_at() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_there(folder.path()));
        write_index(folder.path(), &Index { version: 2, ..Index::new(BTreeMap::new()) }).unwrap();
        assert!(is_there(folder.path()));
        let refused = read_index(folder.path()).unwrap_err().to_string();
        assert!(refused.ends_with("has version 2, this trackrelay knows 1"), "{refused}");
    }
}
