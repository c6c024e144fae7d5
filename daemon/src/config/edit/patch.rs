//! New text for parts of the old, and the small questions about lines that edits ask.

use std::ops::Range;

/// New text for a part of the old.
#[derive(Debug, PartialEq)]
pub(super) struct Patch {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Patch {
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Patch {
        Patch { range: at..at, text: text.into() }
    }

    pub(super) fn replace(range: Range<usize>, text: impl Into<String>) -> Patch {
        Patch { range, text: text.into() }
    }

    pub(super) fn delete(range: Range<usize>) -> Patch {
        Patch { range, text: String::new() }
    }
}

/// The text after patches that do not overlap.
pub(super) fn apply(text: &str, mut patches: Vec<Patch>) -> String {
    patches.sort_by_key(|patch| patch.range.start);
    let mut patched = String::with_capacity(text.len());
    let mut done = 0;
    for Patch { range, text: new } in patches {
        patched.push_str(&text[done..range.start]);
        patched.push_str(&new);
        done = range.end;
    }
    patched + &text[done..]
}

/// Where the line that holds this byte begins. A mark of byte order is part of no line.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or_else(|| first_line(text).min(at), |at| at + 1)
}

fn first_line(text: &str) -> usize {
    text.strip_prefix('\u{feff}').map_or(0, |rest| text.len() - rest.len())
}

/// Where the next line begins.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

/// What ends the line that holds this byte, and where; as in the rest of the file if it is
/// the last and nothing does.
pub(super) fn line_end(text: &str, at: usize) -> (usize, &'static str) {
    match text[at..].find('\n').map(|found| at + found) {
        Some(end) if text[..end].ends_with('\r') => (end - 1, "\r\n"),
        Some(end) => (end, "\n"),
        None => (text.len(), line_break(text)),
    }
}

/// How the lines of this file end.
pub(super) fn line_break(text: &str) -> &'static str {
    match text.find('\n') {
        Some(end) if text[..end].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The line before the one that begins here.
pub(super) fn line_above(text: &str, start: usize) -> Option<Range<usize>> {
    (start > first_line(text)).then(|| line_start(text, start - 1)..start)
}

pub(super) fn is_blank(line: &str) -> bool {
    line.trim_matches([' ', '\t', '\r', '\n']).is_empty()
}

pub(super) fn is_comment(line: &str) -> bool {
    line.trim_start_matches([' ', '\t']).starts_with('#')
}

/// The blanks with which the line of this byte begins.
pub(super) fn indent(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}
