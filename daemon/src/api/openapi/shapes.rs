//! What the answers hold, for the description: each field as its handler writes it. Commands
//! read the same answers by `cli/reply.rs`. A test holds real answers against these, so that a
//! field which is added, gone or of another type is noticed. An `Option` is null where there
//! is none, unless it says that it is left out then.

#![expect(dead_code, reason = "only their shapes are used")]

use schemars::JsonSchema;

use crate::delivery::Attempt;

/// RFC 3339.
type Moment = String;

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Status {
    version: String,
    pid: u32,
    started_at: Moment,
    listen: Listen,
    workspace_id: i64,
    config: Config,
    store: Store,
    subscriptions: Vec<Subscription>,
    sources: Vec<Source>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Listen {
    tcp: String,
    unix: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Config {
    path: String,
    state: ConfigState,
    loaded_at: Moment,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Keys whose change waits for a restart.
    restart_needed: Vec<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum ConfigState {
    Ok,
    /// The files hold a config that was refused; the last good one is in force.
    Stale,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Store {
    Ok,
    /// Takes no events.
    Failing,
    /// Takes events, but cannot read some that wait.
    Unreadable,
}

/// What is wrong in a file, and the way out.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Problem {
    file: String,
    #[schemars(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    message: String,
    #[schemars(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Subscription {
    name: String,
    subscription_id: i64,
    status: Standing,
    enabled: bool,
    validated_at: Option<Moment>,
    has_pending_events: bool,
    pending: u64,
    /// Of these, held by a plugin's failure.
    held: u64,
    /// Of these, set aside since they cannot be read.
    unreadable: u64,
    delivered: u64,
    /// In a row.
    failed_attempts: u64,
    disabled_reason: Option<String>,
    disabled_at: Option<Moment>,
    /// Why its status is not `enabled`.
    status_reason: Option<String>,
    /// Where it can be validated by hand.
    validation_code_url: Option<String>,
    last_error: Option<String>,
    retry_at: Option<Moment>,
    url_callback: String,
    event_filters: Vec<String>,
    /// Faults on purpose, in words.
    faults: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Standing {
    Disabled,
    NotValidated,
    Pending,
    Enabled,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Source {
    name: String,
    path: String,
    events: u64,
    last_event_at: Option<Moment>,
    last_ping_at: Option<Moment>,
    refused: u64,
    last_refusal: Option<LastRefusal>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct LastRefusal {
    at: Moment,
    /// One word, as in the metrics.
    reason: String,
    said: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Reload {
    state: ReloadState,
    changes: Vec<String>,
    restart_needed: Vec<String>,
    warnings: Vec<Problem>,
    errors: Vec<Problem>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum ReloadState {
    Ok,
    Unchanged,
    Stale,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Why {
    event_id: i64,
    entity: String,
    action: String,
    created_at: String,
    arrived_at: Moment,
    /// The event whose body was edited to make this one, for a replay.
    #[schemars(skip_serializing_if = "Option::is_none")]
    made_from: Option<i64>,
    decisions: Vec<Decision>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Decision {
    subscription: String,
    outcome: Outcome,
    reason: Option<String>,
    at: Option<Moment>,
    /// When its subscription is tried again. Only there while the delivery waits.
    #[schemars(skip_serializing_if = "is_not_pending")]
    next_try: Option<Moment>,
    /// Made by a replay.
    #[schemars(skip_serializing_if = "Option::is_none")]
    replay: Option<bool>,
    attempts: Vec<Attempt>,
    /// The last look at it, if that was no attempt.
    #[schemars(skip_serializing_if = "Option::is_none")]
    stopped: Option<Attempt>,
    /// Not of a replay, which no filter was asked about.
    #[schemars(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    routing: Option<Routing>,
    /// Only where they were asked for, and a transform made one.
    #[schemars(skip_serializing_if = "Option::is_none")]
    bodies: Option<Bodies>,
}

/// The event filters of the plan that the event met.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Filter {
    matched: Option<String>,
    event_filters: Vec<String>,
    file: String,
    line: u64,
}

/// What routing found after the event filter. What is behind the first that was not ok is null.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Routing {
    rights: String,
    status: Option<String>,
}

/// The body of the last try that a transform had a hand in, before and after it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Bodies {
    attempt: Option<u32>,
    /// `after` is what was sent, byte for byte.
    exact: bool,
    note: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct WhyNot {
    subscription: String,
    /// Events that were looked at.
    scanned: u64,
    delivered: u64,
    groups: Vec<Group>,
    /// Take up from here: the next `before`.
    next: Option<i64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Group {
    /// Null: the subscription was not in the config.
    outcome: Option<Outcome>,
    reason: String,
    /// The reason without its numbers; a group has one.
    gist: String,
    count: u64,
    newest: Newest,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Newest {
    event_id: i64,
    entity: String,
    action: String,
    arrived_at: Moment,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Events {
    events: Vec<Event>,
    /// Pass as `before` to go on.
    next: Option<i64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Event {
    event_id: i64,
    entity: String,
    action: String,
    created_at: String,
    creator_id: i64,
    arrived_at: Moment,
    /// The event whose body was edited to make this one, for a replay.
    #[schemars(skip_serializing_if = "Option::is_none")]
    made_from: Option<i64>,
    decisions: Vec<Latest>,
    /// Byte for byte as it came in.
    #[schemars(skip_serializing_if = "Option::is_none")]
    event: Option<serde_json::Value>,
}

/// The latest decision for one subscription.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Latest {
    subscription: String,
    outcome: Outcome,
    reason: Option<String>,
    at: Moment,
    attempts_made: u64,
    #[schemars(skip_serializing_if = "Option::is_none")]
    replay: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Outcome {
    Delivered,
    Pending,
    Failed,
    Held,
    SkippedFilter,
    SkippedRights,
    SkippedDisabled,
    SkippedNotValidated,
    SkippedPlugin,
    Dropped,
    Cancelled,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Replay {
    dry_run: bool,
    /// How many there are, listed or not.
    total: u64,
    /// `replayed` lists only the first of them.
    truncated: bool,
    replayed: Vec<Replayed>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Replayed {
    event_id: i64,
    subscription: String,
    outcome: Outcome,
    reason: Option<String>,
    /// The event whose body was edited to make this one.
    #[schemars(skip_serializing_if = "Option::is_none")]
    made_from: Option<i64>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Tested {
    status: String,
    http_status: Option<u16>,
    ms: u64,
    validated: bool,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Validated {
    validated: bool,
    /// Whether the callback gave the PING a 2xx answer.
    answered: bool,
    validation_code_url: Option<String>,
    message: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Removed {
    name: String,
    /// Deliveries that waited.
    cancelled: u64,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Secret {
    secret: String,
    /// The same for libraries of Standard Webhooks.
    standard_webhooks: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Rotated {
    name: String,
    /// The file; none is the store.
    kept_in: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::api) struct Saved {
    changes: Vec<String>,
    restart_needed: Vec<String>,
}

/// A document of another format.
#[derive(JsonSchema)]
pub(in crate::api) struct Anything {}
