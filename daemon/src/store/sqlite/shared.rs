//! What the store's writer and everybody who asks it have in common.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::Connection;

use super::index::Index;
use super::queue::Queue;
use super::schema::Folder;
use super::{Error, EventIds};

/// What the writer and everybody else have in common.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) index: RwLock<Index>,
    pub(super) event_ids: EventIds,
    /// For claims and plugins, which wait only for each other.
    pub(super) reader: Mutex<Connection>,
    /// For people, who may ask for much.
    pub(super) historian: Mutex<Connection>,
    /// Last, so that the lock outlives the connections.
    pub(super) folder: Folder,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        self.folder.failed(error)
    }

    pub(super) fn refused(&self, error: &rusqlite::Error) -> Error {
        self.folder.refused(error)
    }

    pub(super) fn closed(&self) -> Error {
        self.failed(&"it is closed")
    }

    pub(super) fn upcoming_event_id(&self) -> i64 {
        self.event_ids.upcoming()
    }

    pub(super) fn read_index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}
