//! Reads JSON where it stands: a [`Json`] is a stretch of the event's text, and looking at
//! it copies nothing. Numbers keep every digit, and whoever changes a value knows exactly
//! which bytes it had. Checking text is `json/check.rs`, numbers are `json/number.rs`.

use std::borrow::Cow;
use std::ops::Range;

mod check;
mod number;
mod text;

pub use check::Malformed;
pub use number::Number;
pub use text::quote;

use crate::path::{Path, Segment};

/// One value within a JSON document.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    document: &'a str,
    start: usize,
    end: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl<'a> Json<'a> {
    /// The value that a whole text holds, checked to be well-formed.
    pub fn parse(document: &'a str) -> Result<Json<'a>, Malformed> {
        check::check(document)?;
        Ok(Json::trust(document))
    }

    /// The same for text that is known to be well-formed, as events are. Other text does no
    /// harm, but what is found in it means nothing.
    pub fn trust(document: &'a str) -> Json<'a> {
        let start = skip_space(document.as_bytes(), 0);
        Json { document, start, end: document.trim_end_matches([' ', '\t', '\n', '\r']).len().max(start) }
    }

    /// The value as it is written.
    pub fn text(&self) -> &'a str {
        self.document.get(self.start..self.end).unwrap_or_default()
    }

    /// The whole text that the value is a part of.
    pub fn document(&self) -> &'a str {
        self.document
    }

    /// Where the value stands in the document.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    pub fn kind(&self) -> Kind {
        match self.text().as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.text() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<Number<'a>> {
        (self.kind() == Kind::Number).then(|| Number::new(self.text()))
    }

    /// The text of a string, without quotes and escapes.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        let quoted = self.text().strip_prefix('"')?;
        Some(text::unescape(quoted.strip_suffix('"').unwrap_or(quoted)))
    }

    /// Keys and values of an object as they stand, repeated keys included; nothing for
    /// anything else.
    pub fn members(&self) -> Members<'a> {
        Members(Inside::new(*self, b'{'))
    }

    /// Items of an array; nothing for anything else.
    pub fn items(&self) -> Items<'a> {
        Items(Inside::new(*self, b'['))
    }

    /// The value of a key. Of a repeated key the last, as receivers will read it.
    pub fn get(&self, key: &str) -> Option<Json<'a>> {
        let mut found = None;
        for (name, value) in self.members() {
            if name.is(key) {
                found = Some(value);
            }
        }
        found
    }

    /// The value at a path without `*`.
    pub fn at(&self, path: &Path) -> Option<Json<'a>> {
        path.segments().iter().try_fold(*self, |json, segment| match (json.kind(), segment) {
            (Kind::Object, Segment::Name { text, .. }) => json.get(text),
            (Kind::Array, Segment::Name { index, .. }) => json.items().nth((*index)?),
            _ => None,
        })
    }

    /// Whether it is a string with this text.
    pub fn is(&self, text: &str) -> bool {
        let quoted = self.text().as_bytes();
        match quoted {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => inner == text.as_bytes(),
            _ => self.as_str().is_some_and(|own| own == text),
        }
    }

    fn part(&self, range: Range<usize>) -> Json<'a> {
        Json { document: self.document, start: range.start, end: range.end }
    }
}

/// See [`Json::members`].
pub struct Members<'a>(Inside<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Json<'a>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.value()?;
        self.0.pass(b':');
        let value = self.0.value()?;
        self.0.pass(b',');
        Some((key, value))
    }
}

/// See [`Json::items`].
pub struct Items<'a>(Inside<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.0.value()?;
        self.0.pass(b',');
        Some(item)
    }
}

/// Walks through what stands between two brackets.
struct Inside<'a> {
    json: Json<'a>,
    at: usize,
}

impl<'a> Inside<'a> {
    fn new(json: Json<'a>, bracket: u8) -> Inside<'a> {
        let opens = json.text().as_bytes().first() == Some(&bracket);
        Inside { json, at: if opens { json.start + 1 } else { json.end } }
    }

    fn value(&mut self) -> Option<Json<'a>> {
        let bytes = &self.json.document.as_bytes()[..self.json.end];
        let start = skip_space(bytes, self.at);
        let end = skip_value(bytes, start);
        self.at = end;
        (start < end).then(|| self.json.part(start..end))
    }

    fn pass(&mut self, mark: u8) {
        let bytes = &self.json.document.as_bytes()[..self.json.end];
        self.at = skip_space(bytes, self.at);
        if bytes.get(self.at) == Some(&mark) {
            self.at += 1;
        }
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends; `at` itself if none begins there.
fn skip_value(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => skip_string(bytes, at),
        Some(b'{' | b'[') => skip_nested(bytes, at),
        _ => skip_word(bytes, at),
    }
}

fn skip_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

fn skip_nested(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = skip_string(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    at
}

fn skip_word(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
