//! Paths without the detours that people write: `a/../b` is shown as `b`.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The path without `..`, as long as it leads to the same file: `..` after a link goes up from
/// where the link points, and after something that is no folder nowhere.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if is_folder(&clean) => drop(clean.pop()),
            Component::ParentDir => return path.to_owned(),
            part => clean.push(part),
        }
    }
    clean
}

/// Whether a folder stands there itself, not a link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn detours_are_left_out_if_they_lead_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink(root.join("a/b"), root.join("link")).unwrap();
        for (path, cleaned) in [
            ("a/../c.toml", "c.toml"),
            ("a/b/../../c.toml", "c.toml"),
            ("./a/./b/..//c.toml", "a/c.toml"),
            ("link/c.toml", "link/c.toml"),
            // Up from `a/b`, to which the link points.
            ("link/../c.toml", "link/../c.toml"),
            ("gone/../c.toml", "gone/../c.toml"),
            ("file/../c.toml", "file/../c.toml"),
        ] {
            assert_eq!(clean(&root.join(path)), root.join(cleaned), "{path}");
        }
        assert_eq!(clean(Path::new("/../c.toml")), Path::new("/c.toml"));
    }
}
