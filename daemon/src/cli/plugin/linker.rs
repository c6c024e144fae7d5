//! The linker for wasm. rustup's toolchains have one in a folder of their own, where their
//! compiler finds it; a compiler without one can use that of another toolchain.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Where cargo reads of one, before its config files.
pub const VARIABLE: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

/// What compilers ask for, and what LLVM calls its own.
const OURS: &str = "rust-lld";
const LLVMS: &str = "wasm-ld";

#[derive(Debug, PartialEq, Eq)]
pub enum Linker {
    /// The compiler finds one by itself.
    Known,
    /// It has to be told of this one.
    Other(PathBuf),
    /// Nowhere; cargo's config may still name one.
    Missing,
}

impl Linker {
    /// `libraries` are the compiler's for wasm, `others` those of the compiler on the path for
    /// this machine; `path` is what the variable `PATH` holds.
    pub fn find(libraries: &Path, path: &OsStr, others: impl FnOnce() -> Option<PathBuf>) -> Linker {
        let on_path =
            |name| std::env::split_paths(path).map(|folder| folder.join(name)).find(|it| it.is_file());
        if beside(libraries).or_else(|| on_path(OURS)).is_some() {
            return Linker::Known;
        }
        let other = others().and_then(|libraries| beside(&libraries)).or_else(|| on_path(LLVMS));
        other.map_or(Linker::Missing, Linker::Other)
    }
}

/// The one of the toolchain with these libraries, `lib/rustlib/TARGET/lib`.
fn beside(libraries: &Path) -> Option<PathBuf> {
    let targets = libraries.parent()?.parent()?;
    let mut entries = fs::read_dir(targets).into_iter().flatten().flatten();
    entries.find_map(|entry| Some(entry.path().join("bin").join(OURS)).filter(|file| file.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_comes_before_that_of_another() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let (own, other) = (root.path().join("own/wasm/lib"), root.path().join("other/host/lib"));
        fs::create_dir_all(&own).unwrap();
        let (bin, empty) = (root.path().join("bin"), OsStr::new(""));
        let find = |path: &OsStr| Linker::find(&own, path, || Some(other.clone()));

        assert_eq!(find(empty), Linker::Missing);
        let llvms = file("bin/wasm-ld");
        assert_eq!(find(bin.as_os_str()), Linker::Other(llvms));
        let others = file("other/host/bin/rust-lld");
        assert_eq!(find(bin.as_os_str()), Linker::Other(others));
        file("bin/rust-lld");
        assert_eq!(find(bin.as_os_str()), Linker::Known);
        file("own/host/bin/rust-lld");
        assert_eq!(find(empty), Linker::Known);
    }
}
