//! In what two bodies differ, for people: by paths where both are JSON, else by lines. Pure.

use serde_json::Value;

/// Differences that are told; of more it says how many.
const TOLD: usize = 20;

/// Characters of a value that are shown.
const SHOWN: usize = 120;

/// One line for each difference; none if the bytes are the same.
pub fn of_bodies(before: &[u8], after: &[u8]) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let differences = match (value(before), value(after)) {
        (Some(before), Some(after)) => of_values(&before, &after),
        _ => of_lines(&String::from_utf8_lossy(before), &String::from_utf8_lossy(after)),
    };
    match differences.is_empty() {
        true => {
            vec!["the same values in other bytes: white space, escapes or the form of numbers".to_owned()]
        }
        false => cut(differences),
    }
}

/// The same for values.
pub fn of_values(before: &Value, after: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", before, after, &mut differences);
    differences
}

fn compare(path: &str, before: &Value, after: &Value, differences: &mut Vec<String>) {
    let beneath = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                match after.get(key) {
                    Some(other) => compare(&beneath(key), value, other, differences),
                    None => differences.push(format!("{}: {} → gone", beneath(key), shown(value))),
                }
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                differences.push(format!("{}: new, {}", beneath(key), shown(value)));
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (value, other)) in before.iter().zip(after).enumerate() {
                compare(&beneath(&index.to_string()), value, other, differences);
            }
        }
        _ if before == after => {}
        _ => differences.push(format!("{}: {} → {}", path, shown(before), shown(after))),
    }
}

fn of_lines(before: &str, after: &str) -> Vec<String> {
    let (mut before, mut after) = (before.lines(), after.lines());
    let mut differences = Vec::new();
    for number in 1.. {
        match (before.next(), after.next()) {
            (None, None) => break,
            (one, other) if one == other => {}
            (one, other) => {
                let line = |line: Option<&str>| line.map_or_else(|| "nothing".to_owned(), quoted);
                differences.push(format!("line {number}: {} → {}", line(one), line(other)));
            }
        }
    }
    differences
}

fn shown(value: &Value) -> String {
    shorten(&value.to_string())
}

fn quoted(line: &str) -> String {
    shorten(&format!("`{line}`"))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn cut(mut differences: Vec<String>) -> Vec<String> {
    if let Some(more) = differences.len().checked_sub(TOLD).filter(|more| *more > 0) {
        differences.truncate(TOLD);
        differences.push(format!("and {more} more"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_two_bodies_differ() {
        let table: [(&str, &str, &[&str]); 7] = [
            (r#"{"a":1}"#, r#"{"a":1}"#, &[]),
            (r#"{"a":{"b":[1,"x"]}}"#, r#"{"a":{"b":[1,"y"]}}"#, &[r#"a.b.1: "x" → "y""#]),
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"c":null}"#, &["a: 1 → gone", "c: new, null"]),
            (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, &["a: [1] → [1,2]"]),
            (
                r#"{"a":1}"#,
                r#"{ "a": 1 }"#,
                &["the same values in other bytes: white space, escapes or the form of numbers"],
            ),
            ("one\ntwo\n", "one\n2\nthree", &["line 2: `two` → `2`", "line 3: nothing → `three`"]),
            ("a=1", r#"{"a":1}"#, &[r#"line 1: `a=1` → `{"a":1}`"#]),
        ];
        for (before, after, wanted) in table {
            assert_eq!(of_bodies(before.as_bytes(), after.as_bytes()), wanted, "{before} {after}");
        }
    }

    #[test]
    fn neither_many_differences_nor_long_ones_drown_the_reader() {
        let (before, after) = ("a\n".repeat(50), "b\n".repeat(49) + &"c".repeat(1000));
        let told = of_bodies(before.as_bytes(), after.as_bytes());
        assert_eq!((told.len(), told[20].as_str()), (21, "and 30 more"));
        let told = of_bodies(b"a", "c".repeat(1000).as_bytes());
        assert!(told[0].chars().count() < 2 * SHOWN, "{told:?}");
    }
}
