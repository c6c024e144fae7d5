//! Subscriptions and configs for the tests of other rooms, every key at its default.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    Config, Creator, EventFilter, Limit, Listen, OnPluginError, Place, Role, SignatureScheme, StoreConfig,
    Subscription, ValidationMode, WhenUnreachable, Workspace,
};
use crate::delivery::Order;

/// A subscription to everything that need not be validated.
pub(crate) fn subscription(name: &str) -> Subscription {
    let url_text = format!("http://127.0.0.1:3000/{name}");
    Subscription {
        name: name.into(),
        url_callback: url_text.parse().unwrap(),
        url_text,
        event_filters: vec![EventFilter { entity: None, action: None }],
        secret: None,
        enabled: true,
        creator: Creator { user_id: 1, role: Role::Admin },
        filter: Vec::new(),
        transform: Vec::new(),
        timeout: Duration::from_secs(10),
        retry: vec![Duration::from_secs(60), Duration::from_secs(300)],
        disable_after: 3,
        concurrency: 8,
        order: Order::Entity,
        validation: ValidationMode::Off,
        on_plugin_error: OnPluginError::Hold,
        when_unreachable: WhenUnreachable::Count,
        signatures: vec![SignatureScheme::Track],
        headers: Vec::new(),
        faults: None,
        digest: String::new(),
        place: Place::default(),
    }
}

pub(crate) fn config(subscriptions: Vec<Subscription>) -> Config {
    Config {
        path: PathBuf::from("/config.toml"),
        files: Vec::new(),
        folders: Vec::new(),
        listen: Listen {
            tcp: "127.0.0.1:0".parse().unwrap(),
            unix: None,
            hosts: Vec::new(),
            max_body: 1 << 20,
        },
        store: StoreConfig { path: PathBuf::from("/store"), keep: Duration::from_secs(7 * 24 * 3600) },
        workspace: Workspace { id: 1, limit: Limit::Off },
        users: Vec::new(),
        sources: Vec::new(),
        plugins: Default::default(),
        subscriptions,
    }
}
