//! Says something over and over only once in a while: the first time at once, then at most
//! once a minute, with how often it happened in between.

use std::time::{Duration, Instant};

/// Track repeats a refused delivery after minutes; strangers come as often as they like.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// It happened once more: how often it did unsaid before, if it may be said now.
    pub(super) fn again(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < PAUSE) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// What a log line says of those before it that were not written.
pub(super) fn and_more(unsaid: u64) -> String {
    match unsaid {
        0 => String::new(),
        n => format!(" ({n} more since this was last said)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_then_one_a_minute() {
        let (begun, mut seldom) = (Instant::now(), Seldom::default());
        let mut at = |second: u64| seldom.again(begun + Duration::from_secs(second));
        let said = [0, 0, 1, 59, 60, 61, 300].map(&mut at);
        assert_eq!(said, [Some(0), None, None, None, Some(3), None, Some(1)]);
        assert_eq!((and_more(0), and_more(3)), (String::new(), " (3 more since this was last said)".into()));
    }
}
