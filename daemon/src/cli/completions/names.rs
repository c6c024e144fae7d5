//! What is offered where a name is asked for: those a running daemon knows, else those of
//! the config file. Somebody waits with a finger on the Tab key, so it is bounded in time
//! and silent when there is nothing.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::client::Target;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, clean};
use crate::cli::reply::StatusReply;
use crate::cli::wait;
use crate::config::Config;
use crate::config::load::load;
use crate::delivery::Outcome;
use crate::event::{Action, Entity};

/// Longer feels like a hang; a daemon answers in a few milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// More than anybody looks through.
const MOST: usize = 500;

/// Events that are offered: what fits on a screen.
const LAST: &str = "50";

/// `GET /api/events`, as far as it is shown here.
#[derive(Deserialize)]
struct Events {
    events: Vec<Past>,
}

#[derive(Deserialize)]
struct Past {
    event_id: i64,
    entity: String,
    action: String,
    arrived_at: Timestamp,
}

/// Subscriptions by name.
pub fn subscriptions(typed: &OsStr) -> Vec<CompletionCandidate> {
    let here = here();
    let of_daemon = |status: StatusReply| {
        let each = status.subscriptions.into_iter();
        each.map(|one| (one.name, format!("{}: {}", one.status.as_str(), one.url_callback))).collect()
    };
    let of_file =
        |config: Config| config.subscriptions.into_iter().map(|one| (one.name, one.url_text)).collect();
    let found: Vec<(String, String)> = ask(&here, &Target::new(&["api", "status"]))
        .map(of_daemon)
        .unwrap_or_else(|| from_file(&here, of_file));
    offer(typed, found)
}

/// The last events by id, which only a running daemon knows.
pub fn events(typed: &OsStr) -> Vec<CompletionCandidate> {
    let about =
        |event: &Past| format!("{}.{} at {}", event.entity, event.action, output::moment(event.arrived_at));
    let each =
        |reply: Events| reply.events.iter().map(|event| (event.event_id.to_string(), about(event))).collect();
    let target = Target::new(&["api", "events"]).query("limit", LAST);
    offer(typed, ask(&here(), &target).map(each).unwrap_or_default())
}

/// The same, or the folder of a recording.
pub fn events_or_folder(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = events(typed);
    found.extend(PathCompleter::dir().complete(typed));
    found
}

/// Sources by name, which stand in the config only.
pub fn sources(typed: &OsStr) -> Vec<CompletionCandidate> {
    let each = |config: Config| {
        config.sources.into_iter().map(|one| (one.name, "source of the config".to_owned())).collect()
    };
    offer(typed, from_file(&here(), each))
}

/// Users by name.
pub fn users(typed: &OsStr) -> Vec<CompletionCandidate> {
    let each = |config: Config| {
        config.users.into_iter().map(|one| (one.name, "user of the config".to_owned())).collect()
    };
    offer(typed, from_file(&here(), each))
}

/// Track's entities with their actions.
pub fn pairs(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, every_pair().collect())
}

/// The same, or a file of events.
pub fn pairs_or_file(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = pairs(typed);
    found.extend(PathCompleter::file().stdio().complete(typed));
    found
}

pub fn entities(typed: &OsStr) -> Vec<CompletionCandidate> {
    words(typed, Entity::ALL.map(Entity::as_str))
}

pub fn actions(typed: &OsStr) -> Vec<CompletionCandidate> {
    words(typed, Action::ALL.map(Action::as_str))
}

/// What may become of a delivery.
pub fn outcomes(typed: &OsStr) -> Vec<CompletionCandidate> {
    words(typed, Outcome::ALL.map(Outcome::as_str))
}

fn words(typed: &OsStr, words: impl IntoIterator<Item = &'static str>) -> Vec<CompletionCandidate> {
    offer(typed, words.into_iter().map(|word| (word.to_owned(), String::new())).collect())
}

/// Event filters: a pair, or any action of an entity, or everything.
pub fn filters(typed: &OsStr) -> Vec<CompletionCandidate> {
    let wide = Entity::ALL.iter().map(|entity| format!("{entity}.*")).chain(["*".to_owned()]);
    offer(typed, every_pair().chain(wide.map(|filter| (filter, String::new()))).collect())
}

fn every_pair() -> impl Iterator<Item = (String, String)> {
    let each = |entity: &'static Entity| Action::ALL.iter().map(move |action| format!("{entity}.{action}"));
    Entity::ALL.iter().flat_map(each).map(|pair| (pair, String::new()))
}

/// The names that go on from what is typed, each with a word about it. One that a terminal
/// would not show as it is, is not offered.
fn offer(typed: &OsStr, names: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fits = |name: &str| name.starts_with(&*typed) && clean(name) == name && !name.contains(['\t', '\n']);
    let candidate = |(name, about): (String, String)| {
        let about = Some(clean(&about).replace(['\t', '\n'], " ")).filter(|about| !about.is_empty());
        CompletionCandidate::new(name).help(about.map(Into::into))
    };
    names.into_iter().filter(|(name, _)| fits(name)).take(MOST).map(candidate).collect()
}

fn ask<T: DeserializeOwned>(here: &Invocation, target: &Target) -> Option<T> {
    let daemon = here.running()?;
    let asked = async { Ok(tokio::time::timeout(ANSWER_WITHIN, daemon.get(target)).await) };
    wait(asked).ok()?.ok()?.ok()?.json().ok()
}

fn from_file(
    here: &Invocation,
    names: impl FnOnce(Config) -> Vec<(String, String)>,
) -> Vec<(String, String)> {
    let config = here.config_file().ok().and_then(|path| load(&path, here.env()).result.ok());
    config.map(names).unwrap_or_default()
}

/// The config that the command line under way means. Shells hand its words on behind `--`.
fn here() -> Invocation {
    Invocation::new(config_of(std::env::args_os().skip_while(|word| word != "--").skip(1)))
}

/// Bash hands on `--config=FILE` as three words.
fn config_of(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words.skip_while(|word| !word.to_string_lossy().starts_with("--config"));
    let first = words.next()?;
    match first.to_string_lossy().strip_prefix("--config=") {
        Some(file) => Some(file.into()),
        None if first != "--config" => None,
        None => words.find(|word| word != "=").map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_the_line_is_found() {
        for (line, wanted) in [
            ("trackrelay enable x", None),
            ("trackrelay --config a.toml enable", Some("a.toml")),
            ("trackrelay enable --config=a.toml x", Some("a.toml")),
            ("trackrelay enable --config = a.toml x", Some("a.toml")),
            ("trackrelay enable --config", None),
        ] {
            let found = config_of(line.split(' ').map(OsString::from));
            assert_eq!(found, wanted.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn only_what_goes_on_and_can_be_shown_is_offered() {
        let names = ["slack", "slow", "other", "sl\u{1b}[2J", "sl\ting", "sl\u{202e}x"];
        let names = names.map(|name| (name.to_owned(), "a\nb".to_owned())).to_vec();
        let offered = offer(OsStr::new("sl"), names);
        let values: Vec<_> = offered.iter().map(|one| one.get_value().to_str().unwrap()).collect();
        assert_eq!(values, ["slack", "slow"]);
        assert_eq!(offered[0].get_help().unwrap().to_string(), "a b");
    }

    #[test]
    fn pairs_are_those_of_track() {
        assert_eq!(pairs(OsStr::new("")).len(), 27);
        assert_eq!(pairs(OsStr::new("time_entry.")).len(), 3);
        assert_eq!(filters(OsStr::new("tag.")).len(), 4);
    }
}
