//! All that a plugin can reach: the log, and what was known of an entity before. In tests,
//! which run on your machine and not inside trackrelay, log lines are dropped and nothing
//! was known before.

#[cfg(target_family = "wasm")]
use crate::bindings::filter::track::relay::host;
pub use crate::bindings::filter::track::relay::host::Level;

/// The payload of the same entity as it was known when the event now being handled
/// arrived, as JSON text. None if there was none, if the entity was deleted, or if the
/// subscription's creator may not see it.
pub fn previous() -> Option<String> {
    #[cfg(target_family = "wasm")]
    return host::previous();
    #[cfg(not(target_family = "wasm"))]
    None
}

/// Writes a line to trackrelay's log. A call may log 100 lines and 8 KiB; more ends it.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    host::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    let _ = (level, message);
}

/// Sends the message of a panic to the log. Without it trackrelay would only learn that
/// the plugin gave up.
pub(crate) fn report_panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
}
