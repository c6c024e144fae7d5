//! Faults that a subscription's deliveries meet on purpose, and the chance by which they do:
//! a pure function, so that the same events meet the same faults again. What a fault does is
//! `deliver/faults.rs`.

use std::fmt;
use std::time::Duration;

use crate::event::EventId;
use crate::splitmix::mix;

/// How every sentence about a fault that was met begins.
pub const INJECTED: &str = "fault injected";

/// What can go wrong on purpose. The numbers are mixed into the chance and must not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    Fail = 1,
    Drop = 2,
    Delay = 3,
    Duplicate = 4,
    Reorder = 5,
    BadSignature = 6,
}

impl Fault {
    pub const ALL: [Fault; 6] =
        [Fault::Fail, Fault::Drop, Fault::Delay, Fault::Duplicate, Fault::Reorder, Fault::BadSignature];

    /// Its key in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Fail => "fail",
            Fault::Drop => "drop",
            Fault::Delay => "delay",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::BadSignature => "bad_signature",
        }
    }
}

/// A `[subscription.NAME.faults]` table: probabilities from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    pub seed: u64,
    pub fail: f64,
    pub drop: f64,
    pub delay: f64,
    pub delay_for: Duration,
    pub duplicate: f64,
    pub reorder: f64,
    pub bad_signature: f64,
}

impl Faults {
    pub fn probability(&self, fault: Fault) -> f64 {
        match fault {
            Fault::Fail => self.fail,
            Fault::Drop => self.drop,
            Fault::Delay => self.delay,
            Fault::Duplicate => self.duplicate,
            Fault::Reorder => self.reorder,
            Fault::BadSignature => self.bad_signature,
        }
    }

    /// Whether this attempt meets the fault. 0 never does, 1 always.
    pub fn strikes(&self, fault: Fault, event: EventId, attempt: u32) -> bool {
        chance(self.seed, event, attempt, fault) < self.probability(fault)
    }
}

/// `drop 10%, delay 50% (2s), seed 7`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL.into_iter().filter(|fault| self.probability(*fault) > 0.0) {
            // More digits than anybody writes; what is written is told as it is.
            let percent = (self.probability(fault) * 1e8).round() / 1e6;
            write!(f, "{} {percent}%", fault.as_str())?;
            if fault == Fault::Delay {
                write!(f, " ({})", humantime::format_duration(self.delay_for))?;
            }
            f.write_str(", ")?;
        }
        write!(f, "seed {}", self.seed)
    }
}

/// At least 0 and less than 1, evenly spread and independent of each other.
fn chance(seed: u64, event: EventId, attempt: u32, fault: Fault) -> f64 {
    let parts = [event.0.cast_unsigned(), u64::from(attempt), fault as u64];
    let mixed = parts.into_iter().fold(mix(seed), |mixed, part| mix(mixed ^ part));
    // As many bits as a float holds.
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(probability: f64, seed: u64) -> Faults {
        let (fail, drop, delay, duplicate) = (probability, probability, probability, probability);
        let delay_for = Duration::from_secs(1);
        Faults {
            seed,
            fail,
            drop,
            delay,
            delay_for,
            duplicate,
            reorder: probability,
            bad_signature: probability,
        }
    }

    #[test]
    fn a_seed_that_was_written_down_means_the_same_for_ever() {
        let faults = all(0.5, 7);
        let met = |fault, id| if faults.strikes(fault, EventId(id), 1) { 'x' } else { '.' };
        let course = Fault::ALL.map(|fault| (1..=16).map(|id| met(fault, id)).collect::<String>());
        assert_eq!(course, COURSE);
    }

    const COURSE: [&str; 6] = [
        "x.x.x.x.x.x...xx",
        "x.x.x...x..x..xx",
        ".xx..xx.xxxx.x.x",
        "x.xxx.x.x...x.xx",
        ".xx..x..xxx.x...",
        "xxxxx...xx..x..x",
    ];

    #[test]
    fn says_what_may_happen() {
        let faults = Faults {
            drop: 0.1,
            delay: 1.0,
            delay_for: Duration::from_millis(1500),
            seed: 7,
            ..Faults::default()
        };
        assert_eq!(faults.to_string(), "drop 10%, delay 100% (1s 500ms), seed 7");
        assert_eq!(Faults { fail: 0.0001, ..Faults::default() }.to_string(), "fail 0.01%, seed 0");
    }

    proptest! {
        #[test]
        fn never_is_never_and_always_is_always(seed: u64, id: i64, attempt: u32) {
            for fault in Fault::ALL {
                prop_assert!(!all(0.0, seed).strikes(fault, EventId(id), attempt));
                prop_assert!(all(1.0, seed).strikes(fault, EventId(id), attempt));
            }
        }

        /// Over events, over attempts and over faults alike.
        #[test]
        fn as_often_as_was_asked_for(seed: u64, percent in 1..100_u32) {
            let faults = all(f64::from(percent) / 100.0, seed);
            let by_event = (0..4000).filter(|n| faults.strikes(Fault::Drop, EventId(*n), 1)).count();
            let by_attempt = (0..4000).filter(|n| faults.strikes(Fault::Fail, EventId(9), *n)).count();
            let wanted = f64::from(percent) * 40.0;
            for met in [by_event, by_attempt] {
                // Six standard deviations: one in a billion.
                prop_assert!((met as f64 - wanted).abs() < 6.0 * 32.0, "{met} of 4000, {wanted} wanted");
            }
        }

        /// A larger probability only adds to what is met.
        #[test]
        fn what_is_met_is_met_with_more_as_well(seed: u64, id: i64, less in 0.0..1.0, more in 0.0..1.0) {
            let (less, more) = if less <= more { (less, more) } else { (more, less) };
            for fault in Fault::ALL {
                let met = all(less, seed).strikes(fault, EventId(id), 1);
                prop_assert!(!met || all(more, seed).strikes(fault, EventId(id), 1));
            }
        }
    }
}
