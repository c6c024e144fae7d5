//! What the files looked like from outside, to tell news from noise without reading them.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and include folders, with what the file system says of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fingerprint {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folders: Vec<PathBuf>,
    looks: Vec<Option<[i64; 5]>>,
    listing: Vec<PathBuf>,
}

impl Fingerprint {
    pub(crate) fn of(files: &[PathBuf], folders: &[PathBuf]) -> Fingerprint {
        let looks = files.iter().map(|file| file.metadata().ok().map(|found| look(&found))).collect();
        let listing = folders.iter().flat_map(|folder| list(folder)).collect();
        Fingerprint { files: files.to_vec(), folders: folders.to_vec(), looks, listing }
    }

    /// These files were read after this was taken. Where it knows one, that is how it
    /// looked: a save while they were read must still be news.
    pub(crate) fn of_what_was_read(&self, files: &[PathBuf], folders: &[PathBuf]) -> Fingerprint {
        let mut read = Fingerprint::of(files, folders);
        let before: HashMap<_, _> = self.files.iter().zip(&self.looks).collect();
        for (file, look) in read.files.iter().zip(&mut read.looks) {
            if let Some(known) = before.get(file) {
                *look = **known;
            }
        }
        if self.folders == read.folders {
            read.listing.clone_from(&self.listing);
        }
        read
    }

    /// A file that had something in it then is empty or gone.
    pub(crate) fn lost_something(&self, then: &Fingerprint) -> bool {
        let full = |look: &Option<[i64; 5]>| look.is_some_and(|look| look[SIZE] > 0);
        then.looks.iter().zip(&self.looks).any(|(then, now)| full(then) && !full(now))
    }

    /// The same files as they look now.
    pub(crate) fn now(&self) -> Fingerprint {
        Fingerprint::of(&self.files, &self.folders)
    }
}

const SIZE: usize = 2;

/// Links are followed: a link that points elsewhere is another file.
fn look(found: &Metadata) -> [i64; 5] {
    let (device, inode) = (found.dev() as i64, found.ino() as i64);
    [device, inode, found.size() as i64, found.mtime(), found.mtime_nsec()]
}

/// Names of the TOML files in a folder, sorted.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emptied_or_gone_is_told_from_what_is_shorter() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("config.toml");
        std::fs::write(&main, "something").unwrap();
        let then = Fingerprint::of(std::slice::from_ref(&main), &[]);
        assert!(!then.now().lost_something(&then));
        std::fs::write(&main, "s").unwrap();
        assert!(!then.now().lost_something(&then));
        std::fs::write(&main, "").unwrap();
        let emptied = then.now();
        assert!(emptied.lost_something(&then) && !emptied.now().lost_something(&emptied));
        std::fs::remove_file(&main).unwrap();
        assert!(then.now().lost_something(&then));
    }

    #[test]
    fn a_save_while_files_are_read_is_still_news() {
        let dir = tempfile::tempdir().unwrap();
        let (main, included) = (dir.path().join("config.toml"), dir.path().join("sub.toml"));
        std::fs::write(&main, "old").unwrap();
        let before = Fingerprint::of(std::slice::from_ref(&main), &[]);
        std::fs::write(&main, "newer").unwrap();
        let read = before.of_what_was_read(&[main.clone(), included.clone()], &[]);
        assert_ne!(read.now(), read);

        let quiet = read.now().of_what_was_read(&[main, included.clone()], &[]);
        assert_eq!(quiet.now(), quiet);
        std::fs::write(&included, "appears").unwrap();
        assert_ne!(quiet.now(), quiet);
    }
}
