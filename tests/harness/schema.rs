//! As much of JSON Schema as our description of the API uses. A word that is not known here
//! is an error, so that nothing goes by unchecked.

use serde_json::Value;

/// Says where `value` is not as `schema` wants it; `root` holds what is referred to.
pub fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let Value::Object(words) = schema else { return Ok(()) };
    words.iter().try_for_each(|(word, wanted)| match word.as_str() {
        "$ref" => {
            let pointer = wanted.as_str().unwrap_or_default().trim_start_matches('#');
            check(value, root.pointer(pointer).ok_or(format!("nothing at {pointer}"))?, root)
        }
        "type" => of_type(value, wanted).then_some(()).ok_or(format!("{value} is not {wanted}")),
        "enum" => {
            let listed = wanted.as_array().is_some_and(|listed| listed.contains(value));
            listed.then_some(()).ok_or(format!("{value} is none of {wanted}"))
        }
        "const" => (value == wanted).then_some(()).ok_or(format!("{value} is not {wanted}")),
        "anyOf" | "oneOf" => {
            let fits =
                wanted.as_array().is_some_and(|any| any.iter().any(|one| check(value, one, root).is_ok()));
            fits.then_some(()).ok_or(format!("{value} is none of {wanted}"))
        }
        "items" => value.as_array().into_iter().flatten().try_for_each(|item| check(item, wanted, root)),
        "required" => wanted.as_array().into_iter().flatten().try_for_each(|key| {
            let there = value.get(key.as_str().unwrap_or_default()).is_some() || !value.is_object();
            there.then_some(()).ok_or(format!("{key} is missing in {value}"))
        }),
        "properties" => wanted.as_object().into_iter().flatten().try_for_each(|(key, schema)| {
            value
                .get(key)
                .map_or(Ok(()), |value| check(value, schema, root).map_err(|why| format!("{key}: {why}")))
        }),
        "additionalProperties" => value.as_object().into_iter().flatten().try_for_each(|(key, value)| {
            match words.get("properties").and_then(|known| known.get(key)) {
                Some(_) => Ok(()),
                None if *wanted == Value::Bool(false) => Err(format!("`{key}` is not described")),
                None => check(value, wanted, root),
            }
        }),
        "minimum" => (value.as_f64() >= wanted.as_f64() || !value.is_number())
            .then_some(())
            .ok_or(format!("{value} is under {wanted}")),
        "maximum" => (value.as_f64() <= wanted.as_f64() || !value.is_number())
            .then_some(())
            .ok_or(format!("{value} is over {wanted}")),
        "description" | "title" | "format" | "default" => Ok(()),
        other => Err(format!("`{other}` is not known here")),
    })
}

fn of_type(value: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Array(any) => any.iter().any(|one| of_type(value, one)),
        Value::String(name) => match name.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            _ => false,
        },
        _ => false,
    }
}
