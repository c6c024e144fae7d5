//! The same function as native code. A plugin's crate is a WebAssembly file and nothing that could
//! be linked, but its tests run natively: one of them (`plugins/native.rs`) measures, and is started
//! here for every round.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::NamedTempFile;
use trackrelay::plugin::Input;

use super::{Case, repository};

pub struct Native {
    tests: PathBuf,
    /// What a plugin is shown, a line each.
    events: NamedTempFile,
    config: String,
}

/// What cargo says that it made, of all that it says.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
}

impl Native {
    /// Builds the plugin's tests as the bench itself is built.
    pub fn build(case: &Case, events: &[Input]) -> anyhow::Result<Native> {
        let package = format!("trackrelay-{}", case.name);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let words =
            ["test", "--release", "--locked", "--lib", "--no-run", "--message-format=json", "-p", &package];
        let built = Command::new(cargo).current_dir(repository()).args(words).output()?;
        ensure!(
            built.status.success(),
            "cargo failed for {package}: {}",
            String::from_utf8_lossy(&built.stderr)
        );
        let said = String::from_utf8(built.stdout)?;
        let artifacts = said.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
        let tests = artifacts.filter_map(|made| made.executable).next_back();
        let mut file = NamedTempFile::new()?;
        for input in events {
            file.write_all(&input.json)?;
            file.write_all(b"\n")?;
        }
        Ok(Native {
            tests: tests.with_context(|| format!("cargo built no tests of {package}"))?,
            events: file,
            config: case.config.to_string(),
        })
    }

    /// The median time of so many calls.
    pub fn call(&self, calls: usize) -> anyhow::Result<Duration> {
        let ran = Command::new(&self.tests)
            .args(["--ignored", "--nocapture", "--exact", "tests::native_calls"])
            .env("TRACKRELAY_NATIVE_EVENTS", self.events.path())
            .env("TRACKRELAY_NATIVE_CONFIG", &self.config)
            .env("TRACKRELAY_NATIVE_CALLS", calls.to_string())
            .output()?;
        let said = String::from_utf8_lossy(&ran.stderr);
        let nanos = said.lines().find_map(|line| line.strip_prefix("median_ns "));
        let nanos = nanos.with_context(|| format!("`{}` told no time: {said}", self.tests.display()))?;
        Ok(Duration::from_nanos(nanos.parse()?))
    }
}
