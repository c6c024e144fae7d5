//! `trackrelay plugin test --watch`: everything again on every save. A plugin that lies where its
//! project builds it is built first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::plugin::build;
use crate::daemon::watch_files::FileWatcher;

/// Editors write a file in several steps, and tools several files.
const STEPS: Duration = Duration::from_millis(100);

/// Folders of sources under watch; no plugin has as many.
const FOLDERS: usize = 1000;

/// Files and their state, by which a save is told from other noise in their folders.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Runs a round now and after every save. Ends when nobody reads what it prints.
pub async fn on_every_save(
    file: &Path,
    others: &[PathBuf],
    round: impl AsyncFn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut watcher, mut notices) = FileWatcher::new();
    loop {
        let project = project(file);
        watcher.watch(others, &folders(file, project.as_deref()));
        if let Some(folder) = watcher.deaf_to() {
            return Err(Failure::failed(format!("cannot watch {folder}; run this without `--watch`")));
        }
        let seen = look(file, project.as_deref(), others);
        match build_and(project.as_deref(), file, &round).await {
            Err(Failure::Unread) => return Err(Failure::Unread),
            Err(failure) => output::failure(&failure),
            Ok(()) => {}
        }
        output::say("waiting for the next save; Ctrl-C ends this");
        while look(file, project.as_deref(), others) == seen {
            if notices.recv().await.is_none() {
                return Ok(());
            }
            tokio::time::sleep(STEPS).await;
        }
    }
}

async fn build_and(
    project: Option<&Path>,
    file: &Path,
    round: &impl AsyncFn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let Some(project) = project {
        let made = build::build(project)?;
        if made.canonicalize().ok() != file.canonicalize().ok() {
            let (made, file) = (made.display(), file.display());
            return Err(Failure::failed(format!("the build made `{made}`, not `{file}`; name that one")));
        }
    }
    round().await
}

/// The project in whose `target` the file lies.
fn project(file: &Path) -> Option<PathBuf> {
    let file = file.canonicalize().ok()?;
    let project = build::project(file.parent()?)?;
    file.starts_with(project.join("target")).then_some(project)
}

/// Where a save of the plugin happens: in its sources, or else in place of the file.
fn folders(file: &Path, project: Option<&Path>) -> Vec<PathBuf> {
    let Some(project) = project else {
        let parent = file.parent().filter(|parent| *parent != Path::new(""));
        return vec![parent.unwrap_or(Path::new(".")).to_owned()];
    };
    let mut found = vec![project.to_owned(), project.join("src")];
    let mut at = 1;
    while at < found.len() && found.len() < FOLDERS {
        found.extend(entries(&found[at]).into_iter().filter(|path| path.is_dir() && !path.is_symlink()));
        at += 1;
    }
    found
}

fn look(file: &Path, project: Option<&Path>, others: &[PathBuf]) -> Seen {
    let own = match project {
        Some(project) => {
            let sources = folders(file, Some(project)).into_iter().skip(1);
            let sources = sources.flat_map(|folder| entries(&folder)).filter(|path| path.is_file());
            sources.chain([project.join("Cargo.toml")]).collect()
        }
        None => vec![file.to_owned()],
    };
    let state = |path: PathBuf| {
        let about = fs::metadata(&path).ok()?;
        Some((path, (about.modified().ok(), about.len())))
    };
    own.into_iter().chain(others.iter().cloned()).filter_map(state).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
