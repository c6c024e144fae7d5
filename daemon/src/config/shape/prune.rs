//! Holds a TOML tree against a shape: unknown keys, wrong types, unknown words, numbers and
//! lists out of bounds. Every flaw is noted and what is flawed is cut out of the tree, so that
//! serde, which would stop at the first, then finds none. Pure.

use std::collections::HashSet;
use std::num::{IntErrorKind, ParseIntError};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{Shape, TableShape};
use crate::config::problem::{Flaw, did_you_mean};

/// What was found, and where.
#[derive(Default)]
pub struct Pruned {
    pub flaws: Vec<Flaw>,
    /// Spans of the keys, values and list entries with a flaw in them: what is left of such
    /// a value is not what was written.
    pub cut: HashSet<Range<usize>>,
}

/// Notes every flaw of the tree and cuts what is flawed out of it.
pub fn prune(tree: &mut Spanned<DeTable<'_>>, shape: &TableShape, advice: Advice<'_>) -> Pruned {
    let mut pruner = Pruner { advice, path: Vec::new(), flaws: Vec::new(), cut: HashSet::new() };
    let span = tree.span();
    pruner.table(tree.get_mut(), span, shape);
    Pruned { flaws: pruner.flaws, cut: pruner.cut }
}

/// Says better than "unknown" what is wrong with a key or word, and the way out. Is given the
/// path of where it stands, and itself.
pub type Advice<'a> = &'a dyn Fn(&[String], &str) -> Option<(String, String)>;

struct Pruner<'a> {
    advice: Advice<'a>,
    /// Keys from the root to where the pruner is.
    path: Vec<String>,
    flaws: Vec<Flaw>,
    cut: HashSet<Range<usize>>,
}

impl Pruner<'_> {
    /// Whether the value may stay. `named` is its key or, in a list, itself: where a missing
    /// key is shown.
    fn keeps(&mut self, value: &mut Spanned<DeValue<'_>>, named: Range<usize>, shape: &Shape) -> bool {
        let before = self.flaws.len();
        let kept = self.fits(value, named.clone(), shape);
        if self.flaws.len() > before {
            self.cut.extend([named, value.span()]);
        }
        kept
    }

    fn fits(&mut self, value: &mut Spanned<DeValue<'_>>, named: Range<usize>, shape: &Shape) -> bool {
        let span = value.span();
        if !shape.takes(value.get_ref()) {
            self.mistaken(span, shape, value.get_ref());
            return false;
        }
        match (shape, value.get_mut()) {
            (Shape::Table(shape), DeValue::Table(table)) => {
                self.table(table, named, shape);
                true
            }
            (Shape::Named { each, most }, DeValue::Table(table)) => {
                self.named(table, each);
                self.counts(span, table.len(), 0, *most)
            }
            (Shape::List { each, least, most }, DeValue::Array(list)) => {
                let length = list.len();
                self.list(list, each);
                self.counts(span, length, *least, *most)
            }
            (Shape::Word(words), DeValue::String(word)) => self.word(span, word, words),
            (Shape::Integer { least, most }, DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                self.integer(span, number, *least, *most)
            }
            (Shape::Either(shapes), _) => match shapes.iter().find(|shape| shape.takes(value.get_ref())) {
                Some(shape) => self.fits(value, named, shape),
                None => false,
            },
            (Shape::Anything, _) => self.anything(value),
            _ => true,
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>, named: Range<usize>, shape: &TableShape) {
        let mut flawed = Vec::new();
        // Keys that are there under another name, or would be in a table meant otherwise.
        let mut excused = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            let kept = match shape.keys.get(name) {
                Some(shape) => self.inside(name, |pruner| pruner.keeps(value, key.span(), shape)),
                None => {
                    excused.extend(self.unknown_key(key.span(), name, value.get_ref(), shape));
                    false
                }
            };
            if !kept {
                flawed.push(name.to_owned());
            }
        }
        let missing = |key: &&String| !table.contains_key(key.as_str()) && !excused.contains(key);
        for key in shape.required.iter().filter(missing) {
            let message = format!("{} has no `{key}`", self.here());
            self.flaws.push(Flaw::new(named.clone(), message).hint(format!("add `{key} = …`")));
        }
        flawed.iter().for_each(|key| drop(table.remove(key.as_str())));
    }

    fn named(&mut self, table: &mut DeTable<'_>, each: &Shape) {
        let mut flawed = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            if !self.inside(name, |pruner| pruner.keeps(value, key.span(), each)) {
                flawed.push(name.to_owned());
            }
        }
        flawed.iter().for_each(|key| drop(table.remove(key.as_str())));
    }

    fn list(&mut self, list: &mut DeArray<'_>, each: &Shape) {
        for mut value in std::mem::replace(list, DeArray::new()) {
            let span = value.span();
            if self.keeps(&mut value, span, each) {
                list.push(value);
            }
        }
    }

    fn word(&mut self, span: Range<usize>, word: &str, words: &[String]) -> bool {
        if words.iter().any(|known| known == word) {
            return true;
        }
        if let Some((message, hint)) = (self.advice)(&self.path, word) {
            self.flaws.push(Flaw::new(span, message).hint(hint));
            return false;
        }
        let message = format!("{} cannot be `{word}`", self.here());
        let hint = match did_you_mean(word, words.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("write {}", alternatives(words)),
        };
        self.flaws.push(Flaw::new(span, message).hint(hint));
        false
    }

    fn integer(
        &mut self,
        span: Range<usize>,
        number: Result<i64, ParseIntError>,
        least: i64,
        most: i64,
    ) -> bool {
        if number.as_ref().is_ok_and(|number| (least..=most).contains(number)) {
            return true;
        }
        let too_large = number.is_err_and(|error| *error.kind() == IntErrorKind::PosOverflow);
        let bounds = match (least, most) {
            (i64::MIN, _) => "must be a whole number of 64 bits".to_owned(),
            (_, i64::MAX) if too_large => format!("must be at most {most}"),
            (_, i64::MAX) => format!("must be at least {least}"),
            _ => format!("must be from {least} to {most}"),
        };
        let message = format!("{} {bounds}", self.here());
        self.flaws.push(Flaw::new(span, message));
        false
    }

    fn counts(&mut self, span: Range<usize>, count: usize, least: usize, most: usize) -> bool {
        let wrong = if count < least {
            "must not be empty".to_owned()
        } else if count > most {
            format!("has {count} entries, more than the {most} allowed")
        } else {
            return true;
        };
        let message = format!("{} {wrong}", self.here());
        self.flaws.push(Flaw::new(span, message));
        false
    }

    /// A free value becomes JSON, which knows no larger integers and no such floats.
    fn anything(&mut self, value: &mut Spanned<DeValue<'_>>) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                self.integer(span, number, i64::MIN, i64::MAX)
            }
            DeValue::Float(number) => {
                let finite = number.as_str().parse().is_ok_and(f64::is_finite);
                if !finite {
                    let message = format!("{}: `{}` has no form in JSON", self.here(), number.as_str());
                    self.flaws.push(Flaw::new(span, message));
                }
                finite
            }
            DeValue::Table(table) => {
                self.named(table, &Shape::Anything);
                true
            }
            DeValue::Array(list) => {
                self.list(list, &Shape::Anything);
                true
            }
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => true,
        }
    }

    /// Notes the key, and returns those required ones whose absence it explains.
    fn unknown_key(
        &mut self,
        span: Range<usize>,
        key: &str,
        value: &DeValue<'_>,
        shape: &TableShape,
    ) -> Vec<String> {
        if let Some((message, hint)) = (self.advice)(&self.path, key) {
            self.flaws.push(Flaw::new(span, message).hint(hint));
            return Vec::new();
        }
        let message = match self.path.is_empty() {
            true => format!("unknown key `{key}`"),
            false => format!("unknown key `{key}` in {}", self.here()),
        };
        let known = || shape.keys.keys().map(String::as_str);
        let (hint, excused) = match did_you_mean(key, known()) {
            Some(meant) => (format!("did you mean `{meant}`?"), vec![meant.to_owned()]),
            // `[subscription.a.b]` is `b` in `a`, which is seldom meant.
            None if value.is_table() && self.path.len() == 2 => {
                let name = format!("{}.{key}", self.path[1]);
                let hint = format!("a name with a dot needs quotes: `[{}.\"{name}\"]`", self.path[0]);
                (hint, shape.required.clone())
            }
            None => (format!("known keys: {}", known().collect::<Vec<_>>().join(", ")), Vec::new()),
        };
        self.flaws.push(Flaw::new(span, message).hint(hint));
        excused
    }

    fn inside<T>(&mut self, key: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let done = work(self);
        self.path.pop();
        done
    }

    /// Notes a value of a wrong type.
    fn mistaken(&mut self, span: Range<usize>, shape: &Shape, value: &DeValue<'_>) {
        let message = format!("{}: expected {}, found {}", self.here(), shape.said(), found(value));
        let hint = match shape {
            Shape::Text { such_as: Some(example) } => Some(format!("write text, such as \"{example}\"")),
            Shape::Word(words) => Some(format!("write {}", alternatives(words))),
            Shape::List { each, .. } if each.takes(value) => Some("put `[` and `]` around it".to_owned()),
            _ => None,
        };
        self.flaws.push(Flaw { span, message, hint });
    }

    fn here(&self) -> String {
        format!("`{}`", dotted(&self.path))
    }
}

/// The path as TOML writes it.
pub fn dotted(path: &[String]) -> String {
    let bare = |key: &String| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let keys = path.iter().map(|key| if bare(key) { key.clone() } else { format!("{key:?}") });
    keys.collect::<Vec<_>>().join(".")
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `"a", "b" or "c"`
fn alternatives(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
