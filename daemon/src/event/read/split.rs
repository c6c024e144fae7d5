//! A request's body becomes single events: one object, a JSON array, or NDJSON lines. The
//! pieces are slices of the body; nothing is copied.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{Place, ReadError, Wrong};
use super::{Event, Fill, read, utf8};

/// One request's events become one write; this keeps that write short.
pub const MAX_EVENTS: usize = 10_000;

/// How the events of a body are set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One event, or an array of them.
    Json,
    /// One event a line.
    NdJson,
}

/// Reads all events of a body, or says which of them is wrong and why.
pub fn read_all(body: &Bytes, kind: Kind, fill: &Fill<'_>) -> Result<Vec<Event>, ReadError> {
    let read_one = |(index, piece): (usize, Bytes)| {
        let start = piece.as_ptr().addr() - body.as_ptr().addr();
        read(piece, fill).map_err(|error| error.at(place(body, kind, index, start), body, start))
    };
    split(body.clone(), kind)?.into_iter().enumerate().map(read_one).collect()
}

/// Reads a body that holds one event and nothing else, as Track's own deliveries do.
pub fn read_one(body: &Bytes, fill: &Fill<'_>) -> Result<Event, ReadError> {
    let piece = trimmed(utf8(body)?);
    let start = piece.as_ptr().addr() - body.as_ptr().addr();
    read(body.slice_ref(piece.as_bytes()), fill).map_err(|error| error.at(Place::Whole, body, start))
}

/// Cuts a body into its events, without reading them.
pub fn split(body: Bytes, kind: Kind) -> Result<Vec<Bytes>, ReadError> {
    let text = utf8(&body)?;
    match kind {
        Kind::NdJson => lines(&body, text),
        Kind::Json if is_array(text) => elements(&body, text),
        Kind::Json if trimmed(text).is_empty() => Err(no_value(text)),
        Kind::Json => Ok(vec![body.slice_ref(trimmed(text).as_bytes())]),
    }
}

fn lines(body: &Bytes, text: &str) -> Result<Vec<Bytes>, ReadError> {
    let lines = text.split('\n').map(trimmed).filter(|line| !line.is_empty());
    let pieces: Vec<Bytes> = lines.take(MAX_EVENTS + 1).map(|line| body.slice_ref(line.as_bytes())).collect();
    if pieces.len() > MAX_EVENTS {
        return Err(ReadError::of("", Wrong::TooMany));
    }
    Ok(pieces)
}

fn elements(body: &Bytes, text: &str) -> Result<Vec<Bytes>, ReadError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let pieces = json.deserialize_seq(Elements(body)).and_then(|pieces| json.end().map(|()| pieces));
    pieces.map_err(|error| match error.is_data() {
        true => ReadError::of("", Wrong::TooMany),
        false => ReadError::of("", Wrong::not_json(text, text, &error)),
    })
}

/// The parser's own words about a body in which nothing stands.
fn no_value(text: &str) -> ReadError {
    let error = serde_json::from_str::<IgnoredAny>(text).expect_err("white space is no JSON value");
    ReadError::of("", Wrong::not_json(text, text, &error))
}

struct Elements<'b>(&'b Bytes);

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<Bytes>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<Bytes>, A::Error> {
        let mut pieces = Vec::new();
        while let Some(element) = array.next_element::<&RawValue>()? {
            if pieces.len() == MAX_EVENTS {
                return Err(A::Error::custom("too many events"));
            }
            pieces.push(self.0.slice_ref(element.get().as_bytes()));
        }
        Ok(pieces)
    }
}

fn place(body: &[u8], kind: Kind, index: usize, start: usize) -> Place {
    match kind {
        Kind::NdJson => Place::Line(1 + body[..start].iter().filter(|byte| **byte == b'\n').count()),
        // A single object starts where nothing but white space stands before it.
        Kind::Json if body[..start].trim_ascii().is_empty() => Place::Whole,
        Kind::Json => Place::Index(index),
    }
}

fn is_array(text: &str) -> bool {
    trimmed(text).starts_with('[')
}

/// Without JSON's white space around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}
