//! Durations and sizes as text: "50ms", "7d", "1MiB". The same forms everywhere. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

/// What a duration may be, and how a message says so.
pub struct Durations {
    pub allowed: RangeInclusive<Duration>,
    pub said: &'static str,
}

/// What a size in bytes may be, and how a message says so.
pub struct Sizes {
    pub allowed: RangeInclusive<usize>,
    pub said: &'static str,
}

/// What is wrong with a text: completes "`timeout` …", with the way out.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub wrong: String,
    pub hint: Option<&'static str>,
}

impl Durations {
    pub fn read(&self, text: &str) -> Result<Duration, Wrong> {
        let duration = duration(text).map_err(|wrong| Wrong { wrong, hint: Some(DURATION_HINT) })?;
        if self.allowed.contains(&duration) {
            Ok(duration)
        } else {
            Err(Wrong { wrong: format!("must be {}, not {text}", self.said), hint: None })
        }
    }
}

impl Sizes {
    /// The size in bytes.
    pub fn read(&self, text: &str) -> Result<usize, Wrong> {
        let size = size(text).map_err(|wrong| Wrong { wrong, hint: Some(SIZE_HINT) })?;
        if self.allowed.contains(&size) {
            Ok(size)
        } else {
            Err(Wrong { wrong: format!("must be {}, not {text}", self.said), hint: None })
        }
    }
}

const DURATION_HINT: &str = "write a number and a unit, such as \"50ms\", \"10s\", \"5m\", \"1h\" or \"7d\"";

const SIZE_HINT: &str = "write a number and a unit, such as \"512KiB\", \"1MiB\" or \"100 kB\"";

fn duration(text: &str) -> Result<Duration, String> {
    use humantime::DurationError as Error;
    humantime::parse_duration(text).map_err(|error| match error {
        Error::UnknownUnit { unit, .. } if unit.is_empty() => "has no unit".to_owned(),
        Error::UnknownUnit { unit, .. } => format!("has an unknown unit `{unit}`"),
        Error::NumberOverflow => "is too large or too fine".to_owned(),
        Error::Empty => "is empty".to_owned(),
        Error::InvalidCharacter(_) | Error::NumberExpected(_) => "is not a duration".to_owned(),
    })
}

fn size(text: &str) -> Result<usize, String> {
    let text = text.trim_ascii();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_ascii_start());
    if number.is_empty() {
        return Err("is not a size".to_owned());
    }
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" => return Err("has no unit".to_owned()),
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(format!("has an unknown unit `{unit}`")),
    };
    number
        .parse()
        .ok()
        .and_then(|number: usize| number.checked_mul(factor))
        .ok_or_else(|| "is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_families_of_units() {
        for (text, bytes) in [
            ("1B", 1),
            ("100 kB", 100_000),
            ("512KiB", 512 << 10),
            ("1MiB", 1 << 20),
            ("32 mib", 32 << 20),
            ("2MB", 2_000_000),
            ("0B", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_sizes_say_what_is_wrong() {
        for (text, wrong) in [
            ("", "is not a size"),
            ("MiB", "is not a size"),
            ("-1MiB", "is not a size"),
            ("10", "has no unit"),
            ("1.5MiB", "has an unknown unit `.5MiB`"),
            ("1 apple", "has an unknown unit `apple`"),
            ("99999999999999999999B", "is too large"),
            ("18446744073709551615KiB", "is too large"),
        ] {
            assert_eq!(size(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn durations_say_what_is_wrong() {
        let seconds =
            Durations { allowed: Duration::from_secs(1)..=Duration::from_secs(60), said: "from 1s to 1m" };
        let wrong = |text| seconds.read(text).expect_err(text).wrong;
        assert_eq!(seconds.read("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(wrong("2m"), "must be from 1s to 1m, not 2m");
        assert_eq!(wrong("10"), "has no unit");
        assert_eq!(wrong("10 sheep"), "has an unknown unit `sheep`");
        assert_eq!(wrong("soon"), "is not a duration");
        assert_eq!(wrong(""), "is empty");
        assert_eq!(wrong("99999999999999999999s"), "is too large or too fine");
    }
}
