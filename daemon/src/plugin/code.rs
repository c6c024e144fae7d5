//! From the bytes of a file to code that can be instantiated: what a plugin has to be, and
//! what is said of a file that is none.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Module};
use wit_component::ComponentEncoder;

use super::bindings::exports::track::relay::{filter, transform};
use super::bindings::track::relay::{host, types};
use super::guest::Guest;
use super::weigh::{Signs, weigh};
use super::{foreign, text};

const FILTER: &str = "track:relay/filter@0.1.0";
const TRANSFORM: &str = "track:relay/transform@0.1.0";

/// All that a plugin may import beside `wasi:*`, which it may name but not call.
const HOST: &str = "track:relay/host@0.1.";
const HOST_ITEMS: [&str; 3] = ["level", "log", "previous"];
const TYPES: &str = "track:relay/types@0.1.";

/// Compiled code with its imports resolved.
pub(super) struct Code {
    pub(super) pre: InstancePre<Guest>,
    pub(super) filter: Option<filter::GuestIndices>,
    pub(super) transform: Option<transform::GuestIndices>,
}

impl Code {
    /// The error completes "the file `x` …".
    pub(super) fn new(engine: &Engine, bytes: &[u8]) -> Result<Code, String> {
        if let Some(what) = foreign::named(bytes) {
            return Err(what);
        }
        let signs = weigh(bytes)?;
        let encoded;
        let bytes = match bytes {
            [0, b'a', b's', b'm', _, _, 1, 0, ..] => bytes,
            _ => {
                encoded = encode(engine, bytes, &signs)?;
                &encoded
            }
        };
        let component = Component::from_binary(engine, bytes).map_err(|error| cannot("compiled", &error))?;
        check_exports(engine, &component)?;
        check_imports(engine, &component)?;
        let pre = link(engine, &component).map_err(|error| cannot("linked", &error))?;
        let has = |name| component.get_export_index(None, name).is_some();
        let filter = has(FILTER).then(|| filter::GuestIndices::new(&pre)).transpose();
        let transform = has(TRANSFORM).then(|| transform::GuestIndices::new(&pre)).transpose();
        let filter = filter.map_err(|error| cannot("used", &error))?;
        let transform = transform.map_err(|error| cannot("used", &error))?;
        Ok(Code { pre, filter, transform })
    }
}

/// A core module that tells its own component type, as compilers leave it, made into the
/// component that it means. At every load: it takes a millisecond, which is not worth a file.
fn encode(engine: &Engine, module: &[u8], signs: &Signs) -> Result<Vec<u8>, String> {
    if !signs.component_type {
        return Err(foreign::bare_module(signs.wasip1));
    }
    Module::validate(engine, module).map_err(|error| cannot("compiled", &error))?;
    // What comes out is validated by the engine, when it compiles it.
    ComponentEncoder::default()
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("cannot be made into a component: {}", text::brief(&format!("{error:#}"))))
}

fn check_exports(engine: &Engine, component: &Component) -> Result<(), String> {
    if [FILTER, TRANSFORM].iter().any(|name| component.get_export_index(None, name).is_some()) {
        return Ok(());
    }
    let ty = component.component_type();
    let names: Vec<_> = ty.exports(engine).map(|(name, _)| name).collect();
    Err(foreign::exports(&names, FILTER, TRANSFORM))
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), String> {
    for (import, item) in component.component_type().imports(engine) {
        if import.starts_with("wasi:") || import.starts_with(TYPES) {
            continue;
        }
        if !import.starts_with(HOST) {
            return Err(foreign::import(import));
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(foreign::import(import));
        };
        for (name, _) in instance.exports(engine) {
            if !HOST_ITEMS.contains(&name) {
                return Err(foreign::import(&format!("{import}#{name}")));
            }
        }
    }
    Ok(())
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

/// What the engine says of its own limits has a number, but not who could change it.
fn cannot(done: &str, error: &wasmtime::Error) -> String {
    let error = format!("{error:#}");
    let way = if error.contains("exceeds the") { "; no key changes this limit" } else { "" };
    format!("cannot be {done}: {}{way}", text::brief(&error))
}
