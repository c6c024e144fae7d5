//! `trackrelay edit`: changes a subscription, key by key or in an editor. A whole file goes
//! through the same checks as a single key, and is saved only if they pass.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::change::{self, Change, Done};
use crate::cli::enable::render;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::{args, output};
use crate::config::edit::{self, Edit, Field};
use crate::config::file;
use crate::config::load::load;
use crate::config::problem::did_you_mean;
use editor::Copy;

mod editor;

/// Edit a subscription
///
/// Opens $VISUAL or $EDITOR on a copy of the file that holds it. The copy is checked as a
/// save would be: with errors you may edit again or give up, without them it takes the
/// file's place and is live. For scripts, `--set` and `--unset` change single keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay edit slack
  trackrelay edit slack --set timeout=5s --set 'event_filters=[\"tag.*\", \"project.*\"]'
  trackrelay edit slack --unset headers.x-env
  trackrelay edit slack --rename chat      keeps its history and what waits")]
pub struct Args {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// A key of its table and its value, as in TOML; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = change::assignment)]
    set: Vec<Field>,

    /// Take a key out of its table; may be repeated
    #[arg(long, value_name = "KEY", value_parser = without)]
    unset: Vec<Field>,

    /// Give it another name
    #[arg(long, value_name = "NAME", value_parser = args::name)]
    rename: Option<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A key that is to go. One that is not set is as wanted; one that cannot be set is a slip.
fn without(text: &str) -> Result<Field, String> {
    let key = change::key(text)?;
    let schema = file::schema();
    let table = schema.pointer("/properties/subscription/additionalProperties/properties");
    let known = table.and_then(Value::as_object).into_iter().flat_map(|keys| keys.keys().map(String::as_str));
    let known: Vec<&str> = known.collect();
    if !known.contains(&key[0].as_str()) {
        let near = did_you_mean(&key[0], known).map(|near| format!(", did you mean `{near}`?"));
        return Err(format!("a subscription has no key `{}`{}", key[0], near.unwrap_or_default()));
    }
    Ok(Field { key, value: None })
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let by_hand = args.set.is_empty() && args.unset.is_empty() && args.rename.is_none();
    if by_hand {
        return in_editor(&args, here).await;
    }
    let after = args.rename.clone().unwrap_or_else(|| args.name.clone());
    let fields = args.set.into_iter().chain(args.unset).collect();
    let edit = Edit::Change { name: args.name, rename: args.rename, fields };
    match (change::make(Change::Edit(edit), here).await?, args.json) {
        (Done::Live(reply), true) => output::document(&reply.json::<serde_json::Value>()?),
        (Done::Live(reply), false) => output::facts(&render(&reply.json()?, here)),
        (Done::Alone(_), true) => output::document(&json!({ "name": after })),
        (Done::Alone(_), false) => output::facts(&format!("{}: changed", output::clean(&after))),
    }
}

async fn in_editor(args: &Args, here: &Invocation) -> Result<(), Failure> {
    let Found { file, text, line } = find(&args.name, here)?;
    let expected = edit::hash(text.as_bytes());
    let copy = Copy::make(&file, &text, here.env())?;
    loop {
        copy.open(line, here.env())?;
        let edited = copy.text()?;
        if edited == text {
            copy.remove();
            return said(args, "nothing changed", &[]);
        }
        let save = Change::Save { file: file.clone(), text: edited, expected: expected.clone() };
        match change::make(save, here).await {
            Ok(done) => {
                copy.remove();
                return said(args, "nothing changed", &changes(done)?);
            }
            Err(failure) => output::failure(&failure),
        }
        if !again(std::io::stdin().lock())? {
            return Err(Failure::failed(format!(
                "nothing was changed; what you wrote is kept in `{}`",
                copy.path().display()
            )));
        }
    }
}

/// The file that holds a subscription, and the line of its table.
struct Found {
    file: PathBuf,
    text: String,
    line: usize,
}

/// Looked for in the files themselves: they may be broken, and about to be mended.
fn find(name: &str, here: &Invocation) -> Result<Found, Failure> {
    let config = here.config_file()?;
    let loaded = load(&config, here.env());
    for (file, text) in &loaded.texts {
        let Some(at) = edit::find(text.as_str(), name) else { continue };
        // Read again rather than taken over: what is not UTF-8 must not be written back.
        let found = edit::text(file).map_err(anyhow::Error::from)?;
        return Ok(Found { file: file.clone(), text: found, line: text.place(at).line });
    }
    let known = loaded.result.as_ref().map(|config| config.subscriptions.as_slice()).unwrap_or_default();
    Err(Failure::failed(unknown(name, known.iter().map(|one| one.name.as_str()), &config)))
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>, config: &Path) -> String {
    match did_you_mean(name, known) {
        Some(near) => format!("no subscription `{name}`, did you mean `{near}`?"),
        None => format!("no subscription `{name}` in `{}` or what it includes", config.display()),
    }
}

fn changes(done: Done) -> Result<Vec<String>, Failure> {
    let Done::Live(reply) = done else { return Ok(vec!["saved".to_owned()]) };
    let saved: Saved = reply.json()?;
    let restart = saved.restart_needed.iter().map(|key| format!("`{key}` changes only with a restart"));
    Ok(saved.changes.into_iter().chain(restart).collect())
}

/// `POST /api/files`.
#[derive(serde::Deserialize)]
struct Saved {
    changes: Vec<String>,
    restart_needed: Vec<String>,
}

fn said(args: &Args, nothing: &str, changes: &[String]) -> Result<(), Failure> {
    match args.json {
        true => output::document(&json!({ "changes": changes })),
        false if changes.is_empty() => output::facts(nothing),
        false => output::facts(&output::clean(&changes.join("\n"))),
    }
}

/// Whether to edit once more. Nobody there to ask gives up.
fn again(mut answers: impl BufRead) -> Result<bool, Failure> {
    loop {
        output::ask("edit again, or give up? [e/g] ");
        let mut answer = String::new();
        if answers.read_line(&mut answer).map_err(anyhow::Error::from)? == 0 {
            return Ok(false);
        }
        match answer.trim().to_lowercase().as_str() {
            "e" | "edit" | "" => return Ok(true),
            "g" | "q" | "x" => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_there_are_can_be_taken_out() {
        assert_eq!(without("headers.x-env").unwrap().key, ["headers", "x-env"]);
        assert_eq!(without("secret"), Ok(Field { key: vec!["secret".to_owned()], value: None }));
        assert_eq!(
            without("tiemout").unwrap_err(),
            "a subscription has no key `tiemout`, did you mean `timeout`?"
        );
        assert_eq!(without("zz").unwrap_err(), "a subscription has no key `zz`");
    }
}
