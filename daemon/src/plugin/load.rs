//! From the bytes of a file to code that can be instantiated. Compiling happens here and
//! nowhere else; what then runs is `plugin/instance.rs`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::Context;
use sha2::{Digest, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Module};
use wit_component::ComponentEncoder;

use super::bindings::exports::track::relay::{filter, transform};
use super::bindings::track::relay::{host, types};
use super::guest::Guest;
use super::limits::{MEMORY_CEILING, OUTPUT_CEILING, TIME_CEILING};
use super::seats::Seats;
use super::ticker::Ticker;
use super::{Entry, Stage, engine, text};
use crate::config::{PluginLimits, PluginSpec};

/// Largest file. Python's components, the largest there are, have 18 MiB.
const LARGEST_FILE: u64 = 32 << 20;

const FILTER: &str = "track:relay/filter@0.1.0";
const TRANSFORM: &str = "track:relay/transform@0.1.0";

/// All that a plugin may import beside `wasi:*`, which it may name but not call.
const HOST: &str = "track:relay/host@0.1.";
const HOST_ITEMS: [&str; 3] = ["level", "log", "previous"];
const TYPES: &str = "track:relay/types@0.1.";

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

/// Compiled code with its imports resolved.
pub(super) struct Code {
    pub(super) pre: InstancePre<Guest>,
    pub(super) filter: Option<filter::GuestIndices>,
    pub(super) transform: Option<transform::GuestIndices>,
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
    /// A limit is beyond what the host gives.
    #[error("{0}")]
    Limits(String),
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
        let house = Arc::new(House { engine, ticker, seats: Seats::new(), trial: Mutex::new(()) });
        Ok(Host { house, codes: Mutex::new(HashMap::new()) })
    }

    /// Reads, checks and compiles a plugin. Blocks, for a large one that is not in the
    /// cache for seconds.
    pub fn load(&self, spec: &PluginSpec) -> Result<Arc<Plugin>, LoadError> {
        let name = &spec.name;
        let about = |what: String| format!("plugin `{name}`: {what}");
        check_limits(spec.limits).map_err(|what| LoadError::Limits(about(what)))?;
        let bytes = read(&spec.path).map_err(|what| LoadError::File(about(what)))?;
        let digest = Sha256::digest(&bytes).into();
        check_pin(spec, digest).map_err(|what| LoadError::Pin(about(what)))?;
        let code = match self.known(digest) {
            Some(code) => code,
            None => self
                .compile(&bytes, digest)
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

    fn compile(&self, bytes: &[u8], digest: [u8; 32]) -> Result<Arc<Code>, String> {
        let code = Arc::new(Code::new(&self.house.engine, bytes)?);
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

impl Code {
    /// The error completes "the file `x` …".
    fn new(engine: &Engine, bytes: &[u8]) -> Result<Code, String> {
        let encoded;
        let bytes = match bytes {
            [0, b'a', b's', b'm', _, _, 1, 0, ..] => bytes,
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
                encoded = encode(engine, bytes)?;
                &encoded
            }
            _ => return Err("is not a WebAssembly file".into()),
        };
        let component = Component::from_binary(engine, bytes).map_err(|error| cannot("compiled", &error))?;
        check_imports(engine, &component)?;
        let pre = link(engine, &component).map_err(|error| cannot("linked", &error))?;
        let has = |name| component.get_export_index(None, name).is_some();
        let filter = has(FILTER).then(|| filter::GuestIndices::new(&pre)).transpose();
        let transform = has(TRANSFORM).then(|| transform::GuestIndices::new(&pre)).transpose();
        let filter = filter.map_err(|error| cannot("used", &error))?;
        let transform = transform.map_err(|error| cannot("used", &error))?;
        if filter.is_none() && transform.is_none() {
            return Err(format!("exports neither `{FILTER}` nor `{TRANSFORM}`"));
        }
        Ok(Code { pre, filter, transform })
    }
}

/// A core module that tells its own component type, as compilers leave it, made into the
/// component that it means.
fn encode(engine: &Engine, module: &[u8]) -> Result<Vec<u8>, String> {
    Module::validate(engine, module).map_err(|error| cannot("compiled", &error))?;
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("cannot be made into a component: {}", text::brief(&format!("{error:#}"))))
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), String> {
    for (import, item) in component.component_type().imports(engine) {
        if import.starts_with("wasi:") || import.starts_with(TYPES) {
            continue;
        }
        if !import.starts_with(HOST) {
            return Err(refused_import(import));
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(refused_import(import));
        };
        for (name, _) in instance.exports(engine) {
            if !HOST_ITEMS.contains(&name) {
                return Err(refused_import(&format!("{import}#{name}")));
            }
        }
    }
    Ok(())
}

fn refused_import(import: &str) -> String {
    let import = text::brief(import);
    format!("imports `{import}`; a plugin gets `track:relay/host@0.1.0` and nothing else")
}

/// What is left unknown after `check_imports` is `wasi:*`: a toolchain may mention it, and
/// a call of it is a failure that says the function's name.
fn link(engine: &Engine, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    host::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    linker.define_unknown_imports_as_traps(component)?;
    linker.instantiate_pre(component)
}

fn cannot(done: &str, error: &wasmtime::Error) -> String {
    format!("cannot be {done}: {}", text::brief(&format!("{error:#}")))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("failed to read `{}`: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("`{}` is not a file", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(format!("`{}` is larger than {}", path.display(), text::size(LARGEST_FILE as usize)));
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

fn check_limits(limits: PluginLimits) -> Result<(), String> {
    let over = |key: &str, ceiling: String| Err(format!("`limits.{key}` can be {ceiling} at most"));
    if limits.time > TIME_CEILING {
        return over("time", text::duration(TIME_CEILING));
    }
    if limits.memory > MEMORY_CEILING {
        return over("memory", text::size(MEMORY_CEILING));
    }
    if limits.output > OUTPUT_CEILING {
        return over("output", text::size(OUTPUT_CEILING));
    }
    Ok(())
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
