//! The two clocks, read in this one place. The wall clock says when something happened; it
//! may be wrong, jump, and goes on while a laptop sleeps. `Instant` counts only the time
//! that the machine was awake, so it is what waits are measured by. Everything that decides
//! by time takes `now` as an argument instead of asking here.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest wait that is kept; far beyond any that a config can ask for.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The current time, as the wall clock has it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> Timestamp {
    shifted(Timestamp::now())
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: Timestamp,
    pub awake: Instant,
}

impl Now {
    pub fn read() -> Now {
        Now { wall: now(), awake: Instant::now() }
    }
}

/// When a wait is over: only time awake brings it nearer, and a wall clock that jumps does
/// not. It is stored as what is left of the wait, so one that spans a restart counts on
/// from what was left when it was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due(Instant);

impl Due {
    pub fn after(now: Instant, wait: Duration) -> Due {
        Due(now + wait.min(LONGEST))
    }

    pub fn is_over(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// What is left of it.
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    pub fn instant(self) -> Instant {
        self.0
    }

    /// What the wall clock will show then, if the machine stays awake.
    pub fn on_the_wall(self, now: &Now) -> Timestamp {
        now.wall.saturating_add(self.left(now.awake)).unwrap_or(Timestamp::MAX)
    }
}

impl Serialize for Due {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let left = self.left(Instant::now()).as_millis();
        serializer.serialize_u64(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

impl<'de> Deserialize<'de> for Due {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Due, D::Error> {
        let left = Duration::from_millis(u64::deserialize(deserializer)?);
        Ok(Due::after(Instant::now(), left))
    }
}

/// In builds for tests the wall clock can be wrong by the seconds in the file that this
/// variable names. A release does not know it.
#[cfg(debug_assertions)]
fn shifted(now: Timestamp) -> Timestamp {
    let Some(file) = std::env::var_os("TRACKRELAY_WRONG_CLOCK") else { return now };
    let seconds = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    now.saturating_add(jiff::SignedDuration::from_secs(seconds.unwrap_or(0))).unwrap_or(now)
}

#[cfg(not(debug_assertions))]
fn shifted(now: Timestamp) -> Timestamp {
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_stored_as_what_is_left_of_it() {
        let due = Due::after(Instant::now(), Duration::from_secs(60));
        let stored = serde_json::to_string(&due).unwrap();
        let left: u64 = stored.parse().unwrap();
        assert!((59_000..=60_000).contains(&left), "{stored}");
        let back: Due = serde_json::from_str("1500").unwrap();
        assert!(back.left(Instant::now()) <= Duration::from_millis(1500));
        assert!(!back.is_over(Instant::now()));
        let endless: Due = serde_json::from_str(&u64::MAX.to_string()).unwrap();
        assert!(endless.left(Instant::now()) <= LONGEST);
    }

    #[test]
    fn it_is_over_when_its_time_has_come_and_not_before() {
        let now = Instant::now();
        let due = Due::after(now, Duration::from_secs(2));
        assert!(!due.is_over(now + Duration::from_millis(1999)));
        assert!(due.is_over(now + Duration::from_secs(2)));
        assert_eq!(due.left(now + Duration::from_secs(5)), Duration::ZERO);
        let read = Now { wall: Timestamp::from_second(100).unwrap(), awake: now };
        assert_eq!(due.on_the_wall(&read), Timestamp::from_second(102).unwrap());
    }
}
