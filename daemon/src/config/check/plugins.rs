//! `[plugin.*]` tables, and the lists that use them. Plugin files are only named here;
//! compiling them is the plugin room's work.

use std::collections::BTreeMap;

use super::{Names, Notes, Pen, World, Written, in_order, path_hint, unknown_name};
use crate::config::file::{self, At, Key};
use crate::config::problem::Flaw;
use crate::config::units::{Durations, Sizes};
use crate::config::{PluginLimits, PluginSpec, PluginUse};

const LEAST: PluginLimits = PluginLimits::LEAST;
const MOST: PluginLimits = PluginLimits::MOST;

const TIME: Durations = Durations { allowed: LEAST.time..=MOST.time, said: "from 1ms to 10s" };
const MEMORY: Sizes = Sizes { allowed: LEAST.memory..=MOST.memory, said: "from 64KiB to 256MiB" };
const OUTPUT: Sizes = Sizes { allowed: LEAST.output..=MOST.output, said: "from 1KiB to 16MiB" };

/// Those that have no problem of their own.
pub(super) fn plugins(files: &[Written], world: &World, notes: &mut Notes) -> BTreeMap<String, PluginSpec> {
    let mut plugins = BTreeMap::new();
    for written in files.iter().filter(|written| written.sound) {
        for (name, table) in in_order(&written.file.plugin) {
            let table_path = vec!["plugin".to_owned(), name.value.clone()];
            let pen = &mut Pen { written, notes: &mut *notes, table: table_path, world };
            let sound = pen.sound(|pen| plugin(pen, name, table)).filter(|_| !written.is_cut(&name.span));
            if let Some(spec) = sound {
                // A second one of the same name is a problem, which was said.
                plugins.entry(name.value.clone()).or_insert(spec);
            }
        }
    }
    plugins
}

/// The entries of a `filter` or `transform` list that have no problem of their own.
pub(super) fn uses(
    pen: &mut Pen<'_>,
    written: &Key<Vec<At<file::PluginUse>>>,
    names: &Names,
) -> Vec<PluginUse> {
    let entries = written.get().into_iter().flat_map(|list| &list.value);
    let sound = entries.filter_map(|entry| {
        let used = pen.sound(|pen| plugin_use(pen, entry, names));
        used.filter(|_| !pen.written.is_cut(&entry.span))
    });
    sound.collect()
}

/// Nothing if it has no path, which was said before.
fn plugin(pen: &mut Pen<'_>, name: &At<String>, table: &file::Plugin) -> Option<PluginSpec> {
    let sha256 = sha256(pen, &table.sha256);
    let limits = pen.within(["limits"], |pen| limits(pen, &table.limits));
    let at = table.path.get()?;
    let path = pen.path(&at.value);
    if let Some(reason) = pen.world.missing_plugins.get(&path) {
        let message = format!("plugin `{}`: `{}` {reason}", name.value, path.display());
        pen.flaw(Flaw { span: at.span.clone(), message, hint: path_hint(&at.value, reason) });
    }
    Some(PluginSpec {
        name: name.value.clone(),
        path,
        sha256,
        isolation: table.isolation.get().map_or_else(Default::default, |isolation| isolation.value),
        limits,
        place: pen.place(&name.span),
        path_place: pen.place(&at.span),
        sha256_place: table.sha256.get().map_or_else(Default::default, |at| pen.place(&at.span)),
    })
}

fn limits(pen: &mut Pen<'_>, written: &file::PluginLimits) -> PluginLimits {
    let defaults = PluginLimits::default();
    PluginLimits {
        time: pen.duration("time", &written.time, &TIME).unwrap_or(defaults.time),
        memory: pen.size("memory", &written.memory, &MEMORY).unwrap_or(defaults.memory),
        output: pen.size("output", &written.output, &OUTPUT).unwrap_or(defaults.output),
    }
}

fn sha256(pen: &mut Pen<'_>, written: &Key<String>) -> Option<[u8; 32]> {
    let at = written.get()?;
    let digest = unhex(&at.value);
    if digest.is_none() {
        let message = format!("{} is not a SHA-256 of 64 hex digits", pen.key("sha256"));
        pen.flaw(Flaw::new(at.span.clone(), message).hint("`sha256sum FILE` prints it"));
    }
    digest
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

fn plugin_use(pen: &mut Pen<'_>, entry: &At<file::PluginUse>, names: &Names) -> Option<PluginUse> {
    let name = entry.value.plugin.get()?;
    if names.complete && !names.plugins.contains(&name.value) {
        pen.flaw(unknown_name("plugin", name, &names.plugins));
    }
    let config = entry.value.config.get();
    Some(PluginUse {
        plugin: name.value.clone(),
        config: config.map_or_else(|| serde_json::json!({}), |config| json(&config.value.0)),
        place: pen.place(&entry.span),
    })
}

/// A TOML value as JSON. Dates become text.
fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.iter().map(json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds stand in the config, in its schema and in the plugins' guide.
    #[test]
    fn the_bounds_are_said_as_they_are() {
        let config = include_str!("../../../../config.toml");
        let guide = include_str!("../../../../plugins/README.md");
        let schema = file::schema().to_string();
        let said = [("time", TIME.said), ("memory", MEMORY.said), ("output", OUTPUT.said)];
        for (key, said) in said {
            let (least, most) = said.trim_start_matches("from ").split_once(" to ").unwrap();
            assert!(config.contains(&format!("{key} {least} to {most}")), "{key}: {said}");
            assert!(schema.contains(&format!(", {least} to {most}.")), "{key}: {said}");
            let spaced = most.replace("MiB", " MiB").replace("10s", "10 s");
            assert!(guide.contains(&format!("`limits.{key}`, up to {spaced}")), "{key}: {said}");
            let at = |text: &str| match key {
                "time" => TIME.read(text).is_ok(),
                "memory" => MEMORY.read(text).is_ok(),
                _ => OUTPUT.read(text).is_ok(),
            };
            assert!(at(least) && at(most), "{key}: {said}");
            let number: u64 = most.trim_end_matches(char::is_alphabetic).parse().unwrap();
            let more = most.replace(&number.to_string(), &(number + 1).to_string());
            assert!(!at(&more), "{key}: {more}");
        }
    }
}
