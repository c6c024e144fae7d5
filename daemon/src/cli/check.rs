//! `trackrelay check`: loads everything a reload would, without a network, and tells every
//! problem at once. What is allowed is decided in `config/check.rs`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, GOOD, count, styled};
use crate::config::load::{Loaded, load};
use crate::config::problem::render::Renderer;
use crate::config::{Config, Problem};
use crate::daemon::PLUGIN_CACHE;
use crate::plan::Guests;
use crate::plugin::Host;

/// Check the config and its plugins without running anything
///
/// Tells every error at once, with its line. Asks no endpoint and changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay check
  trackrelay check --config staging.toml && git push
  trackrelay check --json | jq -r '.errors[] | \"\\(.file):\\(.line): \\(.message)\"'")]
pub struct Args {
    /// Print one JSON document: config, errors, warnings
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let path = here.config_file()?;
    let loaded = with_plugins(load(&path, here.env()))?;
    if args.json {
        output::document(&document(&path, &loaded))?;
    } else {
        tell(&loaded);
    }
    match &loaded.result {
        Err(problems) => Err(refused(&path, problems)),
        Ok(config) if !args.json => output::facts(&summary(&path, config)),
        Ok(_) => Ok(()),
    }
}

/// Compiles and tries out every plugin just as a load does, those of a config that is
/// refused anyway included. What the daemon has compiled is taken over, but nothing is written.
fn with_plugins(mut loaded: Loaded) -> Result<Loaded, Failure> {
    let host = host(&loaded)?;
    let problems = match &loaded.result {
        Ok(config) => Guests::load(config, &host, None).err().unwrap_or_default(),
        Err(_) => Guests::try_out(&loaded.sound, &host, None),
    };
    if !problems.is_empty() {
        loaded.refuse(problems);
    }
    Ok(loaded)
}

/// Takes over what the daemon has compiled, and writes nothing.
pub fn host(loaded: &Loaded) -> Result<Host, Failure> {
    let store = loaded.result.as_ref().map_or(&loaded.sound.store, |config| &config.store.path);
    let cache = store.join(PLUGIN_CACHE);
    Ok(Host::new(cache.is_dir().then_some(&cache))?)
}

/// Shows errors and warnings with their lines, on stderr.
pub fn tell(loaded: &Loaded) {
    // The colours are taken out again where stderr is no terminal.
    let renderer = Renderer::new(std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")), true);
    let text = loaded.rendered(&renderer);
    if !text.is_empty() {
        output::say(&format!("{text}\n\n"));
    }
}

/// The failure after problems were told.
pub fn refused(path: &Path, problems: &[Problem]) -> Failure {
    let errors = count(problems.len() as u64, "error");
    Failure::BadConfig(format!("{errors} in the config `{}`", path.display()))
}

fn document(path: &Path, loaded: &Loaded) -> serde_json::Value {
    json!({ "config": path, "errors": loaded.problems(), "warnings": loaded.warnings })
}

fn summary(path: &Path, config: &Config) -> String {
    let subscriptions = count(config.subscriptions.len() as u64, "subscription");
    let disabled = match config.subscriptions.iter().filter(|subscription| !subscription.enabled).count() {
        0 => String::new(),
        n => format!(" ({n} disabled)"),
    };
    let sources = match config.sources.len() {
        0 => String::new(),
        n => format!(", {}", count(n as u64, "source")),
    };
    let plugins = count(config.plugins.len() as u64, "plugin");
    let ok = styled(GOOD, "ok");
    format!("{}: {ok}, {subscriptions}{disabled}{sources}, {plugins}", output::clean(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (tempfile::TempDir, PathBuf, Loaded) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let loaded = load(&path, &|name| (name == "HOME").then(|| "/home/ana".to_owned()));
        (folder, path, loaded)
    }

    #[test]
    fn a_good_config_is_counted() {
        let (_folder, path, loaded) = check(
            "[subscription.a]\nurl_callback = \"http://127.0.0.1:3000/\"\nevent_filters = [\"tag.*\"]\n\
             [subscription.b]\nurl_callback = \"http://127.0.0.1:3000/\"\nevent_filters = [\"tag.*\"]\nenabled = false\n",
        );
        let config = loaded.result.as_ref().unwrap();
        let text = output::plain(&summary(&path, config));
        assert_eq!(text, format!("{}: ok, 2 subscriptions (1 disabled), 0 plugins", path.display()));
        let here = Invocation::with_env(Some(path), |name| (name == "HOME").then(|| "/home/ana".to_owned()));
        assert!(run(Args { json: false }, &here).is_ok());
    }

    #[test]
    fn a_bad_config_is_78_and_every_error_in_the_document() {
        let (_folder, path, loaded) =
            check("[listn]\n[subscription.a]\nurl_callback = 7\nevent_filters = [\"tag.*\"]\n");
        let document = document(&path, &loaded);
        assert_eq!(document["errors"].as_array().unwrap().len(), 2, "{document}");
        assert_eq!(document["errors"][0]["line"], 1);
        assert_eq!(document["errors"][0]["hint"], "did you mean `listen`?");
        let here = Invocation::with_env(Some(path.clone()), |_| None);
        let failure = run(Args { json: false }, &here).unwrap_err();
        assert_eq!(failure.exit_code(), 78);
        assert!(failure.to_string().ends_with(&format!("in the config `{}`", path.display())));
    }

    /// A config with something wrong in every layer: syntax, keys, meaning, files, plugins.
    const EVERYTHING_WRONG: &str = r#"include = ["broken.toml"]
[plugin.match]
path = "match.wasm"
[plugin.pinned]
path = "match.wasm"   # the right file
sha256 = "abababababababababababababababababababababababababababababababab"   # and a wrong pin
[plugin.text]
path = "no-plugin.wasm"
[plugin.cut]
path = "no-plugin.wasm"
limts = { memory = "64MiB" }
[subscription.a]
url_callback = "ftp://127.0.0.1/"
event_filters = ["*.*"]
user = "nobody"
filter = [
    { plugin = "match", config = { "payload.billable" = true } },
    { plugin = "match", config = {} },
    { plugin = "match", confg = { "payload.billable" = true } },
    { plugin = "elsewhere" },
    { plugin = "pinned" },
]
transform = [{ plugin = "match", config = { "payload.billable" = true } }]
"#;

    #[test]
    fn problems_of_plugins_are_told_beside_all_others() {
        let (folder, _, _) = check("");
        let beside = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        beside("match.wasm", include_bytes!("../../../plugins/match.wasm"));
        beside("no-plugin.wasm", b"something else");
        beside("broken.toml", b"[plugin.elsewhere]\npath = \"match.wasm\"\n[user.ana\n");
        beside("config.toml", EVERYTHING_WRONG.as_bytes());
        let loaded =
            load(&folder.path().join("config.toml"), &|name| (name == "HOME").then(|| "/".to_owned()));
        let loaded = with_plugins(loaded).unwrap();
        let place = |problem: &Problem| (problem.place.line, problem.place.column);
        let said: Vec<_> = loaded.problems().iter().map(|one| (place(one), one.message.as_str())).collect();
        let expected = [
            ((6, 10), "is not the pinned file: its SHA-256 is"),
            ((8, 8), "is text, not a WebAssembly file"),
            ((11, 1), "unknown key `limts`"),
            ((13, 16), "`url_callback` has the scheme `ftp`"),
            ((18, 5), "plugin `match` refuses its config in `a`: no condition"),
            ((19, 25), "unknown key `confg`"),
            ((23, 14), "plugin `match` is a filter, not a transform"),
            ((3, 10), "unclosed table"),
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for ((place, message), (expected_place, part)) in said.into_iter().zip(expected) {
            assert!(place == expected_place && message.contains(part), "{place:?} {message}\n{part}");
        }
    }

    #[test]
    fn no_config_is_78() {
        let here = Invocation::with_env(None, |_| None);
        assert_eq!(run(Args { json: false }, &here).unwrap_err().exit_code(), 78);
    }
}
