//! The words of what goes out: deliveries, attempts, decisions, and how a
//! subscription stands. Data only; the rule that changes it is `deliver/rule.rs`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Due;
use crate::event::{Entity, Event, EventId};
use trace::Trace;

pub mod trace;

/// Track's `subscription_id`. Given once per name by the store, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriptionId(pub i64);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One event for one subscription, once; a replay is another delivery. Given by the
/// store, ascending in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

/// Which deliveries of a subscription must stay in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Events of the same entity stay in order (the default).
    #[default]
    Entity,
    /// All events of the subscription stay in order.
    Subscription,
    /// No order is promised.
    None,
}

/// What must stay in order together, within one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// All of the subscription.
    Whole,
    /// One entity of one workspace.
    Entity { workspace_id: Option<i64>, entity: Entity, entity_id: i64 },
    /// A delivery alone in its lane.
    Alone(DeliveryId),
}

impl Lane {
    pub fn of(order: Order, event: &Event, delivery: DeliveryId) -> Lane {
        Lane::of_entity(order, event.workspace_id, event.entity, event.entity_id, delivery)
    }

    /// The same for an event of which only this much is at hand.
    pub fn of_entity(
        order: Order,
        workspace_id: Option<i64>,
        entity: Entity,
        entity_id: Option<i64>,
        delivery: DeliveryId,
    ) -> Lane {
        match (order, entity_id) {
            (Order::Subscription, _) => Lane::Whole,
            (Order::Entity, Some(entity_id)) => Lane::Entity { workspace_id, entity, entity_id },
            (Order::Entity, None) | (Order::None, _) => Lane::Alone(delivery),
        }
    }
}

/// Where a delivery has got to, or why there is none. The names are the `outcome`
/// words of `why --json`; the numbers are stored and must not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// Waits for its turn, for its next attempt or for an answer.
    Pending = 0,
    Delivered = 1,
    /// Its last attempt failed. `replay --failed` makes a new delivery of it.
    Failed = 2,
    /// A plugin failed on it; waits for a changed plugin, a restart or `replay`.
    Held = 3,
    SkippedRights = 4,
    SkippedDisabled = 5,
    SkippedNotValidated = 6,
    SkippedPlugin = 7,
    /// Given up: older than `keep`, or `on_plugin_error = "drop"`.
    Dropped = 8,
    /// Its subscription was deleted.
    Cancelled = 9,
    /// No event filter of the subscription matched. Worked out, never stored.
    SkippedFilter = 10,
}

impl Outcome {
    pub const ALL: [Outcome; 11] = [
        Outcome::Pending,
        Outcome::Delivered,
        Outcome::Failed,
        Outcome::Held,
        Outcome::SkippedRights,
        Outcome::SkippedDisabled,
        Outcome::SkippedNotValidated,
        Outcome::SkippedPlugin,
        Outcome::Dropped,
        Outcome::Cancelled,
        Outcome::SkippedFilter,
    ];

    pub fn from_code(code: u8) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| *outcome as u8 == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pending => "pending",
            Outcome::Delivered => "delivered",
            Outcome::Failed => "failed",
            Outcome::Held => "held",
            Outcome::SkippedRights => "skipped_rights",
            Outcome::SkippedDisabled => "skipped_disabled",
            Outcome::SkippedNotValidated => "skipped_not_validated",
            Outcome::SkippedPlugin => "skipped_plugin",
            Outcome::Dropped => "dropped",
            Outcome::Cancelled => "cancelled",
            Outcome::SkippedFilter => "skipped_filter",
        }
    }
}

/// One try at a delivery, or one that ended before it was any: a plugin stopped it, or
/// nobody was there and `when_unreachable = "wait"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attempt {
    /// Counts from 1 within the delivery; 0 for one that is none.
    pub n: u32,
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// What went wrong, when something did.
    pub error: Option<String>,
    pub ms: u64,
    /// None in history that an earlier version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

impl Attempt {
    /// Whether it is one of the delivery's attempts.
    pub fn counts(&self) -> bool {
        self.n > 0
    }
}

/// Adds a try to those before it. What was none is kept only until the next.
pub fn add_try(tries: &mut Vec<Attempt>, next: Option<Attempt>) {
    tries.retain(Attempt::counts);
    tries.extend(next);
}

/// What became of one event for one subscription: a line of `why`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub delivery: DeliveryId,
    pub subscription: SubscriptionId,
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// When the outcome was reached.
    pub at: Timestamp,
    pub replay: bool,
    /// With what came of the last look at it, if that was no attempt, at their end.
    pub tries: Vec<Attempt>,
}

impl Decision {
    pub fn attempts(&self) -> &[Attempt] {
        &self.tries[..self.tries.len() - usize::from(self.stopped().is_some())]
    }

    /// The last look at it, if that was no attempt.
    pub fn stopped(&self) -> Option<&Attempt> {
        self.tries.last().filter(|last| !last.counts())
    }
}

/// A secret made here. Stored as it is, printed never.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MadeSecret(pub String);

impl fmt::Debug for MadeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeSecret(…)")
    }
}

/// How a subscription stands at run time. Owned by the store; the config file never
/// holds any of it. Stored as JSON: a new field needs a serde default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Failed attempts in a row, over the whole subscription.
    pub failed_attempts: u32,
    /// Counts how often the lanes were closed or opened anew. A lease remembers the one it
    /// was claimed in, so that an attempt already in flight at a change cannot count twice.
    pub generation: u64,
    /// Set from the first failed attempt until a success.
    pub pending: Option<Probe>,
    /// Set when failures disabled it.
    pub disabled: Option<Disabled>,
    pub validation: Validation,
    /// What is known of a URL that is about to stand in the config: it is PINGed before.
    pub proposed: Option<Validation>,
    /// Deliveries that reached `delivered`, since the beginning.
    pub delivered: u64,
    /// It is being deleted: whoever takes up its name later is somebody else.
    pub ending: bool,
    /// It is being renamed to this: when the config has that name, it is this one.
    pub renaming: Option<String>,
    /// The secret made here because the config names none.
    pub made_secret: Option<MadeSecret>,
    /// Digest of the subscription's table when it was last loaded; another one re-enables.
    pub table_digest: Option<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// The one delivery that is tried while a subscription is pending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// `None`: whichever is the oldest when its time has come.
    pub delivery: Option<DeliveryId>,
    /// Its place among the waiting ones, to find the oldest of several that failed at once.
    pub place: Option<(Timestamp, EventId)>,
    /// Attempts of this delivery that count against its schedule.
    pub tried: u32,
    /// Refused connections in a row that were not counted (`when_unreachable = "wait"`).
    pub pauses: u32,
    /// Not tried again before this.
    pub due: Due,
    pub since: Timestamp,
    /// What the last attempt came to, for people.
    #[serde(default)]
    pub said: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// For people: how many attempts failed, and what the last one said.
    pub reason: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validation {
    /// The URL that all below is about. Another one in the config starts anew.
    pub url_callback: Option<String>,
    pub validated_at: Option<Timestamp>,
    /// 32 lowercase hex digits; one per URL until validated.
    pub code: Option<String>,
    /// A PING since the start or the last change has been answered, has failed or has timed
    /// out. Until then events wait; afterwards they are recorded as not sent.
    #[serde(skip)]
    pub asked: bool,
    /// What the last PING met, for people, unless it validated.
    #[serde(skip)]
    pub said: Option<String>,
}

impl Validation {
    /// Why it is not validated, as far as that is known.
    pub fn refusal(&self, url_callback: &str) -> String {
        let said = self.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        format!("the callback {url_callback} has not been validated{said}")
    }
}

/// A subscription's status as Track's page shows it, the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Disabled,
    NotValidated,
    Pending,
    Enabled,
}

impl Status {
    pub const ALL: [Status; 4] = [Status::Disabled, Status::NotValidated, Status::Pending, Status::Enabled];

    pub fn of(enabled: bool, validated: bool, standing: &Standing) -> Status {
        if !enabled || standing.disabled.is_some() {
            Status::Disabled
        } else if !validated {
            Status::NotValidated
        } else if standing.pending.is_some() {
            Status::Pending
        } else {
            Status::Enabled
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Disabled => "disabled",
            Status::NotValidated => "not_validated",
            Status::Pending => "pending",
            Status::Enabled => "enabled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_made_here_is_stored_and_not_printed() {
        let made_secret = Some(MadeSecret("PGuRrhCFajIyEvFlreKL".into()));
        let standing = Standing { made_secret, ..Standing::default() };
        assert!(!format!("{standing:?}").contains("PGuRrh"));
        let stored = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&stored).unwrap(), standing);
    }

    /// The numbers are in stores that exist.
    #[test]
    fn outcomes_keep_their_numbers() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(Outcome::from_code(at as u8), Some(outcome));
        }
        assert_eq!(Outcome::from_code(Outcome::ALL.len() as u8), None);
    }
}
