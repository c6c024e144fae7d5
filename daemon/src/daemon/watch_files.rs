//! Notices saves. Watches the folders of every file that matters, since editors replace
//! files rather than write into them, and says only that something may have happened.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Folders under watch.
pub struct FileWatcher {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    /// Those that could not be watched; said once.
    unwatched: BTreeSet<PathBuf>,
    noticed: mpsc::Sender<()>,
}

impl FileWatcher {
    /// A watcher, and where it tells. One word may wait; more would say the same.
    pub fn new() -> (FileWatcher, mpsc::Receiver<()>) {
        let (noticed, notices) = mpsc::channel(1);
        let mut watcher =
            FileWatcher { watcher: None, folders: BTreeSet::new(), unwatched: BTreeSet::new(), noticed };
        watcher.start();
        (watcher, notices)
    }

    fn start(&mut self) {
        let noticed = self.noticed.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            let matters = event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
            if matters {
                // A full channel has the news already.
                let _full = noticed.try_send(()).is_err();
            }
        };
        match notify::recommended_watcher(tell) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "failed to watch the config files; `trackrelay reload` still works");
            }
        }
    }

    /// Watches just the folders in which these files and links stand, from now on.
    pub fn watch(&mut self, files: &[PathBuf], folders: &[PathBuf]) {
        let named = files.iter().flat_map(|file| around(file)).chain(folders.iter().cloned());
        let wanted: BTreeSet<PathBuf> = named.map(nearest).collect();
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&wanted) {
            // A folder that has been deleted is no longer watched anyway.
            drop(watcher.unwatch(gone));
        }
        let mut watched = BTreeSet::new();
        for folder in wanted {
            // A folder that was deleted and made anew needs a new watch: the old one is dead.
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(folder)),
                Err(error) => {
                    if self.unwatched.insert(folder.clone()) {
                        tracing::warn!(folder = %folder.display(), %error, "failed to watch a folder; \
                            after changes there run `trackrelay reload`");
                    }
                }
            }
        }
        self.folders = watched;
    }

    /// What it hears nothing of, for those who cannot do without.
    pub fn deaf_to(&self) -> Option<String> {
        let folder = self.unwatched.first().map(|folder| format!("`{}`", folder.display()));
        folder.or_else(|| self.watcher.is_none().then(|| "any folder".to_owned()))
    }
}

/// The folder, or while it does not exist the one in which its way there would begin.
fn nearest(folder: PathBuf) -> PathBuf {
    let there = folder.ancestors().find(|ancestor| ancestor.is_dir()).map(Path::to_path_buf);
    there.unwrap_or(folder)
}

/// The folder a file stands in as named, and the one it really is in.
fn around(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().ok();
    [Some(file), real.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(Path::parent)
        .map(Path::to_path_buf)
        .collect()
}
