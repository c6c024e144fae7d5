//! What a repair has saved and what it has not, in numbers; and where it cannot know.

/// What was saved, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub events: u64,
    pub events_lost: Lost,
    /// Ended deliveries, and replays.
    pub decisions: u64,
    /// Some of those may have been lost: deliveries of saved events may go out again.
    pub decisions_doubtful: bool,
    pub waiting: u64,
    pub subscriptions: u64,
    /// Subscriptions that begin anew: validation, counts and made-up secrets are gone.
    pub standings_lost: Vec<String>,
    /// There may have been further subscriptions of which no trace is left.
    pub subscriptions_doubtful: bool,
    pub plans: u64,
}

/// How many are gone, as far as what is left tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub at_least: u64,
    /// There may have been more; nothing that can be read says how many.
    pub perhaps_more: bool,
}

impl Lost {
    /// None if it cannot be known.
    pub fn count(self) -> Option<u64> {
        (!self.perhaps_more).then_some(self.at_least)
    }

    /// Counts the numbers between two that are there. A gap of `skipped` may be one that
    /// an earlier repair left, in which there never were any.
    pub(super) fn between(&mut self, before: i64, after: i64, skipped: i64) {
        let missing = after.saturating_sub(before).saturating_sub(1).max(0);
        if missing < skipped {
            self.at_least += missing.cast_unsigned();
        } else {
            self.perhaps_more = true;
        }
    }
}
