//! Mends a broken store: keeps the damaged files under other names and makes a new store
//! of all that can be read. Which rows can be read is `salvage/rows.rs`, what they become
//! `salvage/copy.rs`; what is broken says `audit.rs`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, Folder};
use super::start;
use crate::store::{Error, Result};
use copy::copy;
use pages::PAGE;
pub use saved::{Lost, Saved};

mod copy;
mod leaf;
mod pages;
mod rows;
mod saved;
mod strays;

/// What was done.
#[derive(Clone, Debug)]
pub struct Salvaged {
    /// The damaged files, untouched.
    pub kept: Vec<PathBuf>,
    pub saved: Saved,
}

/// Makes a sound store of what can be read of the one in this folder, which nobody may
/// have open. The next start delivers what waits.
pub fn salvage(path: &Path, now: Timestamp) -> Result<Salvaged> {
    if Folder::look_at(path).is_none() {
        let reason = "there is no store to repair".to_owned();
        return Err(Error::Failed { path: path.display().to_string(), reason });
    }
    let folder = Folder::take(path)?;
    let kept = keep(&folder.database, now).map_err(|error| folder.failed(&error))?;
    let new = beside(&folder.database, ".new");
    let patched = beside(&folder.database, ".patched");
    let clean_up = || {
        clean(&new, &["", "-wal", "-shm", "-journal"]);
        clean(&patched, &["", "-wal", "-shm", "-journal"]);
        // What the engine put beside the damaged file to read it.
        clean(&kept[0], if kept.len() > 1 { &["-shm"] } else { &["-shm", "-wal"] });
    };
    clean_up();
    let saved = build(&kept[0], &new, &patched, now).map_err(|error| folder.failed(&error));
    let placed = saved.and_then(|saved| {
        place(&new, &folder.database).map_err(|error| folder.failed(&error))?;
        Ok(saved)
    });
    clean_up();
    Ok(Salvaged { kept, saved: placed? })
}

/// Gives the damaged files further names: the database first, then its log if it has one.
fn keep(database: &Path, now: Timestamp) -> io::Result<Vec<PathBuf>> {
    let name = beside(database, &now.strftime(".damaged-%Y%m%dT%H%M%SZ").to_string());
    let mut kept = Vec::new();
    for ending in ["", "-wal"] {
        let (from, to) = (beside(database, ending), beside(&name, ending));
        if from.exists() {
            // A second name costs no room; where there are none, a copy has to do.
            fs::hard_link(&from, &to).or_else(|_| copy_new(&from, &to))?;
            kept.push(to);
        }
    }
    Ok(kept)
}

fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut schema::private().create_new(true).open(to)?).map(drop)
}

fn build(damaged: &Path, new: &Path, patched: &Path, now: Timestamp) -> anyhow::Result<Saved> {
    schema::private().open(new)?;
    let mut to = schema::make(new)?;
    let from = open_damaged(damaged, new, patched)?;
    let version = schema::version(&from).unwrap_or_default();
    if let Some(newer) = schema::newer(version) {
        anyhow::bail!(newer);
    }
    let transaction = to.transaction()?;
    let mut saved = copy(&from, damaged, &transaction, now)?;
    transaction.commit()?;
    saved.waiting = start::settle_all(&mut to)?;
    to.close().map_err(|(_, error)| error)?;
    File::open(new)?.sync_all()?;
    Ok(saved)
}

/// Opens what is left. Where the first page says nothing, a copy gets that of the new
/// file: all files have been made alike, so it knows where the tables begin.
fn open_damaged(damaged: &Path, new: &Path, patched: &Path) -> anyhow::Result<Connection> {
    let from = open(damaged)?;
    if from.query_row("SELECT max(seq) IS NULL FROM events", [], |_| Ok(())).is_ok() || knows_tables(&from) {
        return Ok(from);
    }
    drop(from);
    for ending in ["", "-wal"] {
        let (from, to) = (beside(damaged, ending), beside(patched, ending));
        if from.exists() {
            copy_new(&from, &to)?;
        }
    }
    let mut first = [0; PAGE];
    File::open(new)?.read_exact(&mut first)?;
    let mut file = schema::private().open(patched)?;
    let length = file.metadata()?.len();
    first[18..20].fill(2); // The log is to be read.
    first[28..32].copy_from_slice(&u32::try_from(length / PAGE as u64)?.max(1).to_be_bytes());
    first[32..40].fill(0); // No free pages are known.
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&first)?;
    drop(file);
    open(patched)
}

fn open(file: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A file that ends too early is read all the same.
    connection.pragma_update(None, "writable_schema", true)?;
    Ok(connection)
}

fn knows_tables(connection: &Connection) -> bool {
    connection.prepare("SELECT seq FROM events").is_ok()
}

/// Puts the new file in the place of the damaged one. Its log goes first, since it must
/// never be taken for that of the new file; both are kept by then.
fn place(new: &Path, database: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm"] {
        remove(&beside(database, ending))?;
    }
    fs::rename(new, database)?;
    match database.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes what the work has left of a file.
fn clean(file: &Path, endings: &[&str]) {
    for ending in endings {
        if let Err(error) = remove(&beside(file, ending)) {
            tracing::warn!(%error, "`{}{ending}` is left over from the repair", file.display());
        }
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The file of the same name with something behind it.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
