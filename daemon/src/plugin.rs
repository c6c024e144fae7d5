//! Plugins: WASM components that filter and transform events.
//!
//! Only this folder knows wasmtime. The contract is `plugins/wit`; how a file becomes
//! something that runs is `plugin/load.rs`, who gets which instance `plugin/entry.rs`,
//! what stops a call `plugin/limits.rs`, what keeps a file from the compiler `plugin/weigh.rs`.

use std::sync::Arc;

use bytes::Bytes;

pub use crate::delivery::trace::{Level, Line, Stage};
use crate::event::Event;

mod answer;
mod bindings;
mod call;
mod code;
mod compile;
mod engine;
mod entry;
mod facts;
mod failure;
mod foreign;
mod guest;
mod instance;
mod limits;
mod load;
mod seats;
#[cfg(test)]
mod tests;
mod text;
mod ticker;
mod weigh;

pub use call::Call;
pub use entry::Entry;
pub use load::{Host, LoadError, Plugin};

/// What a plugin is shown of one event. Cheap to clone.
#[derive(Clone)]
pub struct Input {
    pub event: Arc<Event>,
    /// The body as it would go out: Track's envelope, or what an earlier transform made of it.
    pub json: Bytes,
    /// Answers the plugin's `previous()`; called at most once per event and stage, may block.
    pub previous: Arc<dyn Fn() -> Option<Bytes> + Send + Sync>,
}

/// A filter's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    Deliver,
    Skip(String),
}

/// A transform's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reshape {
    Unchanged,
    Replace(Message),
    Skip(String),
}

/// Everything of the outgoing request that a plugin may choose, already checked:
/// content type and headers are legal and none of them is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub body: Bytes,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
}

/// A plugin that trapped, hit a limit or returned an error. For people: names the plugin,
/// the limit and the key that changes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);
