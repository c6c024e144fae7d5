//! From the config as written to the config as meant. Collects every problem of all files,
//! and does no I/O: what lies outside of the files is in the `World` that it is given.
//!
//! Unknown keys, wrong types and unknown words were found before, by `config/shape.rs`; here
//! a missing key was either said there or has a default.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::file::{self, At, Key};
use super::problem::text::Text;
use super::problem::{Flaw, Place, Problem, did_you_mean};
use super::shape::prune::dotted;
use super::units::{Durations, Sizes, Wrong};
use super::{Config, Secret, Sound, Subscription, Uses, Workspace};

mod delivery;
mod digest;
mod faults;
mod filters;
mod headers;
mod limits;
mod listen;
mod owner;
mod plugins;
mod secrets;
mod sources;
mod subscription;
mod url;

pub use headers::is_reserved as is_reserved_header;
pub use url::{callback_of, refused_address};

/// Each has its connections, counters and place in the index; measured to this number.
const MOST_SUBSCRIPTIONS: usize = 20_000;

const MOST_USERS: usize = 1000;

const MOST_PLUGINS: usize = 1000;

/// Track has one to three subscriptions a workspace, and each source has metrics of its own.
const MOST_SOURCES: usize = 1000;

/// One TOML file, read.
pub struct Written {
    pub text: Text,
    pub file: file::File,
    /// No syntax error. Of an unsound file only the names count: problems that come from
    /// what could not be read would lead astray.
    pub sound: bool,
    /// Spans of keys, values and list entries that are not as they were written.
    pub cut: HashSet<Range<usize>>,
}

impl Written {
    fn nothing(path: &Path) -> Written {
        let text = Text::new(path.to_owned(), String::new());
        Written { text, file: file::File::default(), sound: true, cut: HashSet::new() }
    }

    /// Whether something in this key's value, this value or this list entry was flawed.
    fn is_cut(&self, span: &Range<usize>) -> bool {
        self.cut.contains(span)
    }
}

/// What the config refers to outside of its files. Holds secrets, hence no `Debug`.
#[derive(Default)]
pub struct World {
    /// The main file, canonical.
    pub path: PathBuf,
    pub files: Vec<PathBuf>,
    pub folders: Vec<PathBuf>,
    pub user_id: u32,
    /// The environment variables that matter, if set.
    pub variables: BTreeMap<String, String>,
    /// Secret files, or why they could not be read.
    pub secrets: BTreeMap<PathBuf, Result<Secret, String>>,
    /// Plugin files that are not there, and what is.
    pub missing_plugins: BTreeMap<PathBuf, String>,
    /// TOML files that group or others can read.
    pub exposed: BTreeSet<PathBuf>,
    /// Every file could be read; otherwise an unknown name may stand in the one that could not.
    pub complete: bool,
}

/// What came of a check. There is a config exactly if there are no problems.
pub struct Checked {
    pub result: Result<Config, Vec<Problem>>,
    pub warnings: Vec<Problem>,
    /// What can be used although the config as a whole cannot; empty if it can.
    pub sound: Sound,
}

/// Checks the files, the main one first. `problems` are those that were found in reading them.
pub fn check(files: &[Written], world: World, problems: Vec<Problem>) -> Checked {
    let mut notes = Notes { problems, warnings: Vec::new() };
    let names = Names::of(files, &world, &mut notes);
    // Of an unsound main file nothing is said, and the defaults hold.
    let (nothing, mut unheard) = (Written::nothing(&world.path), Notes::default());
    let (written, heard) = match files.first().filter(|main| main.sound) {
        Some(main) => (main, &mut notes),
        None => (&nothing, &mut unheard),
    };
    let main = &written.file;
    let pen = &mut Pen { written, notes: heard, table: Vec::new(), world: &world };

    let listen = listen::listen(pen, &main.listen);
    let store = listen::store(pen, &main.store);
    let workspace = Workspace {
        id: main.workspace.id.get().map_or(1, |id| id.value),
        limit: main.workspace.limit.get().map_or_else(Default::default, |limit| limit.value),
    };
    let defaults =
        pen.within(["defaults"], |pen| delivery::Delivery::default().overridden(pen, &main.defaults));

    let users = owner::users(files, &world, &mut notes);
    let sources = sources::sources(files, &world, &mut notes);
    let plugins = plugins::plugins(files, &world, &mut notes);
    let around = subscription::Around { names: &names, users: &users, defaults: &defaults };
    let (subscriptions, mut uses) = subscription::subscriptions(files, &around, &world, &mut notes);
    limits::check(&workspace, files, &subscriptions, &mut notes);

    let Notes { problems, warnings } = notes;
    if problems.is_empty() {
        let World { path, files, folders, .. } = world;
        let config =
            Config { path, files, folders, listen, store, workspace, users, sources, plugins, subscriptions };
        return Checked { result: Ok(config), warnings, sound: Sound::default() };
    }
    uses.extend(subscriptions.into_iter().map(Uses::from));
    Checked { result: Err(problems), warnings, sound: Sound { store: store.path, plugins, uses } }
}

impl From<Subscription> for Uses {
    fn from(subscription: Subscription) -> Uses {
        let Subscription { name, filter, transform, .. } = subscription;
        Uses { subscription: name, filter, transform }
    }
}

#[derive(Default)]
struct Notes {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Notes problems of one table of one file.
struct Pen<'a> {
    written: &'a Written,
    notes: &'a mut Notes,
    /// Path of the table that is being read.
    table: Vec<String>,
    world: &'a World,
}

impl Pen<'_> {
    fn flaw(&mut self, flaw: Flaw) {
        self.notes.problems.push(self.written.text.problem(flaw));
    }

    fn warn(&mut self, flaw: Flaw) {
        self.notes.warnings.push(self.written.text.problem(flaw));
    }

    /// What came of some work, if it noted no problem.
    fn sound<T>(&mut self, work: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.notes.problems.len();
        let done = work(self);
        done.filter(|_| self.notes.problems.len() == before)
    }

    /// The name of a key of this table, for messages.
    fn key(&self, key: &str) -> String {
        let mut path = self.table.clone();
        path.push(key.to_owned());
        format!("`{}`", dotted(&path))
    }

    fn within<T, const N: usize>(&mut self, keys: [&str; N], work: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.table.len();
        self.table.extend(keys.map(str::to_owned));
        let done = work(self);
        self.table.truncate(depth);
        done
    }

    fn place(&self, at: &std::ops::Range<usize>) -> Place {
        self.written.text.place(at.start)
    }

    /// A path as meant: relative ones are relative to the file that names them.
    fn path(&self, written: &str) -> PathBuf {
        beside(self.written.text.file(), written)
    }

    fn duration(
        &mut self,
        key: &str,
        written: &Key<String>,
        allowed: &Durations,
    ) -> Option<std::time::Duration> {
        let at = written.get()?;
        self.noted(key, at, allowed.read(&at.value))
    }

    fn size(&mut self, key: &str, written: &Key<String>, allowed: &Sizes) -> Option<usize> {
        let at = written.get()?;
        self.noted(key, at, allowed.read(&at.value))
    }

    fn noted<T>(&mut self, key: &str, at: &At<String>, read: Result<T, Wrong>) -> Option<T> {
        read.map_err(|Wrong { wrong, hint }| {
            let hint = hint.map(str::to_owned);
            self.flaw(Flaw { span: at.span.clone(), message: format!("{} {wrong}", self.key(key)), hint });
        })
        .ok()
    }
}

/// A path that `file` names.
pub(super) fn beside(file: &Path, written: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(written)
}

/// Every name of every file, unsound ones included.
struct Names {
    users: BTreeSet<String>,
    plugins: BTreeSet<String>,
    /// No name is missing because its file could not be read.
    complete: bool,
}

impl Names {
    /// Collects the names; one that stands in two files is a problem at the later one.
    fn of(files: &[Written], world: &World, notes: &mut Notes) -> Names {
        let mut unique = |kind, names: fn(&file::File) -> Vec<&At<String>>, most| {
            unique(kind, files, names, most, world, &mut *notes)
        };
        unique("subscription", |file| file.subscription.keys().collect(), MOST_SUBSCRIPTIONS);
        unique("source", |file| file.source.keys().collect(), MOST_SOURCES);
        Names {
            users: unique("user", |file| file.user.keys().collect(), MOST_USERS),
            plugins: unique("plugin", |file| file.plugin.keys().collect(), MOST_PLUGINS),
            complete: world.complete && files.iter().all(|written| written.sound),
        }
    }
}

fn unique(
    kind: &str,
    files: &[Written],
    names: fn(&file::File) -> Vec<&At<String>>,
    most: usize,
    world: &World,
    notes: &mut Notes,
) -> BTreeSet<String> {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for written in files {
        // An unsound file's names are not said to be wrong, only known.
        let mut unheard = Notes::default();
        let notes = if written.sound { &mut *notes } else { &mut unheard };
        let mut pen = Pen { written, notes, table: Vec::new(), world };
        let mut names = names(&written.file);
        names.sort_by_key(|name| name.span.start);
        for name in names {
            if let Some(wrong) = wrong_name(&name.value) {
                pen.flaw(Flaw::new(name.span.clone(), format!("the name of a {kind} {wrong}")));
            }
            if seen.len() == most {
                pen.flaw(Flaw::new(name.span.clone(), format!("there are more than {most} {kind}s")));
                return seen.into_keys().map(str::to_owned).collect();
            }
            match seen.get(name.value.as_str()) {
                Some(first) => {
                    let file = first.file.display();
                    let message = format!("{kind} `{}` exists already", name.value);
                    let hint = format!(
                        "the other one is in `{file}`, line {}; names are unique over all files",
                        first.line
                    );
                    pen.flaw(Flaw::new(name.span.clone(), message).hint(hint));
                }
                None => {
                    seen.insert(&name.value, pen.place(&name.span));
                }
            }
        }
    }
    seen.into_keys().map(str::to_owned).collect()
}

/// What a file system says of a path where nothing is.
pub(super) const ABSENT: &str = "does not exist";

/// The way out of a file that is not there.
fn path_hint(written: &str, reason: &str) -> Option<String> {
    let hint = if written.starts_with('~') {
        "`~` means nothing here; write the path in full, or relative to this file"
    } else {
        "the path is relative to this file"
    };
    (reason == ABSENT).then(|| hint.to_owned())
}

/// What is wrong with a name, if so: they are shown in one line, given to commands, sent over
/// the API and kept in the store.
pub fn wrong_name(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        Some("must not be empty")
    } else if name.chars().any(char::is_control) {
        Some("must not hold control characters")
    } else if name.chars().count() > 200 {
        Some("is longer than 200 characters")
    } else if name.starts_with('-') {
        Some("must not begin with `-`, which commands take for an option")
    } else {
        None
    }
}

/// An unknown name, with the one that was probably meant.
fn unknown_name(kind: &str, name: &At<String>, known: &BTreeSet<String>) -> Flaw {
    let hint = match did_you_mean(&name.value, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("add a `[{kind}.{}]` table", dotted(std::slice::from_ref(&name.value))),
    };
    Flaw::new(name.span.clone(), format!("no {kind} is named `{}`", name.value)).hint(hint)
}

/// Tables in the order they stand in their file.
fn in_order<T>(tables: &file::Named<T>) -> Vec<(&At<String>, &T)> {
    let mut tables: Vec<_> = tables.iter().collect();
    tables.sort_by_key(|(name, _)| name.span.start);
    tables
}

#[cfg(test)]
mod tests;
