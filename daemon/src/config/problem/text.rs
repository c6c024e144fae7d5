//! A file's text as it was read, with its lines counted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Flaw, Place, Problem, mask};

/// The texts that problems stand in, for rendering.
pub type Texts = BTreeMap<PathBuf, Text>;

/// A file and its text. Holds secrets as written, hence no `Debug`; `shown` masks them.
pub struct Text {
    file: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    masked: OnceLock<String>,
}

impl Text {
    pub fn new(file: PathBuf, text: String) -> Text {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Text { file, text, lines, masked: OnceLock::new() }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// As written, secrets included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn place(&self, offset: usize) -> Place {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_of(offset);
        let column = self.text[self.lines[line]..offset].chars().count() + 1;
        Place { file: self.file.clone(), line: line + 1, column }
    }

    pub fn problem(&self, flaw: Flaw) -> Problem {
        let Flaw { span, message, hint } = flaw;
        Problem { place: self.place(span.start), message, hint, span }
    }

    /// What a problem points at. One that knows only its place, such as a plugin that does
    /// not load, points at the rest of that line.
    pub fn span_of(&self, problem: &Problem) -> Range<usize> {
        let Place { line, column, .. } = problem.place;
        if !problem.span.is_empty() || line == 0 {
            return problem.span.clone();
        }
        let begin = self.lines.get(line - 1).copied().unwrap_or(self.text.len());
        let rest = self.text[begin..].lines().next().unwrap_or_default();
        let skipped: usize = rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
        begin + skipped..begin + rest.trim_end().len().max(skipped)
    }

    /// The line that holds `span`'s beginning, with secrets masked: its number, its text, and
    /// the part of the span that is in it.
    pub fn shown(&self, span: &Range<usize>) -> (usize, &str, Range<usize>) {
        let masked = self.masked.get_or_init(|| mask::mask(&self.text));
        let start = masked.floor_char_boundary(span.start);
        let line = self.line_of(start);
        let begin = self.lines[line];
        let shown = masked[begin..].lines().next().unwrap_or_default();
        let end = masked.floor_char_boundary(span.end).clamp(start, (begin + shown.len()).max(start));
        (line + 1, shown, (start - begin).min(shown.len())..(end - begin).min(shown.len()))
    }

    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= offset) - 1
    }
}
