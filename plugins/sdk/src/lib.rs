//! Write filters and transforms for trackrelay.
//!
//! A plugin is a type that implements [`Filter`] or [`Transform`], and one line that
//! exports it. This filter lets through time entries of an hour and more, or of whatever
//! its config says:
//!
#![cfg_attr(feature = "track", doc = "```")]
#![cfg_attr(not(feature = "track"), doc = "```ignore")]
//! use trackrelay_plugin::track::{self, TimeEntry};
//! use trackrelay_plugin::{Event, Filter, Verdict};
//!
//! #[derive(serde::Deserialize)]
//! struct Longer { seconds: i64 }
//!
//! impl Filter for Longer {
//!     fn configure(config: &str) -> Result<Self, String> {
//!         track::config(config)
//!     }
//!
//!     fn check(&self, event: &Event) -> Result<Verdict, String> {
//!         match event.payload::<TimeEntry>()?.duration {
//!             Some(seconds) if seconds >= self.seconds => Ok(Verdict::Deliver),
//!             _ => Ok(Verdict::Skip(format!("shorter than {} s", self.seconds))),
//!         }
//!     }
//! }
//!
//! trackrelay_plugin::filter!(Longer);
//! ```
//!
//! What a plugin can reach beyond its arguments is in [`host`]. [`track`] has Track's envelope
//! and entities as serde types; [`json`] reads events without other crates, and makes plugins
//! that are smaller and faster. A panic ends the call, and its message goes to trackrelay's log.

pub mod host;
pub mod json;
pub mod path;
pub mod testing;
#[cfg(feature = "track")]
pub mod track;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod slot;

pub use bindings::filter::track::relay::types::{Content, Event, Header, Message, Outcome, Route, Verdict};

/// Tries the example of the folder's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Decides whether an event is delivered.
pub trait Filter: Sized + 'static {
    /// Called once, with the `config` of this entry as JSON text. An error refuses the
    /// config.
    fn configure(config: &str) -> Result<Self, String>;

    /// Called for every event. An error is a failure of the plugin; to decide against an
    /// event is [`Verdict::Skip`].
    fn check(&self, event: &Event) -> Result<Verdict, String>;
}

/// Decides in which form an event is delivered.
pub trait Transform: Sized + 'static {
    /// Called once, with the `config` of this entry as JSON text. An error refuses the
    /// config.
    fn configure(config: &str) -> Result<Self, String>;

    /// Called for every event, once per attempt at delivering it: the same event must give
    /// the same answer.
    fn apply(&self, event: &Event) -> Result<Outcome, String>;
}

/// A message with a JSON body and no extra headers.
pub fn json_message(body: String) -> Message {
    Message { body: Content::Text(body), content_type: "application/json".into(), headers: Vec::new() }
}

/// Exports a type as the plugin's filter.
#[macro_export]
macro_rules! filter {
    ($plugin:ty) => {
        const _: () = {
            use $crate::bindings::filter as bindings;
            use $crate::{Event, Filter, Verdict};

            ::std::thread_local! {
                static PLUGIN: $crate::slot::Slot<$plugin> = const { $crate::slot::Slot::empty() };
            }

            struct Exported;

            impl bindings::exports::track::relay::filter::Guest for Exported {
                fn configure(config: String) -> Result<(), String> {
                    PLUGIN.with(|plugin| plugin.fill(|| <$plugin as Filter>::configure(&config)))
                }

                fn check(event: Event) -> Result<Verdict, String> {
                    PLUGIN.with(|plugin| plugin.ask(|plugin| plugin.check(&event)))
                }
            }

    bindings::export_filter!(Exported with_types_in bindings);
        };
    };
}

/// Exports a type as the plugin's transform.
#[macro_export]
macro_rules! transform {
    ($plugin:ty) => {
        const _: () = {
            use $crate::bindings::transform as bindings;
            use $crate::{Event, Outcome, Transform};

            ::std::thread_local! {
                static PLUGIN: $crate::slot::Slot<$plugin> = const { $crate::slot::Slot::empty() };
            }

            struct Exported;

            impl bindings::exports::track::relay::transform::Guest for Exported {
                fn configure(config: String) -> Result<(), String> {
                    PLUGIN.with(|plugin| plugin.fill(|| <$plugin as Transform>::configure(&config)))
                }

                fn apply(event: Event) -> Result<Outcome, String> {
                    PLUGIN.with(|plugin| plugin.ask(|plugin| plugin.apply(&event)))
                }
            }

    bindings::export_transform!(Exported with_types_in bindings);
        };
    };
}
