//! The house keeps its own rules: modules look up and never down, every file is reachable,
//! the map names only what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

/// Fewer files than this were not found by a loop, so the loop is broken.
const SOURCES: usize = 60;

/// Lines of a file; a longer one wants to be two.
const LONGEST: usize = 400;

fn source() -> PathBuf {
    repository("daemon/src")
}

/// Every file below a folder with this extension, by path relative to it.
fn files(folder: &Path, extension: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.') || name == "target";
            if path.is_dir() && !hidden && !path.is_symlink() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let relative = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(relative, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// Modules that a file declares.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')
    })
}

/// Modules of the crate that a file uses: every `crate::name`, groups in braces included.
fn used(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let group =
            rest.strip_prefix('{').map_or(rest, |group| &group[..group.find("};").unwrap_or(group.len())]);
        let mut depth = 0;
        let heads = group.split_inclusive(['{', '}', ',']).filter_map(|part| {
            let at = depth;
            depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
            (at == 0).then(|| {
                part.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
            })
        });
        let one = usize::from(!rest.starts_with('{'));
        names.extend(heads.take(if one == 1 { 1 } else { usize::MAX }).map(str::to_owned));
    }
    names
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let order: Vec<_> = declared(&lib).collect();
    assert!(order.len() >= 15, "{order:?}");
    let place = |name: &str| order.iter().position(|module| *module == name);
    let mut checked = 0;
    for (file, text) in files(&source(), "rs") {
        let room = file.split(['/', '.']).next().unwrap();
        let Some(own) = place(room) else { continue };
        checked += 1;
        for name in used(&text) {
            let Some(other) = place(&name) else { continue };
            assert!(other <= own, "`{file}` uses `{name}`, which `lib.rs` lists after `{room}`");
        }
    }
    assert!(checked >= SOURCES, "checked only {checked} files");
}

#[test]
fn the_way_in_and_the_way_out_do_not_know_each_other() {
    let (inward, outward) = (["route", "source"], ["deliver", "validate"]);
    for (file, text) in files(&source(), "rs") {
        let room = file.split(['/', '.']).next().unwrap();
        let forbidden: &[&str] = if inward.contains(&room) {
            &outward
        } else if outward.contains(&room) {
            &inward
        } else {
            continue;
        };
        for name in forbidden {
            assert!(!used(&text).contains(*name), "`{file}` uses `{name}`");
        }
    }
}

#[test]
fn foreign_things_have_one_home() {
    let homes = [
        ("rusqlite", "store/"),
        ("wasmtime", "plugin/"),
        ("wasmparser", "plugin/"),
        ("toml_edit", "config/edit"),
        ("toml_parser", "config/edit"),
        ("notify::", "daemon/"),
        ("ratatui", "cli/top"),
        ("opentelemetry", "otel"),
    ];
    for (foreign, home) in homes {
        let mut found = 0;
        for (file, text) in files(&source(), "rs") {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let uses = code.filter(|line| {
                line.contains(&format!("{foreign}::")) || line.contains(&format!("use {foreign}"))
            });
            if uses.count() > 0 {
                found += 1;
                assert!(file.starts_with(home), "`{file}` uses `{foreign}`, whose home is `{home}`");
            }
        }
        assert!(found > 0, "nobody uses `{foreign}`");
    }
}

#[test]
fn every_file_is_reachable() {
    for (folder, roots) in [(source(), vec!["lib.rs", "main.rs"]), (repository("tests"), vec!["main.rs"])] {
        let all = files(&folder, "rs");
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut next: Vec<String> = roots.into_iter().map(str::to_owned).collect();
        while let Some(file) = next.pop() {
            let text = all.get(&file).unwrap_or_else(|| panic!("`{file}` is declared and not there"));
            let inside = match file.strip_suffix(".rs").unwrap() {
                "lib" | "main" => String::new(),
                other => format!("{other}/"),
            };
            next.extend(
                declared(text)
                    .map(|name| format!("{inside}{name}.rs"))
                    .filter(|file| !reached.contains(file)),
            );
            reached.insert(file);
        }
        let orphans: Vec<_> = all.keys().filter(|file| !reached.contains(*file)).collect();
        assert!(orphans.is_empty(), "no `mod` leads to {orphans:?}");
    }
}

#[test]
fn files_say_what_lives_in_them_and_stay_short() {
    for (file, text) in files(&source(), "rs") {
        let first = text.lines().next().unwrap_or_default();
        let is_test = file.ends_with("tests.rs") || file.contains("/tests/");
        assert!(first.starts_with("//!") || is_test, "`{file}` opens without a word about itself");
        let lines = text.lines().count();
        assert!(lines <= LONGEST || is_test, "`{file}` has {lines} lines; split it");
        assert!(!file.ends_with("mod.rs"), "`{file}`");
    }
}

#[test]
fn the_map_names_only_what_exists() {
    let map = fs::read_to_string(repository("docs/architecture.md")).unwrap();
    let mut checked = 0;
    for name in map.split('`').skip(1).step_by(2) {
        let is_path =
            name.contains('/') || [".rs", ".toml", ".md", ".wit"].iter().any(|end| name.ends_with(end));
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        if !is_path || !plain || name.starts_with('/') {
            continue;
        }
        checked += 1;
        let exists = ["", "daemon", "daemon/src"].iter().any(|base| {
            let path = repository(base).join(name);
            path.exists() || path.with_added_extension("rs").exists()
        });
        assert!(exists, "docs/architecture.md names `{name}`, which does not exist");
    }
    assert!(checked >= 10, "found only {checked} names");
}

#[test]
fn nothing_refers_outside_of_the_repository() {
    let outside = ["..", "shared"].join("/");
    let mut checked = 0;
    for extension in ["rs", "toml", "md", "wit", "sh", "yml", "json"] {
        for (file, text) in files(&repository(""), extension) {
            checked += 1;
            assert!(!text.contains(&outside), "`{file}` refers to `{outside}`");
        }
    }
    assert!(checked > SOURCES, "checked only {checked} files");
}
