//! Track's standard rule, as one pure function: how a subscription stands after an
//! attempt, and what becomes of the delivery.
//!
//! The first failed attempt makes a subscription pending: only that delivery is tried
//! from then on, on the `retry` schedule, until it succeeds or has used up its attempts.
//! `disable_after` failed attempts in a row disable the subscription.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Due, Now};
use crate::config::{Subscription, WhenUnreachable};
use crate::delivery::{DeliveryId, Disabled, Outcome, Probe, Standing};
use crate::event::EventId;
use crate::store::Next;

/// A `Retry-After` beyond this is taken as this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Waits between looks at a callback that refuses connections while
/// `when_unreachable = "wait"`; the last one repeats.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Any 2xx.
    Success,
    /// Anything else. `said` is for people.
    Failure { said: String, retry_after: Option<Duration> },
    /// Nobody took the connection. `said` is for people.
    Refused { said: String },
}

impl Answer {
    /// One word, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Answer::Success => "ok",
            Answer::Failure { .. } => "failed",
            Answer::Refused { .. } => "refused",
        }
    }
}

/// The attempt that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    pub delivery: DeliveryId,
    /// Its place among the waiting ones.
    pub place: (Timestamp, EventId),
    /// `Standing::generation` when it was claimed.
    pub generation: u64,
}

/// Applies the rule. `jitter` lies in 0.8 to 1.2 and stretches the wait.
pub fn apply(
    standing: &mut Standing,
    tried: &Tried,
    answer: &Answer,
    subscription: &Subscription,
    now: Now,
    jitter: f64,
) -> Next {
    let current = tried.generation == standing.generation;
    match answer {
        Answer::Success => {
            standing.delivered += 1;
            if current && standing.disabled.is_none() {
                open_lanes(standing);
            }
            Next { outcome: Outcome::Delivered, reason: None }
        }
        Answer::Refused { said } if is_pause(answer, subscription) => {
            if current && standing.disabled.is_none() {
                pause(standing, tried, said, now);
            }
            Next::waits(format!("{said}; waiting for it to come back (`when_unreachable = \"wait\"`)"))
        }
        Answer::Failure { said, .. } | Answer::Refused { said }
            if !current || standing.disabled.is_some() =>
        {
            prefer_older(standing, tried, now);
            Next::waits(said.clone())
        }
        Answer::Failure { said, retry_after } => {
            count(standing, tried, said, *retry_after, subscription, now, jitter)
        }
        Answer::Refused { said } => count(standing, tried, said, None, subscription, now, jitter),
    }
}

impl Next {
    fn waits(reason: String) -> Next {
        Next { outcome: Outcome::Pending, reason: Some(reason) }
    }
}

/// Whether this is no failed attempt but a look at a callback that is not there.
pub fn is_pause(answer: &Answer, subscription: &Subscription) -> bool {
    matches!(answer, Answer::Refused { .. }) && subscription.when_unreachable == WhenUnreachable::Wait
}

/// Clears what failures left behind: the lanes are open and the count starts anew.
pub fn open_lanes(standing: &mut Standing) {
    if standing.pending.take().is_some() || standing.disabled.take().is_some() {
        standing.generation += 1;
    }
    standing.failed_attempts = 0;
}

/// A failed attempt that counts.
fn count(
    standing: &mut Standing,
    tried: &Tried,
    said: &str,
    retry_after: Option<Duration>,
    subscription: &Subscription,
    now: Now,
    jitter: f64,
) -> Next {
    standing.failed_attempts += 1;
    if standing.failed_attempts >= subscription.disable_after {
        disable(standing, said, now.wall);
        return Next::waits(format!("{said}; this disabled the subscription"));
    }
    let told = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
    let probe = probe_of(standing, tried, now);
    probe.pauses = 0;
    probe.tried += 1;
    said.clone_into(&mut probe.said);
    let attempts = probe.tried as usize;
    match subscription.retry.get(attempts - 1) {
        Some(wait) => {
            probe.due = Due::after(now.awake, wait.mul_f64(jitter).max(told));
            Next::waits(said.to_owned())
        }
        None => {
            *probe = Probe {
                delivery: None,
                place: None,
                tried: 0,
                due: Due::after(now.awake, told),
                ..probe.clone()
            };
            Next { outcome: Outcome::Failed, reason: Some(format!("{said}; no attempt is left")) }
        }
    }
}

fn disable(standing: &mut Standing, said: &str, now: Timestamp) {
    let failed = standing.failed_attempts;
    let attempts =
        if failed == 1 { "the last attempt".into() } else { format!("{failed} attempts in a row") };
    standing.disabled = Some(Disabled { reason: format!("{attempts} failed, last: {said}"), at: now });
    standing.pending = None;
    standing.generation += 1;
}

/// A refused connection that does not count: look again a little later.
fn pause(standing: &mut Standing, tried: &Tried, said: &str, now: Now) {
    let probe = probe_of(standing, tried, now);
    said.clone_into(&mut probe.said);
    let wait = PAUSES[(probe.pauses as usize).min(PAUSES.len() - 1)];
    probe.pauses = probe.pauses.saturating_add(1);
    probe.due = Due::after(now.awake, wait);
}

/// The probe this attempt was, or the one that it begins.
fn probe_of<'a>(standing: &'a mut Standing, tried: &Tried, now: Now) -> &'a mut Probe {
    if standing.pending.is_none() {
        standing.generation += 1;
    }
    let (delivery, place, said) = (None, None, String::new());
    let due = Due::after(now.awake, Duration::ZERO);
    let begun = || Probe { delivery, place, tried: 0, pauses: 0, due, since: now.wall, said };
    let probe = standing.pending.get_or_insert_with(begun);
    if probe.delivery.is_none() {
        probe.delivery = Some(tried.delivery);
        probe.place = Some(tried.place);
    }
    probe
}

/// Of several attempts that were under way when the first failed, the oldest delivery is
/// the one to be tried again. Counter and schedule stay as they are.
fn prefer_older(standing: &mut Standing, tried: &Tried, now: Now) {
    let Some(probe) = &mut standing.pending else { return };
    let first_wait = probe.tried <= 1 && !probe.due.is_over(now.awake);
    if first_wait && probe.place.is_some_and(|place| tried.place < place) {
        probe.delivery = Some(tried.delivery);
        probe.place = Some(tried.place);
    }
}

#[cfg(test)]
mod tests;
