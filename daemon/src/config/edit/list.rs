//! Adds and takes out single entries of lists and inline tables, so that the others keep
//! their place, their line and their comments.

use std::ops::Range;

use super::Patch;
use super::layout::{Kind, Layout};
use super::patch::{apply, indent, is_blank, is_comment, line_end, line_start, next_line};
use super::table::value_text;

/// A list's text, brackets included, once it holds just these event filters. Those that it
/// held before stay where they stand.
pub(super) fn set(text: &str, filters: &[toml::Value]) -> String {
    let wanted: Vec<String> = filters.iter().map(meaning).collect();
    let twice = wanted.iter().enumerate().any(|(at, filter)| wanted[..at].contains(filter));
    if twice {
        // Wrong, and to be said so: nothing may hide it.
        return value_text(&toml::Value::Array(filters.to_vec()));
    }
    let there = meanings(text);
    let new = filters.iter().zip(&wanted).filter(|(_, filter)| !there.contains(filter));
    let longer = new.fold(text.to_owned(), |text, (filter, _)| push(&text, &value_text(filter)));
    let mut list = longer;
    while let Some(gone) = meanings(&list).iter().position(|filter| !wanted.contains(filter)) {
        list = apply(&list, vec![Patch::delete(without(&list, &items(&list), gone))]);
    }
    list
}

/// What to delete, so that the entry with this index is gone and the others remain a list.
pub(super) fn without(text: &str, items: &[Range<usize>], index: usize) -> Range<usize> {
    let item = &items[index];
    let end = comma_after(text, item.end).map_or(item.end, |comma| comma + 1);
    let start = line_start(text, item.start);
    let rest = &text[end..line_end(text, end).0];
    if is_blank(&text[start..item.start]) && (is_blank(rest) || is_comment(rest)) {
        return start..next_line(text, end);
    }
    let before = index.checked_sub(1).map(|before| items[before].end);
    match before.filter(|before| index + 1 == items.len() && !text[*before..item.start].contains(['#', '\n']))
    {
        Some(before) => before..item.end,
        None => item.start..end + (rest.len() - rest.trim_start_matches([' ', '\t']).len()),
    }
}

fn push(text: &str, item: &str) -> String {
    let Some(last) = items(text).pop() else {
        return apply(text, vec![Patch::insert(1, item)]);
    };
    let comma = comma_after(text, last.end);
    let end = comma.map_or(last.end, |comma| comma + 1);
    let (before, after) = if comma.is_some() { ("", ",") } else { (",", "") };
    if !is_blank(&text[line_start(text, last.start)..last.start]) {
        return apply(text, vec![Patch::insert(end, format!("{before} {item}{after}"))]);
    }
    let (line_end, line_break) = line_end(text, end);
    let rest = &text[end..line_end];
    // A comment after the last entry is about that one.
    let place = if is_blank(rest) || is_comment(rest) { line_end } else { end };
    let line = format!("{line_break}{}{item}{after}", indent(text, last.start));
    apply(text, vec![Patch::insert(last.end, before), Patch::insert(place, line)])
}

/// Where the entries of a list stand.
fn items(text: &str) -> Vec<Range<usize>> {
    const KEY: &str = "list=";
    let keyed = format!("{KEY}{text}");
    let layout = Layout::of(&keyed);
    let list = layout.sections.iter().flat_map(|section| &section.entries).next();
    match list.map(|entry| &entry.value.kind) {
        Some(Kind::List(values)) => {
            values.iter().map(|value| value.at.start - KEY.len()..value.at.end - KEY.len()).collect()
        }
        _ => Vec::new(),
    }
}

/// The comma that follows an entry, if one does.
fn comma_after(text: &str, mut at: usize) -> Option<usize> {
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len();
        match text[at..].chars().next() {
            Some(',') => return Some(at),
            Some('#') => at = next_line(text, at),
            _ => return None,
        }
    }
}

/// What each entry of a list of event filters means.
fn meanings(text: &str) -> Vec<String> {
    let parsed: Option<toml::Table> = toml::from_str(&format!("list = {text}")).ok();
    let list = parsed.as_ref().and_then(|parsed| parsed.get("list")?.as_array());
    list.into_iter().flatten().map(meaning).collect()
}

/// Both forms of a filter mean the same.
fn meaning(filter: &toml::Value) -> String {
    let half = |key| filter.get(key).and_then(toml::Value::as_str);
    match (filter, half("entity"), half("action")) {
        (toml::Value::String(text), ..) => text.clone(),
        (_, Some(entity), Some(action)) => format!("{entity}.{action}"),
        (other, ..) => other.to_string(),
    }
}
