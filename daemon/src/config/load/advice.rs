//! Better words than "unknown key" for what people are likely to write: keys in another
//! table, and what this version does not have yet.

use crate::config::file::{INCLUDABLE, OWN_KEYS};
use crate::config::shape::{Shape, TableShape};

const INCLUDED_HINT: &str = "an included file may hold `[subscription.*]`, `[plugin.*]` and `[user.*]`";

/// Message and way out for a key or word that is unknown where it stands.
pub(super) fn advice(
    main: &TableShape,
    included: bool,
    path: &[String],
    word: &str,
) -> Option<(String, String)> {
    let table: Vec<&str> = path.iter().map(String::as_str).collect();
    let (message, hint) = match (table.as_slice(), word) {
        (["listen"], "tls") => (
            "this version has no TLS".to_owned(),
            "it listens on loopback addresses only; remove the table".to_owned(),
        ),
        (["store"], "nats") => (
            "this version keeps events in its own store, not in NATS".to_owned(),
            "remove the key".to_owned(),
        ),
        ([], key) if included && main.keys.contains_key(key) => {
            (format!("`{key}` belongs in the main file"), INCLUDED_HINT.to_owned())
        }
        ([], key) if in_defaults(main, key) => (
            format!("`{key}` does not stand alone"),
            "it belongs in `[defaults]` or in a `[subscription.*]` table".to_owned(),
        ),
        (["defaults"], key) if OWN_KEYS.contains(&key) => {
            (format!("`{key}` has no default"), "write it in each `[subscription.*]` table".to_owned())
        }
        ([first, ..], "include") if !INCLUDABLE.contains(first) || !included => (
            format!("`include` is not a key of `[{first}]`"),
            "it belongs at the top of the main file, above the first table".to_owned(),
        ),
        _ => return None,
    };
    Some((message, hint))
}

fn in_defaults(main: &TableShape, key: &str) -> bool {
    matches!(main.keys.get("defaults"), Some(Shape::Table(defaults)) if defaults.keys.contains_key(key))
}
