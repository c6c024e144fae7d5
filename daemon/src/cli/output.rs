//! What people and scripts see: facts on stdout, remarks on stderr, colours only on a
//! terminal. Texts that others wrote are made harmless here before they are shown.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use jiff::Timestamp;

use crate::cli::failure::Failure;
use crate::config::Problem;

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const QUIET: Style = Style::new().dimmed();
pub const STRONG: Style = Style::new().bold();

/// Writes facts to stdout: what was asked for.
pub fn facts(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(ended(text).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(error) => Err(Failure::Failed(anyhow::Error::from(error).context("cannot write to stdout"))),
    }
}

/// Writes one JSON document to stdout, on one line.
pub fn document(value: &impl serde::Serialize) -> Result<(), Failure> {
    facts(&serde_json::to_string(value).context("cannot write JSON")?)
}

/// Says something to the person in front of the terminal, on stderr.
pub fn say(text: &str) {
    // If nobody can be told, there is nobody to tell about that.
    drop(anstream::stderr().lock().write_all(ended(text).as_bytes()));
}

/// Asks the person in front of the terminal; the answer is awaited on the same line.
pub fn ask(question: &str) {
    let mut stderr = anstream::stderr().lock();
    drop(stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()));
}

/// Says several things, each on lines of its own.
pub fn say_all(texts: &[String]) {
    texts.iter().for_each(|text| say(text));
}

/// Says why a command failed.
pub fn failure(failure: &Failure) {
    say(&format!("{BAD}error{BAD:#}: {}", clean(&failure.to_string())));
}

/// The text with control characters and what nobody sees escaped: names, reasons and
/// answers are other people's words, and must neither steer a terminal nor read as
/// something else than they are.
pub fn clean(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_unseen(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::new(), |mut out, c| {
        if harmful(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    }))
}

/// The same without a line break.
pub fn on_a_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}

/// Turns the direction of what follows, breaks the line in a way of its own, or takes no
/// room at all.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text in a style.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{}{style:#}", clean(text))
}

/// One problem of a config file, as the daemon reported it: the source may have changed
/// since, so it is not quoted.
pub fn problem(problem: &Problem, style: Style, kind: &str) -> String {
    let mut text = format!("{}: {}\n", styled(style, kind), clean(&problem.message));
    text += &format!(" {QUIET}-->{QUIET:#} {}\n", clean(&problem.place.to_string()));
    if let Some(hint) = &problem.hint {
        text += &format!("  {QUIET}={QUIET:#} help: {}\n", clean(hint));
    }
    text
}

/// A moment, to the second.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How long it is from one moment to another, in its two largest units.
pub fn since(at: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// When something happens that waits for its time.
pub fn next_try(at: Timestamp, now: Timestamp) -> String {
    match at.duration_since(now).as_secs() {
        ..=0 => "next try now".to_owned(),
        _ => format!("next try in {} ({})", since(now, at), moment(at)),
    }
}

/// `1 event`, `2 events`.
pub fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Columns as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Debug)]
struct Row {
    cells: Vec<(String, Style)>,
    /// Lines below the row, for what no column has room for.
    notes: Vec<String>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<(String, Style)>, notes: Vec<String>) {
        let cells = cells.into_iter().map(|(text, style)| (on_a_line(&text), style));
        self.rows.push(Row { cells: cells.collect(), notes });
    }

    pub fn render(&self) -> String {
        let widths = self.widths();
        let head = self.columns.iter().map(|(title, _)| ((*title).to_owned(), STRONG)).collect::<Vec<_>>();
        let mut text = self.line(&head, &widths);
        for row in &self.rows {
            text += &self.line(&row.cells, &widths);
            for note in row.notes.iter().flat_map(|note| note.lines()) {
                text += &format!("  {}\n", styled(QUIET, note));
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |(column, (title, _)): (usize, &(&str, Align))| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(column));
            cells.map(|(text, _)| columns(text)).chain([title.len()]).max().unwrap_or(0)
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn line(&self, cells: &[(String, Style)], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (text, style)) in cells.iter().enumerate() {
            let gap = " ".repeat(widths[column].saturating_sub(columns(text)));
            let last = column + 1 == cells.len();
            let (before, after) = match self.columns[column].1 {
                Align::Right => (gap.as_str(), ""),
                Align::Left if last => ("", ""),
                Align::Left => ("", gap.as_str()),
            };
            let space = if last { "\n" } else { "  " };
            line += &format!("{before}{style}{text}{style:#}{after}{space}");
        }
        line
    }
}

/// What a terminal gives a text: two columns to a sign of Chinese or Japanese.
pub fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn ended(text: &str) -> Cow<'_, str> {
    if text.ends_with('\n') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}\n")) }
}

/// What a terminal without colours shows, for tests.
#[cfg(test)]
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right), ("URL", Align::Left)]);
        let cell = |text: &str| (text.to_owned(), Style::new());
        table.row(vec![cell("a"), cell("7"), cell("http://x/")], vec![]);
        table.row(vec![cell("longer"), cell("1234"), cell("-")], vec!["because\nof this".into()]);
        table.row(vec![cell("日本"), cell("8"), cell("-")], vec![]);
        let wanted = "\
NAME       N  URL
a          7  http://x/
longer  1234  -
  because
  of this
日本       8  -
";
        assert_eq!(plain(&table.render()), wanted);
    }

    #[test]
    fn words_of_others_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\u{9b}c\nd"), "a\\u{1b}[2Jb\\r\\u{9b}c\nd");
        assert!(matches!(clean("plain – text, שלום, 日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_nobody_sees_is_shown() {
        let table = [
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
            ("pay\u{200b}load", "pay\\u{200b}load"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("\u{feff}\u{61c}\u{200f}", "\\u{feff}\\u{61c}\\u{200f}"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
        ];
        for (text, wanted) in table {
            assert_eq!(clean(text), wanted);
        }
    }

    #[test]
    fn problems_name_the_place_and_the_way_out() {
        let found: Problem = serde_json::from_str(
            r#"{"file":"/a/config.toml","line":3,"column":1,"message":"unknown key `retri`","hint":"did you mean `retry`?"}"#,
        )
        .unwrap();
        let wanted = "\
error: unknown key `retri`
 --> /a/config.toml:3:1
  = help: did you mean `retry`?
";
        assert_eq!(plain(&problem(&found, BAD, "error")), wanted);
        let gone: Problem = serde_json::from_str(r#"{"file":"/a/config.toml","message":"gone"}"#).unwrap();
        assert_eq!(plain(&problem(&gone, BAD, "error")), "error: gone\n --> /a/config.toml\n");
    }

    #[test]
    fn times_are_short() {
        let at: Timestamp = "2025-09-10T08:15:30.5Z".parse().unwrap();
        assert_eq!(moment(at), "2025-09-10 08:15:30Z");
        let later: Timestamp = "2025-09-11T09:16:31Z".parse().unwrap();
        assert_eq!(since(at, later), "1day 1h");
        assert_eq!(since(later, at), "0s");
        assert_eq!(next_try(later, at), "next try in 1day 1h (2025-09-11 09:16:31Z)");
        assert_eq!(next_try(at, later), "next try now");
    }
}
