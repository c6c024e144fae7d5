//! How often and how quickly something happened of late. Pure: time is what one is told.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Seconds that a rate looks back: long enough to be calm, short enough to follow.
const SECONDS: i64 = 10;

/// Latencies that percentiles are of: enough for a p99 that means something.
const LATENCIES: usize = 256;

/// A count by second.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate(VecDeque<(i64, u32)>);

impl Rate {
    pub(super) fn count(&mut self, at: Timestamp) {
        let second = at.as_second();
        match self.0.back_mut() {
            // What is told a little late counts for the second that runs.
            Some((last, count)) if *last >= second => *count = count.saturating_add(1),
            _ => self.0.push_back((second, 1)),
        }
        while self.0.front().is_some_and(|(first, _)| *first <= second - SECONDS) {
            self.0.pop_front();
        }
    }

    /// Per second, over the seconds before now and the one that runs.
    pub(super) fn per_second(&self, now: Timestamp) -> f64 {
        let since = now.as_second() - SECONDS;
        let recent = self.0.iter().filter(|(second, _)| *second > since);
        let count: u32 = recent.map(|(_, count)| count).sum();
        f64::from(count) / SECONDS as f64
    }
}

/// The last latencies, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(VecDeque<u64>);

impl Latencies {
    pub(super) fn add(&mut self, ms: u64) {
        if self.0.len() == LATENCIES {
            self.0.pop_front();
        }
        self.0.push_back(ms);
    }

    /// What so many of a hundred did not go over.
    pub(super) fn percentile(&self, of_hundred: usize) -> Option<u64> {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let place = (sorted.len() * of_hundred).div_ceil(100);
        sorted.get(place.saturating_sub(1)).copied()
    }
}
