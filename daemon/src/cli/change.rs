//! What the commands share that change subscriptions: the running daemon is asked, so that
//! the change is live when the command returns; without one the files are changed here.

use serde_json::json;

use crate::api::{NotEdited, Wish};
use crate::cli::client::{Client, Reply, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::config::Secret;
use crate::config::edit::{Edit, Field};
use crate::daemon::edit::alone;

/// What is to be changed.
#[derive(Clone, Debug)]
pub enum Change {
    Edit(Edit),
    Rotate { name: String },
    Save { file: std::path::PathBuf, text: String, expected: String },
}

/// How it was done.
#[derive(Debug)]
pub enum Done {
    /// By the daemon, and it is live.
    Live(Reply),
    /// Without one; so many deliveries were cancelled.
    Alone(u64),
}

/// Has a change made, as a whole or not at all.
pub async fn make(change: Change, here: &Invocation) -> Result<Done, Failure> {
    match here.running() {
        Some(daemon) => Ok(Done::Live(daemon.submit_json(change).await?.accepted()?)),
        None => {
            let config = here.config_file()?;
            let cancelled = alone::edit(&config, &change.into(), here.env()).await.map_err(failure)?;
            output::say(&format!(
                "no daemon is running; it takes effect when one is started: `{}`",
                here.command(&["run"])
            ));
            Ok(Done::Alone(cancelled))
        }
    }
}

impl Client {
    async fn submit_json(&self, change: Change) -> Result<Reply, Failure> {
        let (target, body) = match change {
            Change::Edit(Edit::Add { name, fields }) => {
                (Target::new(&["api", "subscriptions"]), json!({ "name": name, "fields": fields }))
            }
            Change::Edit(Edit::Change { name, rename, fields }) => {
                (Target::subscription(&name, "edit"), json!({ "rename": rename, "fields": fields }))
            }
            Change::Edit(Edit::Remove { name }) => (Target::subscription(&name, "remove"), json!({})),
            Change::Rotate { name } => (Target::subscription(&name, "rotate"), json!({})),
            Change::Save { file, text, expected } => {
                (Target::new(&["api", "files"]), json!({ "file": file, "text": text, "expected": expected }))
            }
        };
        self.submit(&target, crate::cli::client::JSON, body.to_string().into()).await
    }
}

impl From<Change> for Wish {
    fn from(change: Change) -> Wish {
        match change {
            Change::Edit(edit) => Wish::Edit { edit, secret: None },
            Change::Rotate { name } => {
                let edit = Edit::Change { name, rename: None, fields: Vec::new() };
                Wish::Edit { edit, secret: Some(Secret::make()) }
            }
            Change::Save { file, text, expected } => Wish::Save { file, text, expected },
        }
    }
}

/// As the daemon's refusals end a command; a config that was broken before is the exception.
fn failure(error: NotEdited) -> Failure {
    match error {
        NotEdited::Broken(_) => Failure::BadConfig(error.to_string()),
        error => Failure::failed(error.to_string()),
    }
}

/// `key=value` of the command line: what is no TOML value is text.
pub fn assignment(text: &str) -> Result<Field, String> {
    let (key, value) = text.split_once('=').ok_or("write it as `key=value`, such as `timeout=5s`")?;
    let value = value.trim();
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {value}")).ok();
    // Several lines would be several keys.
    let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| value.into());
    Ok(Field { key: self::key(key)?, value: Some(value) })
}

/// A key of the command line, dotted and quoted as in TOML.
pub fn key(text: &str) -> Result<Vec<String>, String> {
    let wrong =
        || format!("`{text}` is not a key; write it as in TOML, such as `timeout` or `headers.x-env`");
    let parsed: toml::Table = toml::from_str(&format!("{} = 0", text.trim())).map_err(|_| wrong())?;
    let mut parts = Vec::new();
    let mut value = toml::Value::Table(parsed);
    while let toml::Value::Table(table) = value {
        let mut entries = table.into_iter();
        let (Some((part, within)), None) = (entries.next(), entries.next()) else { return Err(wrong()) };
        parts.push(part);
        value = within;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_and_else_text() {
        let table = [
            ("timeout=5s", "timeout", toml::Value::from("5s")),
            ("enabled=false", "enabled", false.into()),
            ("concurrency = 4", "concurrency", 4.into()),
            ("url_callback=http://x/?a=b", "url_callback", "http://x/?a=b".into()),
            ("retry=[\"1s\"]", "retry", vec!["1s"].into()),
            ("user=\"7\"", "user", "7".into()),
            ("user=", "user", "".into()),
            ("user=a\nb = 1", "user", "a\nb = 1".into()),
        ];
        for (text, name, value) in table {
            let field = assignment(text).unwrap();
            assert_eq!((field.key, field.value), (vec![name.to_owned()], Some(value)), "{text}");
        }
        assert_eq!(key("headers.\"x.y\"").unwrap(), ["headers", "x.y"]);
        for wrong in ["timeout", "=1", "a b=1", "a\nb=1"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
