//! Reads the main file, what it includes and what they refer to, and has it checked. Knows
//! every file and folder that matters even when the load fails, so that the fix is noticed.
//!
//! What is allowed is `config/check.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::DeTable;

use super::check::{ABSENT, Checked, World, Written, beside, check};
use super::file::leaf::SecretKept;
use super::file::{self, INCLUDABLE, Key, SecretForm};
use super::problem::render::Renderer;
use super::problem::text::{Text, Texts};
use super::problem::{Flaw, Problem};
use super::shape::TableShape;
use super::shape::prune::{Pruned, prune};
use super::{Config, Secret, Sound, edit};
use clean::clean;

mod advice;
mod clean;
mod include;

/// What came of a load.
pub struct Loaded {
    /// The config, or every problem of all files.
    pub result: Result<Config, Vec<Problem>>,
    pub warnings: Vec<Problem>,
    /// What can be tried out although the config was refused.
    pub sound: Sound,
    /// Every file that matters, found or not.
    pub files: Vec<PathBuf>,
    /// Folders in which a new file would matter.
    pub folders: Vec<PathBuf>,
    /// What was read, for rendering and for edits.
    pub texts: Texts,
}

/// Texts that are to be read in place of what files hold.
pub type Instead = BTreeMap<PathBuf, String>;

/// Ten thousand subscriptions are 2 MB of TOML.
const LARGEST_FILE: u64 = 4 << 20;

/// Keys and tokens are small; whatever is larger is the wrong file.
const LARGEST_SECRET: u64 = 64 << 10;

const MOST_FILES: usize = 1000;

/// Nobody reads more, and each takes a while to render.
const MOST_PROBLEMS: usize = 200;

/// One bracket that is not closed makes an error of every line below it.
const MOST_SYNTAX_ERRORS: usize = 5;

/// The process's environment; what is not Unicode counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The path by which problems name the main file.
pub fn main_file(path: &Path) -> PathBuf {
    clean(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// Loads the config whose main file is `path`.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_as_if(path, env, &Instead::new())
}

/// The same as if these files held something else: what a save would come to.
pub fn load_as_if(path: &Path, env: &dyn Fn(&str) -> Option<String>, instead: &Instead) -> Loaded {
    let path = main_file(path);
    let mut reading = Reading::new(instead);
    reading.main(&path);
    let world = reading.world(&path, env);
    let (files, folders) = (world.files.clone(), world.folders.clone());
    let Checked { result, warnings, sound } = check(&reading.written, world, reading.problems);
    let result = result.map_err(|problems| in_order(problems, &files));
    let texts = reading.written.into_iter().map(|written| written.text);
    let texts = texts.map(|text| (text.file().to_owned(), text)).collect();
    Loaded { result, warnings, sound, files, folders, texts }
}

impl Loaded {
    /// What `edit` expects each TOML file to hold still.
    pub fn hashes(&self) -> BTreeMap<PathBuf, String> {
        let hashes =
            self.texts.iter().map(|(file, text)| (file.clone(), edit::hash(text.as_str().as_bytes())));
        hashes.collect()
    }

    /// Why the config was refused; nothing if it was not.
    pub fn problems(&self) -> &[Problem] {
        self.result.as_ref().err().map(Vec::as_slice).unwrap_or_default()
    }

    /// Refuses the config for problems that were found after it was checked, beside its own.
    pub fn refuse(&mut self, found: Vec<Problem>) {
        let mut problems = std::mem::replace(&mut self.result, Err(Vec::new())).err().unwrap_or_default();
        // Of as many as that some are left out already.
        if problems.len() < MOST_PROBLEMS {
            problems.extend(found);
        }
        self.result = Err(in_order(problems, &self.files));
    }

    /// All problems and warnings as people read them.
    pub fn rendered(&self, renderer: &Renderer) -> String {
        let warnings = self.warnings.iter().map(|warning| renderer.warning(warning, &self.texts));
        let errors = self.problems().iter().map(|problem| renderer.error(problem, &self.texts));
        warnings.chain(errors).collect::<Vec<_>>().join("\n\n")
    }
}

/// What has been read so far.
struct Reading<'i> {
    instead: &'i Instead,
    shape: TableShape,
    included_shape: TableShape,
    written: Vec<Written>,
    problems: Vec<Problem>,
    files: Vec<PathBuf>,
    folders: BTreeSet<PathBuf>,
    exposed: BTreeSet<PathBuf>,
    complete: bool,
}

impl<'i> Reading<'i> {
    fn new(instead: &'i Instead) -> Reading<'i> {
        let schema = file::schema();
        let mut included_shape = TableShape::of(&schema);
        included_shape.keys.retain(|key, _| INCLUDABLE.contains(&key.as_str()));
        Reading {
            instead,
            shape: TableShape::of(&schema),
            included_shape,
            written: Vec::new(),
            problems: Vec::new(),
            files: Vec::new(),
            folders: BTreeSet::new(),
            exposed: BTreeSet::new(),
            complete: true,
        }
    }

    fn main(&mut self, path: &Path) {
        self.files.push(path.to_owned());
        if let Err(reason) = self.read(path, false) {
            let mut problem = Problem::of_file(path, format!("the config `{}` {reason}", path.display()));
            problem.hint = Some("`trackrelay init` writes one, `--config FILE` names another".to_owned());
            self.problems.push(problem);
            return;
        }
        let Some(main) = self.written.first() else { return };
        let patterns: Vec<_> =
            main.file.include.get().into_iter().flat_map(|list| list.value.clone()).collect();
        let sound = main.sound;
        for pattern in patterns {
            if let Err(reason) = self.include(&clean(&beside(path, &pattern.value))) {
                self.complete = false;
                let flaw = Flaw::new(pattern.span, format!("`include`: {reason}"));
                // After a syntax error a pattern may be anything, even a secret.
                let main = self.written.first().filter(|_| sound);
                self.problems.extend(main.map(|main| main.text.problem(flaw)));
            }
        }
    }

    fn include(&mut self, pattern: &Path) -> Result<(), String> {
        let named = |reason: String| format!("`{}` {reason}", pattern.display());
        let included = include::find(pattern).map_err(named)?;
        self.folders.extend(included.folder);
        for file in included.files {
            // Two patterns may match the same file, and `*.toml` the main one.
            if self.files.contains(&file) {
                continue;
            }
            if self.files.len() >= MOST_FILES {
                return Err(format!("more than {MOST_FILES} files"));
            }
            self.files.push(file.clone());
            self.read(&file, true).map_err(|reason| format!("`{}` {reason}", file.display()))?;
        }
        Ok(())
    }

    /// Reads a TOML file as far as it can be read, or says why it cannot be read at all.
    fn read(&mut self, path: &Path, included: bool) -> Result<(), String> {
        let (bytes, mode) = self.bytes(path, LARGEST_FILE)?;
        if mode & 0o044 != 0 {
            self.exposed.insert(path.to_owned());
        }
        let (text, broken) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let flaw = Flaw::new(at..at, "this is not UTF-8").hint("save the file as UTF-8");
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(flaw))
            }
        };
        let text = Text::new(path.to_owned(), text);
        let (file, Pruned { flaws, cut }, sound) = match broken {
            Some(flaw) => unsound(file::File::default(), vec![flaw]),
            None => self.parse(text.as_str(), included),
        };
        self.problems.extend(flaws.into_iter().map(|flaw| text.problem(flaw)));
        self.written.push(Written { text, file, sound, cut });
        Ok(())
    }

    /// A file's bytes and mode, or what it would hold.
    fn bytes(&self, path: &Path, most: u64) -> Result<(Vec<u8>, u32), String> {
        let Some(text) = self.instead.get(path) else { return read(path, most) };
        // Whoever may read the file may read what it is to hold.
        let mode = fs::metadata(path).map_err(reason)?.permissions().mode();
        if text.len() as u64 > most { Err(too_large(most)) } else { Ok((text.clone().into_bytes(), mode)) }
    }

    fn secret(&self, path: &Path) -> Result<Secret, String> {
        let (bytes, _) = self.bytes(path, LARGEST_SECRET)?;
        let mut text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(text)) }
    }

    fn parse(&self, text: &str, included: bool) -> (file::File, Pruned, bool) {
        let (mut tree, errors) = DeTable::parse_recoverable(text);
        let shape = if included { &self.included_shape } else { &self.shape };
        let advice = |path: &[String], word: &str| advice::advice(&self.shape, included, path, word);
        let pruned = prune(&mut tree, shape, &advice);
        let file = file::File::deserialize(toml::Deserializer::from(tree));
        if !errors.is_empty() {
            return unsound(file.unwrap_or_default(), syntax_flaws(text, errors));
        }
        match file {
            Ok(file) => (file, pruned, true),
            Err(error) => unsound(file::File::default(), vec![syntax_flaw(error)]),
        }
    }

    /// Looks up what the files refer to.
    fn world(&self, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> World {
        let mut world = World {
            path: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            user_id: rustix::process::getuid().as_raw(),
            exposed: self.exposed.clone(),
            complete: self.complete && !self.written.is_empty(),
            folders: self.folders.iter().cloned().collect(),
            ..World::default()
        };
        let mut files: Vec<PathBuf> = self.files.clone();
        let mut variables: BTreeSet<&str> = ["HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"].into();
        for written in &self.written {
            let tokens = written.file.user.values().map(|user| &user.api_token);
            let secrets = written.file.subscription.values().map(|subscription| &subscription.secret);
            let sources = written.file.source.values().map(|source| &source.secret);
            for kept in tokens.chain(secrets).chain(sources).filter_map(kept) {
                variables.extend(kept.env.get().map(|env| env.value.as_str()));
                let Some(file) = kept.file.get() else { continue };
                let path = beside(written.text.file(), &file.value);
                world.secrets.entry(path.clone()).or_insert_with(|| self.secret(&path));
            }
            for plugin in written.file.plugin.values().filter_map(|plugin| plugin.path.get()) {
                let path = beside(written.text.file(), &plugin.value);
                if let Err(reason) = size(&path) {
                    world.missing_plugins.insert(path.clone(), reason);
                }
                files.push(path);
            }
        }
        files.extend(world.secrets.keys().cloned());
        world.files = with_targets(files);
        let values = variables.into_iter().filter_map(|name| Some((name.to_owned(), env(name)?)));
        world.variables = values.collect();
        world
    }
}

fn unsound(file: file::File, flaws: Vec<Flaw>) -> (file::File, Pruned, bool) {
    (file, Pruned { flaws, ..Pruned::default() }, false)
}

fn kept(secret: &Key<SecretForm>) -> Option<&SecretKept> {
    match &secret.get()?.value {
        SecretForm::Kept(kept) => Some(kept),
        SecretForm::Text(_) => None,
    }
}

/// The files once each, links together with what they point at: either may change.
fn with_targets(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let targets = files.into_iter().flat_map(|file| {
        let target = fs::canonicalize(&file).ok().filter(|target| *target != file);
        std::iter::once(file).chain(target)
    });
    targets.filter(|file| seen.insert(file.clone())).collect()
}

/// One flaw a line: what follows a syntax error in its line is seldom an error of its own.
fn syntax_flaws(text: &str, errors: Vec<toml::de::Error>) -> Vec<Flaw> {
    let mut flaws: Vec<Flaw> = errors.into_iter().map(syntax_flaw).collect();
    flaws.sort_by_key(|flaw| flaw.span.start);
    flaws.dedup_by(|later, earlier| {
        text.get(earlier.span.start..later.span.start).is_some_and(|between| !between.contains('\n'))
    });
    let more = flaws.len().saturating_sub(MOST_SYNTAX_ERRORS);
    flaws.truncate(MOST_SYNTAX_ERRORS);
    if let Some(last) = flaws.last_mut().filter(|_| more > 0) {
        last.hint = Some(format!("{more} more syntax errors follow, most likely from these"));
    }
    flaws
}

fn syntax_flaw(error: toml::de::Error) -> Flaw {
    Flaw::new(error.span().unwrap_or_default(), error.message())
}

/// Sorted by file and place, and not more than anybody reads.
fn in_order(mut problems: Vec<Problem>, files: &[PathBuf]) -> Vec<Problem> {
    let order: HashMap<&Path, usize> =
        files.iter().enumerate().map(|(at, file)| (file.as_path(), at)).collect();
    problems.sort_by_key(|Problem { place, .. }| {
        (order.get(place.file.as_path()).copied(), place.line, place.column)
    });
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    if let Some(last) = problems.last_mut().filter(|_| more > 0) {
        let own = last.hint.take().map(|hint| hint + "; ").unwrap_or_default();
        last.hint = Some(format!("{own}{more} more problems are not shown"));
    }
    problems
}

/// A file's bytes and mode. Completes "`path` …" where it cannot be read.
fn read(path: &Path, most: u64) -> Result<(Vec<u8>, u32), String> {
    // Asked before opening: to open a pipe would wait for somebody to write.
    if size(path)? > most {
        return Err(too_large(most));
    }
    let file = fs::File::open(path).map_err(reason)?;
    let mode = file.metadata().map_err(reason)?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok((bytes, mode)) }
}

fn too_large(most: u64) -> String {
    format!("is larger than {most} bytes")
}

fn size(path: &Path) -> Result<u64, String> {
    let metadata = fs::metadata(path).map_err(reason)?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err("is not a file".to_owned()) }
}

fn reason(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => ABSENT.to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests;
