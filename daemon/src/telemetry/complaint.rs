//! A trouble that lasts: it is worth a line when it begins, one a minute while it goes on,
//! and one when it is over. Pure; the line itself is written where the trouble is.

use std::time::{Duration, Instant};

/// Often enough for whoever watches, rarely enough for a disk that the log stands on.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Complaint {
    said: Option<Instant>,
    unsaid: u64,
    /// Said, and not yet that it is over.
    open: bool,
}

impl Complaint {
    /// It happened, perhaps once more. If that is worth a line, says how often it happened
    /// since the last one without.
    pub fn happened(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            self.unsaid += 1;
            return None;
        }
        (self.said, self.open) = (Some(now), true);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It did not happen this time. Whether that is worth a line: one that comes and goes has
    /// no more of them than one that stays.
    pub fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_at_once_and_then_once_a_minute() {
        let (start, mut complaint) = (Instant::now(), Complaint::default());
        let said: Vec<(u64, u64)> = (0..150)
            .filter_map(|second| Some((second, complaint.happened(start + Duration::from_secs(second))?)))
            .collect();
        assert_eq!(said, [(0, 0), (60, 59), (120, 59)]);
    }

    #[test]
    fn one_that_comes_and_goes_has_two_lines_a_minute() {
        let (start, mut complaint) = (Instant::now(), Complaint::default());
        assert!(!complaint.is_over(), "there was none");
        let lines = (0..120).map(|second| {
            let said = complaint.happened(start + Duration::from_secs(second)).is_some();
            u32::from(said) + u32::from(complaint.is_over())
        });
        assert_eq!(lines.sum::<u32>(), 4);
    }
}
