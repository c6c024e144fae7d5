//! What plugins may and may not do, tried with small ones written for the purpose, and what
//! the shipped ones do.

mod calls;
mod golden;
mod guest;
mod limits;
mod loading;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Entry, Failure, Host, Input, Keep, LoadError, Plugin, Reshape, Stage};
use crate::config::{Isolation, PluginLimits, PluginSpec};
use crate::event::{Action, Entity, Event, EventId};

/// A host and a folder for plugin files.
struct Bench {
    host: Host,
    folder: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { host: Host::new(None).unwrap(), folder: TempDir::new().unwrap() }
    }

    /// A `[plugin.p]` table for a file with these bytes; the limits are the defaults but for
    /// the time, which no test should have to wait for, nor miss on a busy machine.
    fn spec(&self, bytes: &[u8]) -> PluginSpec {
        let path = self.folder.path().join("p.wasm");
        std::fs::write(&path, bytes).unwrap();
        let limits = PluginLimits { time: Duration::from_secs(5), ..PluginLimits::default() };
        PluginSpec { limits, ..PluginSpec::of_file("p".into(), path) }
    }

    fn load(&self, bytes: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        self.host.load(&self.spec(bytes))
    }

    /// The filter in these bytes, in a subscription.
    fn filter(&self, bytes: &[u8]) -> Arc<Entry> {
        filter(&self.load(bytes).unwrap())
    }
}

fn filter(plugin: &Arc<Plugin>) -> Arc<Entry> {
    plugin.entry("s", Stage::Filter, &json!({})).unwrap()
}

fn input() -> Input {
    input_of(r#"{"payload":1}"#)
}

fn input_of(json: &str) -> Input {
    let event = Event {
        id: EventId(9_007_199_254_740_993),
        entity: Entity::TimeEntry,
        action: Action::Updated,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        created_at_text: "1970-01-01T00:00:00Z".into(),
        creator_id: 5,
        workspace_id: Some(4_200_017),
        entity_id: None,
        project_id: Some(-1),
        event_user_id: None,
        owner_id: 5,
        received: bytes::Bytes::new(),
        metadata: 0..0,
        payload: 0..0,
    };
    let json = bytes::Bytes::copy_from_slice(json.as_bytes());
    Input { event: Arc::new(event), json, previous: Arc::new(|| None) }
}

/// Asks a filter, from outside a runtime.
fn ask(entry: &Arc<Entry>) -> Result<Keep, Failure> {
    block_on(entry.check(input())).answer
}

/// The length of the reason for skipping, with which the tests' plugins count.
fn count(entry: &Arc<Entry>) -> usize {
    match ask(entry) {
        Ok(Keep::Skip(reason)) => reason.len(),
        other => panic!("{other:?}"),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A plugin that comes with trackrelay.
fn shipped(host: &Host, name: &str) -> Arc<Plugin> {
    let path = golden::folder().join(format!("{name}.wasm"));
    let limits = PluginLimits { time: Duration::from_secs(5), ..PluginLimits::default() };
    let spec = PluginSpec { limits, ..PluginSpec::of_file(name.into(), path) };
    host.load(&spec).unwrap()
}

fn refused(result: Result<Arc<Entry>, LoadError>) -> String {
    result.err().unwrap().to_string()
}

fn config(value: Value) -> Value {
    value
}
