//! Dotted paths into JSON, as plugins' configs write them: `payload.tags.0`.

use std::fmt;

/// A path has at most so many elements; nothing in an event is that deep.
const LONGEST: usize = 64;

/// Where a value stands within a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

/// One element of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key of an object or, if it is a number, a place in an array.
    Name { text: String, index: Option<usize> },
    /// `*`: every item of an array, every value of an object.
    Every,
}

impl Path {
    /// Reads a path. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Path, String> {
        let segments: Vec<_> = text.split('.').map(Segment::parse).collect();
        if segments.len() > LONGEST {
            return Err(format!("`{text}` has more than {LONGEST} elements"));
        }
        if text.split('.').any(str::is_empty) {
            return Err(format!("`{text}` is no path; write one like `payload.tags.0`"));
        }
        Ok(Path(segments))
    }

    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether it may stand for several values.
    pub fn is_wild(&self) -> bool {
        self.0.contains(&Segment::Every)
    }
}

impl Segment {
    fn parse(text: &str) -> Segment {
        match text {
            "*" => Segment::Every,
            _ => {
                // Only the usual way to write a number is one: `01` and `+1` are names.
                let is_number = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
                let index = if is_number { text.parse().ok() } else { None };
                Segment::Name { text: text.to_owned(), index }
            }
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            match segment {
                Segment::Name { text, .. } => f.write_str(text)?,
                Segment::Every => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_back_as_written() {
        for text in ["payload", "payload.tags.0", "payload.tags.*", "a b.ž.-1"] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        assert!(Path::parse("a.*").unwrap().is_wild());
        assert!(!Path::parse("a.b").unwrap().is_wild());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b", &"a.".repeat(70)] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
