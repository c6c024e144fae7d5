//! The answers that a plugin is expected to give, as a file that people read and keep.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;

use crate::cli::diff::{diff, laid_out};
use crate::cli::failure::Failure;

/// One file of answers, in the order of the events.
pub struct Snapshot {
    file: PathBuf,
    wanted: Vec<Value>,
}

impl Snapshot {
    pub fn read(file: PathBuf) -> Result<Snapshot, Failure> {
        let name = file.display();
        let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::failed(format!("there is no `{name}`; `--update` writes it")),
            _ => anyhow::Error::from(error).context(format!("cannot read `{name}`")).into(),
        })?;
        let wanted = serde_json::from_str(&text)
            .with_context(|| format!("`{name}` is no list of answers; `--update` writes it anew"))?;
        Ok(Snapshot { file, wanted })
    }

    /// What is expected at this place; null beyond the end.
    pub fn wanted(&self, at: usize) -> &Value {
        self.wanted.get(at).unwrap_or(&Value::Null)
    }

    /// How the answers as a whole compare; `other` of them were told already.
    pub fn conclude(&self, answers: usize, other: u64) -> Result<String, Failure> {
        let name = self.file.display();
        let lacking = self.wanted.len().saturating_sub(answers);
        if lacking > 0 {
            return Err(Failure::failed(format!(
                "`{name}` has {} answers, and there were {answers}; `--update` takes these over",
                self.wanted.len()
            )));
        }
        match other {
            0 => Ok(format!("as in `{name}`")),
            n => Err(Failure::failed(format!(
                "{n} of {answers} answers are other than in `{name}`; `--update` takes them over"
            ))),
        }
    }
}

pub fn write(file: &PathBuf, answers: &[Value]) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(answers).context("cannot write JSON")? + "\n";
    fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(())
}

/// How one answer differs from another, line by line.
pub fn compare(wanted: &Value, answer: &Value) -> String {
    diff(&sheet(wanted), &sheet(answer))
}

/// An answer with its body laid out below it: on one line nobody would find the difference.
fn sheet(answer: &Value) -> String {
    let Value::Object(fields) = answer else { return String::new() };
    let mut head = fields.clone();
    let body = head.remove("body");
    let head = head.iter().map(|(key, value)| format!("{key}: {value}\n")).collect::<String>();
    head + &body.as_ref().and_then(Value::as_str).map(laid_out).unwrap_or_default()
}
