//! The reference `config.toml` tells the truth, and the schema and it agree.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::load::{Loaded, load};
use super::problem::render::Renderer;
use super::{Config, file};

const REFERENCE: &str = include_str!("../../../config.toml");

/// A subscription that says nothing of its own, so that every default shows.
const SILENT: &str = "
[subscription.silent]
url_callback = \"http://127.0.0.1:3000/\"
event_filters = [\"*.*\"]
";

/// Loads a text as the reference would be loaded, with all that it names in place.
fn loaded(folder: &Path, text: &str) -> Loaded {
    for file in ["plugins/match.wasm", "plugins/slack.wasm", "plugins/redact.wasm", "secrets/everything"] {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "something").unwrap();
    }
    let main = folder.join("config.toml");
    fs::write(&main, text).unwrap();
    load(&main, &|name| match name {
        "HOME" => Some("/home/ana".to_owned()),
        "ANA_TOKEN" | "TRACK_SECRET" => Some("token".to_owned()),
        _ => None,
    })
}

/// What the text means, without places and digests: they differ by the lines that were uncommented.
fn meant(folder: &Path, text: &str) -> Config {
    let loaded = loaded(folder, text);
    let rendered = loaded.rendered(&Renderer::new(folder.to_owned(), false));
    let mut config = loaded.result.unwrap_or_else(|_| panic!("{rendered}"));
    for subscription in &mut config.subscriptions {
        subscription.place = super::Place::default();
        // Of what the table states, true or not.
        subscription.digest.clear();
        for used in subscription.filter.iter_mut().chain(&mut subscription.transform) {
            used.place = super::Place::default();
        }
    }
    for plugin in config.plugins.values_mut() {
        plugin.place = super::Place::default();
        plugin.path_place = super::Place::default();
        plugin.sha256_place = super::Place::default();
    }
    config
}

/// The line without its comment sign, if it is a commented key or table.
fn uncommented(line: &str) -> Option<&str> {
    let text = line.strip_prefix("# ")?;
    let key = text.split(['=', ' ']).next()?;
    let is_key =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_entry = is_key && text[key.len()..].trim_start().starts_with('=');
    let is_table = text.starts_with('[') && text.ends_with(']');
    (is_entry || is_table).then_some(text)
}

fn with_lines_uncommented(chosen: impl Fn(&str) -> bool) -> String {
    let lines = REFERENCE.lines().map(|line| uncommented(line).filter(|text| chosen(text)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n") + SILENT
}

#[test]
fn the_reference_works_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = meant(folder.path(), REFERENCE);
    let names: Vec<_> = config.subscriptions.iter().map(|subscription| &subscription.name).collect();
    assert_eq!(names, ["everything", "slack-billable"]);
    for subscription in &config.subscriptions {
        assert!(subscription.url_text.starts_with("http://127.0.0.1:3000/"), "{}", subscription.url_text);
    }
}

#[test]
fn every_default_that_the_reference_states_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let plain = meant(folder.path(), &with_lines_uncommented(|_| false));
    let states_default = |text: &str| text.ends_with("# default");
    assert_eq!(meant(folder.path(), &with_lines_uncommented(states_default)), plain);
    // Each one alone, and a check that the comparison can fail.
    let stated: Vec<&str> =
        REFERENCE.lines().filter_map(uncommented).filter(|text| states_default(text)).collect();
    assert_eq!(stated.len(), 24, "{stated:#?}");
    for line in &stated {
        assert_eq!(meant(folder.path(), &with_lines_uncommented(|text| text == *line)), plain, "{line}");
    }
    let other = with_lines_uncommented(states_default).replace("timeout = \"10s\"", "timeout = \"11s\"");
    assert_ne!(meant(folder.path(), &other), plain);
}

#[test]
fn every_commented_example_parses() {
    let folder = tempfile::tempdir().unwrap();
    let config = meant(folder.path(), &with_lines_uncommented(|_| true));
    assert_eq!(config.subscriptions.len(), 4);
    assert_eq!((config.users.len(), config.sources.len()), (1, 1));
    assert!(!config.folders.is_empty());
}

/// Every default of the schema, as `table.key = value`.
fn schema_defaults(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    if let Some(default) = schema.get("default") {
        found.push((path.to_owned(), default.clone()));
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        schema_defaults(inner, &format!("{path}.{key}"), found);
    }
    let named = &schema["additionalProperties"];
    if named.is_object() {
        schema_defaults(named, &format!("{path}.*"), found);
    }
}

#[test]
fn the_reference_states_every_default_of_the_schema() {
    let mut defaults = Vec::new();
    schema_defaults(&file::schema(), "", &mut defaults);
    assert!(defaults.len() > 30, "{defaults:?}");
    let text = with_lines_uncommented(|_| true);
    let mut stated: Vec<(String, Value)> = Vec::new();
    for line in text.lines().filter(|line| line.ends_with("# default")) {
        let table: toml::Table = line.parse().unwrap();
        let Value::Object(table) = serde_json::to_value(table).unwrap() else { panic!("{line}") };
        for (key, value) in table {
            stated.extend(
                value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
            );
            stated.push((key, value));
        }
    }
    for (path, default) in defaults {
        let key = path.rsplit('.').next().unwrap_or_default();
        // A plugin's config is the plugin's affair.
        if key == "config" {
            continue;
        }
        assert!(
            stated.contains(&(key.to_owned(), default.clone())),
            "`{path}` = {default} is not in config.toml"
        );
    }
}

#[test]
fn the_schema_is_one_that_editors_take() {
    let schema = file::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "trackrelay config");
    described(&schema, "");
    let text = schema.to_string();
    assert!(!text.contains("\"null\""), "TOML knows no null");
    assert!(!text.contains("$ref"), "all inline");
}

/// Every key says what it is for, and no table takes unknown ones.
fn described(schema: &Value, path: &str) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        assert!(inner["description"].is_string(), "`{path}` has no description");
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{path}");
        described(inner, &path);
    }
    if schema["additionalProperties"].is_object() {
        described(&schema["additionalProperties"], &format!("{path}.*"));
    }
    if schema["items"].is_object() {
        described(&schema["items"], &format!("{path}[]"));
    }
    for inner in schema["anyOf"].as_array().into_iter().flatten() {
        described(inner, path);
    }
}
