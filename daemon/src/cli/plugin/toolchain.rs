//! What builds a plugin: cargo, and a compiler that has a standard library for wasm. Where
//! something is missing, the one command that helps.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::failure::Failure;
use crate::cli::plugin::linker::{self, Linker};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Asks a compiler where its libraries are.
const LIBRARIES: [&str; 2] = ["--print", "target-libdir"];

/// `CARGO` and `RUSTC` name others than those on the path, as cargo itself has it.
pub struct Toolchain {
    cargo: OsString,
    linker: Linker,
}

impl Toolchain {
    /// The one there is, seen to be whole. `folder` is the plugin's: a toolchain file there
    /// counts.
    pub fn find(folder: &Path) -> Result<Toolchain, Failure> {
        let named = |variable, usual: &str| env::var_os(variable).unwrap_or_else(|| usual.into());
        let (cargo, rustc) = (named("CARGO", "cargo"), named("RUSTC", "rustc"));
        if answer(folder, &cargo, &["--version"]).is_none() {
            return Err(Failure::failed(format!("no cargo (`{}`); {}", cargo.display(), install_rust())));
        }
        let for_wasm = [&LIBRARIES[..], &["--target", TARGET]].concat();
        let Some(libraries) = answer(folder, &rustc, &for_wasm) else {
            return Err(Failure::failed(format!("no compiler (`{}`); {}", rustc.display(), install_rust())));
        };
        if !has_library(Path::new(libraries.trim())) {
            return Err(Failure::failed(missing_target(folder, &rustc)));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let others = || answer(folder, OsStr::new("rustc"), &LIBRARIES).map(|line| line.trim().into());
        let linker = match env::var_os(linker::VARIABLE) {
            Some(_) => Linker::Known,
            None => Linker::find(Path::new(libraries.trim()), &path, others),
        };
        Ok(Toolchain { cargo, linker })
    }

    /// A build of a folder, told as JSON on stdout.
    pub fn build(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(folder).args(["build", "--release", "--target", TARGET]);
        command.arg("--message-format=json-render-diagnostics");
        command.env("CARGO_ENCODED_RUSTFLAGS", flags(folder)).stdout(Stdio::piped());
        if let Linker::Other(linker) = &self.linker {
            command.env(linker::VARIABLE, linker);
        }
        command
    }

    /// What a build that failed may have lacked.
    pub fn lacks(&self) -> Option<String> {
        (self.linker == Linker::Missing).then(|| {
            format!(
                "no linker for wasm was found, `rust-lld` or `wasm-ld`: {}, or name one in the variable `{}`",
                install_rust(),
                linker::VARIABLE
            )
        })
    }
}

fn answer(folder: &Path, program: &OsStr, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).current_dir(folder).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the compiler has a standard library there; the folder's name it knows anyway.
fn has_library(folder: &Path) -> bool {
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_std))
}

fn missing_target(folder: &Path, rustc: &OsStr) -> String {
    let has_rustup = answer(folder, OsStr::new("rustup"), &["--version"]).is_some();
    let version = answer(folder, rustc, &["--version"]).unwrap_or_default();
    let lacks = format!("`{}` ({}) cannot build for {TARGET}", rustc.display(), version.trim());
    match has_rustup && env::var_os("RUSTC").is_none() {
        true => format!("{lacks}; add it with `rustup target add {TARGET}`"),
        false => format!("{lacks}; {}, or name one that can in the variable `RUSTC`", install_rust()),
    }
}

fn install_rust() -> String {
    format!(
        "install Rust with `curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- --target {TARGET}`"
    )
}

/// Flags for the compiler, the user's first: without these the file would tell the builder's
/// home folder, and differ from machine to machine. Of several that fit a path the last counts.
fn flags(folder: &Path) -> OsString {
    let mut flags: Vec<OsString> = match (env::var_os("CARGO_ENCODED_RUSTFLAGS"), env::var("RUSTFLAGS")) {
        (Some(encoded), _) if !encoded.is_empty() => vec![encoded],
        (_, Ok(plain)) => plain.split_whitespace().map(OsString::from).collect(),
        _ => Vec::new(),
    };
    let home = env::var_os("HOME").filter(|home| home.len() > 1);
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(Path::new(home.as_ref()?).join(".cargo")));
    flags.extend(home.iter().map(|home| remap(home, "/home")));
    flags
        .extend(cargo.iter().flat_map(|cargo| registries(cargo)).map(|path| remap(path.as_os_str(), "/dep")));
    flags.push(remap(folder.as_os_str(), "/plugin"));
    flags.join(OsStr::new("\x1f"))
}

fn registries(cargo: &Path) -> Vec<PathBuf> {
    let sources = fs::read_dir(cargo.join("registry/src")).into_iter().flatten().flatten();
    sources.map(|entry| entry.path()).collect()
}

fn remap(from: &OsStr, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_for_another_target_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_library(&folder.path().join("nowhere")));
        for (file, is_one) in [("libcore-1.rlib", false), ("libstd-1.so", false), ("libstd-1.rlib", true)] {
            fs::write(folder.path().join(file), "").unwrap();
            assert_eq!(has_library(folder.path()), is_one, "{file}");
        }
    }

    #[test]
    fn the_plugins_own_folder_is_remapped_last() {
        let flags = flags(Path::new("/somewhere/my plugin"));
        let flags = flags.to_str().unwrap().split('\x1f').collect::<Vec<_>>();
        assert_eq!(flags.last(), Some(&"--remap-path-prefix=/somewhere/my plugin=/plugin"));
    }
}
