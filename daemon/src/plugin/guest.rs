//! What stands behind one instance: the two host functions and what its calls may use up.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::Input;
use super::bindings::track::relay::{host, types};
use super::limits::{Deadline, LogBudget, Memory};
use super::text;
use crate::config::PluginLimits;

/// The data of one instance's store.
pub(super) struct Guest {
    pub(super) memory: Memory,
    pub(super) deadline: Deadline,
    /// The last line logged as an error in this call: when the call then ends in a trap,
    /// that line says why.
    pub(super) last_words: Option<String>,
    log: LogBudget,
    previous: Previous,
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
            last_words: None,
            log: LogBudget::full(),
            previous: Previous::Known(None),
            plugin,
            subscription,
        }
    }

    /// Another call begins; outside of events there is nothing previous.
    pub(super) fn begin(&mut self, input: Option<&Input>) {
        self.deadline.restart();
        self.log = LogBudget::full();
        self.last_words = None;
        self.previous = match input {
            Some(input) => Previous::Ask(Arc::clone(&input.previous)),
            None => Previous::Known(None),
        };
    }

    /// The call is over: nothing of the event is kept in memory.
    pub(super) fn end(&mut self) {
        self.previous = Previous::Known(None);
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
        let message = text::printable(&message);
        let (plugin, subscription) = (&*self.plugin, &*self.subscription);
        macro_rules! say {
            ($level:ident) => {
                tracing::$level!(plugin.name = plugin, subscription.name = subscription, "{message}")
            };
        }
        match level {
            host::Level::Debug => say!(debug),
            host::Level::Info => say!(info),
            host::Level::Warn => say!(warn),
            host::Level::Error => {
                say!(error);
                self.last_words = Some(message);
            }
        }
        Ok(())
    }
}
