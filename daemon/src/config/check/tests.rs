//! Problems, word for word.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::config::load::{Loaded, load};
use crate::config::problem::render::Renderer;

mod faults;
mod keys;
mod meant;
mod schema;
mod secrets;
mod sources;
mod tables;
mod urls;
mod values;

/// What loading this text says, with the folder left out of it.
fn said(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("config.toml");
    fs::write(&main, text).unwrap();
    fs::set_permissions(&main, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.path().join("there.wasm"), "\0asm").unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    let loaded = load(&main, &|name| (name == "HOME").then(|| "/home/ana".to_owned()));
    let said = loaded.rendered(&Renderer::new(folder.path().to_owned(), false));
    helps_programs_too(&loaded, &said);
    said.replace(&folder.path().display().to_string(), "…")
}

/// Whatever help people get is the `hint` of the JSON.
fn helps_programs_too(loaded: &Loaded, said: &str) {
    let json = serde_json::to_value([loaded.problems(), &loaded.warnings].concat()).unwrap();
    let mut hints: Vec<_> = json.as_array().unwrap().iter().filter_map(|one| one["hint"].as_str()).collect();
    let helps = said.lines().filter_map(|line| line.trim_start().strip_prefix("= help: "));
    let mut helps: Vec<_> = helps.collect();
    hints.sort_unstable();
    helps.sort_unstable();
    assert_eq!(hints, helps);
}

/// Compares what loading says, word for word.
fn same(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let said = said(text);
        assert!(said == *expected, "--- for\n{text}\n--- it says\n{said}\n--- and not\n{expected}");
    }
}
