//! Changes the user's files, on explicit command only. The one place that writes them.
//!
//! `toml_edit` says where things stand, and the text is changed there alone: comments, order,
//! line ends and every other byte stay. A file is replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml_edit::{Document, Item, TableLike};

/// Why an edit was refused; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` cannot be read, so it was not changed: {reason}", .file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("`{}` has changed since it was loaded, so it was not changed; reload and try again", .file.display())]
    Stale { file: PathBuf },
    #[error("`{}` holds no table `[subscription.{name}]`", .file.display())]
    NoTable { file: PathBuf, name: String },
    #[error("`{}` cannot be written: {reason}", .file.display())]
    Unwritable { file: PathBuf, reason: io::Error },
}

/// Identifies what a file held when it was loaded.
pub fn hash(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `enabled` into the table of a subscription, whose file is its `place.file`.
/// `expected` is the file's hash as it was loaded. Returns whether the file had to change.
pub fn set_enabled(file: &Path, name: &str, enabled: bool, expected: &str) -> Result<bool, Error> {
    let unreadable = |reason: String| Error::Unreadable { file: file.to_owned(), reason };
    let bytes = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    if hash(&bytes) != expected {
        return Err(Error::Stale { file: file.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
    let document = Document::parse(text.as_str()).map_err(|error| unreadable(error.message().to_owned()))?;
    let no_table = || Error::NoTable { file: file.to_owned(), name: name.to_owned() };
    let table = document.get("subscription").and_then(|tables| tables.get(name)).ok_or_else(no_table)?;
    // Absent means enabled.
    let before = table.get("enabled").is_none_or(|before| before.as_bool() != Some(false));
    if before == enabled {
        return Ok(false);
    }
    let edit = set_key(&text, table, "enabled", &enabled.to_string()).ok_or_else(no_table)?;
    let text = edit.applied(&text);
    replace(file, text.as_bytes()).map_err(|reason| Error::Unwritable { file: file.to_owned(), reason })?;
    Ok(true)
}

/// New text for a part of the old.
#[derive(Debug, PartialEq)]
struct Edit {
    range: Range<usize>,
    text: String,
}

impl Edit {
    fn applied(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.range.start], self.text, &text[self.range.end..])
    }
}

/// The edit that gives a key of a table this value. A new key goes below the table's last.
fn set_key(text: &str, table: &Item, key: &str, value: &str) -> Option<Edit> {
    if let Some(old) = table.get(key) {
        return Some(Edit { range: old.span()?, text: value.to_owned() });
    }
    let inline = table.is_inline_table();
    let (last_key, last_value) = last_entry(table.as_table_like()?)?;
    if inline {
        let end = last_value.end;
        return Some(Edit { range: end..end, text: format!(", {key} = {value}") });
    }
    let line = text[..last_key.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[last_value.end..].find('\n').map_or(text.len(), |at| last_value.end + at);
    let (end, line_break) = match text[..end].strip_suffix('\r') {
        Some(_) => (end - 1, "\r\n"),
        None => (end, "\n"),
    };
    // What stands before the last key: its indentation, and the table's name if keys are dotted.
    let before = &text[line..last_key.start];
    Some(Edit { range: end..end, text: format!("{line_break}{before}{key} = {value}") })
}

/// Where the table's own last key and its value stand, tables within it left out.
fn last_entry(table: &dyn TableLike) -> Option<(Range<usize>, Range<usize>)> {
    let entries = table.iter().filter_map(|(name, item)| {
        let value = item.as_value()?.span()?;
        Some((table.key(name)?.span()?, value))
    });
    entries.max_by_key(|(key, _)| key.start)
}

/// Puts new content in a file's place: written beside it, synced, renamed over it. A link
/// stays a link, and the mode stays.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(file)?;
    let permissions = fs::metadata(&target)?.permissions();
    let folder = target.parent().unwrap_or(Path::new("/"));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so that no `include` pattern matches it.
    let beside = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&beside, content, permissions).and_then(|()| fs::rename(&beside, &target));
    if let Err(error) = written {
        // What went wrong first is what matters.
        drop(fs::remove_file(&beside));
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn write_new(file: &Path, content: &[u8], permissions: fs::Permissions) -> io::Result<()> {
    // Closed to others until it has the mode of the file it replaces: it may hold secrets.
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    new.set_permissions(permissions)?;
    new.write_all(content)?;
    new.sync_all()
}

#[cfg(test)]
mod tests;
