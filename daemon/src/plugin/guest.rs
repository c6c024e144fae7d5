//! What stands behind one instance: the two host functions and what its calls may use up.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::Input;
use super::bindings::track::relay::{host, types};
use super::limits::{Deadline, LogBudget, Memory};
use super::{Level, Line, text};
use crate::config::PluginLimits;
use crate::event::EventId;

/// The data of one instance's store.
pub(super) struct Guest {
    pub(super) memory: Memory,
    pub(super) deadline: Deadline,
    /// What this call has logged so far. Takes no memory until there is a first line.
    lines: Vec<Line>,
    log: LogBudget,
    previous: Previous,
    /// The event that the call is about; none while it is configured.
    event: Option<EventId>,
    plugin: Arc<str>,
    subscription: Arc<str>,
}

/// What `previous()` answers.
enum Previous {
    Ask(Arc<dyn Fn() -> Option<Bytes> + Send + Sync>),
    Known(Option<String>),
}

impl Guest {
    pub(super) fn new(plugin: Arc<str>, subscription: Arc<str>, limits: PluginLimits) -> Guest {
        Guest {
            memory: Memory::new(limits.memory),
            deadline: Deadline::new(limits.time),
            lines: Vec::new(),
            log: LogBudget::full(),
            previous: Previous::Known(None),
            event: None,
            plugin,
            subscription,
        }
    }

    /// Another call begins; outside of events there is nothing previous.
    pub(super) fn begin(&mut self, input: Option<&Input>) {
        self.deadline.restart();
        self.log = LogBudget::full();
        self.event = input.map(|input| input.event.id);
        self.previous = match input {
            Some(input) => Previous::Ask(Arc::clone(&input.previous)),
            None => Previous::Known(None),
        };
    }

    /// The call is over: nothing of the event is kept in memory. What it logged is handed on.
    pub(super) fn end(&mut self) -> Vec<Line> {
        self.previous = Previous::Known(None);
        mem::take(&mut self.lines)
    }
}

impl Previous {
    fn answer(&mut self) -> Option<String> {
        if let Previous::Ask(ask) = mem::replace(self, Previous::Known(None)) {
            // The store keeps payloads as they came, and what came was checked to be UTF-8.
            let known = ask().and_then(|payload| String::from_utf8(payload.to_vec()).ok());
            *self = Previous::Known(known);
        }
        match self {
            Previous::Known(known) => known.clone(),
            Previous::Ask(_) => None,
        }
    }
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn previous(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.previous.answer())
    }

    fn log(&mut self, level: host::Level, message: String) -> wasmtime::Result<()> {
        self.log.spend(&message)?;
        let line = Line { level: level_of(level), text: text::printable(&message) };
        self.tell(&line);
        self.lines.push(line);
        Ok(())
    }
}

impl Guest {
    /// Each line is one of the daemon's own log as well.
    fn tell(&self, Line { level, text }: &Line) {
        let (plugin, subscription) = (&*self.plugin, &*self.subscription);
        let event = self.event.map(tracing::field::display);
        macro_rules! say {
            ($level:ident) => {
                tracing::$level!(
                    plugin.name = plugin,
                    subscription.name = subscription,
                    event.id = event,
                    "{text}"
                )
            };
        }
        match level {
            Level::Debug => say!(debug),
            Level::Info => say!(info),
            Level::Warn => say!(warn),
            Level::Error => say!(error),
        }
    }
}

fn level_of(level: host::Level) -> Level {
    match level {
        host::Level::Debug => Level::Debug,
        host::Level::Info => Level::Info,
        host::Level::Warn => Level::Warn,
        host::Level::Error => Level::Error,
    }
}

/// What was last logged as an error: when the call then ends in a trap, that line says why.
pub(super) fn last_words(lines: &[Line]) -> Option<&str> {
    lines.iter().rfind(|line| line.level == Level::Error).map(|line| line.text.as_str())
}
