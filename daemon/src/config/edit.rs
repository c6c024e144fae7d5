//! Changes the user's files, on explicit command only. The one place that writes them.
//!
//! `edit/layout.rs` says where things stand, and the text is changed there alone: comments,
//! order, line ends and every other byte stay. A file is replaced as a whole or not at all.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml_edit::Document;

use layout::Layout;
use patch::Patch;
pub use secret::{SecretHome, users_of};

mod layout;
mod list;
mod patch;
mod remove;
mod save;
mod secret;
mod table;

/// Why an edit was refused; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` cannot be read, so it was not changed: {reason}", .file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("`{}` has changed since it was loaded, so it was not changed; reload and try again", .file.display())]
    Stale { file: PathBuf },
    #[error("`{}` holds no table `[subscription.{name}]`", .file.display())]
    NoTable { file: PathBuf, name: String },
    #[error("`{}` holds a table `[subscription.{name}]` already; take another name", .file.display())]
    Exists { file: PathBuf, name: String },
    #[error("`{}` would not be valid TOML any more, so it was not changed: {reason}", .file.display())]
    Unfit { file: PathBuf, reason: String },
    #[error("`{}` cannot be written: {reason}", .file.display())]
    Unwritable { file: PathBuf, reason: io::Error },
}

/// One key of a table and what it is to say, in the order in which new ones are written.
/// A key may have several parts, such as `headers` and `x-env`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub key: Vec<String>,
    /// Nothing takes the key out.
    #[serde(default)]
    pub value: Option<toml::Value>,
}

/// What is to become of one subscription's table.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// A new table at the end of the file.
    Add { name: String, fields: Vec<Field> },
    /// Keys set where they stand, new ones below the others, and a new name if there is one.
    Change { name: String, rename: Option<String>, fields: Vec<Field> },
    /// The table goes, with what belongs to it.
    Remove { name: String },
}

/// A file's new text, not yet written.
pub struct Draft {
    pub file: PathBuf,
    pub text: String,
    /// What the file holds until then.
    pub before: String,
}

/// Identifies what a file held when it was loaded.
pub fn hash(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file's text after an edit, if it is still the one whose hash is `expected`.
pub fn draft(file: &Path, edit: &Edit, expected: &str) -> Result<Draft, Error> {
    let unreadable = |reason| Error::Unreadable { file: file.to_owned(), reason };
    let before = text(file)?;
    if hash(before.as_bytes()) != expected {
        return Err(Error::Stale { file: file.to_owned() });
    }
    sound(&before).map_err(unreadable)?;
    let text = edit.applied(&before).map_err(|wrong| wrong.of(file))?;
    sound(&text).map_err(|reason| Error::Unfit { file: file.to_owned(), reason })?;
    Ok(Draft { file: file.to_owned(), text, before })
}

/// Where the table of a subscription begins in a text, if it is there. The text may have
/// errors: it is looked at in order to mend them.
pub fn find(text: &str, name: &str) -> Option<usize> {
    let layout = Layout::of(text);
    let path = [table::SUBSCRIPTION, name];
    let headers = layout.sections.iter().filter_map(|section| section.header.as_ref());
    let headers = headers.filter(|header| header.leads_to(&path)).map(|header| header.at.start);
    let spots = layout.along(&path);
    let entries = spots.iter().filter(|spot| spot.path.len() >= path.len());
    headers.chain(entries.map(|spot| spot.entry.at().start)).min()
}

/// What a file holds.
pub fn text(file: &Path) -> Result<String, Error> {
    let unreadable = |reason: String| Error::Unreadable { file: file.to_owned(), reason };
    let bytes = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))
}

impl Field {
    pub fn new(key: &str, value: impl Into<toml::Value>) -> Field {
        Field { key: vec![key.to_owned()], value: Some(value.into()) }
    }

    /// Takes a key out.
    pub fn without(key: &str) -> Field {
        Field { key: vec![key.to_owned()], value: None }
    }
}

/// Without the value, which may be a secret.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key.join("."))
    }
}

impl Edit {
    pub fn name(&self) -> &str {
        match self {
            Edit::Add { name, .. } | Edit::Change { name, .. } | Edit::Remove { name } => name,
        }
    }

    /// The text of a sound file after this edit.
    fn applied(&self, text: &str) -> Result<String, Wrong> {
        match self {
            Edit::Add { name, fields } => table::add(text, name, fields),
            Edit::Remove { name } => remove::table(text, name),
            Edit::Change { name, rename, fields } => {
                let text = table::change(text, name, fields)?;
                match rename.as_ref().filter(|new| *new != name) {
                    Some(new) => table::rename(&text, name, new),
                    None => Ok(text),
                }
            }
        }
    }
}

impl Draft {
    /// Back to what the file held.
    pub fn undone(&self) -> Draft {
        Draft { file: self.file.clone(), text: self.before.clone(), before: self.text.clone() }
    }

    /// Puts the text in the file's place if the file still holds what was edited. Returns
    /// whether it had to change.
    pub fn save(&self) -> Result<bool, Error> {
        if self.text == self.before {
            return Ok(false);
        }
        let Draft { file, text, before } = self;
        match save::replace(file, text.as_bytes(), before.as_bytes()) {
            Ok(true) => Ok(true),
            Ok(false) => Err(Error::Stale { file: file.clone() }),
            Err(reason) => Err(Error::Unwritable { file: file.clone(), reason }),
        }
    }
}

/// Why an edit does not fit the text; the file is known elsewhere.
#[derive(Debug, PartialEq)]
enum Wrong {
    NoTable(String),
    Exists(String),
}

impl Wrong {
    fn of(self, file: &Path) -> Error {
        let file = file.to_owned();
        match self {
            Wrong::NoTable(name) => Error::NoTable { file, name },
            Wrong::Exists(name) => Error::Exists { file, name },
        }
    }
}

/// Whether it is TOML, keys that stand twice included.
fn sound(text: &str) -> Result<(), String> {
    Document::parse(text).map(drop).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests;
