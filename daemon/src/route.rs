//! Who gets an event: event filter, creator's rights, enabled, validated, in this order of
//! precedence. Pure; plugins are asked later, at delivery.

use std::sync::Arc;

use crate::config::Role;
use crate::delivery::{Outcome, Standing, SubscriptionId};
use crate::event::Event;
use crate::plan::{Plan, Planned};
use crate::store::Routed;

/// One entry for each subscription whose event filter matches; the others are not even
/// looked at. `standing` says how a subscription stands now.
pub fn route(
    event: &Event,
    plan: &Plan,
    standing: impl Fn(SubscriptionId) -> Option<Arc<Standing>>,
) -> Vec<Routed> {
    let decide = |planned: &Arc<Planned>| {
        let standing = standing(planned.id).unwrap_or_default();
        let (outcome, reason) = decide(event, planned, &standing);
        Routed { subscription: planned.id, order: planned.order_of(event.id), outcome, reason }
    };
    plan.matching(event.entity, event.action).iter().map(decide).collect()
}

/// What routing says about one subscription whose event filter matched.
pub fn decide(event: &Event, planned: &Planned, standing: &Standing) -> (Outcome, Option<String>) {
    let creator = planned.meant.creator;
    if creator.role == Role::Member && event.owner_id != creator.user_id {
        let reason = format!(
            "user {} is a member and sees only own events; this one is of user {}",
            creator.user_id, event.owner_id
        );
        return (Outcome::SkippedRights, Some(reason));
    }
    if !planned.meant.enabled {
        return (Outcome::SkippedDisabled, Some("disabled in the config file (`enabled = false`)".into()));
    }
    if let Some(disabled) = &standing.disabled {
        return (Outcome::SkippedDisabled, Some(disabled.reason.clone()));
    }
    if !planned.validated(standing) && standing.validation.asked {
        let reason = standing.validation.refusal(&planned.meant.url_text);
        return (Outcome::SkippedNotValidated, Some(reason));
    }
    (Outcome::Pending, None)
}

#[cfg(test)]
mod tests;
