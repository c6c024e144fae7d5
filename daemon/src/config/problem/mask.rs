//! Takes secrets out of text that is about to be shown. Works on the bare text, since a file
//! with a syntax error has no tree to ask.

use std::ops::Range;

use super::did_you_mean;
use key::{Path, path};

mod key;

/// Endings of keys whose values are never shown.
const SECRET_KEYS: [&str; 10] = [
    "secret",
    "token",
    "api_token",
    "password",
    "passwd",
    "authorization",
    "cookie",
    "api-key",
    "api_key",
    "salt",
];

/// Keys that say where a secret is, not what it is.
const WHERE: [&str; 2] = ["env", "file"];

/// The text with `*` for every character of what may be a secret. Offsets stay as they are.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for hidden in hidden(text) {
        // What is in a secret is hidden with it.
        let Some(hidden) = (hidden.start >= done).then_some(hidden) else { continue };
        masked.push_str(&text[done..hidden.start]);
        for character in text[hidden.clone()].chars() {
            let hide = !matches!(character, '\n' | '\r');
            (0..character.len_utf8()).for_each(|_| masked.push(if hide { '*' } else { character }));
        }
        done = hidden.end;
    }
    masked.push_str(&text[done..]);
    masked
}

/// Where secrets stand, by their beginnings; those within others are found as well.
fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let (mut line, mut within) = (0, in_secret_table(text));
    for (at, found) in text.match_indices(['=', '@', '\n']) {
        match found {
            "=" => hidden.extend(values_after(text, line, at, within)),
            "@" => hidden.extend(credentials_before(text, at)),
            _ => {
                line = at + 1;
                let next = &text[line..];
                within = if starts_table(next) { in_secret_table(next) } else { within };
            }
        }
    }
    hidden.sort_by_key(|range| range.start);
    hidden
}

fn starts_table(line: &str) -> bool {
    line.trim_start_matches([' ', '\t']).starts_with('[')
}

/// Whether the text begins with a header such as `[subscription.a.secret]`.
fn in_secret_table(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let name = line.trim_start_matches([' ', '\t', '[']);
    name.split_once(']').and_then(|(name, _)| path(name)).is_some_and(|path| names_secret(&path))
}

/// What hides in the value after the `=` at `at`, if the key before it names a secret.
fn values_after(text: &str, line: usize, at: usize, within: bool) -> Vec<Range<usize>> {
    let before = &text[line..at];
    let path = path(before).unwrap_or_else(|| vec![last_word(before).to_owned()]);
    let says_where = path.last().is_some_and(|key| WHERE.contains(&key.as_str()));
    if says_where || !(within || names_secret(&path)) {
        return Vec::new();
    }
    let value = text[at + 1..].trim_start_matches([' ', '\t']);
    let begin = text.len() - value.len();
    let secret = match open_quote(before) {
        // A parameter of a URL, say: what closes the text is no part of it.
        Some(quote) => 0..inside(value, quote),
        None if value.starts_with('{') => return values_in_table(text, begin),
        None => quoted(value).unwrap_or(0..line_length(value)),
    };
    let hidden = begin + secret.start..begin + secret.end;
    vec![hidden]
}

/// The tables that stand in every file have free names, which may be any word.
fn names_secret(path: &Path) -> bool {
    let named = ["subscription", "user", "plugin", "source"];
    let free = if path.len() > 1 && named.contains(&path[0].as_str()) { 2 } else { 0 };
    path[free..].iter().any(|key| {
        let key = key.to_ascii_lowercase();
        // A misspelt `secert` is an unknown key, and its value a secret all the same.
        SECRET_KEYS.iter().any(|ending| key.ends_with(ending)) || did_you_mean(&key, SECRET_KEYS).is_some()
    })
}

/// The word that ends the text.
fn last_word(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t']).trim_end_matches(['"', '\'']);
    let before = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    &text[before.len()..]
}

/// The quote of a text that is still open at the end of this part of a line.
fn open_quote(line: &str) -> Option<char> {
    let (mut open, mut escaped) = (None, false);
    for character in line.chars() {
        match (open, character) {
            _ if std::mem::take(&mut escaped) => {}
            (Some('"'), '\\') => escaped = true,
            (Some(quote), _) if quote == character => open = None,
            (None, '"' | '\'') => open = Some(character),
            (None, '#') => return None,
            _ => {}
        }
    }
    open
}

/// What hides in an inline table: everything but keys, and values that say where the secret
/// is. A brace that is never closed closes where the next table begins.
fn values_in_table(text: &str, open: usize) -> Vec<Range<usize>> {
    let (mut hidden, mut at, mut depth) = (Vec::new(), open, 0);
    while let Some(next) = text[at..].chars().next() {
        match next {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            '\n' if starts_table(&text[at + 1..]) => break,
            next if next == ',' || next.is_whitespace() => {}
            _ => {
                let (key, value) = key::entry(&text[at..]).unwrap_or_default();
                at += value;
                if text[at..].starts_with('{') {
                    continue;
                }
                let secret = quoted(&text[at..]).unwrap_or(0..bare_length(&text[at..]));
                let end = at + secret.end;
                if !WHERE.contains(&key) {
                    hidden.push(at + secret.start..end);
                }
                at = end + usize::from(secret.start > 0 && text[end..].starts_with(['"', '\'']));
                continue;
            }
        }
        at += next.len_utf8();
    }
    hidden
}

/// The inside of a quoted value, up to the end of its line if it is not closed.
fn quoted(value: &str) -> Option<Range<usize>> {
    for fence in ["\"\"\"", "'''"] {
        if let Some(text) = value.strip_prefix(fence) {
            return Some(3..3 + closing(text, fence).unwrap_or(text.len()));
        }
    }
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    Some(1..1 + inside(&value[1..], quote))
}

/// How much of a text's line belongs to the text that this quote closes.
fn inside(text: &str, quote: char) -> usize {
    let line = &text[..line_length(text)];
    closing(line, quote.encode_utf8(&mut [0; 4])).unwrap_or(line.len())
}

/// Where the closing fence stands.
fn closing(text: &str, fence: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().map(|(at, _)| at).find(|at| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        escaped = fence.starts_with('"') && text[*at..].starts_with('\\');
        text[*at..].starts_with(fence)
    })
}

fn line_length(text: &str) -> usize {
    text.find(['\n', '\r']).unwrap_or(text.len())
}

fn bare_length(text: &str) -> usize {
    let end = text.find([',', '}', '\n', '\r']).unwrap_or(text.len());
    text[..end].trim_end().len()
}

/// The `user:password` of a URL whose `@` is at `at`.
fn credentials_before(text: &str, at: usize) -> Option<Range<usize>> {
    let before = &text[..at];
    let start = before.rfind(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<'))? + 1;
    let scheme = before.get(start.checked_sub(3)?..start)?;
    (scheme == "://" && start < at).then_some(start..at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked_in_every_form_they_are_written_in() {
        for (written, shown) in [
            ("secret = \"abc\"", "secret = \"***\""),
            ("secret = 'abc' # why", "secret = '***' # why"),
            ("secret = \"a\\\"bc\" # why", "secret = \"*****\" # why"),
            ("\"secret\"=\"abc\"", "\"secret\"=\"***\""),
            ("api_token = \"abc", "api_token = \"***"),
            ("secert = 'abc'", "secert = '***'"),
            ("api_tokn = 'abc'", "api_tokn = '***'"),
            ("secret = abc", "secret = ***"),
            ("secret = 12345", "secret = *****"),
            ("secret = \"\"\"a\nb\"\"\"\nx = 1", "secret = \"\"\"*\n*\"\"\"\nx = 1"),
            ("secret = { value = \"abc\" }", "secret = { value = \"***\" }"),
            ("secret = { evn = \"ABC\" } # why", "secret = { evn = \"***\" } # why"),
            ("secret = { env = \"A\", evn = 'B,}' }", "secret = { env = \"A\", evn = '***' }"),
            ("secret = { \"evn\" = abc, x }", "secret = { \"evn\" = ***, * }"),
            ("secret = { abc }", "secret = { *** }"),
            ("secret = { \"abc\" }", "secret = { \"***\" }"),
            ("secret = { YWJj= }", "secret = { ***** }"),
            ("secret = { a = { b = \"c\" } }\nx = 1", "secret = { a = { b = \"*\" } }\nx = 1"),
            ("secret = {\n a = \"b\"\n}\nx = 1", "secret = {\n a = \"*\"\n}\nx = 1"),
            ("secret = { a = \"b\n[x]\ny = 1", "secret = { a = \"*\n[x]\ny = 1"),
            ("secret.value = \"abc\"", "secret.value = \"***\""),
            ("subscription.a.\"secret\".x = 'abc'", "subscription.a.\"secret\".x = '***'"),
            (
                "[subscription.a.secret]\nx = 'abc'\nenv = 'A'",
                "[subscription.a.secret]\nx = '***'\nenv = 'A'",
            ),
            ("url = \"http://h/?token=abc\" # why", "url = \"http://h/?token=***\" # why"),
            (
                "[{ url = 'http://h/?a=1&secret=abc', b = 1 }]",
                "[{ url = 'http://h/?a=1&secret=***', b = 1 }]",
            ),
            ("url = \"http://h/?token=abc", "url = \"http://h/?token=***"),
            ("headers = { authorization = \"Bearer x\" }", "headers = { authorization = \"********\" }"),
            ("url = \"http://ana:pw@host/\"", "url = \"http://******@host/\""),
            ("secret = \"ä\"", "secret = \"**\""),
            ("secret = \"\"\"a\\\"\"\"b\"\"\"", "secret = \"\"\"******\"\"\""),
            ("secret = 'a\\' # why", "secret = '**' # why"),
        ] {
            assert_eq!(mask(written), shown, "{written}");
        }
    }

    /// Pieces of configs in any order, mostly no TOML.
    fn noise() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "secret", "x", " ", "=", "{", "}", "[", "]", "\"", "'", "\"\"\"", "\\", ",", ".", "\n", "#",
            "env", "ä",
        ];
        prop::collection::vec(prop::sample::select(PIECES), 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn lines_and_offsets_stay_as_they_are(text in noise()) {
            let masked = mask(&text);
            prop_assert_eq!(masked.len(), text.len());
            for (after, before) in masked.bytes().zip(text.bytes()) {
                prop_assert!(after == before || (after == b'*' && before != b'\n'));
            }
        }

        #[test]
        fn a_secret_never_shows(before in noise(), after in noise()) {
            let text = format!("{before}\nsecret = 'hunter2'{after}");
            prop_assert!(!mask(&text).contains("hunter2"), "{}", mask(&text));
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "secret = { env = \"NAME\" }",
            "secret = { file = \"a/b\" }",
            "secret.env = \"NAME\"",
            "user = \"ana@example\"",
            "timeout = \"5s\"",
            "ä = 1",
            "=",
            "secret = {}",
            "secret = { env = \"NAME\", file = \"a/b\" }",
            "[subscription.secret]\nurl_callback = \"http://h/\"",
            "subscription.\"my.secret\".timeout = \"5s\"",
            "[user.a.api_token]\nenv = \"NAME\"\n[listen]\ntcp = \"x\"",
            "secret =",
            "secret = ",
            "",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
