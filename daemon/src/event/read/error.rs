//! What can be wrong with an event, and how it is said: one sentence that names the place,
//! what is wrong there, and the way out.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;

use super::split::MAX_EVENTS;
use super::{MAX_DEPTH, span};

/// Why bytes are no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    pub place: Place,
    /// Path of the field, such as `metadata.model`; empty for the event as a whole.
    pub field: &'static str,
    pub wrong: Wrong,
}

/// Which event of a body it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The only one, or the body as a whole.
    Whole,
    /// Of a JSON array, counted from 0.
    Index(usize),
    /// Of NDJSON, counted from 1, as editors do.
    Line(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    NotUtf8 {
        offset: usize,
    },
    /// Line and column count from 1, the offset from 0; all in bytes.
    NotJson {
        reason: String,
        line: usize,
        column: usize,
        offset: usize,
    },
    TooDeep,
    TooMany,
    Missing,
    /// A top-level key, or one that routes, stands there a second time.
    Twice,
    Type {
        wanted: &'static str,
        found: &'static str,
    },
    NotAnId {
        found: String,
    },
    NotAnEventId {
        found: String,
    },
    NotATime {
        found: String,
    },
    /// A time, but beyond those that can be kept.
    TimeTooFar {
        found: String,
    },
    Unknown {
        what: &'static str,
        word: String,
        hint: String,
    },
    Ping,
}

impl ReadError {
    pub(super) fn of(field: &'static str, wrong: Wrong) -> ReadError {
        ReadError { place: Place::Whole, field, wrong }
    }

    /// The same, of an event that begins at byte `start` of `body`.
    pub(super) fn at(self, place: Place, body: &[u8], start: usize) -> ReadError {
        let wrong = match self.wrong {
            Wrong::NotJson { reason, offset, .. } => Wrong::not_json_at(reason, body, start + offset),
            wrong => wrong,
        };
        ReadError { place, wrong, ..self }
    }
}

impl Wrong {
    pub(super) fn not_an_id(found: &str) -> Wrong {
        Wrong::NotAnId { found: excerpt(found) }
    }

    pub(super) fn not_an_event_id(found: &str) -> Wrong {
        Wrong::NotAnEventId { found: excerpt(found) }
    }

    pub(super) fn not_a_time(found: &str) -> Wrong {
        Wrong::NotATime { found: excerpt(found) }
    }

    pub(super) fn time_too_far(found: &str) -> Wrong {
        Wrong::TimeTooFar { found: excerpt(found) }
    }

    pub(super) fn unknown(what: &'static str, word: &str, known: &[&'static str]) -> Wrong {
        let hint = match nearest(word, known) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => format!("; Track has {}", known.join(", ")),
        };
        Wrong::Unknown { what, word: excerpt(word), hint }
    }

    /// `part` is the piece of `whole` that was being parsed.
    pub(super) fn not_json(whole: &str, part: &str, error: &serde_json::Error) -> Wrong {
        let part_at = span(whole, part);
        if error.is_eof() {
            let reason = if part.trim().is_empty() { "no value" } else { "it ends too early" };
            return Wrong::not_json_at(reason.to_owned(), whole.as_bytes(), part_at.end);
        }
        let lines_before = part.split_inclusive('\n').take(error.line().saturating_sub(1));
        let line_start: usize = lines_before.map(str::len).sum();
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        // An "ident" is what the parser calls `true`, `false` and `null`.
        let reason = reason.replace("expected ident", "expected value");
        let offset = part_at.start + line_start + error.column().saturating_sub(1);
        Wrong::not_json_at(reason, whole.as_bytes(), offset)
    }

    fn not_json_at(reason: String, text: &[u8], offset: usize) -> Wrong {
        let before = &text[..offset.min(text.len())];
        Wrong::NotJson {
            reason,
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count(),
            offset,
        }
    }

    /// What to call the place where no field is to blame.
    fn whole(&self) -> &'static str {
        match self {
            Wrong::NotUtf8 { .. } => "`body`: ",
            Wrong::TooDeep | Wrong::Type { .. } => "`event`: ",
            // A count is of the whole request, and the rest names line and column.
            _ => "",
        }
    }

    /// One word per kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Wrong::NotUtf8 { .. } => "not_utf8",
            Wrong::NotJson { .. } => "not_json",
            Wrong::TooDeep => "too_deep",
            Wrong::TooMany => "too_many",
            Wrong::Missing => "missing",
            Wrong::Twice => "twice",
            Wrong::Type { .. } => "wrong_type",
            Wrong::NotAnId { .. } | Wrong::NotAnEventId { .. } => "bad_id",
            Wrong::NotATime { .. } | Wrong::TimeTooFar { .. } => "bad_time",
            Wrong::Unknown { .. } => "unknown_word",
            Wrong::Ping => "ping",
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, self.field) {
            (Place::Whole, "") => f.write_str(self.wrong.whole())?,
            (Place::Whole, field) => write!(f, "`{field}`: ")?,
            (Place::Index(index), "") => write!(f, "`[{index}]`: ")?,
            (Place::Index(index), field) => write!(f, "`[{index}].{field}`: ")?,
            (Place::Line(line), "") => write!(f, "line {line}: ")?,
            (Place::Line(line), field) => write!(f, "line {line}: `{field}`: ")?,
        }
        match (&self.wrong, self.place) {
            // The line is said already, and where it stands in the body is of no interest.
            (Wrong::NotJson { reason, column, .. }, Place::Line(_)) => {
                write!(f, "not JSON: {reason} at column {column}")
            }
            (wrong, _) => wrong.fmt(f),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::NotUtf8 { offset } => write!(f, "not UTF-8 from byte {offset} on"),
            Wrong::NotJson { reason, line, column, offset } => {
                write!(f, "not JSON: {reason} at line {line}, column {column} (byte {offset})")
            }
            Wrong::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Wrong::TooMany => write!(f, "more than {MAX_EVENTS} events at once; send them in parts"),
            Wrong::Missing => {
                f.write_str("missing; an event needs `metadata` with `model` and `action`, and `payload`")
            }
            Wrong::Twice => f.write_str("stands there twice; leave one out"),
            Wrong::Type { wanted, found } => write!(f, "must be {wanted}, found {found}"),
            Wrong::NotAnId { found } => write!(f, "must be an integer of 64 bits, found `{found}`"),
            Wrong::NotAnEventId { found } => write!(
                f,
                "must be a positive integer of 64 bits, found `{found}`; leave it out to have one made"
            ),
            Wrong::NotATime { found } => {
                write!(f, "must be a time like `2025-09-10T08:15:30.991Z` (RFC 3339), found `{found}`")
            }
            Wrong::TimeTooFar { found } => {
                write!(f, "`{found}` is out of range; the last time that can be kept is {}", Timestamp::MAX)
            }
            Wrong::Unknown { what, word, hint } => write!(f, "unknown {what} `{word}`{hint}"),
            Wrong::Ping => {
                f.write_str("a PING is no event; `trackrelay test NAME` sends one to a subscription")
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// What was found, short and without anything that could disturb a terminal.
fn excerpt(found: &str) -> String {
    const LONGEST: usize = 40;
    let short: Cow<'_, str> = match found.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &found[..end]).into(),
        None => found.into(),
    };
    short.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    const LONGEST: usize = 40;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase().replace([' ', '-'], "_");
    let (distance, near) =
        known.iter().map(|known| (strsim::osa_distance(&word, known), *known)).min_by_key(|(d, _)| *d)?;
    (distance <= (word.chars().count() / 3).max(1)).then_some(near)
}
