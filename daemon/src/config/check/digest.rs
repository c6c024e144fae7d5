//! A subscription's digest. What counts: the keys that its own table states, and what they
//! mean, the secret itself included. What does not: the name, order, layout and comments,
//! what `[defaults]` gives, the rights of its user, and the content of plugin files, which a
//! changed plugin says itself.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::file::{self, Key};
use crate::config::{PluginUse, SignatureScheme, Subscription};

/// SHA-256 in hex. The digest is stored: a changed form of it re-enables what failures disabled.
pub(super) fn digest(written: &file::Subscription, meant: &Subscription) -> String {
    hex(&Sha256::digest(Value::Object(stated(written, meant)).to_string()))
}

/// What each key of the table means, in an order of our own.
fn stated(written: &file::Subscription, meant: &Subscription) -> Map<String, Value> {
    let file::Subscription {
        url_callback,
        event_filters,
        secret,
        enabled,
        user,
        filter,
        transform,
        timeout,
        retry,
        disable_after,
        concurrency,
        order,
        validation,
        on_plugin_error,
        when_unreachable,
        headers,
        signatures,
        faults,
    } = written;
    let filters = meant.event_filters.iter().map(ToString::to_string);
    [
        stating("url_callback", url_callback, || json!(meant.url_text)),
        stating("event_filters", event_filters, || filters.collect()),
        stating("secret", secret, || json!(meant.secret.as_ref().map(|secret| secret.reveal()))),
        stating("enabled", enabled, || json!(meant.enabled)),
        stating("user", user, || json!(user.get().map(|user| &user.value))),
        stating("filter", filter, || uses(&meant.filter)),
        stating("transform", transform, || uses(&meant.transform)),
        stating("timeout", timeout, || nanos(&meant.timeout)),
        stating("retry", retry, || meant.retry.iter().map(nanos).collect()),
        stating("disable_after", disable_after, || json!(meant.disable_after)),
        stating("concurrency", concurrency, || json!(meant.concurrency)),
        stating("order", order, || json!(meant.order)),
        stating("validation", validation, || json!(format!("{:?}", meant.validation))),
        stating("on_plugin_error", on_plugin_error, || json!(format!("{:?}", meant.on_plugin_error))),
        stating("when_unreachable", when_unreachable, || json!(format!("{:?}", meant.when_unreachable))),
        stating("headers", headers, || sorted(&meant.headers)),
        stating("signatures", signatures, || meant.signatures.iter().copied().map(signature).collect()),
        stating("faults", faults, || json!(meant.faults.as_ref().map(ToString::to_string))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The key with its meaning, if it is written.
fn stating<T>(name: &str, written: &Key<T>, meaning: impl FnOnce() -> Value) -> Option<(String, Value)> {
    written.get().map(|_| (name.to_owned(), meaning()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn uses(list: &[PluginUse]) -> Value {
    list.iter().map(|used| json!([used.plugin, used.config])).collect()
}

/// In any order: a header has a name of its own.
fn sorted(headers: &[(String, String)]) -> Value {
    let mut headers: Vec<_> = headers.iter().collect();
    headers.sort();
    json!(headers)
}

fn nanos(duration: &Duration) -> Value {
    json!(duration.as_nanos())
}

fn signature(scheme: SignatureScheme) -> &'static str {
    match scheme {
        SignatureScheme::Track => "track",
        SignatureScheme::StandardWebhooks => "standard-webhooks",
    }
}
