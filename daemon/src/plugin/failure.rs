//! How failures read: which plugin, what happened, which key of the config changes it.

use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::Failure;
use super::answer::Refusal;
use super::foreign::REBUILD;
use super::limits::{LOG_BYTES, LOG_LINES, STACK, Stop, TABLE_ELEMENTS};
use super::text;
use crate::config::{PluginLimits, PluginSpec};

/// What wasmtime says, without a type to know it by, when a plugin hands over more than
/// it may. A test fails should these words ever change.
const TOO_MUCH_COPIED: &str = "too much data is being copied between the host and the guest";

/// The plugin returned an error.
pub(super) fn of_error(spec: &PluginSpec, error: &str) -> Failure {
    Failure(format!("plugin `{}` failed: {}", spec.name, text::brief(error)))
}

/// The plugin answered something that cannot be used.
pub(super) fn of_refusal(spec: &PluginSpec, refusal: &Refusal) -> Failure {
    let name = &spec.name;
    match refusal {
        Refusal::TooLarge { size } => {
            let limit = text::size(spec.limits.output);
            let key = output_key(name, spec.limits);
            Failure(format!("plugin `{name}` made {size} bytes of output, over its limit of {limit}; {key}"))
        }
        Refusal::Unfit(what) => Failure(format!("plugin `{name}` asked for {what}")),
    }
}

/// The plugin cannot be asked: what it would be shown is not text.
pub(super) fn of_bytes(spec: &PluginSpec) -> Failure {
    let name = &spec.name;
    Failure(format!(
        "plugin `{name}` takes text, but an earlier transform of this subscription made other bytes; \
         put `{name}` before it"
    ))
}

/// The call ended early. `last_words` is what the plugin last logged as an error in it.
pub(super) fn of_trap(spec: &PluginSpec, error: &wasmtime::Error, last_words: Option<&str>) -> Failure {
    let name = &spec.name;
    let what = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(stop), _) => of_stop(*stop, spec),
        (_, Some(Trap::StackOverflow)) => {
            let stack = text::size(STACK);
            format!("used up its stack of {stack}, which no key changes; does it call itself without end?")
        }
        // Rust and C keep their stack there.
        (_, Some(Trap::MemoryOutOfBounds)) => {
            "reached beyond its memory, as calls without end do too in Rust and C".to_owned()
        }
        (_, Some(Trap::UnreachableCodeReached)) => match last_words {
            Some(words) => format!("panicked: {}", text::brief(words)),
            None => "gave up (it reached `unreachable`, as a panic does)".to_owned(),
        },
        (_, Some(trap)) => format!("trapped: {trap}"),
        _ => of_other(error, spec),
    };
    Failure(format!("plugin `{name}` {what}"))
}

fn of_stop(stop: Stop, spec: &PluginSpec) -> String {
    let name = &spec.name;
    match stop {
        Stop::Time => {
            let limit = text::duration(spec.limits.time);
            format!(
                "ran longer than its limit of {limit}; `[plugin.{name}] limits.time = \"{limit}\"` changes it"
            )
        }
        Stop::Memory { asked } => {
            let limit = text::size(spec.limits.memory);
            format!(
                "asked for {asked} bytes of memory, over its limit of {limit}; \
                 `[plugin.{name}] limits.memory = \"{limit}\"` changes it"
            )
        }
        Stop::Table { asked } => format!(
            "asked for {asked} elements of tables, over the limit of {TABLE_ELEMENTS}, which no key changes"
        ),
        Stop::Log => {
            let bytes = text::size(LOG_BYTES);
            format!(
                "logged more than {LOG_LINES} lines or {bytes} for one event; no key changes this, log less"
            )
        }
    }
}

/// A type of the plugin's is not that of our contract, although it says the same version.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misfit(String);

pub(super) fn misfit(error: wasmtime::Error) -> wasmtime::Error {
    Misfit(error.root_cause().to_string()).into()
}

fn of_other(error: &wasmtime::Error, spec: &PluginSpec) -> String {
    if let Some(Misfit(what)) = error.downcast_ref() {
        let what = text::brief(what);
        return format!(
            "was built for another form of the contract: {what}; {REBUILD}, or update trackrelay"
        );
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return "found no room for another instance; too many plugins run at once".to_owned();
    }
    let cause = error.root_cause().to_string();
    if cause.starts_with(TOO_MUCH_COPIED) {
        let limit = text::size(spec.limits.output);
        let key = output_key(&spec.name, spec.limits);
        return format!(
            "handed over more at once, as answer or as log, than its output limit of {limit}; {key}"
        );
    }
    format!("stopped: {}", text::brief(&cause))
}

fn output_key(name: &str, limits: PluginLimits) -> String {
    format!("`[plugin.{name}] limits.output = \"{}\"` changes it", text::size(limits.output))
}

/// The thread that ran the call ended before it: the daemon is stopping, or has a bug.
pub(super) fn of_host(spec: &PluginSpec, error: &tokio::task::JoinError) -> Failure {
    Failure(format!("plugin `{}` was cut off: {error}", spec.name))
}
