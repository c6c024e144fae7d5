//! Subscriptions as Track's API shows them: its keys, in its order. Shows secrets, as Track
//! does: whoever may see a subscription may see what it is signed with.

use jiff::Timestamp;
use serde::Serialize;

use crate::config::{EventFilter, ValidationMode};
use crate::delivery::{Standing, SubscriptionId};
use crate::event::{Action, Entity};
use crate::plan::Planned;
use crate::store::Waiting;

#[derive(Serialize)]
pub(super) struct Subscription<'a> {
    subscription_id: SubscriptionId,
    workspace_id: i64,
    user_id: i64,
    enabled: bool,
    description: &'a str,
    event_filters: Vec<Filter>,
    url_callback: &'a str,
    secret: &'a str,
    validated_at: Option<Timestamp>,
    has_pending_events: bool,
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
    /// Only in the answer to the DELETE that removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Filter {
    entity: &'static str,
    action: &'static str,
}

impl<'a> Subscription<'a> {
    pub(super) fn of(planned: &'a Planned, standing: &Standing, waiting: Waiting) -> Subscription<'a> {
        let meant = &planned.meant;
        Subscription {
            subscription_id: planned.id,
            workspace_id: planned.workspace_id,
            user_id: meant.creator.user_id,
            enabled: meant.enabled && standing.disabled.is_none(),
            description: &meant.name,
            event_filters: meant.event_filters.iter().map(filter).collect(),
            url_callback: &meant.url_text,
            secret: planned.secret.reveal(),
            validated_at: validated_at(planned, standing).map(micros),
            has_pending_events: waiting.pending > 0,
            created_at: standing.created_at.map(micros),
            updated_at: standing.updated_at.map(micros),
            deleted_at: None,
        }
    }
}

/// What need not prove itself counts as validated from its beginning: a client that waits for
/// this to be set would wait for ever.
fn validated_at(planned: &Planned, standing: &Standing) -> Option<Timestamp> {
    match planned.meant.validation {
        ValidationMode::Off => standing.created_at,
        ValidationMode::Required => standing.validation.validated_at.filter(|_| planned.validated(standing)),
    }
}

fn filter(filter: &EventFilter) -> Filter {
    Filter {
        entity: filter.entity.map_or("*", Entity::as_str),
        action: filter.action.map_or("*", Action::as_str),
    }
}

/// Track shows its own times to the microsecond.
pub(super) fn micros(moment: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(moment.as_microsecond()).unwrap_or(moment)
}
