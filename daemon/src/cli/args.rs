//! What arguments of several commands must be, and the words for one that is not.

use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use crate::cli::completions::names;
use crate::feed::Interest;

/// A subscription's name. Whether there is one of that name is for the daemon to say.
pub fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a name has at least one letter; `trackrelay list` shows those there are".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

pub fn event_id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "an event_id is a whole number such as 4000000000000000017".to_owned())
}

/// One of Track's entities.
pub fn entity(text: &str) -> Result<String, String> {
    word("entity", text)
}

/// One of Track's actions.
pub fn action(text: &str) -> Result<String, String> {
    word("action", text)
}

/// An outcome as `why` words it.
pub fn outcome(text: &str) -> Result<String, String> {
    word("outcome", text)
}

fn word(kind: &str, text: &str) -> Result<String, String> {
    Interest::default().add(kind, text).map(|()| text.to_owned())
}

/// How many of something.
pub fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("must be a whole number, 1 or more".to_owned()),
    }
}

/// How many a second.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.001 => Ok(rate),
        _ => Err("must be a number, 0.001 or more".to_owned()),
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write it like 500ms, 90s, 1h or 2d".to_owned())
}

/// A moment of the past, as the text that was given: the daemon counts back from its own clock.
pub fn past(text: &str) -> Result<String, String> {
    match (duration(text), text.parse::<jiff::Timestamp>()) {
        (Ok(Duration::ZERO), _) => Err("must be longer than nothing".to_owned()),
        (Ok(_), _) | (_, Ok(_)) => Ok(text.to_owned()),
        _ => Err("write it like 90s, 1h or 2d, or as a time like 2025-09-10T08:00:00Z".to_owned()),
    }
}

// What shells offer in the place of an argument.

pub fn subscriptions() -> ArgValueCompleter {
    ArgValueCompleter::new(names::subscriptions)
}

pub fn sources() -> ArgValueCompleter {
    ArgValueCompleter::new(names::sources)
}

pub fn users() -> ArgValueCompleter {
    ArgValueCompleter::new(names::users)
}

pub fn pairs_or_file() -> ArgValueCompleter {
    ArgValueCompleter::new(names::pairs_or_file)
}

pub fn events() -> ArgValueCompleter {
    ArgValueCompleter::new(names::events)
}

pub fn events_or_folder() -> ArgValueCompleter {
    ArgValueCompleter::new(names::events_or_folder)
}

pub fn entities() -> ArgValueCompleter {
    ArgValueCompleter::new(names::entities)
}

pub fn actions() -> ArgValueCompleter {
    ArgValueCompleter::new(names::actions)
}

pub fn outcomes() -> ArgValueCompleter {
    ArgValueCompleter::new(names::outcomes)
}

pub fn filters() -> ArgValueCompleter {
    ArgValueCompleter::new(names::filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_taken() {
        assert_eq!(name("my sub"), Ok("my sub".to_owned()));
        assert_eq!(event_id("4000000000000000017"), Ok(4_000_000_000_000_000_017));
        assert_eq!(count("7"), Ok(7));
        assert_eq!((rate("50"), rate("0.5")), (Ok(50.0), Ok(0.5)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn what_is_wrong_is_told_in_our_words() {
        for text in ["", " ", "-1", "0", "x", "NaN", "inf", "1.5x", "99999999999999999999x"] {
            let said = [
                name(text).err().filter(|_| text.trim().is_empty()),
                event_id(text).err().filter(|_| text.parse::<i64>().is_err()),
                count(text).err(),
                rate(text).err(),
            ];
            for said in said.into_iter().flatten() {
                assert!(!said.contains("invalid") && !said.contains("literal"), "{text}: {said}");
            }
            assert!(count(text).is_err() && rate(text).is_err(), "{text}");
        }
        assert!(name(" ").is_err() && event_id("seven").is_err() && duration("soon").is_err());
    }
}
