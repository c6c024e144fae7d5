//! `trackrelay plugin new`: a folder with a plugin to start from, which builds and has tests.
//! Its texts are in `cli/plugin/template`, the guest crate it gets is `cli/plugin/kit.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::plugin::kit;

/// Start a plugin: a folder that builds, with a test and an example event
///
/// The folder holds all that trackrelay adds, the guest crate among it; cargo fetches the
/// few other crates when it is built first. Nothing is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay plugin new long-only
  trackrelay plugin new to-teams --kind transform")]
pub struct Args {
    /// The plugin's name, and the folder's
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,

    /// What it is written in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,

    /// A filter decides whether an event is delivered, a transform in which form
    #[arg(long, value_enum, default_value_t = Kind::Filter)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Lang {
    Rust,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Filter,
    Transform,
}

/// Names that cargo refuses or that the plugin's dependencies have.
const TAKEN: [&str; 9] =
    ["alloc", "build", "core", "deps", "serde", "serde-json", "std", "test", "trackrelay-plugin"];

/// No folder needs a longer one.
const LONGEST_NAME: usize = 64;

pub fn run(args: Args) -> Result<(), Failure> {
    let Lang::Rust = args.lang;
    let folder = Path::new(&args.name);
    if folder.symlink_metadata().is_ok() {
        return Err(Failure::failed(format!(
            "`{}` is there already, and nothing is overwritten; name another",
            args.name
        )));
    }
    for (path, text) in files(&args.name, args.kind) {
        write(&folder.join(&path), &text).with_context(|| format!("cannot write `{}/{path}`", args.name))?;
    }
    output::facts(&args.name)?;
    output::say(&format!("next: `cd {} && trackrelay plugin build`; README.md has the rest", args.name));
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().map(PathBuf::from).unwrap_or_default();
    fs::create_dir_all(folder)?;
    Ok(fs::write(path, text)?)
}

/// Every file, by path within the folder.
fn files(name: &str, kind: Kind) -> Vec<(String, String)> {
    let (source, list, config, json, does) = match kind {
        Kind::Filter => (
            include_str!("template/filter.txt"),
            "filter",
            "{ seconds = 3600 }",
            "{\"seconds\":3600}",
            "lets through time entries of a minimum length",
        ),
        Kind::Transform => (
            include_str!("template/transform.txt"),
            "transform",
            "{ prefix = \"done: \" }",
            "{\"prefix\":\"done: \"}",
            "makes time entries a small JSON of its own",
        ),
    };
    let filled = |text: &str| {
        let words = [
            ("@NAME@", name),
            ("@FILE@", &name.replace('-', "_")),
            ("@LIST@", list),
            ("@CONFIG@", config),
            ("@JSON@", json),
            ("@DOES@", does),
            ("@RUST@", env!("CARGO_PKG_RUST_VERSION")),
            ("@VERSION@", env!("CARGO_PKG_VERSION")),
        ];
        words.iter().fold(text.to_owned(), |text, (word, meant)| text.replace(word, meant))
    };
    let own = [
        (".gitignore", "/target\n"),
        ("Cargo.toml", include_str!("template/manifest.toml")),
        ("README.md", include_str!("template/readme.md")),
        ("events.ndjson", include_str!("template/events.ndjson")),
        ("src/lib.rs", source),
    ];
    let mut files: Vec<_> = own.iter().map(|(path, text)| ((*path).to_owned(), filled(text))).collect();
    files.push(("Cargo.lock".to_owned(), kit::lock()));
    files.push(("sdk/Cargo.toml".to_owned(), kit::manifest()));
    files.extend(kit::FILES.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    files
}

/// A name that is one for a folder, a crate and a table of the config alike.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts || !text.chars().all(plain) || text.len() > LONGEST_NAME || text.ends_with('-') {
        return Err(format!(
            "write it like `long-only`: lower-case letters, digits, -; up to {LONGEST_NAME}"
        ));
    }
    if TAKEN.contains(&text) {
        return Err("cargo or a crate that plugins use has this name; take another".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_folder_crate_and_config() {
        for good in ["a", "long-only", "to-teams2"] {
            assert_eq!(name(good), Ok(good.to_owned()));
        }
        for bad in
            ["", "-a", "a-", "A", "a b", "a/b", "..", "a_b", "ä", "1a", "test", "serde", &"a".repeat(65)]
        {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for kind in [Kind::Filter, Kind::Transform] {
            let files = files("long-only", kind);
            assert!(files.len() > 20, "{}", files.len());
            for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("sdk/")) {
                assert!(!text.contains('@'), "{path}: {text}");
            }
            let manifest = &files.iter().find(|(path, _)| path == "Cargo.toml").unwrap().1;
            let manifest: toml::Table = manifest.parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some("long-only"));
            assert!(manifest.contains_key("workspace"), "an outer workspace would take it for its own");
        }
    }
}
