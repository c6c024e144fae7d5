//! What the log and the feed say of deliveries. The log has each one at debug, and at warn or
//! info what somebody has to know about; the feed has all of them, for who listens.

use super::outgoing::Sent;
use super::stages::Stop;
use crate::clock::Now;
use crate::delivery::{Attempt, Outcome, Standing};
use crate::event::{Event, EventId};
use crate::feed::close::Tried;
use crate::feed::{About, Attempted, Decided, Feed, News};
use crate::plan::Planned;
use crate::store::Next;
use crate::telemetry::shell::quoted;

/// What came of a delivery, and how the subscription stood before and after.
pub(super) struct Told<'a> {
    pub(super) planned: &'a Planned,
    pub(super) event: &'a Event,
    pub(super) replay: bool,
    pub(super) brief: Brief,
    pub(super) carried: &'a Result<Sent, Stop>,
    pub(super) next: &'a Next,
    pub(super) before: &'a Standing,
    pub(super) after: &'a Standing,
}

pub(super) fn tell(told: &Told<'_>) {
    let (name, event) = (told.planned.name(), told.event.id);
    match told.carried {
        Ok(sent) => sent_out(told, sent),
        Err(Stop::Skipped(reason)) => {
            tracing::debug!(subscription.name = name, event.id = %event, reason, "skipped by a plugin");
        }
        Err(Stop::Held(reason) | Stop::Dropped(reason)) => {
            let outcome = told.next.outcome.as_str();
            tracing::warn!(subscription.name = name, event.id = %event, outcome, reason, "not sent");
        }
    }
    standing_changed(told);
}

fn sent_out(told: &Told<'_>, sent: &Sent) {
    let (name, event) = (told.planned.name(), told.event.id);
    let said = sent.error().unwrap_or_default();
    match told.next.outcome {
        Outcome::Delivered => {
            tracing::debug!(subscription.name = name, event.id = %event, status = sent.status, "delivered");
        }
        Outcome::Failed => tracing::warn!(
            subscription.name = name,
            event.id = %event,
            said,
            "failed after its last attempt; `trackrelay replay --failed {name}` delivers it again"
        ),
        _ => tracing::debug!(subscription.name = name, event.id = %event, said, "attempt failed"),
    }
}

fn standing_changed(told: &Told<'_>) {
    let Told { planned, before, after, .. } = told;
    let (name, event): (_, EventId) = (planned.name(), told.event.id);
    match (&before.disabled, &after.disabled) {
        (None, Some(disabled)) => tracing::warn!(
            subscription.name = name,
            reason = disabled.reason,
            "disabled; mend the callback, then `trackrelay enable {}`",
            quoted(name)
        ),
        _ if before.pending.is_none() && after.pending.is_some() => {
            let said = told.next.reason.as_deref().unwrap_or_default();
            tracing::warn!(subscription.name = name, event.id = %event, said, "pending: only this delivery is tried");
        }
        _ if before.pending.is_some() && after.pending.is_none() => {
            tracing::info!(subscription.name = name, "answers again; what waited goes out");
        }
        _ => {}
    }
}

/// What the feed tells of a try, kept aside as the try itself goes to the store.
#[derive(Default)]
pub(super) struct Brief {
    /// If it is an attempt and somebody listens: its trace stays out.
    attempt: Option<Attempt>,
    /// If somebody listens closely.
    tried: Option<Box<Tried>>,
}

pub(super) fn brief(feed: &Feed, attempt: &Attempt, planned: &Planned) -> Brief {
    if !feed.is_heard() {
        return Brief::default();
    }
    let Attempt { n, at, status, ref error, ms, .. } = *attempt;
    let brief = || Attempt { n, at, status, error: error.clone(), ms, trace: None };
    Brief {
        attempt: attempt.counts().then(brief),
        tried: feed.closely(|| Tried::of(attempt, &planned.meant.url_callback)),
    }
}

/// The same as news. A look at a callback that is not there is neither attempt nor decision.
pub(super) fn tell_feed(feed: &Feed, told: &mut Told<'_>, now: &Now) {
    let Brief { attempt, tried } = std::mem::take(&mut told.brief);
    match &attempt {
        Some(attempt) => feed.tell(|| News::Attempt(Attempted { tried, ..attempted(told, attempt, now) })),
        None if told.carried.is_err() => feed.tell(|| News::Decision(Decided { tried, ..decided(told) })),
        None => {}
    }
    if told.planned.status(told.before) != told.planned.status(told.after) {
        feed.tell(|| News::Standing(told.planned.stands(told.after)));
    }
}

fn attempted(told: &Told<'_>, attempt: &Attempt, now: &Now) -> Attempted {
    let waits = told.after.pending.as_ref().filter(|_| told.next.outcome == Outcome::Pending);
    Attempted {
        about: About::of(told.event),
        subscription: told.planned.name().to_owned(),
        outcome: told.next.outcome,
        replay: told.replay,
        n: attempt.n,
        status: attempt.status,
        error: attempt.error.clone(),
        ms: attempt.ms,
        next_try: waits.map(|probe| probe.due.on_the_wall(now)),
        tried: None,
    }
}

fn decided(told: &Told<'_>) -> Decided {
    Decided {
        about: About::of(told.event),
        subscription: told.planned.name().to_owned(),
        outcome: told.next.outcome,
        reason: told.next.reason.clone(),
        replay: told.replay,
        tried: None,
        made: None,
    }
}
