//! Whether the wall clock can be trusted with giving things up. After a start, a suspend or
//! a jump of the clock nothing is pruned for a while: what waited through the night gets
//! its chance to go out first, and a clock that was set wrong has time to be set right.

use std::time::{Duration, Instant};

use crate::clock::Now;
use crate::drill;

/// How long after a start or a jump nothing is given up; `keep`, if that is shorter.
const GRACE: Duration = Duration::from_secs(600);

/// What the two clocks may drift apart between two looks, a minute apart, without one of
/// them having jumped: far more than a time server slews.
const DRIFT: Duration = Duration::from_secs(10);

pub(super) struct Calm {
    last: Now,
    since: Instant,
    /// Whether `GRACE` has to pass before anything is given up.
    waits: bool,
}

impl Calm {
    /// Nothing is known before the first look, so grace is given from here on.
    pub(super) fn from(now: Now) -> Calm {
        Calm { last: now, since: now.awake, waits: true }
    }

    /// Takes a look at the clocks; true when both have gone on together for long enough.
    pub(super) fn holds(&mut self, now: Now, keep: Duration) -> bool {
        let grace = drill::hurried(GRACE.min(keep));
        let awake = now.awake.saturating_duration_since(self.last.awake);
        let jump = now.wall.duration_since(self.last.wall) - awake.try_into().unwrap_or_default();
        if jump.unsigned_abs() > DRIFT {
            tracing::info!(
                seconds = jump.as_secs(),
                "the wall clock jumped, or the machine slept; nothing is given up as too old for {grace:?}"
            );
            (self.since, self.waits) = (now.awake, true);
        }
        self.last = now;
        self.waits &= now.awake.saturating_duration_since(self.since) < grace;
        !self.waits
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    const MINUTE: u64 = 60;
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Minutes awake, and by how much the wall clock is ahead of them.
    struct Clocks {
        start: Instant,
        awake: u64,
        ahead: i64,
    }

    impl Clocks {
        fn new() -> Clocks {
            Clocks { start: Instant::now(), awake: 0, ahead: 0 }
        }

        fn now(&self) -> Now {
            let awake = self.start + Duration::from_secs(self.awake * MINUTE);
            let wall = Timestamp::UNIX_EPOCH + Duration::from_secs(self.awake * MINUTE);
            Now { wall: wall + SignedDuration::from_mins(self.ahead), awake }
        }

        /// Looks once a minute; after how many of them it is calm.
        fn minutes_until_calm(&mut self, calm: &mut Calm) -> u64 {
            (1..100)
                .find(|_| {
                    self.awake += 1;
                    calm.holds(self.now(), WEEK)
                })
                .expect("calm in the end")
        }
    }

    #[test]
    fn after_a_start_and_after_every_jump_ten_minutes_awake_must_pass() {
        let mut clocks = Clocks::new();
        let mut calm = Calm::from(clocks.now());
        assert_eq!(clocks.minutes_until_calm(&mut calm), 10);
        assert_eq!(clocks.minutes_until_calm(&mut calm), 1);
        for jump in [8 * 60, -8 * 60, 1, -1, 8 * 24 * 60] {
            clocks.ahead += jump;
            assert_eq!(clocks.minutes_until_calm(&mut calm), 11, "a jump of {jump} minutes");
        }
        // A second jump within the grace makes it start anew.
        clocks.ahead += 60;
        clocks.awake += 1;
        assert!(!calm.holds(clocks.now(), WEEK));
        clocks.ahead -= 60;
        assert_eq!(clocks.minutes_until_calm(&mut calm), 11);
    }

    #[test]
    fn a_short_keep_makes_for_a_short_grace() {
        let mut clocks = Clocks::new();
        let mut calm = Calm::from(clocks.now());
        for (minute, calm_now) in [(1, false), (2, true), (3, true)] {
            clocks.awake = minute;
            assert_eq!(calm.holds(clocks.now(), Duration::from_secs(2 * MINUTE)), calm_now);
        }
    }

    #[test]
    fn a_time_server_that_slews_is_no_jump() {
        let mut clocks = Clocks::new();
        let mut calm = Calm::from(clocks.now());
        clocks.minutes_until_calm(&mut calm);
        let mut now = clocks.now();
        for _ in 0..100 {
            now.awake += Duration::from_secs(MINUTE);
            now.wall += SignedDuration::from_millis(60_030);
            assert!(calm.holds(now, WEEK));
        }
    }
}
