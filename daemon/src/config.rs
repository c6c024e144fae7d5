//! The config as meant: URLs parsed, durations counted, secrets read, names resolved.
//! Whoever holds a `Config` need not check anything again.
//!
//! How it is written is `config/file.rs`, how files are found `config/load.rs`, what is
//! allowed `config/shape.rs` (keys and types) and `config/check.rs` (meaning). What changed
//! from one to the next is `config/diff.rs`; only `config/edit.rs` writes the user's files.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::delivery::Order;
use crate::event::{Action, Entity};

pub mod problem;
pub mod secret;
pub mod units;
pub mod faults;
pub mod file;
pub mod shape;
pub mod load;
pub mod check;
pub mod diff;
pub mod edit;
#[cfg(test)]
pub(crate) mod fixture;

pub use faults::Faults;
pub use problem::{Place, Problem};
pub use secret::Secret;

/// Everything that is said in TOML, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The main file, canonical.
    pub path: PathBuf,
    /// Every file that matters: the main file, includes, secret files, `.wasm` files.
    /// Folders of these are watched.
    pub files: Vec<PathBuf>,
    /// Folders in which a new file would matter (`include` patterns).
    pub folders: Vec<PathBuf>,
    pub listen: Listen,
    pub store: StoreConfig,
    pub workspace: Workspace,
    pub users: Vec<User>,
    /// In the order of the file.
    pub sources: Vec<Source>,
    pub plugins: BTreeMap<String, PluginSpec>,
    /// In the order of the files.
    pub subscriptions: Vec<Subscription>,
}

/// What of a refused config has no problem of its own: enough to try its plugins out, so
/// that all problems of one save are told at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sound {
    /// Where the store is, with what was compiled before.
    pub store: PathBuf,
    pub plugins: BTreeMap<String, PluginSpec>,
    pub uses: Vec<Uses>,
}

/// The plugins that one subscription uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Uses {
    pub subscription: String,
    pub filter: Vec<PluginUse>,
    pub transform: Vec<PluginUse>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    pub tcp: SocketAddr,
    /// `None` is `unix = "off"`.
    pub unix: Option<PathBuf>,
    /// Host names allowed beside the loopback ones.
    pub hosts: Vec<String>,
    /// Largest request body, in bytes.
    pub max_body: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    pub path: PathBuf,
    /// How long history is kept, counted from arrival.
    pub keep: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Workspace {
    pub id: i64,
    pub limit: Limit,
}

/// Track's limits on subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// No limit (the default).
    #[default]
    Off,
    /// 5 enabled subscriptions per user.
    Classic,
    /// 1 subscription with 3 event filters.
    Free,
    /// 2 subscriptions with 6 event filters each.
    Starter,
    /// 3 subscriptions with 12 event filters each.
    Premium,
}

impl Limit {
    /// How many subscriptions may be enabled: per user with `classic`, else in the workspace.
    pub fn subscriptions(self) -> Option<usize> {
        match self {
            Limit::Off => None,
            Limit::Classic => Some(5),
            Limit::Free => Some(1),
            Limit::Starter => Some(2),
            Limit::Premium => Some(3),
        }
    }

    /// Among whose subscriptions those of this user count: the classic limit is each user's,
    /// the others are the workspace's.
    pub fn counts_apart(self, user_id: i64) -> Option<i64> {
        (self == Limit::Classic).then_some(user_id)
    }

    /// How many event filters a subscription may have.
    pub fn event_filters(self) -> Option<usize> {
        match self {
            Limit::Off | Limit::Classic => None,
            Limit::Free => Some(3),
            Limit::Starter => Some(6),
            Limit::Premium => Some(12),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub name: String,
    pub id: i64,
    pub role: Role,
    pub api_token: Option<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everybody's events.
    Admin,
    /// Sees only its own events.
    Member,
}

/// Where Track delivers, signed: `POST /track/NAME`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Letters, digits, `-` and `_`: it stands in a URL as it is.
    pub name: String,
    pub secret: Secret,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PluginSpec {
    pub name: String,
    pub path: PathBuf,
    /// The file's SHA-256, if pinned.
    pub sha256: Option<[u8; 32]>,
    pub isolation: Isolation,
    pub limits: PluginLimits,
    /// Its table.
    pub place: Place,
    pub path_place: Place,
    /// Where the pin stands, if there is one.
    pub sha256_place: Place,
}

impl PluginSpec {
    /// A file that stands in no config, under the default limits.
    pub fn of_file(name: String, path: PathBuf) -> PluginSpec {
        PluginSpec {
            name,
            path,
            sha256: None,
            isolation: Isolation::default(),
            limits: PluginLimits::default(),
            place: Place::default(),
            path_place: Place::default(),
            sha256_place: Place::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// One instance for many events (the default).
    #[default]
    Reuse,
    /// A fresh instance for every event.
    Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    pub time: Duration,
    /// Bytes.
    pub memory: usize,
    /// Bytes.
    pub output: usize,
}

impl PluginLimits {
    /// What a config may say at least: from one tick of the plugins' clock, one page of WASM
    /// memory and an answer that is an answer.
    pub const LEAST: PluginLimits =
        PluginLimits { time: Duration::from_millis(1), memory: 64 << 10, output: 1 << 10 };

    /// And at most. A call holds a thread and its lane as long as it runs; an interpreter with
    /// its libraries needs less memory; an HTTP body stays in memory while it is sent.
    pub const MOST: PluginLimits =
        PluginLimits { time: Duration::from_secs(10), memory: 256 << 20, output: 16 << 20 };
}

impl Default for PluginLimits {
    fn default() -> Self {
        PluginLimits { time: Duration::from_millis(50), memory: 32 << 20, output: 1 << 20 }
    }
}

/// A `[subscription.NAME]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub name: String,
    pub url_callback: url::Url,
    /// The same exactly as written: what the envelope repeats.
    pub url_text: String,
    pub event_filters: Vec<EventFilter>,
    /// `None`: one is made and kept in the store.
    pub secret: Option<Secret>,
    pub enabled: bool,
    /// Whose rights bound what is sent.
    pub creator: Creator,
    pub filter: Vec<PluginUse>,
    pub transform: Vec<PluginUse>,
    pub timeout: Duration,
    /// Waits between attempts; N waits are N+1 attempts.
    pub retry: Vec<Duration>,
    pub disable_after: u32,
    pub concurrency: usize,
    pub order: Order,
    pub validation: ValidationMode,
    pub on_plugin_error: OnPluginError,
    pub when_unreachable: WhenUnreachable,
    /// Extra request headers, valid and not reserved.
    pub headers: Vec<(String, String)>,
    /// At least one, none twice.
    pub signatures: Vec<SignatureScheme>,
    /// What goes wrong on purpose; none, unless something may.
    pub faults: Option<Faults>,
    /// SHA-256 (hex) over what its own table states, as meant, secrets included: another one is
    /// a change of the table. What `[defaults]` gives is not in it.
    pub digest: String,
    pub place: Place,
}

/// The user a subscription belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creator {
    pub user_id: i64,
    pub role: Role,
}

/// `"time_entry.created"`; `None` is `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventFilter {
    pub entity: Option<Entity>,
    pub action: Option<Action>,
}

impl EventFilter {
    pub fn matches(&self, entity: Entity, action: Action) -> bool {
        self.entity.is_none_or(|wanted| wanted == entity) && self.action.is_none_or(|wanted| wanted == action)
    }
}

impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entity = self.entity.map_or("*", Entity::as_str);
        let action = self.action.map_or("*", Action::as_str);
        write!(f, "{entity}.{action}")
    }
}

/// One entry of a `filter` or `transform` list.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginUse {
    /// A key of `Config::plugins`.
    pub plugin: String,
    /// The TOML value as JSON, handed to the plugin's `configure`.
    pub config: serde_json::Value,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValidationMode {
    /// No events before the callback has proved itself (the default).
    #[default]
    Required,
    /// Counts as validated.
    Off,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnPluginError {
    /// Park the delivery until the plugin changes (the default).
    #[default]
    Hold,
    /// Go on as if the plugin were not there.
    Deliver,
    /// Give the delivery up.
    Drop,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnreachable {
    /// A refused connection is a failed attempt (the default, Track's rule).
    #[default]
    Count,
    /// A refused connection pauses and uses up no attempt.
    Wait,
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// Track's header `X-Webhook-Signature-256` (the default).
    Track,
    /// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    StandardWebhooks,
}

#[cfg(test)]
mod tests;
