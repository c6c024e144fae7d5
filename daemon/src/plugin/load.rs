//! From a file to a plugin: read, pinned, compiled once per content, and tried out where it
//! is used. What a file has to be is `plugin/code.rs`; what then runs, `plugin/instance.rs`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::Context;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::code::Code;
use super::compile::{self, Turn};
use super::seats::Seats;
use super::ticker::Ticker;
use super::{Entry, Stage, engine, text};
use crate::config::PluginSpec;

/// Largest file. Python's components, the largest there are, have 18 MiB.
const LARGEST_FILE: u64 = 32 << 20;

/// Where plugins live: the engine, its clock and the room for instances. One per daemon.
pub struct Host {
    house: Arc<House>,
    /// Code in use, by the digest of its file: a reload compiles only what changed.
    codes: Mutex<HashMap<[u8; 32], Weak<Code>>>,
}

/// What all plugins share.
struct House {
    engine: Engine,
    ticker: Ticker,
    seats: Seats,
    compiler: Turn,
    trial: Mutex<()>,
}

/// A plugin as the config names it, compiled and checked.
pub struct Plugin {
    pub name: String,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    pub(super) spec: PluginSpec,
    pub(super) code: Arc<Code>,
    shared_name: Arc<str>,
    house: Arc<House>,
}

/// Why a plugin cannot be used, by what has to be changed. For people: names the plugin and
/// the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or is no plugin.
    #[error("{0}")]
    File(String),
    /// The file is another one than the pin says.
    #[error("{0}")]
    Pin(String),
    /// It does not fit where it is used, or refuses the config it gets there.
    #[error("{0}")]
    Use(String),
}

impl Host {
    /// Compiled code is kept in `cache_dir`, which becomes the owner's alone; without one
    /// nothing is written.
    pub fn new(cache_dir: Option<&Path>) -> anyhow::Result<Host> {
        Host::with_engine(engine::build(cache_dir)?)
    }

    pub(super) fn with_engine(engine: Engine) -> anyhow::Result<Host> {
        let ticker = Ticker::start(engine.clone()).context("failed to start the plugins' clock")?;
        let (seats, compiler, trial) = (Seats::new(), Turn::new(compile::PATIENCE), Mutex::new(()));
        let house = Arc::new(House { engine, ticker, seats, compiler, trial });
        Ok(Host { house, codes: Mutex::new(HashMap::new()) })
    }

    /// Reads, checks and compiles a plugin. Blocks, for a large one that is not in the
    /// cache for seconds.
    pub fn load(&self, spec: &PluginSpec) -> Result<Arc<Plugin>, LoadError> {
        let name = &spec.name;
        let about = |what: String| format!("plugin `{name}`: {what}");
        let bytes = read(&spec.path).map_err(|what| LoadError::File(about(what)))?;
        let digest = Sha256::digest(&bytes).into();
        check_pin(spec, digest).map_err(|what| LoadError::Pin(about(what)))?;
        let code = match self.known(digest) {
            Some(code) => code,
            None => self
                .compile(name, bytes, digest)
                .map_err(|what| LoadError::File(about(format!("`{}` {what}", spec.path.display()))))?,
        };
        Ok(Arc::new(Plugin {
            name: name.clone(),
            digest,
            spec: spec.clone(),
            code,
            shared_name: name.as_str().into(),
            house: Arc::clone(&self.house),
        }))
    }

    fn known(&self, digest: [u8; 32]) -> Option<Arc<Code>> {
        self.codes().get(&digest).and_then(Weak::upgrade)
    }

    fn compile(&self, name: &str, bytes: Vec<u8>, digest: [u8; 32]) -> Result<Arc<Code>, String> {
        let engine = self.house.engine.clone();
        let code = Arc::new(self.house.compiler.take(name, move || Code::new(&engine, &bytes))?);
        let mut codes = self.codes();
        codes.retain(|_, code| code.strong_count() > 0);
        codes.insert(digest, Arc::downgrade(&code));
        Ok(code)
    }

    fn codes(&self) -> MutexGuard<'_, HashMap<[u8; 32], Weak<Code>>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin {
    /// Whether it is the same code under the same rules, so that one can go on for the other.
    pub fn same_as(&self, other: &Plugin) -> bool {
        let rules = |plugin: &Plugin| (plugin.spec.isolation, plugin.spec.limits);
        self.digest == other.digest && rules(self) == rules(other)
    }

    pub fn has_filter(&self) -> bool {
        self.code.filter.is_some()
    }

    pub fn has_transform(&self) -> bool {
        self.code.transform.is_some()
    }

    /// This plugin in a list of a subscription. Blocks while a first instance is made and
    /// configured.
    pub fn entry(
        self: &Arc<Self>,
        subscription: &str,
        stage: Stage,
        config: &serde_json::Value,
    ) -> Result<Arc<Entry>, LoadError> {
        let (has, other) = match stage {
            Stage::Filter => (self.has_filter(), Stage::Transform),
            Stage::Transform => (self.has_transform(), Stage::Filter),
        };
        if !has {
            return Err(LoadError::Use(format!(
                "plugin `{}` is a {}, not a {}; name it under `{}`",
                self.name,
                other.as_str(),
                stage.as_str(),
                other.as_str()
            )));
        }
        Entry::new(Arc::clone(self), stage, subscription, config)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.house.engine
    }

    pub(super) fn ticker(&self) -> &Ticker {
        &self.house.ticker
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.house.seats
    }

    /// Held while a first instance is made, which needs no seat and so must be alone.
    pub(super) fn trial(&self) -> MutexGuard<'_, ()> {
        self.house.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.shared_name)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("failed to read `{}`: {error}", path.display());
    // Before it is opened: a pipe without a writer is not to be waited for.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(format!("`{}` is not a file", path.display()));
    }
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let (path, most) = (path.display(), text::size(LARGEST_FILE as usize));
        let size = text::size(usize::try_from(about.len()).unwrap_or(usize::MAX));
        return Err(format!("`{path}` has {size}, over the limit of {most}; no key changes this"));
    }
    Ok(bytes)
}

fn check_pin(spec: &PluginSpec, digest: [u8; 32]) -> Result<(), String> {
    match spec.sha256 {
        Some(pin) if pin != digest => Err(format!(
            "`{}` is not the pinned file: its SHA-256 is `{}`, `[plugin.{}] sha256` says `{}`",
            spec.path.display(),
            hex(digest),
            spec.name,
            hex(pin)
        )),
        _ => Ok(()),
    }
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
