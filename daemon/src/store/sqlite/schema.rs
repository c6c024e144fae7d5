//! The folder, the lock, the file and its tables. Every change of the tables is listed
//! here; `PRAGMA user_version` says how many of them a file has seen.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::record;
use crate::store::{Error, Result};

/// What each version of the file adds to the one before. Never change an entry that was
/// released; add one.
const MIGRATIONS: [&str; 2] = [
    include_str!("schema.sql"),
    // Attempts have traces: the tables are as before, but an earlier version cannot read the rows.
    "",
];

/// The file, in its folder. The engine puts `-wal` and `-shm` beside it.
const DATABASE: &str = "trackrelay.db";

/// Nobody but us opens the file, yet a backup tool may hold it for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the log before it is written back and used again from its start: 16 MiB. More
/// means fewer pauses of the writer, and that a start after a crash reads more.
const CHECKPOINT_PAGES: u32 = 4000;

/// The store's folder, held by this process until dropped.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) database: PathBuf,
    /// None: only looked at.
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder if need be, and takes the lock in it. The mode of a folder that was
    /// there is its owner's affair; the files in it are private in any case.
    pub(super) fn take(path: &Path) -> Result<Folder> {
        make_folder(path).map_err(unwritable(path))?;
        let lock_path = path.join("lock");
        let mut lock = private().open(&lock_path).map_err(unwritable(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { path: path.display().to_string(), pid: read_pid(&mut lock) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path, &error)),
        }
        let named = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        named.map_err(unwritable(&lock_path))?;
        let database = path.join(DATABASE);
        // Made before the engine makes it, so that nobody else can ever read it.
        private().open(&database).map_err(unwritable(&database))?;
        Ok(Folder { database, _lock: Some(lock) })
    }

    /// Whether the folder could be taken. One without a lock can.
    pub(super) fn take_if_there(path: &Path) -> Result<()> {
        if path.join("lock").exists() { Folder::take(path).map(drop) } else { Ok(()) }
    }

    /// The folder as it is, for reading beside whoever owns it. None if there is no store.
    pub(super) fn look_at(path: &Path) -> Option<Folder> {
        let database = path.join(DATABASE);
        database.exists().then_some(Folder { database, _lock: None })
    }

    /// The one connection that writes. Brings the tables up to date.
    pub(super) fn open_writer(&self) -> Result<Connection> {
        let opened = self.connect(OpenFlags::default()).and_then(|mut connection| {
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            let version = migrate(&mut connection)?;
            Ok((connection, version))
        });
        let (connection, version) = opened.map_err(|error| self.refused(&error))?;
        match newer(version) {
            Some(newer) => Err(self.failed(&newer)),
            None => Ok(connection),
        }
    }

    pub(super) fn open_reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = self.connect(flags).and_then(|connection| {
            connection.pragma_update(None, "cache_size", -512)?;
            Ok(connection)
        });
        opened.map_err(|error| self.refused(&error))
    }

    pub(super) fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        failed(&self.database, error)
    }

    /// The engine refused; says what to do where that is known.
    pub(super) fn refused(&self, error: &rusqlite::Error) -> Error {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
        match error.sqlite_error_code() {
            Some(DiskFull) => self.failed(&"the disk is full; make room, and it goes on by itself"),
            _ if record::is_damage(error) => self.failed(&format!(
                "{error}; the file is damaged: stop the daemon and run `trackrelay doctor --repair`, \
                 which keeps it and saves what can be read"
            )),
            // A file that is open and one day refuses says no more than that it failed.
            Some(SystemIoFailure | ReadOnly | CannotOpen | PermissionDenied) => self.failed(&format!(
                "{error}; the disk is read-only, failing, or not ours to write: mend that, \
                 and it goes on by itself"
            )),
            _ => self.failed(error),
        }
    }

    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = self.open_file(flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    fn open_file(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        #[cfg(test)]
        if let Some(layer) = super::tests::disk::stands_in_for(&self.database) {
            return Connection::open_with_flags_and_vfs(&self.database, flags, layer);
        }
        Connection::open_with_flags(&self.database, flags)
    }
}

/// A new store in a file that is there and empty, outside of any folder of ours.
pub(super) fn make(file: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(file)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// What to say of a file that only a later version can read.
pub(super) fn newer(version: u32) -> Option<String> {
    (version as usize > MIGRATIONS.len()).then(|| {
        format!(
            "it was written by a newer trackrelay (format {version}, this one knows {}); \
             install that version or set another `[store] path`",
            MIGRATIONS.len()
        )
    })
}

/// How many changes of the tables a file has seen.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Failed { path: path.display().to_string(), reason: error.to_string() }
}

/// Makes the folder and those above it that are missing. The engine syncs the folder of a
/// new file, but nobody the folder's own name: without that, a loss of power takes the
/// whole store along, and all that was acknowledged.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.iter().rev().try_for_each(|made| match made.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    })
}

/// A file or folder of ours that the system refuses.
fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    move |error| match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => failed(
            path,
            &format!("it cannot be written ({error}); make it writable or set another `[store] path`"),
        ),
        _ => failed(path, &error),
    }
}

/// Files that only the owner can read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Returns the version the file has in the end; a newer one is left as it is.
fn migrate(connection: &mut Connection) -> rusqlite::Result<u32> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&tx)?;
    for step in MIGRATIONS.iter().skip(version as usize) {
        tx.execute_batch(step)?;
    }
    let newest = version.max(MIGRATIONS.len() as u32);
    if version < newest {
        tx.pragma_update(None, "user_version", newest)?;
    }
    tx.commit()?;
    Ok(newest)
}
