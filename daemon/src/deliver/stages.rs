//! The plugins of one delivery: filters all must say deliver, transforms run in order. A
//! plugin that fails is an outcome, and `on_plugin_error` says which.

use std::sync::Arc;

use bytes::Bytes;

use super::record::{self, Word};
use crate::config::OnPluginError;
use crate::delivery::Outcome;
use crate::delivery::trace::Trace;
use crate::drill::{self, Point};
use crate::event::Event;
use crate::feed::{About, Feed, Logged, News};
use crate::plan::Planned;
use crate::plugin::{Call, Entry, Failure, Input, Keep, Line, Message, Reshape, Stage};
use crate::store::{Lease, Next, Seq, Store};
use crate::telemetry::Metrics;

/// Why a delivery does not go out this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A plugin decided so.
    Skipped(String),
    /// A plugin failed and `on_plugin_error = "hold"`.
    Held(String),
    /// A plugin failed and `on_plugin_error = "drop"`, or a fault was injected.
    Dropped(String),
}

impl Stop {
    pub fn next(&self) -> Next {
        let (outcome, reason) = match self {
            Stop::Skipped(reason) => (Outcome::SkippedPlugin, reason),
            Stop::Held(reason) => (Outcome::Held, reason),
            Stop::Dropped(reason) => (Outcome::Dropped, reason),
        };
        Next { outcome, reason: Some(reason.clone()) }
    }
}

/// Looks an entity's previous payload up, when a plugin asks for it.
type Previous = Arc<dyn Fn() -> Option<Bytes> + Send + Sync>;

/// The plugins of one subscription, about to be shown one event.
pub struct Guests<'a> {
    /// Who is told. Nobody: nothing is delivered, somebody only wants to know.
    told: Option<(&'a Metrics, &'a Feed)>,
    planned: &'a Planned,
    event: &'a Arc<Event>,
    previous: Previous,
    trace: &'a mut Trace,
}

impl<'a> Guests<'a> {
    pub fn of(
        store: &Arc<dyn Store>,
        metrics: &'a Metrics,
        feed: &'a Feed,
        planned: &'a Planned,
        lease: &'a Lease,
        trace: &'a mut Trace,
    ) -> Guests<'a> {
        let previous = previous(store, lease.seq);
        Guests { told: Some((metrics, feed)), planned, event: &lease.event, previous, trace }
    }

    /// For a look at what they would say today of an event of the past.
    pub fn again(
        store: &Arc<dyn Store>,
        planned: &'a Planned,
        (event, seq): (&'a Arc<Event>, Seq),
        trace: &'a mut Trace,
    ) -> Guests<'a> {
        Guests { told: None, planned, event, previous: previous(store, seq), trace }
    }

    pub async fn filter(&mut self, envelope: &Bytes) -> Result<(), Stop> {
        for entry in &self.planned.entries.filters {
            drill::pass(Point::PluginCalled);
            let call = entry.check(self.input(envelope)).await;
            drill::pass(Point::PluginAnswered);
            match self.note(entry, Stage::Filter, call, record::of_filter) {
                Ok(Keep::Deliver) => {}
                Ok(Keep::Skip(reason)) => return Err(Stop::Skipped(said(entry.plugin(), &reason))),
                Err(failure) => self.failed(entry.plugin(), failure)?,
            }
        }
        Ok(())
    }

    pub async fn transform(&mut self, envelope: Bytes) -> Result<Message, Stop> {
        let content_type = "application/json".to_owned();
        let mut message = Message { body: envelope, content_type, headers: Vec::new() };
        let mut replaced = false;
        for entry in &self.planned.entries.transforms {
            let call = entry.apply(self.input(&message.body)).await;
            match self.note(entry, Stage::Transform, call, record::of_transform) {
                Ok(Reshape::Unchanged) => {}
                Ok(Reshape::Replace(new)) => (message, replaced) = (new, true),
                Ok(Reshape::Skip(reason)) => return Err(Stop::Skipped(said(entry.plugin(), &reason))),
                Err(failure) => self.failed(entry.plugin(), failure)?,
            }
        }
        self.trace.body = replaced.then(|| record::digest(&message.body));
        Ok(message)
    }

    /// Keeps what a call left behind.
    fn note<T>(&mut self, entry: &Entry, stage: Stage, call: Call<T>, word: Word<T>) -> Result<T, Failure> {
        self.tell_log(entry.plugin(), &call.lines);
        let (called, answer) = record::called(entry.plugin(), stage, call, word);
        self.trace.plugins.push(called);
        answer
    }

    fn input(&self, json: &Bytes) -> Input {
        let (event, previous) = (Arc::clone(self.event), Arc::clone(&self.previous));
        Input { event, json: json.clone(), previous }
    }

    /// For who listens just now.
    fn tell_log(&self, plugin: &str, lines: &[Line]) {
        let Some((_, feed)) = self.told else { return };
        for Line { level, text } in lines {
            feed.tell(|| {
                News::Log(Logged {
                    about: About::of(self.event),
                    subscription: self.planned.name().to_owned(),
                    plugin: plugin.to_owned(),
                    level: level.as_str().into(),
                    text: text.clone(),
                })
            });
        }
    }

    fn failed(&self, plugin: &str, Failure(said): Failure) -> Result<(), Stop> {
        if let Some((metrics, _)) = self.told {
            metrics.plugin_failed(plugin);
        }
        match self.planned.meant.on_plugin_error {
            OnPluginError::Hold => Err(Stop::Held(said)),
            OnPluginError::Drop => Err(Stop::Dropped(said)),
            OnPluginError::Deliver => {
                let name = self.planned.name();
                tracing::warn!(subscription.name = name, said, "a plugin failed; delivering without it");
                Ok(())
            }
        }
    }
}

fn previous(store: &Arc<dyn Store>, seq: Seq) -> Previous {
    let store = Arc::clone(store);
    Arc::new(move || {
        store.previous(seq).unwrap_or_else(|error| {
            tracing::error!(%error, "failed to look up an entity's previous payload");
            None
        })
    })
}

fn said(plugin: &str, reason: &str) -> String {
    format!("plugin `{plugin}`: {reason}")
}
