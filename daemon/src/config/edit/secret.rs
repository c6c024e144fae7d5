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

/// The keys of a file of the config that read this secret file, such as `source.track.secret`.
/// Two paths are the same file if they lead to the same place.
pub fn users_of(secret: &Path, file: &Path, text: &str) -> Vec<String> {
    let parsed: toml::Table = toml::from_str(text).unwrap_or_default();
    let mut readers = Vec::new();
    for (key, value) in &parsed {
        collect(value, key.clone(), &mut readers);
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    readers.retain(|(_, path)| place(&folder.join(path)) == place(secret));
    readers.into_iter().map(|(key, _)| key).collect()
}

/// Every `{ file = "path" }` below a value, with the key it stands at.
fn collect(value: &toml::Value, key: String, readers: &mut Vec<(String, String)>) {
    let Some(table) = value.as_table() else { return };
    if let (1, Some(path)) = (table.len(), table.get("file").and_then(toml::Value::as_str)) {
        readers.push((key, path.to_owned()));
        return;
    }
    for (name, value) in table {
        collect(value, format!("{key}.{name}"), readers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_a_secret_file_is_found_by_where_its_path_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (key, link) = (folder.path().join("key"), folder.path().join("link"));
        std::fs::write(&key, "s").unwrap();
        std::os::unix::fs::symlink(&key, &link).unwrap();
        let text = "source.track.secret.file = \"./link\"\nuser.ana.api_token = { file = \"key\" }\n\
                    [subscription]\n\"a b\".secret = { file = \"other\" }\nc = { secret = \"key\" }\n";
        let users = users_of(&key, &folder.path().join("config.toml"), text);
        assert_eq!(users, ["source.track.secret", "user.ana.api_token"]);
    }

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
