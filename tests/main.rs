//! The promises of trackrelay, checked against the real binary: a file per promise, one
//! harness for all. What a room promises to other rooms is tested beside its code.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
#![expect(unreachable_pub, reason = "nobody is outside of this binary; `pub` means for the other files")]

mod harness;

mod accepts;
mod accepts_track;
mod breaks;
mod cli;
mod clocks;
mod completes;
mod contains_plugins;
#[cfg(debug_assertions)]
mod crash_matrix;
mod delivers;
mod describes;
mod demo;
mod doctor;
mod edits;
mod endpoints;
mod examples;
mod faults;
mod filters;
mod full_disk;
mod guards;
mod history;
mod makes_plugins;
mod orders;
mod otel;
mod read_only_disk;
mod reloads;
mod retries;
mod shuts_down;
mod signs;
mod speaks_track;
mod storms;
mod survives;
mod tail;
mod tidy;
mod transforms;
mod validates;
mod why;
mod zoo;
