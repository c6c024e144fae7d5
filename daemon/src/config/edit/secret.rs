//! Where a subscription's secret lives, and so where a new one has to go.

use std::path::{Path, PathBuf};

use super::table::SUBSCRIPTION;

/// What the key `secret` of a table says.
#[derive(Debug, PartialEq, Eq)]
pub enum SecretHome {
    /// There is none: the store made one and keeps it.
    Store,
    /// In the TOML itself.
    Table,
    /// In a file of its own.
    File(PathBuf),
    /// In the environment of the daemon, out of reach.
    Environment(String),
}

impl SecretHome {
    /// Of this subscription, whose table stands in `file`, which holds `text`.
    pub fn of(file: &Path, text: &str, name: &str) -> SecretHome {
        let parsed: Option<toml::Table> = toml::from_str(text).ok();
        let secret = parsed.as_ref().and_then(|parsed| parsed.get(SUBSCRIPTION)?.get(name)?.get("secret"));
        let kept = |key| secret?.get(key)?.as_str();
        match (secret, kept("file"), kept("env")) {
            (None, ..) => SecretHome::Store,
            (_, Some(path), _) => SecretHome::File(file.parent().unwrap_or(Path::new("")).join(path)),
            (_, _, Some(variable)) => SecretHome::Environment(variable.to_owned()),
            _ => SecretHome::Table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_each_of_its_forms() {
        let homes = [
            ("", SecretHome::Store),
            ("secret = \"s\"", SecretHome::Table),
            ("secret = { file = \"key\" }", SecretHome::File("/a/key".into())),
            ("secret.file = \"/b/key\"", SecretHome::File("/b/key".into())),
            ("[subscription.\"a b\".secret]\nenv = \"KEY\"", SecretHome::Environment("KEY".into())),
        ];
        for (line, home) in homes {
            let text = format!("[subscription.\"a b\"]\n{line}\n");
            assert_eq!(SecretHome::of(Path::new("/a/config.toml"), &text, "a b"), home, "{line}");
        }
    }
}
