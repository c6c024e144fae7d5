//! What changed between two texts, line by line; JSON is laid out first.

use std::time::Duration;

use anstyle::Style;
use similar::{ChangeTag, TextDiff};

use crate::cli::output::{BAD, GOOD, QUIET, styled};

/// Lines of a diff that are shown; two screens full.
const LINES: usize = 80;

/// Characters of one of them.
const WIDTH: usize = 300;

/// Unchanged lines around a change.
const CONTEXT: usize = 2;

/// Looking for the shortest diff of bodies that have nothing in common may take long.
const PATIENCE: Duration = Duration::from_millis(500);

/// What changed, with the lines around it.
pub fn diff(before: &str, after: &str) -> String {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(format!("    {}\n", styled(QUIET, "…")));
        }
        let changes = group.iter().flat_map(|op| diff.iter_changes(op));
        lines.extend(changes.map(|change| line(change.tag(), change.value())));
    }
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    if more > 0 {
        lines.push(format!("    {}\n", styled(QUIET, &format!("… and {more} more lines; `--json` has all"))));
    }
    lines.concat()
}

fn line(tag: ChangeTag, text: &str) -> String {
    let (sign, style) = match tag {
        ChangeTag::Delete => ('-', BAD),
        ChangeTag::Insert => ('+', GOOD),
        ChangeTag::Equal => (' ', Style::new()),
    };
    let text = text.trim_end_matches('\n');
    let cut = text.char_indices().nth(WIDTH).map(|(end, _)| format!("{}…", &text[..end]));
    format!("    {}\n", styled(style, &format!("{sign} {}", cut.as_deref().unwrap_or(text))))
}

/// JSON over several lines. Numbers and texts stay as they are written: a parser's idea of
/// them would hide what a transform did. What is no JSON stays as it is.
pub fn laid_out(text: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut layout = Layout { out: String::with_capacity(2 * text.len()), depth: 0 };
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let mut escaped = false;
                let end = chars.find(|(_, c)| {
                    let ends = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    ends
                });
                layout.out += &text[at..=end.map_or(text.len() - 1, |(end, _)| end)];
            }
            '{' | '[' => {
                while chars.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|(_, c)| matches!(c, '}' | ']')) {
                    Some((_, end)) => layout.out.extend([c, end]),
                    None => layout.open(c),
                }
            }
            '}' | ']' => layout.close(c),
            ',' => {
                layout.out.push(',');
                layout.new_line();
            }
            ':' => layout.out += ": ",
            c if c.is_ascii_whitespace() => {}
            c => layout.out.push(c),
        }
    }
    layout.out + "\n"
}

struct Layout {
    out: String,
    depth: usize,
}

impl Layout {
    fn open(&mut self, c: char) {
        self.out.push(c);
        self.depth += 1;
        self.new_line();
    }

    fn close(&mut self, c: char) {
        self.depth -= 1;
        self.new_line();
        self.out.push(c);
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_without_being_read() {
        let wanted = "{\n  \"a\": 1.50,\n  \"b\": [\n    1e400,\n    \"x\\\",{\"\n  ],\n  \"c\": {},\n  \"d\": []\n}\n";
        assert_eq!(laid_out("{\"a\":1.50, \"b\":[1e400,\"x\\\",{\"],\"c\":{ },\"d\":[]}"), wanted);
        assert_eq!(laid_out("no {json"), "no {json");
    }

    #[test]
    fn a_diff_is_no_longer_than_two_screens() {
        let long = (0..500).map(|n| format!("{n}\n")).collect::<String>();
        assert_eq!(diff("", &long).lines().count(), LINES + 1);
    }
}
