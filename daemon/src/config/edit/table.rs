//! Adds and renames tables, and sets their keys, in whichever of TOML's forms they are written.

use std::collections::BTreeMap;
use std::ops::Range;

use super::layout::{Kind, Layout, Section, Spot, Value};
use super::patch::{apply, indent, is_blank, line_break, line_end, line_start};
use super::{Field, Patch, Wrong, list, remove};

/// The tables in question.
pub(super) const SUBSCRIPTION: &str = "subscription";

/// The text with a new table at its end.
pub(super) fn add(text: &str, name: &str, fields: &[Field]) -> Result<String, Wrong> {
    let layout = Layout::of(text);
    if layout.holds(&[SUBSCRIPTION, name]) {
        return Err(Wrong::Exists(name.to_owned()));
    }
    // Where all tables stand in one inline table, a header for another would be an error.
    let inline = layout.along(&[SUBSCRIPTION]).into_iter().find(|spot| spot.path.len() == 1);
    let with_table = match inline {
        Some(spot) => {
            apply(text, vec![into_inline(&spot.entry.value, &format!("{} = {{}}", key_text(name)))])
        }
        None => format!("{text}{}", new_header(text, name)),
    };
    change(&with_table, name, fields)
}

/// A header for the end of a file, below an empty line.
fn new_header(text: &str, name: &str) -> String {
    let end = line_break(text);
    let last_line = &text[line_start(text, text.len().saturating_sub(1))..];
    let before = match last_line {
        line if is_blank(line) => "".to_owned(),
        line if line.ends_with('\n') => end.to_owned(),
        _ => format!("{end}{end}"),
    };
    format!("{before}[{SUBSCRIPTION}.{}]{end}", key_text(name))
}

/// The text with these keys of a table set or taken out.
pub(super) fn change(text: &str, name: &str, fields: &[Field]) -> Result<String, Wrong> {
    if !Layout::of(text).holds(&[SUBSCRIPTION, name]) {
        return Err(Wrong::NoTable(name.to_owned()));
    }
    fields.iter().try_fold(text.to_owned(), |text, field| {
        let mut path = vec![SUBSCRIPTION, name];
        path.extend(field.key.iter().map(String::as_str));
        match &field.value {
            Some(value) => set(&text, &path, value).ok_or_else(|| Wrong::NoTable(name.to_owned())),
            None => Ok(remove::key(&text, &path)),
        }
    })
}

fn set(text: &str, path: &[&str], value: &toml::Value) -> Option<String> {
    let layout = Layout::of(text);
    if let Some(spot) = layout.along(path).iter().find(|spot| spot.path.len() == path.len()) {
        let old = &spot.entry.value;
        return Some(match says(text, old, value) {
            true => text.to_owned(),
            false => apply(text, replaced(text, path, old, value)),
        });
    }
    if path == [SUBSCRIPTION, path[1], "enabled"] && value.as_bool() == Some(true) {
        // Absent means enabled.
        return Some(text.to_owned());
    }
    if layout.holds(path) {
        // A table stands where a value is to be.
        return set(&remove::key(text, path), path, value);
    }
    let patch = (2..path.len()).rev().find_map(|depth| insert(&layout, path, depth, value))?;
    Some(apply(text, vec![patch]))
}

/// Whether a value says this already, in whichever words.
fn says(text: &str, old: &Value, new: &toml::Value) -> bool {
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {}", &text[old.at.clone()])).ok();
    parsed.is_some_and(|parsed| parsed.get("value") == Some(new))
}

fn replaced(text: &str, path: &[&str], old: &Value, new: &toml::Value) -> Vec<Patch> {
    match (path.last(), &old.kind, new) {
        // The order of event filters means nothing, so those that stay can stay in place.
        (Some(&"event_filters"), Kind::List(_), toml::Value::Array(new)) => {
            let new = list::set(&text[old.at.clone()], new);
            vec![Patch::replace(old.at.clone(), new)]
        }
        _ => vec![Patch::replace(old.at.clone(), value_text(new))],
    }
}

/// Puts a key that is new below the table whose path is the first `depth` parts, if there is one.
fn insert(layout: &Layout<'_>, path: &[&str], depth: usize, value: &toml::Value) -> Option<Patch> {
    let (table, key) = path.split_at(depth);
    let key: Vec<String> = key.iter().map(|part| key_text(part)).collect();
    let line = format!("{} = {}", key.join("."), value_text(value));
    if let Some(section) = layout.section(table) {
        return Some(below(layout.text, section, &line));
    }
    let spots = layout.along(table);
    if let Some(spot) = spots.iter().find(|spot| spot.path.len() == depth) {
        return matches!(spot.entry.value.kind, Kind::Table(_))
            .then(|| into_inline(&spot.entry.value, &line));
    }
    let last = spots.iter().rfind(|spot| dotted(spot, depth).is_some())?;
    let before = &layout.text[dotted(last, depth)?];
    Some(match last.within {
        Some(_) => Patch::insert(last.entry.value.at.end, format!(", {before}{line}")),
        None => after_line(
            layout.text,
            last.entry.value.at.end,
            &format!("{before}{line}"),
            last.entry.at().start,
        ),
    })
}

/// What stands before the keys of a table of so many parts in an entry whose keys are dotted.
fn dotted(spot: &Spot<'_>, depth: usize) -> Option<Range<usize>> {
    let own = spot.entry.path.len();
    let above = spot.path.len() - own;
    let first = depth.checked_sub(above).filter(|parts| (1..own).contains(parts))?;
    Some(spot.entry.path[0].at.start..spot.entry.path[first].at.start)
}

/// A line below a section's last.
fn below(text: &str, section: &Section, line: &str) -> Patch {
    match (section.entries.last(), &section.header) {
        (Some(last), _) => after_line(text, last.value.at.end, line, last.at().start),
        (None, Some(header)) => after_line(text, header.at.end, line, header.at.start),
        (None, None) => Patch::insert(0, format!("{line}{}", line_break(text))),
    }
}

/// A line below the one that holds `end`, indented like the one that holds `like`.
fn after_line(text: &str, end: usize, line: &str, like: usize) -> Patch {
    let (end, line_break) = line_end(text, end);
    Patch::insert(end, format!("{line_break}{}{line}", indent(text, like)))
}

fn into_inline(table: &Value, entry: &str) -> Patch {
    match &table.kind {
        Kind::Table(entries) if !entries.is_empty() => {
            let end = entries.iter().map(|entry| entry.value.at.end).max().unwrap_or(table.at.start);
            Patch::insert(end, format!(", {entry}"))
        }
        _ => Patch::replace(table.at.clone(), format!("{{ {entry} }}")),
    }
}

/// The text with a table under another name, wherever the name stands in it.
pub(super) fn rename(text: &str, name: &str, new: &str) -> Result<String, Wrong> {
    let layout = Layout::of(text);
    if layout.holds(&[SUBSCRIPTION, new]) {
        return Err(Wrong::Exists(new.to_owned()));
    }
    let path = [SUBSCRIPTION, name];
    let headers = layout.sections.iter().filter_map(|section| section.header.as_ref());
    let in_headers = headers.filter(|header| header.leads_to(&path)).map(|header| &header.path[1]);
    let spots = layout.along(&path);
    let in_keys = spots.iter().filter_map(|spot| spot.path.get(1).copied());
    let patches: BTreeMap<usize, Patch> = in_headers
        .chain(in_keys)
        .map(|key| (key.at.start, Patch::replace(key.at.clone(), key_text(new))))
        .collect();
    Ok(apply(text, patches.into_values().collect()))
}

/// A key as it is written: bare where TOML allows it.
fn key_text(name: &str) -> String {
    toml_edit::Key::new(name).to_string()
}

/// A value on one line.
pub(super) fn value_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) if text.contains(['\n', '\r']) => basic(text),
        value => value.to_string(),
    }
}

/// Text with its line breaks escaped: where a line is expected there must be one.
fn basic(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
