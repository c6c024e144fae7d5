//! The JSON Schema that editors use, in a form to hold a TOML tree against; doing so is
//! `shape/prune.rs`. Pure.
//!
//! What a text means is not decided here but in `config/check.rs`.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::de::DeValue;

pub mod prune;

/// A JSON Schema as far as the config's types make use of it.
#[derive(Debug, PartialEq)]
pub enum Shape {
    Table(TableShape),
    /// A table with free keys.
    Named {
        each: Box<Shape>,
        most: usize,
    },
    List {
        each: Box<Shape>,
        least: usize,
        most: usize,
    },
    Word(Vec<String>),
    /// Any text; one that would do.
    Text {
        such_as: Option<String>,
    },
    Integer {
        least: i64,
        most: i64,
    },
    /// Whole or not; what it may be is said where it is read.
    Number,
    Boolean,
    /// The first that takes the value's type.
    Either(Vec<Shape>),
    Anything,
}

#[derive(Debug, PartialEq)]
pub struct TableShape {
    pub keys: BTreeMap<String, Shape>,
    pub required: Vec<String>,
}

impl Shape {
    /// Reads a schema. A keyword that is not understood makes the shape wider, never narrower.
    pub fn of(schema: &Value) -> Shape {
        if let Some(alternatives) = schema["anyOf"].as_array() {
            return Shape::Either(alternatives.iter().map(Shape::of).collect());
        }
        if let Some(words) = words(schema) {
            return Shape::Word(words);
        }
        match schema["type"].as_str() {
            Some("object") => Shape::of_object(schema),
            Some("array") => Shape::List {
                each: Box::new(Shape::of(&schema["items"])),
                least: bound(schema, "minItems").unwrap_or(0),
                most: bound(schema, "maxItems").unwrap_or(usize::MAX),
            },
            Some("string") => {
                let example = schema["default"].as_str().or(schema["examples"][0].as_str());
                Shape::Text { such_as: example.map(str::to_owned) }
            }
            Some("integer") => Shape::Integer {
                least: schema["minimum"].as_i64().unwrap_or(i64::MIN),
                most: schema["maximum"].as_i64().unwrap_or(i64::MAX),
            },
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            _ => Shape::Anything,
        }
    }

    fn of_object(schema: &Value) -> Shape {
        if schema["properties"].is_object() {
            return Shape::Table(TableShape::of(schema));
        }
        let each = Box::new(Shape::of(&schema["additionalProperties"]));
        Shape::Named { each, most: bound(schema, "maxProperties").unwrap_or(usize::MAX) }
    }

    fn takes(&self, value: &DeValue<'_>) -> bool {
        match self {
            Shape::Table(_) | Shape::Named { .. } => value.is_table(),
            Shape::List { .. } => value.is_array(),
            Shape::Word(_) | Shape::Text { .. } => value.is_str(),
            Shape::Integer { .. } => value.is_integer(),
            Shape::Number => value.is_float() || value.is_integer(),
            Shape::Boolean => value.is_bool(),
            Shape::Either(shapes) => shapes.iter().any(|shape| shape.takes(value)),
            Shape::Anything => true,
        }
    }

    fn said(&self) -> String {
        match self {
            Shape::Table(_) | Shape::Named { .. } => "a table".to_owned(),
            Shape::List { .. } => "a list".to_owned(),
            Shape::Word(_) | Shape::Text { .. } => "text".to_owned(),
            Shape::Integer { .. } => "a whole number".to_owned(),
            Shape::Number => "a number".to_owned(),
            Shape::Boolean => "true or false".to_owned(),
            Shape::Either(shapes) => shapes.iter().map(Shape::said).collect::<Vec<_>>().join(" or "),
            Shape::Anything => "a value".to_owned(),
        }
    }
}

impl TableShape {
    /// Reads the schema of a table with known keys.
    pub fn of(schema: &Value) -> TableShape {
        let properties = schema["properties"].as_object();
        let keys = properties.into_iter().flatten();
        TableShape {
            keys: keys.map(|(key, schema)| (key.clone(), Shape::of(schema))).collect(),
            required: texts(&schema["required"]),
        }
    }
}

/// The words of an enum type. A text with an `enum` beside it only helps editors: what is
/// wrong with it is said better where it is read.
fn words(schema: &Value) -> Option<Vec<String>> {
    let variants = schema["oneOf"].as_array()?;
    variants.iter().map(|variant| variant["const"].as_str().map(str::to_owned)).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn bound(schema: &Value, keyword: &str) -> Option<usize> {
    usize::try_from(schema[keyword].as_u64()?).ok()
}
