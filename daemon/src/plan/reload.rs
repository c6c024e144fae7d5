//! How the last load of the config went, for everybody who shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Problem;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadState {
    /// The files are in force.
    Ok,
    /// The files are in force, as they were before.
    Unchanged,
    /// The files were refused; the last good set goes on.
    Stale,
}

impl ReloadState {
    pub fn as_str(self) -> &'static str {
        match self {
            ReloadState::Ok => "ok",
            ReloadState::Unchanged => "unchanged",
            ReloadState::Stale => "stale",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Reload {
    pub state: ReloadState,
    /// When the set in force was loaded.
    pub loaded_at: Timestamp,
    /// What changed, as sentences.
    pub changes: Vec<String>,
    /// Keys that were changed in the files and take effect at the next start.
    pub restart_needed: Vec<String>,
    pub warnings: Vec<Problem>,
    /// Why the files were refused.
    pub problems: Vec<Problem>,
    /// SHA-256 of each file of the set in force, so that an edit never meets another text
    /// than the one it was meant for.
    pub hashes: Arc<BTreeMap<PathBuf, String>>,
}
