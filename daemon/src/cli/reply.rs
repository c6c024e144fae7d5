//! The daemon's answers, as far as commands show them to people; `--json` hands the
//! documents on as they came. The shapes are made in `api`.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Problem;
use crate::delivery::{Attempt, Outcome, Status};

/// `GET /api/status`.
#[derive(Debug, Deserialize)]
pub struct StatusReply {
    pub version: String,
    pub pid: u32,
    pub started_at: Timestamp,
    pub listen: Listen,
    pub config: ConfigState,
    /// A daemon of an earlier version does not say.
    #[serde(default)]
    pub store: StoreState,
    pub subscriptions: Vec<Subscription>,
    /// A daemon of an earlier version has none.
    #[serde(default)]
    pub sources: Vec<Source>,
}

/// Where Track delivers, and what came there since the daemon's start.
#[derive(Clone, Debug, Deserialize)]
pub struct Source {
    pub name: String,
    pub path: String,
    pub events: u64,
    pub last_event_at: Option<Timestamp>,
    pub last_ping_at: Option<Timestamp>,
    pub refused: u64,
    pub last_refusal: Option<LastRefusal>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct LastRefusal {
    pub at: Timestamp,
    pub said: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    #[default]
    Ok,
    /// Takes no events.
    Failing,
    /// Takes events, but cannot read some that wait.
    Unreadable,
}

#[derive(Debug, Deserialize)]
pub struct Listen {
    pub tcp: String,
    pub unix: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct ConfigState {
    pub state: State,
    pub loaded_at: Timestamp,
    #[serde(default)]
    pub errors: Vec<Problem>,
    /// Keys whose change waits for a restart.
    #[serde(default)]
    pub restart_needed: Vec<String>,
}

/// How the config on disk relates to what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    Unchanged,
    /// The file is broken; the last good set keeps running.
    Stale,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    pub name: String,
    pub subscription_id: Option<i64>,
    pub status: Status,
    pub pending: u64,
    /// Of these, held by a plugin's failure.
    #[serde(default)]
    pub held: u64,
    /// Of these, set aside since they cannot be read.
    #[serde(default)]
    pub unreadable: u64,
    pub delivered: u64,
    pub failed_attempts: u32,
    /// What the last failed attempt said, while it is pending.
    pub last_error: Option<String>,
    /// When it is tried again, while it is pending.
    pub retry_at: Option<Timestamp>,
    pub disabled_reason: Option<String>,
    /// What goes wrong on purpose, if anything does.
    pub faults: Option<String>,
    /// Where it can be validated by hand.
    pub validation_code_url: Option<String>,
    pub url_callback: String,
    #[serde(deserialize_with = "filters")]
    pub event_filters: Vec<String>,
}

/// `POST /events`.
#[derive(Debug, Deserialize)]
pub struct Accepted {
    pub events: Vec<AcceptedEvent>,
}

#[derive(Debug, Deserialize)]
pub struct AcceptedEvent {
    pub event_id: i64,
    pub duplicate: bool,
    pub subscriptions: Vec<String>,
}

/// `GET /api/why/{event_id}`.
#[derive(Debug, Deserialize)]
pub struct Why {
    pub event_id: i64,
    pub entity: String,
    pub action: String,
    /// The event that was edited to make this one.
    pub made_from: Option<i64>,
    pub decisions: Vec<Decision>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Decision {
    pub subscription: String,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub at: Option<Timestamp>,
    /// When its subscription is tried again, while that is pending.
    pub next_try: Option<Timestamp>,
    #[serde(default)]
    pub replay: bool,
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// The last look at it that was no attempt.
    pub stopped: Option<Attempt>,
    pub filter: Option<Filter>,
    pub routing: Option<Routing>,
    pub bodies: Option<Bodies>,
}

/// The event filters that an event met.
#[derive(Clone, Debug, Deserialize)]
pub struct Filter {
    pub matched: Option<String>,
    pub file: PathBuf,
    pub line: usize,
}

/// What routing found behind the event filter.
#[derive(Clone, Debug, Deserialize)]
pub struct Routing {
    pub rights: String,
    pub status: Option<String>,
}

/// A body before and after the transforms.
#[derive(Clone, Debug, Deserialize)]
pub struct Bodies {
    pub attempt: Option<u32>,
    /// It is what was sent, byte for byte.
    pub exact: bool,
    pub note: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// `GET /api/why-not/{name}`.
#[derive(Debug, Default, Deserialize)]
pub struct Missing {
    pub subscription: String,
    pub scanned: u64,
    pub delivered: u64,
    pub groups: Vec<MissingGroup>,
    pub next: Option<i64>,
}

/// Events that did not go there for one reason.
#[derive(Debug, Deserialize, Serialize)]
pub struct MissingGroup {
    /// None: it was not in the config.
    pub outcome: Option<Outcome>,
    pub reason: String,
    #[serde(skip_serializing)]
    pub gist: String,
    pub count: u64,
    pub newest: MissingEvent,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct MissingEvent {
    pub event_id: i64,
    pub entity: String,
    pub action: String,
    pub arrived_at: Timestamp,
}

/// `POST /api/reload`.
#[derive(Debug, Deserialize)]
pub struct Reload {
    pub state: State,
    #[serde(default)]
    pub changes: Vec<String>,
    #[serde(default)]
    pub restart_needed: Vec<String>,
    #[serde(default)]
    pub warnings: Vec<Problem>,
    #[serde(default)]
    pub errors: Vec<Problem>,
}

/// `POST /api/replay`.
#[derive(Debug, Deserialize)]
pub struct Replay {
    pub replayed: Vec<Replayed>,
    /// How many there are, listed or not.
    pub total: Option<u64>,
    /// `replayed` lists only the first of them.
    #[serde(default)]
    pub truncated: bool,
}

#[derive(Debug, Deserialize)]
pub struct Replayed {
    pub event_id: i64,
    /// The event that was edited to make this one.
    pub made_from: Option<i64>,
    pub subscription: String,
    pub outcome: Outcome,
    pub reason: Option<String>,
}

/// `POST /api/subscriptions/{name}/test`.
#[derive(Debug, Deserialize)]
pub struct Tested {
    pub http_status: u16,
    pub ms: u64,
    /// Whether the endpoint is validated; absent where no validation is asked for.
    pub validated: Option<bool>,
}

/// `POST /api/subscriptions/{name}/validate`.
#[derive(Debug, Deserialize)]
pub struct Validated {
    pub validated: bool,
    /// Whether the callback gave the PING a 2xx answer.
    pub answered: bool,
    pub validation_code_url: Option<url::Url>,
    pub message: String,
}

/// `GET /api/subscriptions/{name}/secret`. Printed by one command only, hence no `Debug`.
#[derive(Deserialize)]
pub struct SecretReply {
    pub secret: String,
    /// The same for libraries of Standard Webhooks.
    pub standard_webhooks: String,
}

/// Event filters as `"entity.action"`, whichever of the two written forms arrives.
fn filters<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("*").to_owned();
    let filter = |value: serde_json::Value| match &value {
        serde_json::Value::Object(filter) => {
            let part = |key| filter.get(key).map_or_else(|| "*".to_owned(), word);
            format!("{}.{}", part("entity"), part("action"))
        }
        other => word(other),
    };
    Ok(Vec::<serde_json::Value>::deserialize(input)?.into_iter().map(filter).collect())
}
