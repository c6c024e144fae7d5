//! Text that a plugin chose, made fit for logs and terminals, and sizes as people
//! write them.

use std::time::Duration;

/// Longest reason or error of a plugin that is kept; the rest is cut. These texts go into
/// the history of every event, so a chatty plugin must not make it grow.
const LONGEST: usize = 500;

/// The text with everything escaped that could move a cursor, start another log line or
/// turn the reading direction.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_disguise(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same, cut to a length that history can bear.
pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// Bytes as the config writes them: `32MiB`, `64KiB`, `100B`.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

/// A duration as the config writes it: `50ms`, `2s`.
pub(super) fn duration(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

fn is_disguise(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_are_escaped() {
        assert_eq!(printable("a\n\x1b[2Jb\u{202e}c\u{2028}"), r"a\n\u{1b}[2Jb\u{202e}c\u{2028}");
        assert_eq!(printable("žluťoučký 🐎"), "žluťoučký 🐎");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = brief(&"é".repeat(LONGEST + 1));
        assert_eq!(cut, "é".repeat(LONGEST) + "…");
        assert_eq!(brief(&"é".repeat(LONGEST)), "é".repeat(LONGEST));
    }

    #[test]
    fn sizes_and_durations_read_as_in_the_config() {
        assert_eq!(size(32 << 20), "32MiB");
        assert_eq!(size(1536), "1536B");
        assert_eq!(size(3 << 10), "3KiB");
        assert_eq!(size(0), "0B");
        assert_eq!(duration(Duration::from_millis(50)), "50ms");
        assert_eq!(duration(Duration::from_millis(1500)), "1s500ms");
    }
}
