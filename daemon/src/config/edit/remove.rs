//! Takes out a table or a key, in whichever of TOML's forms it is written, with the lines
//! and comments that belong to it.

use std::ops::Range;

use super::layout::{Kind, Layout, Section, Spot};
use super::patch::{apply, is_blank, is_comment, line_above, line_start, next_line};
use super::table::SUBSCRIPTION;
use super::{Patch, Wrong, list};

/// Marks the line by which editors find a schema: the file's, not a table's.
const DIRECTIVE: &str = "#:";

/// The text without a table, what is within it, and the comments directly around it.
pub(super) fn table(text: &str, name: &str) -> Result<String, Wrong> {
    let path = [SUBSCRIPTION, name];
    match Layout::of(text).holds(&path) {
        true => Ok(take_out(text, &path, true)),
        false => Err(Wrong::NoTable(name.to_owned())),
    }
}

/// The text without a key, be it a value or a table. Comments above it stay.
pub(super) fn key(text: &str, path: &[&str]) -> String {
    take_out(text, path, false)
}

fn take_out(text: &str, path: &[&str], with_comments: bool) -> String {
    let text = from_inline(text, path);
    let layout = Layout::of(&text);
    let sections = layout.sections.iter().filter(|section| leads_to(section, path));
    let sections: Vec<Range<usize>> = sections.map(|section| lines_of(&text, section)).collect();
    let spots = layout.along(path);
    let entries = spots.iter().filter(|spot| spot.path.len() >= path.len() && spot.within.is_none());
    let entries = entries.map(|spot| lines(&text, spot.entry.at()));
    let beside = entries.filter(|entry| !sections.iter().any(|section| section.contains(&entry.start)));
    let beside = beside.map(|entry| if with_comments { above(&text, entry) } else { entry });
    let mut gone: Vec<Range<usize>> = beside.collect();
    gone.extend(sections.iter().map(|section| below(&text, above(&text, section.clone()))));
    let gone = merged(merged(gone).into_iter().map(|lines| blank_above(&text, lines)).collect());
    apply(&text, gone.into_iter().map(|lines| Patch::delete(blank_below(&text, lines))).collect())
}

/// The text without what stands at the path within inline tables.
fn from_inline(text: &str, path: &[&str]) -> String {
    let mut text = text.to_owned();
    while let Some(gone) = inline(&text, path) {
        text = apply(&text, vec![Patch::delete(gone)]);
    }
    text
}

fn inline(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let layout = Layout::of(text);
    let spots = layout.along(path);
    // What is further in goes with what it stands in.
    let outermost = |spot: &&Spot<'_>| {
        let above = spot.path.len() - spot.entry.path.len();
        spot.path.len() >= path.len() && above < path.len() && spot.within.is_some()
    };
    let spot = spots.iter().find(outermost)?;
    let Kind::Table(entries) = &spot.within?.kind else { return None };
    let items: Vec<Range<usize>> = entries.iter().map(super::layout::Entry::at).collect();
    let index = items.iter().position(|item| *item == spot.entry.at())?;
    Some(list::without(text, &items, index))
}

fn leads_to(section: &Section, path: &[&str]) -> bool {
    section.header.as_ref().is_some_and(|header| header.leads_to(path))
}

/// From the header's line to that of the last value.
fn lines_of(text: &str, section: &Section) -> Range<usize> {
    let header = section.header.as_ref().map_or(0..0, |header| header.at.clone());
    let end = section.entries.last().map_or(header.end, |entry| entry.value.at.end);
    lines(text, header.start..end)
}

/// The whole lines of these bytes.
fn lines(text: &str, at: Range<usize>) -> Range<usize> {
    line_start(text, at.start)..next_line(text, at.end)
}

/// With the comments directly above, unless they are another table put aside.
fn above(text: &str, lines: Range<usize>) -> Range<usize> {
    let mut start = lines.start;
    while let Some(line) = line_above(text, start)
        && is_comment(&text[line.clone()])
        && !text[line.clone()].starts_with(DIRECTIVE)
    {
        start = line.start;
    }
    match put_aside(&text[start..lines.start]) {
        true => lines,
        false => start..lines.end,
    }
}

/// With the comments directly below, unless they stand directly above something else or
/// are another table put aside.
fn below(text: &str, lines: Range<usize>) -> Range<usize> {
    let mut end = lines.end;
    while end < text.len() && is_comment(&text[end..next_line(text, end)]) {
        end = next_line(text, end);
    }
    let apart = end == text.len() || is_blank(&text[end..next_line(text, end)]);
    match apart && !put_aside(&text[lines.end..end]) {
        true => lines.start..end,
        false => lines,
    }
}

/// Whether one of these comments is a table's header.
fn put_aside(comments: &str) -> bool {
    comments.lines().any(|line| {
        let said = line.trim_start_matches([' ', '\t', '#']).trim_end();
        said.starts_with('[') && said.ends_with(']')
    })
}

/// With one of two empty lines that would meet.
fn blank_above(text: &str, lines: Range<usize>) -> Range<usize> {
    let blank = |line: &Range<usize>| is_blank(&text[line.clone()]);
    match line_above(text, lines.start) {
        Some(above) if blank(&above) && blank(&(lines.end..next_line(text, lines.end))) => {
            above.start..lines.end
        }
        _ => lines,
    }
}

/// With an empty line that would be the file's first.
fn blank_below(text: &str, lines: Range<usize>) -> Range<usize> {
    let next = next_line(text, lines.end);
    match line_above(text, lines.start).is_none() && is_blank(&text[lines.end..next]) {
        true => lines.start..next,
        false => lines,
    }
}

/// In order, and those that touch as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => merged.push(range),
        }
    }
    merged
}
