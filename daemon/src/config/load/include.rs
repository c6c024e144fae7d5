//! `include` patterns: a folder, and a file name that may hold `*`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// What a pattern stands for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Included {
    /// Sorted by name.
    pub files: Vec<PathBuf>,
    /// The folder in which a new file would match.
    pub folder: Option<PathBuf>,
}

/// Finds the files. `pattern` is absolute; a name without `*` is taken as it is.
pub(super) fn find(pattern: &Path) -> Result<Included, String> {
    let name = pattern.file_name().and_then(OsStr::to_str).ok_or("names no file")?;
    let folder = pattern.parent().unwrap_or(Path::new("/"));
    if folder.to_string_lossy().contains('*') {
        return Err("has a `*` outside of the file name".to_owned());
    }
    if !name.contains('*') {
        return Ok(Included { files: vec![pattern.to_owned()], folder: None });
    }
    let mut included = Included { files: Vec::new(), folder: Some(folder.to_owned()) };
    // A folder that is not there yet holds no files yet.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(included) };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|file| matches(name, file)) {
            included.files.push(entry.path());
        }
    }
    included.files.sort();
    Ok(included)
}

/// As in a shell: `*` is any text, and hidden files must be asked for, which keeps editors'
/// lock files out.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", false),
            ("*.toml", ".a.toml", false),
            (".*.toml", ".a.toml", true),
            ("*.toml", "a.toml.bak", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("a.toml", "a.toml", true),
            ("a.toml", "b.toml", false),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
