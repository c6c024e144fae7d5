//! The shipped plugins: `plugins/<name>/golden.json` says what they make of Track's events,
//! which stand in `tests/vectors`. `plugins/check.sh` runs this on newly built ones too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

/// The folder with the `.wasm` files: that of the repository, or the one `check.sh` names.
pub(super) fn folder() -> PathBuf {
    match std::env::var_os("TRACKRELAY_TEST_PLUGINS") {
        Some(folder) => folder.into(),
        None => root().join("plugins"),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    config: Value,
    /// A file of `tests/vectors`, without its `.json`.
    event: String,
    /// "deliver", "unchanged", "skip: …", or the body that goes out.
    expect: String,
}

fn cases(name: &str) -> Vec<Case> {
    let path = root().join("plugins").join(name).join("golden.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn said(plugin: &Arc<Plugin>, case: &Case) -> String {
    let vector = root().join("tests/vectors").join(format!("{}.json", case.event));
    let input = input_of(&std::fs::read_to_string(vector).unwrap());
    let stage = if plugin.has_filter() { Stage::Filter } else { Stage::Transform };
    let entry = plugin.entry("golden", stage, &case.config).unwrap();
    match stage {
        Stage::Filter => match block_on(entry.check(input)).answer.unwrap() {
            Keep::Deliver => "deliver".into(),
            Keep::Skip(reason) => format!("skip: {reason}"),
        },
        Stage::Transform => match block_on(entry.apply(input)).answer.unwrap() {
            Reshape::Unchanged => "unchanged".into(),
            Reshape::Skip(reason) => format!("skip: {reason}"),
            Reshape::Replace(message) => String::from_utf8(message.body.into()).unwrap(),
        },
    }
}

fn assert_golden(name: &str) -> BTreeSet<String> {
    let host = Host::new(None).unwrap();
    let plugin = shipped(&host, name);
    let cases = cases(name);
    for case in &cases {
        assert_eq!(said(&plugin, case), case.expect, "{} {}", case.event, case.config);
    }
    cases.into_iter().map(|case| case.event).collect()
}

#[test]
fn match_says_what_it_should() {
    assert!(assert_golden("match").len() >= 3);
}

#[test]
fn redact_makes_what_it_should() {
    assert!(assert_golden("redact").len() >= 3);
}

#[test]
fn slack_has_a_line_for_every_entity_and_action() {
    let events = assert_golden("slack");
    for entity in Entity::ALL {
        for action in Action::ALL {
            assert!(events.contains(&format!("{entity}-{action}")), "{entity}-{action}");
        }
    }
}

#[test]
fn shipped_plugins_are_small_and_import_nothing_else() {
    for name in ["match", "redact", "slack"] {
        let file = std::fs::metadata(folder().join(format!("{name}.wasm"))).unwrap();
        assert!(file.len() < 100_000, "{name} has {} bytes", file.len());
    }
}

#[test]
fn the_readme_s_configs_are_accepted() {
    let host = Host::new(None).unwrap();
    let readme = std::fs::read_to_string(root().join("plugins/README.md")).unwrap();
    let mut tried = 0;
    for block in readme.split("```toml\n").skip(1) {
        let block: toml::Table = block.split("```").next().unwrap().parse().unwrap();
        let subscriptions = block.get("subscription").and_then(toml::Value::as_table);
        let tables =
            subscriptions.into_iter().flat_map(|table| table.values()).filter_map(|table| table.as_table());
        for (table, stage) in tables.chain([&block]).flat_map(|table| {
            [(table.get("filter"), Stage::Filter), (table.get("transform"), Stage::Transform)]
        }) {
            for used in table.and_then(toml::Value::as_array).into_iter().flatten() {
                let name = used["plugin"].as_str().unwrap();
                // The reader's own is made on the way.
                if name == "long-only" {
                    continue;
                }
                let plugin = shipped(&host, name);
                plugin.entry("readme", stage, &serde_json::to_value(&used["config"]).unwrap()).unwrap();
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 5);
}
