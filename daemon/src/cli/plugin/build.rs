//! `trackrelay plugin build`: from a folder with a plugin to a file that loads.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::cli::failure::Failure;
use crate::cli::output::{self, clean};
use crate::cli::plugin::facts::Facts;
use crate::cli::plugin::toolchain::Toolchain;

/// Build a plugin and see whether it loads
///
/// Runs cargo for wasm32-unknown-unknown, with flags that keep the names of your folders out of
/// the file. The compiler is the one that cargo would take; the variables CARGO and RUSTC name
/// others. One without a linker for wasm is given that of another toolchain. If something is missing, the error has the one command that installs it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay plugin build
  trackrelay plugin build ~/plugins/long-only
  trackrelay plugin build --json | jq -r .path

Exit codes: 0 built and loads, 1 not")]
pub struct Args {
    /// The plugin's folder, or one within it
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let file = build(&args.dir)?;
    let facts = Facts::of(&file)?;
    match args.json {
        true => output::document(&facts),
        false => output::facts(&format!("{}\n{}", facts.render(), clean(&facts.toml))),
    }
}

/// Builds the project that a folder belongs to; returns the file.
pub fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let folder = project(dir).ok_or_else(|| {
        let dir = dir.display();
        Failure::failed(format!(
            "no Cargo.toml in `{dir}` or above it; `trackrelay plugin new NAME` makes a plugin"
        ))
    })?;
    let toolchain = Toolchain::find(&folder)?;
    let mut child = toolchain.build(&folder).spawn().context("cannot start cargo")?;
    let told = child.stdout.take().map(artifacts).unwrap_or_default();
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        let lacks = toolchain.lacks().map(|what| format!("; {what}")).unwrap_or_default();
        return Err(Failure::failed(format!(
            "cargo failed in `{}`, as it says above{lacks}",
            folder.display()
        )));
    }
    let own = told.into_iter().rev().find(|artifact| artifact.manifest_path == folder.join("Cargo.toml"));
    own.and_then(Artifact::wasm).ok_or_else(|| {
        let folder = folder.display();
        Failure::failed(format!(
            "`{folder}` builds no .wasm file; its Cargo.toml lacks `[lib] crate-type = [\"cdylib\"]`"
        ))
    })
}

/// The nearest folder from `dir` upwards that has a manifest.
pub fn project(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors().find(|folder| folder.join("Cargo.toml").is_file()).map(Path::to_path_buf)
}

/// What cargo says that it made, of all that it says.
#[derive(Debug, Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

impl Artifact {
    fn wasm(self) -> Option<PathBuf> {
        self.filenames.into_iter().find(|file| file.extension().is_some_and(|end| end == "wasm"))
    }
}

/// One message a line; those of another kind lack the fields and are passed over.
fn artifacts(told: impl Read) -> Vec<Artifact> {
    let lines = BufReader::new(told).lines().map_while(Result::ok);
    lines
        .filter_map(|line| serde_json::from_str::<Artifact>(&line).ok())
        .filter(|made| !made.filenames.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_found_from_within() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(folder.join("a/src")).unwrap();
        assert_eq!(project(&folder.join("nowhere")), None);
        std::fs::write(folder.join("a/Cargo.toml"), "").unwrap();
        assert_eq!(project(&folder.join("a/src")), Some(folder.join("a")));
    }

    #[test]
    fn of_cargos_messages_only_the_file_matters() {
        let told = "{\"reason\":\"compiler-message\",\"manifest_path\":\"/p/Cargo.toml\"}\nnoise\n\
            {\"reason\":\"compiler-artifact\",\"manifest_path\":\"/p/Cargo.toml\",\"filenames\":[\"/t/p.d\",\"/t/p.wasm\"]}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let mut made = artifacts(told.as_bytes());
        assert_eq!(made.len(), 1);
        assert_eq!(made.remove(0).wasm(), Some(PathBuf::from("/t/p.wasm")));
    }
}
