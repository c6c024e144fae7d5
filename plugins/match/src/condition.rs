//! One condition: a path, an operator and what it is compared with. Read once, asked for
//! every event.

use std::cmp::Ordering;

use trackrelay_plugin::json::{Json, Kind, quote};
use trackrelay_plugin::path::Path;

/// Characters of a found or wanted value that a reason repeats.
const SHOWN: usize = 60;

const OPERATORS: &str = "eq, ne, gt, gte, lt, lte, in, contains, starts_with, exists";

pub(crate) struct Condition {
    path: Path,
    test: Test,
    /// What the test wants, in words: `true`, `> 60`, `one of "a", "b"`.
    wanted: String,
}

enum Test {
    Equal(Scalar),
    NotEqual(Scalar),
    Ordered { than: Scalar, is: fn(Ordering) -> bool },
    In(Vec<Scalar>),
    Contains(Scalar),
    StartsWith(String),
    Exists(bool),
}

/// A value to compare with, as JSON text; never null, which TOML cannot say.
struct Scalar(String);

impl Condition {
    /// Reads what stands at a path of the config: a value, or a table of operators, each of
    /// which makes a condition.
    pub(crate) fn read(path: &str, wanted: Json<'_>, into: &mut Vec<Condition>) -> Result<(), String> {
        let parsed = Path::parse(path)?;
        if parsed.is_wild() {
            return Err(format!("`{path}` holds `*`, but a condition is about one value"));
        }
        if wanted.kind() != Kind::Object {
            let test = Test::Equal(scalar(path, "eq", wanted)?);
            let wanted = shown(wanted.text());
            into.push(Condition { path: parsed, test, wanted });
            return Ok(());
        }
        if wanted.members().next().is_none() {
            return Err(format!("`{path}` has no operator; there are {OPERATORS}"));
        }
        for (operator, operand) in wanted.members() {
            let operator = operator.as_str().unwrap_or_default();
            let (test, wanted) = read_test(path, &operator, operand)?;
            into.push(Condition { path: parsed.clone(), test, wanted });
        }
        Ok(())
    }

    /// Why the event does not meet the condition; none if it does.
    pub(crate) fn objection(&self, event: Json<'_>) -> Option<String> {
        // TOML has no null, and Track writes null for "none": both are a missing value.
        let found = event.at(&self.path).filter(|found| !found.is_null());
        if self.test.holds(found) {
            return None;
        }
        let found = found.map_or("missing".into(), |found| shown(found.text()));
        Some(format!("{} is {found}, wanted {}", self.path, self.wanted))
    }
}

impl Test {
    fn holds(&self, found: Option<Json<'_>>) -> bool {
        let Some(found) = found else {
            return matches!(self, Test::NotEqual(_) | Test::Exists(false));
        };
        match self {
            Test::Equal(wanted) => wanted.equals(found),
            Test::NotEqual(unwanted) => !unwanted.equals(found),
            Test::Ordered { than, is } => than.order(found).is_some_and(is),
            Test::In(wanted) => wanted.iter().any(|wanted| wanted.equals(found)),
            Test::Contains(part) => part.is_within(found),
            Test::StartsWith(start) => found.as_str().is_some_and(|text| text.starts_with(start)),
            Test::Exists(wanted) => *wanted,
        }
    }
}

impl Scalar {
    fn json(&self) -> Json<'_> {
        Json::trust(&self.0)
    }

    fn equals(&self, found: Json<'_>) -> bool {
        match (self.json().as_number(), found.as_number()) {
            (Some(wanted), Some(found)) => wanted.compare(found) == Some(Ordering::Equal),
            (None, None) if found.kind() == Kind::String => {
                self.json().as_str().is_some_and(|wanted| found.is(&wanted))
            }
            (None, None) => found.text() == self.0,
            _ => false,
        }
    }

    /// How a value that was found stands to this one: numbers by value, text by its bytes
    /// (which for times in the same form is by time), anything else not at all.
    fn order(&self, found: Json<'_>) -> Option<Ordering> {
        match (found.as_number(), self.json().as_number()) {
            (Some(found), Some(own)) => found.compare(own),
            _ => Some(found.as_str()?.cmp(&self.json().as_str()?)),
        }
    }

    fn is_within(&self, found: Json<'_>) -> bool {
        match found.kind() {
            Kind::Array => found.items().any(|item| self.equals(item)),
            Kind::String => {
                let part = self.json().as_str();
                part.zip(found.as_str()).is_some_and(|(part, text)| text.contains(part.as_ref()))
            }
            _ => false,
        }
    }
}

/// A test and its description.
fn read_test(path: &str, operator: &str, operand: Json<'_>) -> Result<(Test, String), String> {
    let text = shown(operand.text());
    let ordered = |is| Ok::<_, String>(Test::Ordered { than: orderable(path, operator, operand)?, is });
    Ok(match operator {
        "eq" => (Test::Equal(scalar(path, operator, operand)?), text),
        "ne" => (Test::NotEqual(scalar(path, operator, operand)?), format!("anything but {text}")),
        "gt" => (ordered(Ordering::is_gt)?, format!("> {text}")),
        "gte" => (ordered(Ordering::is_ge)?, format!(">= {text}")),
        "lt" => (ordered(Ordering::is_lt)?, format!("< {text}")),
        "lte" => (ordered(Ordering::is_le)?, format!("<= {text}")),
        "in" => (Test::In(list(path, operand)?), format!("one of {text}")),
        "contains" => (Test::Contains(scalar(path, operator, operand)?), format!("it to contain {text}")),
        "starts_with" => match operand.as_str() {
            Some(start) => (Test::StartsWith(start.into_owned()), format!("it to start with {text}")),
            None => return Err(wrong(path, operator, "text", operand)),
        },
        "exists" => match operand.as_bool() {
            Some(wanted) => (Test::Exists(wanted), (if wanted { "any value" } else { "none" }).into()),
            None => return Err(wrong(path, operator, "true or false", operand)),
        },
        _ => return Err(unknown(path, operator)),
    })
}

fn scalar(path: &str, operator: &str, operand: Json<'_>) -> Result<Scalar, String> {
    match operand.kind() {
        Kind::String | Kind::Number | Kind::Bool => Ok(Scalar(operand.text().to_owned())),
        Kind::Array if operator == "eq" => {
            Err(format!("`{path}` is compared with a list; write `{{ in = … }}` for one of several values"))
        }
        _ => Err(wrong(path, operator, "text, a number, true or false", operand)),
    }
}

fn orderable(path: &str, operator: &str, operand: Json<'_>) -> Result<Scalar, String> {
    match operand.kind() {
        Kind::String | Kind::Number => Ok(Scalar(operand.text().to_owned())),
        _ => Err(wrong(path, operator, "a number or text", operand)),
    }
}

fn list(path: &str, operand: Json<'_>) -> Result<Vec<Scalar>, String> {
    if operand.kind() != Kind::Array {
        return Err(wrong(path, "in", "a list", operand));
    }
    operand.items().map(|item| scalar(path, "in", item)).collect()
}

fn wrong(path: &str, operator: &str, wanted: &str, operand: Json<'_>) -> String {
    format!("`{path}`: `{operator}` takes {wanted}, not {}", shown(operand.text()))
}

fn unknown(path: &str, operator: &str) -> String {
    // What TOML makes of an unquoted dotted key looks like an operator.
    let mut quoted = String::new();
    quote(&format!("{path}.{operator}"), &mut quoted);
    format!(
        "`{path}`: unknown operator `{operator}`; there are {OPERATORS}. For a path, quote all of it: {quoted}"
    )
}

/// The value as written, shortened.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
