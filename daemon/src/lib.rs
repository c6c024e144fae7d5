//! trackrelay: a local webhook relay for Toggl Track.
//!
//! The modules stand in reading order, and a module uses only modules above it
//! (`tests/tidy.rs` checks that). Two halves never call each other: the way in
//! (`route`, `source`) and the way out (`deliver`, `validate`). They meet in the things,
//! above all in the `store`.

// Things.
pub mod clock;
pub mod drill;
pub mod splitmix;
pub mod telemetry;
pub mod event;
pub mod delivery;
pub mod track;
pub mod config;
pub mod feed;
pub mod runtime;
pub mod sign;
pub mod store;
pub mod plugin;
pub mod plan;

// The way in.
pub mod answer;
pub mod route;
pub mod source;

// The way out.
pub mod deliver;
pub mod validate;
pub mod otel;

// People and programs.
pub mod server;
pub mod api;

// The whole.
pub mod daemon;
pub mod cli;
