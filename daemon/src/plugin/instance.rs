//! One live instance of a plugin, configured, and a call into it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use super::answer;
use super::bindings::exports::track::relay::{filter, transform};
use super::bindings::track::relay::types::{Event, Outcome, Route, Verdict};
use super::failure;
use super::guest::{Guest, last_words};
use super::load::Plugin;
use super::{Failure, Input, Line, Reshape, Stage};
use crate::event;

/// What a plugin may copy to the host in one go, over its `output`: skip reasons, header
/// names, lines of log.
const COPY_SLACK: usize = 64 << 10;

/// Events an instance serves before it is replaced, which bounds what a leak can grow to
/// and makes the cost of a new one (some 25 µs) disappear.
const EVENTS: u32 = 256;

pub(super) struct Instance {
    store: Store<Guest>,
    exports: Exports,
    served: u32,
    trapped: bool,
    /// Its place among all live instances, given back when it is dropped. A trial may do
    /// without one, but is then not kept.
    seat: Option<OwnedSemaphorePermit>,
}

enum Exports {
    Filter(filter::Guest),
    Transform(transform::Guest),
}

/// Why there is no instance.
#[derive(Debug)]
pub(super) enum NotReady {
    /// `configure` returned this error.
    Refused(String, Vec<Line>),
    Failed(Failure, Vec<Line>),
}

impl Instance {
    /// A fresh one, configured.
    pub(super) fn new(
        plugin: &Plugin,
        stage: Stage,
        subscription: &Arc<str>,
        config: &str,
        seat: Option<OwnedSemaphorePermit>,
    ) -> Result<Instance, NotReady> {
        let guest = Guest::new(plugin.shared_name(), Arc::clone(subscription), plugin.spec.limits);
        let mut store = Store::new(plugin.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.epoch_deadline_callback(|mut store| store.data_mut().deadline.tick());
        store.set_hostcall_fuel(plugin.spec.limits.output + COPY_SLACK);

        let _ticking = plugin.ticker().tick();
        store.data_mut().begin(None);
        store.set_epoch_deadline(1);
        let made = Exports::load(plugin, stage, &mut store)
            .and_then(|exports| exports.configure(&mut store, config).map(|answer| (exports, answer)));
        let lines = store.data_mut().end();
        match made {
            Ok((exports, Ok(()))) => Ok(Instance { store, exports, served: 0, trapped: false, seat }),
            Ok((_, Err(refusal))) => Err(NotReady::Refused(refusal, lines)),
            Err(error) => {
                let failure = failure::of_trap(&plugin.spec, &error, last_words(&lines));
                Err(NotReady::Failed(failure, lines))
            }
        }
    }

    /// One event, and what was logged on it.
    pub(super) fn call(&mut self, plugin: &Plugin, input: &Input) -> (Result<Reshape, Failure>, Vec<Line>) {
        let Ok(json) = std::str::from_utf8(&input.json) else {
            return (Err(failure::of_bytes(&plugin.spec)), Vec::new());
        };
        let id = input.event.id.to_string();
        let event = Event { route: route(&input.event, &id), json };

        let _ticking = plugin.ticker().tick();
        self.served += 1;
        self.store.data_mut().begin(Some(input));
        self.store.set_epoch_deadline(1);
        let answer = self.exports.call(&mut self.store, event);
        let lines = self.store.data_mut().end();
        let answer = match answer {
            Ok(Ok(outcome)) => answer::checked(outcome, plugin.spec.limits.output)
                .map_err(|refusal| failure::of_refusal(&plugin.spec, &refusal)),
            Ok(Err(error)) => Err(failure::of_error(&plugin.spec, &error)),
            Err(error) => {
                self.trapped = true;
                Err(failure::of_trap(&plugin.spec, &error, last_words(&lines)))
            }
        };
        (answer, lines)
    }

    /// Bytes of memory it holds.
    pub(super) fn memory(&self) -> usize {
        self.store.data().memory.used()
    }

    /// Whether it can be kept for another event.
    pub(super) fn is_fit(&self) -> bool {
        !self.trapped && self.served < EVENTS && self.seat.is_some()
    }
}

impl Exports {
    fn load(plugin: &Plugin, stage: Stage, store: &mut Store<Guest>) -> wasmtime::Result<Exports> {
        let instance = plugin.code.pre.instantiate(&mut *store)?;
        match stage {
            Stage::Filter => match &plugin.code.filter {
                Some(filter) => Ok(Exports::Filter(filter.load(store, &instance).map_err(failure::misfit)?)),
                None => Err(wasmtime::format_err!("it exports no filter")),
            },
            Stage::Transform => match &plugin.code.transform {
                Some(transform) => {
                    Ok(Exports::Transform(transform.load(store, &instance).map_err(failure::misfit)?))
                }
                None => Err(wasmtime::format_err!("it exports no transform")),
            },
        }
    }

    fn configure(&self, store: &mut Store<Guest>, config: &str) -> wasmtime::Result<Result<(), String>> {
        match self {
            Exports::Filter(filter) => filter.call_configure(store, config),
            Exports::Transform(transform) => transform.call_configure(store, config),
        }
    }

    fn call(&self, store: &mut Store<Guest>, event: Event<'_>) -> wasmtime::Result<Result<Outcome, String>> {
        match self {
            Exports::Filter(filter) => Ok(filter.call_check(store, event)?.map(outcome)),
            Exports::Transform(transform) => transform.call_apply(store, event),
        }
    }
}

/// A filter's word is a transform's that never replaces.
fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Deliver => Outcome::Unchanged,
        Verdict::Skip(reason) => Outcome::Skip(reason),
    }
}

fn route<'a>(event: &'a event::Event, id: &'a str) -> Route<'a> {
    let unsigned = |id: Option<i64>| id.and_then(|id| u64::try_from(id).ok());
    Route {
        event_id: id,
        model: event.entity.as_str(),
        action: event.action.as_str(),
        workspace_id: unsigned(event.workspace_id),
        project_id: unsigned(event.project_id),
        user_id: unsigned(event.event_user_id),
        created_at: &event.created_at_text,
    }
}
