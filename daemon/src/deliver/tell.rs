//! What the log says of deliveries: each one at debug, and at warn or info what somebody
//! has to know about.

use super::outgoing::Sent;
use super::stages::Stop;
use crate::delivery::{Outcome, Standing};
use crate::event::EventId;
use crate::plan::Planned;
use crate::store::Next;
use crate::telemetry::shell::quoted;

/// What came of a delivery, and how the subscription stood before and after.
pub(super) struct Told<'a> {
    pub(super) planned: &'a Planned,
    pub(super) event: EventId,
    pub(super) carried: &'a Result<Sent, Stop>,
    pub(super) next: &'a Next,
    pub(super) before: &'a Standing,
    pub(super) after: &'a Standing,
}

pub(super) fn tell(told: &Told<'_>) {
    let (name, event) = (told.planned.name(), told.event);
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
    let (name, event) = (told.planned.name(), told.event);
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
    let Told { planned, event, before, after, .. } = told;
    let name = planned.name();
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
