//! The guest crate, as it goes into the folder of a new plugin: trackrelay is installed
//! without its sources, and the crate is in no registry. Only the manifest differs from the
//! one in `plugins/sdk`, since it stands alone there.

/// Every file of the crate but its tests, by path within it.
pub const FILES: [(&str, &str); 16] = [
    ("src/bindings.rs", include_str!("../../../../plugins/sdk/src/bindings.rs")),
    ("src/host.rs", include_str!("../../../../plugins/sdk/src/host.rs")),
    ("src/json.rs", include_str!("../../../../plugins/sdk/src/json.rs")),
    ("src/json/check.rs", include_str!("../../../../plugins/sdk/src/json/check.rs")),
    ("src/json/number.rs", include_str!("../../../../plugins/sdk/src/json/number.rs")),
    ("src/json/text.rs", include_str!("../../../../plugins/sdk/src/json/text.rs")),
    ("src/lib.rs", include_str!("../../../../plugins/sdk/src/lib.rs")),
    ("src/path.rs", include_str!("../../../../plugins/sdk/src/path.rs")),
    ("src/slot.rs", include_str!("../../../../plugins/sdk/src/slot.rs")),
    ("src/testing.rs", include_str!("../../../../plugins/sdk/src/testing.rs")),
    ("src/track.rs", include_str!("../../../../plugins/sdk/src/track.rs")),
    ("src/track/entity.rs", include_str!("../../../../plugins/sdk/src/track/entity.rs")),
    ("src/track/id.rs", include_str!("../../../../plugins/sdk/src/track/id.rs")),
    ("wit/track-relay.wit", include_str!("../../../../plugins/wit/track-relay.wit")),
    ("LICENSE-APACHE", include_str!("../../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../../LICENSE-MIT")),
];

const MANIFEST: &str = include_str!("../../../../plugins/sdk/Cargo.toml");

/// What plugins are built with here, so that they are built with the same there.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// What the crate and a plugin depend on.
const ROOTS: [&str; 3] = ["serde", "serde_json", "wit-bindgen"];

/// The crate's manifest without what it gets from the workspace or needs for its tests.
pub fn manifest() -> String {
    let own = MANIFEST.split("\n[dev-dependencies]").next().unwrap_or_default();
    let inherited = [
        ("version.workspace = true", format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))),
        ("edition.workspace = true", "edition = \"2024\"".to_owned()),
        ("rust-version.workspace = true", format!("rust-version = \"{}\"", env!("CARGO_PKG_RUST_VERSION"))),
        ("license.workspace = true", format!("license = \"{}\"", env!("CARGO_PKG_LICENSE"))),
        ("publish.workspace = true", "publish = false".to_owned()),
        ("[lints]\nworkspace = true\n\n", String::new()),
    ];
    inherited
        .iter()
        .fold(own.to_owned(), |text, (from, to)| text.replace(&format!("\n{from}"), &format!("\n{to}")))
}

/// The part of the lock file that a plugin needs.
pub fn lock() -> String {
    let Ok(lock) = LOCK.parse::<toml::Table>() else { return String::new() };
    let packages = lock.get("package").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let mut wanted: Vec<String> = ROOTS.map(str::to_owned).to_vec();
    let mut at = 0;
    while let Some(next) = wanted.get(at).cloned() {
        at += 1;
        let found = packages.iter().filter(|package| is(package, &next));
        for name in found.flat_map(dependencies) {
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
    }
    let mut own = toml::Table::new();
    own.insert("version".to_owned(), lock.get("version").cloned().unwrap_or(4.into()));
    let kept = packages.into_iter().filter(|package| wanted.iter().any(|name| is(package, name)));
    own.insert("package".to_owned(), kept.collect::<Vec<_>>().into());
    own.to_string()
}

/// Whether a package is meant by `name`, or by `name version` where there are several.
fn is(package: &toml::Value, wanted: &str) -> bool {
    let field = |key| package.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let (name, version) = wanted.split_once(' ').unwrap_or((wanted, ""));
    field("name") == name && (version.is_empty() || field("version") == version)
}

fn dependencies(package: &toml::Value) -> Vec<String> {
    let names = package.get("dependencies").and_then(toml::Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_source_of_the_crate_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk");
        let found = sources(&root.join("src")).into_iter().chain(sources(&root.join("wit")));
        let wanted: BTreeSet<String> = found
            .filter(|path| !path.ends_with("tests.rs"))
            .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
            .collect();
        let have = FILES.iter().map(|(path, _)| (*path).to_owned());
        let have: BTreeSet<String> = have.filter(|path| !path.starts_with("LICENSE")).collect();
        assert_eq!(have, wanted);
    }

    #[test]
    fn the_manifest_stands_alone() {
        let text = manifest();
        let parsed: toml::Table = text.parse().unwrap();
        assert!(!text.contains("workspace = ") && parsed.get("dev-dependencies").is_none(), "{text}");
        assert_eq!(parsed["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(parsed["package"]["edition"].as_str(), Some("2024"));
        assert!(parsed["dependencies"].get("wit-bindgen").is_some());
    }

    #[test]
    fn the_lock_has_what_a_plugin_needs_and_no_engine() {
        let lock: toml::Table = lock().parse().unwrap();
        let names: Vec<&str> =
            lock["package"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        for name in ["serde", "serde_derive", "serde_json", "wit-bindgen", "wit-parser"] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        assert!(names.len() < 60 && !names.contains(&"wasmtime"), "{names:?}");
    }
}
