//! What transforms made of a body: shown as `cli/diff.rs` does.

use crate::cli::diff::{diff, laid_out};
use crate::cli::output::clean;
use crate::cli::reply::Bodies;

pub(super) fn render(bodies: &Bodies) -> String {
    let note = bodies.note.as_deref().map(|note| format!("    {}\n", clean(note))).unwrap_or_default();
    let Some((before, after)) = bodies.before.as_deref().zip(bodies.after.as_deref()) else {
        return format!("  body\n{note}");
    };
    let head = match bodies.attempt {
        Some(n) if n > 0 && bodies.exact => format!("  body, before and as sent in attempt {n}\n"),
        _ => "  body, before and after the transforms\n".to_owned(),
    };
    head + &note + &diff(&laid_out(before), &laid_out(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output;

    #[test]
    fn what_changed_stands_out() {
        let body = |text: &str| format!(r#"{{"a":1,"b":2,"c":3,"text":"{text}","d":4}}"#);
        let (before, after) = (Some(body("hush")), Some(body("***")));
        let bodies = Bodies { attempt: Some(2), exact: true, note: None, before, after };
        let wanted = r#"  body, before and as sent in attempt 2
        "b": 2,
        "c": 3,
    -   "text": "hush",
    +   "text": "***",
        "d": 4
      }
"#;
        assert_eq!(output::plain(&render(&bodies)), wanted);
    }
}
