//! What a plugin file is, for `build` and `inspect`: its form, digest, worlds and imports, and
//! how long it takes to compile.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::{STRONG, WARN, clean, styled};
use crate::cli::plugin::load;
use crate::plugin::{Host, Plugin};

#[derive(Debug, Serialize)]
pub struct Facts {
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
    pub form: Form,
    /// Version of `track:relay` that it was built for.
    pub contract: Option<String>,
    pub worlds: Vec<&'static str>,
    pub imports: Vec<Import>,
    pub compile_ms: u64,
    /// Lines for the config.
    pub toml: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Component,
    /// As compilers leave it; made into the component that it means when it is loaded.
    CoreModule,
}

#[derive(Debug, Serialize)]
pub struct Import {
    pub name: String,
    /// Named by the toolchain; a call of it is a failure.
    pub wasi: bool,
}

impl Facts {
    /// Loads the file as the daemon would, without its cache.
    pub fn of(path: &Path) -> Result<Facts, Failure> {
        let host = Host::new(None)?;
        let begun = Instant::now();
        let plugin = load(&host, path)?;
        let compile_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (form, bytes) = form(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Ok(Facts {
            toml: toml(&plugin, &full),
            path: path.to_owned(),
            bytes,
            sha256: plugin.sha256(),
            form,
            contract: plugin.contract(),
            worlds: worlds(&plugin),
            imports: plugin.imports().into_iter().map(import).collect(),
            compile_ms,
        })
    }

    pub fn render(&self) -> String {
        let form = match self.form {
            Form::Component => "component",
            Form::CoreModule => "core module, made into a component on load",
        };
        let contract = self.contract.as_deref().unwrap_or("unknown");
        let slow = if cfg!(debug_assertions) { ", in this debug build" } else { "" };
        let mut lines = vec![
            ("file", clean(&self.path.to_string_lossy()).into_owned()),
            ("size", format!("{} bytes, {form}", self.bytes)),
            ("sha256", self.sha256.clone()),
            ("contract", format!("track:relay {}", clean(contract))),
            ("worlds", self.worlds.join(", ")),
            ("compiled", format!("in {} ms{slow}", self.compile_ms)),
        ];
        lines.extend(self.imports.iter().map(|import| ("imports", import.render())));
        lines.iter().map(|(what, value)| format!("{STRONG}{what:<9}{STRONG:#} {value}\n")).collect()
    }
}

impl Import {
    fn render(&self) -> String {
        let said = if self.wasi { "  named only: a call of it is a failure" } else { "" };
        format!("{}{}", clean(&self.name), styled(WARN, said))
    }
}

/// A table's name for a file: `long-only` for `long_only.wasm`.
pub fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    stem.to_string_lossy().replace('_', "-")
}

fn import(name: String) -> Import {
    Import { wasi: name.starts_with("wasi:"), name }
}

fn worlds(plugin: &Plugin) -> Vec<&'static str> {
    let both = [("filter", plugin.has_filter()), ("transform", plugin.has_transform())];
    both.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

/// The table, and the entries that are possible in a subscription.
fn toml(plugin: &Plugin, path: &Path) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let name = quoted(&plugin.name);
    let mut text = format!("[plugin.{name}]\npath = {}\n", quoted(&path.to_string_lossy()));
    for list in worlds(plugin) {
        text += &format!("# in a subscription: {list} = [{{ plugin = {name}, config = {{}} }}]\n");
    }
    text
}

/// Which of the two forms it has, as its first bytes say, and how large it is.
fn form(path: &Path) -> std::io::Result<(Form, u64)> {
    let mut file = File::open(path)?;
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    // After the magic number and the version: 0 for a module, 1 for a component.
    let form = if head[6] == 0 { Form::CoreModule } else { Form::Component };
    Ok((form, file.metadata()?.len()))
}
