//! The config as written: the shape of the TOML, key by key. The JSON Schema that editors
//! get is made from these types, and `config/shape.rs` holds every file against it.
//!
//! What a value means and whether it makes sense is `config/check.rs`. Nothing here derives
//! `Debug`: secrets stand in these types as they were written.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::{Isolation, Limit, OnPluginError, Role, SignatureScheme, ValidationMode, WhenUnreachable};
use crate::delivery::Order;

pub mod leaf;
mod pattern;

pub use leaf::{At, EventFilterForm, Key, SecretForm};

/// Tables by their names.
pub type Named<T> = BTreeMap<At<String>, T>;

/// What an included file may hold.
pub const INCLUDABLE: [&str; 3] = ["subscription", "plugin", "user"];

/// The JSON Schema (draft 2020-12) of a config file.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// One TOML file.
///
/// Webhook subscriptions, the plugins they use, and how the daemon listens and stores.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "trackrelay config")]
pub struct File {
    /// Further files, relative to this one. The file name may hold `*`. They may hold
    /// `[subscription.*]`, `[plugin.*]` and `[user.*]`.
    #[schemars(length(max = 64), extend("examples" = [["subscriptions/*.toml"]]))]
    pub include: Key<Vec<At<String>>>,
    pub listen: Listen,
    pub store: Store,
    pub workspace: Workspace,
    /// What holds for every subscription that does not say otherwise.
    #[schemars(schema_with = "defaults_schema")]
    pub defaults: Subscription,
    /// Who may see what. Without users there is one admin.
    pub user: Named<User>,
    /// Where Track itself delivers. The key stands in the URL: `POST /track/NAME`.
    pub source: Named<Source>,
    /// WASM components that filter and transform events, by the names subscriptions use.
    pub plugin: Named<Plugin>,
    /// Where events go. The key is the unique name, Track's description; no name begins with `-`.
    pub subscription: Named<Subscription>,
}

/// Where the daemon listens. A change needs a restart.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Listen")]
pub struct Listen {
    /// Address for HTTP, loopback only. With port 0 the system picks one.
    #[schemars(regex(pattern = pattern::TCP), extend("default" = "127.0.0.1:7717"))]
    pub tcp: Key<String>,
    /// Unix socket: a path, `"auto"` (below `$XDG_RUNTIME_DIR`) or `"off"`.
    #[schemars(extend("default" = "auto"))]
    pub unix: Key<String>,
    /// Host names that requests may ask for beside the loopback ones.
    #[schemars(length(max = 64), extend("default" = [], "examples" = [["relay.test"]]))]
    pub hosts: Key<Vec<At<String>>>,
    /// Largest request body, 1KiB to 64MiB.
    #[schemars(regex(pattern = pattern::SIZE), extend("default" = "1MiB"))]
    pub max_body: Key<String>,
}

/// Where events and deliveries wait. A change needs a restart.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Store")]
pub struct Store {
    /// A folder, or `"auto"` (`$XDG_STATE_HOME/trackrelay`).
    #[schemars(extend("default" = "auto"))]
    pub path: Key<String>,
    /// How long history is kept, counted from arrival, 1m to 10y.
    #[schemars(regex(pattern = pattern::DURATION), extend("default" = "7d"))]
    pub keep: Key<String>,
}

/// The Track workspace that events belong to.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Workspace")]
pub struct Workspace {
    /// Track's id of the workspace.
    #[schemars(range(min = 1), extend("default" = 1))]
    pub id: Key<i64>,
    /// Track's limits on subscriptions, by plan.
    #[schemars(extend("default" = "off"))]
    pub limit: Key<Limit>,
}

/// A user of the workspace.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "User", extend("required" = ["id", "role"]))]
pub struct User {
    /// Track's id of the user.
    #[schemars(range(min = 1))]
    pub id: Key<i64>,
    /// An admin sees everybody's events, a member only own ones.
    pub role: Key<Role>,
    /// Token for the Webhooks API: text, `{ env = "NAME" }` or `{ file = "path" }`.
    pub api_token: Key<SecretForm>,
}

/// A Track subscription that delivers to `POST /track/NAME`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Source", extend("required" = ["secret"]))]
pub struct Source {
    /// The secret of that subscription: text, `{ env = "NAME" }` or `{ file = "path" }`.
    pub secret: Key<SecretForm>,
}

/// A WASM component that filters or transforms events.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Plugin", extend("required" = ["path"]))]
pub struct Plugin {
    /// The `.wasm` file, relative to this file.
    #[schemars(extend("examples" = ["plugins/slack.wasm"]))]
    pub path: Key<String>,
    /// Pins the file: another one is refused. 64 hex digits.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Key<String>,
    /// Whether one instance serves many events or each event gets a fresh one.
    #[schemars(extend("default" = "reuse"))]
    pub isolation: Key<Isolation>,
    pub limits: PluginLimits,
}

/// What one call of a plugin may use up.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Limits")]
pub struct PluginLimits {
    /// Time for one event, 1ms to 10s.
    #[schemars(regex(pattern = pattern::DURATION), extend("default" = "50ms"))]
    pub time: Key<String>,
    /// Memory of an instance, 64KiB to 256MiB.
    #[schemars(regex(pattern = pattern::SIZE), extend("default" = "32MiB"))]
    pub memory: Key<String>,
    /// Size of what a transform may return, 1KiB to 16MiB.
    #[schemars(regex(pattern = pattern::SIZE), extend("default" = "1MiB"))]
    pub output: Key<String>,
}

/// A `[subscription.NAME]` table. `[defaults]` is one without the keys of `OWN_KEYS`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(
    title = "Subscription",
    description = "Where events go, which of them, and in what form.",
    extend("required" = ["url_callback", "event_filters"])
)]
pub struct Subscription {
    /// Where events are sent: an http or https URL.
    #[schemars(regex(pattern = pattern::URL), extend("examples" = ["http://127.0.0.1:3000/toggl"]))]
    pub url_callback: Key<String>,
    /// Which events are sent: `"entity.action"` or `{ entity, action }`, `*` in either place.
    #[schemars(length(min = 1, max = 64))]
    pub event_filters: Key<Vec<At<EventFilterForm>>>,
    /// Signs what is sent: text, `{ env = "NAME" }` or `{ file = "path" }`. Without it one is
    /// made and kept in the store.
    pub secret: Key<SecretForm>,
    /// Whether events are sent at all.
    #[schemars(extend("default" = true))]
    pub enabled: Key<bool>,
    /// The creator, a name of `[user.*]`; its rights bound what is sent.
    pub user: Key<String>,
    /// Plugins that must all say deliver, in order.
    #[schemars(length(max = 16), extend("default" = []))]
    pub filter: Key<Vec<At<PluginUse>>>,
    /// Plugins that reshape what is sent, in order.
    #[schemars(length(max = 16), extend("default" = []))]
    pub transform: Key<Vec<At<PluginUse>>>,
    /// Time for one whole attempt, 1ms to 10m.
    #[schemars(regex(pattern = pattern::DURATION), extend("default" = "10s"))]
    pub timeout: Key<String>,
    /// Waits between attempts; N waits are N+1 attempts. Each 0s to 7d.
    #[schemars(length(max = 100), inner(regex(pattern = pattern::DURATION)), extend("default" = ["1m", "5m"]))]
    pub retry: Key<Vec<At<String>>>,
    /// Failed attempts in a row, over the whole subscription, that disable it.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 3))]
    pub disable_after: Key<u32>,
    /// Lanes in flight at the same time.
    #[schemars(range(min = 1, max = 1024), extend("default" = 8))]
    pub concurrency: Key<u32>,
    /// Which events must arrive in order.
    #[schemars(extend("default" = "entity"))]
    pub order: Key<Order>,
    /// Whether the URL must prove itself before events are sent.
    #[schemars(extend("default" = "required"))]
    pub validation: Key<ValidationMode>,
    /// What becomes of a delivery when a plugin fails.
    #[schemars(extend("default" = "hold"))]
    pub on_plugin_error: Key<OnPluginError>,
    /// What a refused connection means.
    #[schemars(extend("default" = "count"))]
    pub when_unreachable: Key<WhenUnreachable>,
    /// Extra request headers.
    #[schemars(extend("default" = {}, "maxProperties" = 64, "examples" = [{ "x-env": "dev" }]))]
    pub headers: Key<BTreeMap<At<String>, At<String>>>,
    /// How what is sent is signed; each scheme adds headers of its own.
    #[schemars(length(min = 1), extend("default" = ["track"]))]
    pub signatures: Key<Vec<At<SignatureScheme>>>,
    /// Faults on purpose, for testing a receiver. What is delivered meets them as chance has it, and
    /// the same events meet the same ones again.
    pub faults: Key<Faults>,
}

/// Probabilities from 0 to 1, each for itself, decided anew for each attempt.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Faults")]
pub struct Faults {
    /// Another seed is another course of chance.
    #[schemars(range(min = 0), extend("default" = 0))]
    pub seed: Key<u64>,
    /// Nothing is sent, and the delivery ends `dropped`.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0))]
    pub drop: Key<f64>,
    /// Sent after a wait of `delay_for`.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0))]
    pub delay: Key<f64>,
    /// How long a delay is, at most the subscription's `timeout`.
    #[schemars(regex(pattern = pattern::DURATION), extend("default" = "1s"))]
    pub delay_for: Key<String>,
    /// Sent twice, byte for byte; the second answer counts.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0))]
    pub duplicate: Key<f64>,
    /// Held back until the next of its lane has gone, for 2 s at most.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0))]
    pub reorder: Key<f64>,
    /// Nothing is sent, and the attempt fails.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0))]
    pub fail: Key<f64>,
    /// Signed with another key.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0))]
    pub bad_signature: Key<f64>,
}

/// Keys that make a subscription what it is and therefore have no default.
pub const OWN_KEYS: [&str; 8] =
    ["url_callback", "event_filters", "secret", "enabled", "user", "filter", "transform", "faults"];

/// One entry of a `filter` or `transform` list.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Plugin use", extend("required" = ["plugin"]))]
pub struct PluginUse {
    /// A name of `[plugin.*]`.
    pub plugin: Key<String>,
    /// Handed to the plugin as JSON.
    #[schemars(extend("default" = {}))]
    pub config: Key<leaf::Anything>,
}

/// A subscription's schema without what makes it one.
fn defaults_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Subscription::json_schema(generator);
    schema.remove("required");
    schema.insert("title".into(), "Defaults".into());
    if let Some(keys) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        keys.retain(|key, _| !OWN_KEYS.contains(&key.as_str()));
    }
    schema
}
