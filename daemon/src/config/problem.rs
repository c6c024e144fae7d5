//! What is wrong in a config file, and where. Rendered with the line and a caret
//! (`problem/render.rs`) over the file's text (`problem/text.rs`).

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub mod mask;
pub mod render;
pub mod text;

/// A spot in a file, for people: line and column count from 1, and 0 is a file that has no
/// such line, say because it is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub file: PathBuf,
    #[serde(default, skip_serializing_if = "is_none")]
    pub line: usize,
    #[serde(default, skip_serializing_if = "is_none")]
    pub column: usize,
}

/// `path`, or `path:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = self;
        match line {
            0 => write!(f, "{}", file.display()),
            _ => write!(f, "{}:{line}:{column}", file.display()),
        }
    }
}

/// On one line, for the log.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

/// One thing that is wrong. `message` says what, `hint` the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    #[serde(flatten)]
    pub place: Place,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Bytes of the file that the caret points at; empty when the file could not be read.
    #[serde(skip)]
    pub span: Range<usize>,
}

impl Problem {
    /// Of which only the place is known, not how much it takes up there.
    pub fn at(place: Place, message: String) -> Problem {
        Problem { place, message, hint: None, span: 0..0 }
    }

    /// That belongs to a file but to no line of it.
    pub fn of_file(file: &Path, message: String) -> Problem {
        Problem::at(Place { file: file.to_owned(), line: 0, column: 0 }, message)
    }
}

/// A problem before its file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

impl Flaw {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Flaw {
        Flaw { span, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Flaw {
        self.hint = Some(hint.into());
        self
    }

    /// In one sentence, for whoever did not write it into a file.
    pub fn sentence(&self) -> String {
        self.hint.iter().fold(self.message.clone(), |said, hint| format!("{said}; {hint}"))
    }
}

fn is_none(line: &usize) -> bool {
    *line == 0
}

/// The word of `known` that was probably meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    // A third of the word may be wrong: "timout", "evnet_filters", but not "tag" for "task_id".
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
