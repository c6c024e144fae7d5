//! The bodies that may have been signed, when all there is is one that somebody stored,
//! pasted or wrote anew.

use serde_json::{Map, Value};

use super::Reading;

/// Top-level keys as Track orders them.
const ORDER: [&str; 10] = [
    "event_id",
    "created_at",
    "creator_id",
    "metadata",
    "payload",
    "subscription_id",
    "timestamp",
    "url_callback",
    "validation_code",
    "validation_code_url",
];

const NEWLINE: &str = "the body has a line break at its end that was not signed: hash the bytes as they arrived, \
                       and save them without one (`printf %s`, not `echo`)";
const LACKS_NEWLINE: &str = "the body lacks a line break at its end that was signed";
const BOM: &str = "the body begins with a byte order mark that was not signed: an editor put it there";
const LINE_ENDS: &str = "the body's line ends were changed on the way (CRLF and LF)";
const REWRITTEN: &str = "the body was parsed and written again, with other white space or escapes: hash the raw bytes \
                         of the request before any parser sees them";
const REORDERED: &str = "the body was parsed and written again, with its keys in another order: hash the raw bytes \
                         of the request before any parser sees them";
const LOOSE: &str = "the body was written more compactly than it was signed: hash the raw bytes of the request before \
                     any parser sees them";

/// The body itself, and what it may have been.
pub(super) fn readings(body: &[u8]) -> Vec<Reading> {
    let mut readings = vec![Reading::right(body)];
    let mut tried = |bytes: Vec<u8>, mistake: &'static str| {
        if !readings.iter().any(|reading| reading.bytes == bytes) {
            readings.push(Reading::mistaken(bytes, mistake));
        }
    };
    let end = body.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    tried(body[..end].to_vec(), NEWLINE);
    tried([body, b"\n"].concat(), LACKS_NEWLINE);
    tried([body, b"\r\n"].concat(), LACKS_NEWLINE);
    if let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
        tried(rest.to_vec(), BOM);
        tried(rest[..end.saturating_sub(3)].to_vec(), BOM);
    }
    let Ok(text) = std::str::from_utf8(body) else { return readings };
    let text = text.trim_start_matches('\u{feff}').trim();
    tried(text.replace("\r\n", "\n").into(), LINE_ENDS);
    tried(text.replace("\r\n", "\n").replace('\n', "\r\n").into(), LINE_ENDS);
    let Ok(value) = serde_json::from_str::<Value>(text) else { return readings };
    for written in spellings(&value) {
        tried(written.into(), REWRITTEN);
    }
    for written in spellings(&as_track_orders(&value)) {
        tried(written.into(), REORDERED);
    }
    for written in [spaced(&value), format!("{value:#}"), indented(&value)] {
        tried(written.clone().into(), LOOSE);
        tried((written + "\n").into(), LOOSE);
    }
    readings
}

/// Compact, with what a sender may escape and what not: nothing, as Go does for HTML, and
/// everything beyond ASCII.
fn spellings(value: &Value) -> [String; 4] {
    let plain = value.to_string();
    let html = for_html(&plain);
    [ascii(&plain), ascii(&html), html, plain.clone()]
}

fn for_html(json: &str) -> String {
    // None of these stands outside of a JSON string.
    [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
        .iter()
        .fold(json.to_owned(), |json, (character, escape)| json.replace(*character, escape))
}

fn ascii(json: &str) -> String {
    let mut written = String::with_capacity(json.len());
    for character in json.chars() {
        match character.is_ascii() {
            true => written.push(character),
            false => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    written
}

/// Track's keys in Track's order at the top, those of `metadata` and `payload` by the alphabet.
fn as_track_orders(value: &Value) -> Value {
    let Value::Object(top) = value else { return value.clone() };
    let place = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    let mut keys: Vec<&String> = top.keys().collect();
    keys.sort_by_key(|key| place(key));
    keys.into_iter().map(|key| (key.clone(), sorted(&top[key]))).collect::<Map<_, _>>().into()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> =
                object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.into_iter().collect::<Map<_, _>>().into()
        }
        Value::Array(array) => array.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// `{"a": 1, "b": 2}`, as Python writes by default.
fn spaced(value: &Value) -> String {
    written_by(value, Spaced)
}

/// With four spaces a level.
fn indented(value: &Value) -> String {
    written_by(value, serde_json::ser::PrettyFormatter::with_indent(b"    "))
}

fn written_by(value: &Value, formatter: impl serde_json::ser::Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer).expect("a JSON value always serialises");
    String::from_utf8(bytes).expect("the serializer writes UTF-8")
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}
