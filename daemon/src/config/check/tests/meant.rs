//! What a config means when nothing is wrong with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::config::load::load;
use crate::config::problem::render::Renderer;
use crate::config::{
    Config, Creator, Isolation, Limit, OnPluginError, Role, ValidationMode, WhenUnreachable,
};
use crate::delivery::Order;

fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/ana",
        "XDG_RUNTIME_DIR" => "/run/user/1000",
        "SECRET" => "from the environment",
        _ => return None,
    };
    Some(value.to_owned())
}

fn meant_in(folder: &Path, text: &str) -> Config {
    let main = folder.join("config.toml");
    fs::write(&main, text).unwrap();
    fs::write(folder.join("p.wasm"), "").unwrap();
    fs::write(folder.join("secret"), "from a file\r\n").unwrap();
    let loaded = load(&main, &env);
    let said = loaded.rendered(&Renderer::new(folder.to_owned(), false));
    loaded.result.unwrap_or_else(|_| panic!("{said}"))
}

fn meant(text: &str) -> Config {
    meant_in(tempfile::tempdir().unwrap().path(), text)
}

/// The config of one subscription with these keys.
fn subscription(keys: &str) -> crate::config::Subscription {
    let text = format!(
        "[subscription.a]\nurl_callback = \"http://h/\"\nevent_filters = [\"*.*\"]\n{keys}\n[plugin.p]\npath = \"p.wasm\""
    );
    meant(&text).subscriptions.remove(0)
}

#[test]
fn an_empty_file_is_a_config() {
    let config = meant("");
    assert_eq!(config.listen.tcp.to_string(), "127.0.0.1:7717");
    assert_eq!(config.listen.unix, Some(PathBuf::from("/run/user/1000/trackrelay/trackrelay.sock")));
    assert_eq!(config.listen.max_body, 1 << 20);
    assert_eq!(config.store.path, Path::new("/home/ana/.local/state/trackrelay"));
    assert_eq!(config.store.keep, Duration::from_secs(7 * 24 * 60 * 60));
    assert_eq!((config.workspace.id, config.workspace.limit), (1, Limit::Off));
    assert!(config.subscriptions.is_empty() && config.users.is_empty() && config.plugins.is_empty());
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("more/a.toml"), "[plugin.p]\npath = \"../p.wasm\"\n").unwrap();
    let text = "include = [\"more/*.toml\"]\n[listen]\nunix = \"run/s.sock\"\n[store]\npath = \"state\"";
    let config = meant_in(folder.path(), text);
    assert_eq!(config.listen.unix, Some(folder.path().join("run/s.sock")));
    assert_eq!(config.store.path, folder.path().join("state"));
    assert_eq!(config.plugins["p"].path, folder.path().join("more/../p.wasm"));
    assert_eq!(config.folders, [folder.path().join("more")]);
    let named: Vec<_> =
        ["config.toml", "more/a.toml", "more/../p.wasm"].map(|file| folder.path().join(file)).into();
    assert_eq!(config.files[..3], named);
}

#[test]
fn a_subscription_overrides_the_defaults_key_by_key() {
    let config = meant(
        r#"
        [defaults]
        timeout = "1s"
        retry = []
        headers = { X-Env = "dev" }
        [subscription.plain]
        url_callback = "http://h/"
        event_filters = ["*.*"]
        [subscription.own]
        url_callback = "http://h/"
        event_filters = ["tag.*", { entity = "*", action = "deleted" }]
        enabled = false
        timeout = "2s"
        retry = ["0s", "7d"]
        disable_after = 5
        concurrency = 1
        order = "none"
        validation = "off"
        on_plugin_error = "drop"
        when_unreachable = "wait"
        headers = { Authorization = "Bearer x" }
        "#,
    );
    let [plain, own] = &config.subscriptions[..] else { panic!("{config:?}") };
    assert_eq!((plain.timeout, plain.retry.len(), plain.disable_after), (Duration::from_secs(1), 0, 3));
    assert_eq!(plain.headers, [("x-env".to_owned(), "dev".to_owned())]);
    assert_eq!(own.headers, [("authorization".to_owned(), "Bearer x".to_owned())]);
    assert_eq!(own.event_filters.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tag.*", "*.deleted"]);
    assert_eq!(own.retry, [Duration::ZERO, Duration::from_secs(7 * 24 * 60 * 60)]);
    assert_eq!((own.enabled, own.concurrency, own.disable_after), (false, 1, 5));
    assert_eq!((own.order, own.validation), (Order::None, ValidationMode::Off));
    assert_eq!((own.on_plugin_error, own.when_unreachable), (OnPluginError::Drop, WhenUnreachable::Wait));
    assert_eq!((own.place.line, own.place.column), (9, 23));
}

#[test]
fn subscriptions_keep_the_order_of_the_file() {
    let table =
        |name| format!("[subscription.{name}]\nurl_callback = \"http://h/\"\nevent_filters = [\"*.*\"]\n");
    let config = meant(&["z", "a", "m"].map(table).concat());
    assert_eq!(config.subscriptions.iter().map(|one| one.name.as_str()).collect::<String>(), "zam");
}

#[test]
fn secrets_come_from_three_places() {
    for (written, secret) in [
        ("\"text\"", "text"),
        ("{ env = \"SECRET\" }", "from the environment"),
        ("{ file = \"secret\" }", "from a file"),
    ] {
        let read = subscription(&format!("secret = {written}")).secret;
        assert_eq!(read.map(|read| read.reveal().to_owned()), Some(secret.to_owned()));
    }
    assert_eq!(subscription("").secret, None);
}

#[test]
fn the_creator_is_named_or_the_only_admin() {
    let admin = |id| Creator { user_id: id, role: Role::Admin };
    assert_eq!(subscription("").creator, admin(0));
    let users = "[user.ana]\nid = 1\nrole = \"admin\"\n[user.bo]\nid = 2\nrole = \"member\"\n";
    assert_eq!(subscription(users).creator, admin(1));
    assert_eq!(
        subscription(&format!("user = \"bo\"\n{users}")).creator,
        Creator { user_id: 2, role: Role::Member }
    );
}

#[test]
fn a_plugins_config_becomes_json() {
    let read = subscription(
        "filter = [{ plugin = \"p\", config = { a = [1, 2.5, true], at = 2026-01-02T03:04:05Z } }, { plugin = \"p\" }]",
    );
    assert_eq!(read.filter[0].config, json!({ "a": [1, 2.5, true], "at": "2026-01-02T03:04:05Z" }));
    assert_eq!(read.filter[1].config, json!({}));
    let config =
        meant("[plugin.p]\npath = \"p.wasm\"\nisolation = \"event\"\nlimits = { memory = \"1MiB\" }");
    let plugin = &config.plugins["p"];
    assert_eq!((plugin.isolation, plugin.limits.memory), (Isolation::Event, 1 << 20));
    assert_eq!(plugin.limits.time, Duration::from_millis(50));
}

#[test]
fn the_digest_is_of_what_the_own_table_states() {
    let plain = subscription("").digest;
    assert_eq!(plain.len(), 64);
    for same in [
        "# a comment",
        "[defaults]\nconcurrency = 9\nheaders = { a = \"b\" }",
        "[workspace]\nid = 7",
        "[user.ana]\nid = 1\nrole = \"admin\"",
    ] {
        assert_eq!(subscription(same).digest, plain, "{same}");
    }
    for (one, same) in [
        ("timeout = \"10s\"", "timeout = \"10000ms\""),
        ("retry = [\"1m\", \"5m\"]", "retry = [\"60s\", \"300s\"]"),
        ("timeout = \"1s\"\norder = \"none\"", "order = 'none' # why\n\ntimeout = \"1s\""),
        ("headers = { a = \"1\", b = \"2\" }", "headers = { b = \"2\", a = \"1\" }"),
        ("secret = { env = \"SECRET\" }", "secret = \"from the environment\""),
        ("timeout = \"1s\"", "timeout = \"1s\"\n[defaults]\ntimeout = \"2s\""),
    ] {
        assert_eq!(subscription(one).digest, subscription(same).digest, "{same}");
    }
    for other in [
        "timeout = \"11s\"",
        // A key that says what holds anyway is a change of the table all the same.
        "timeout = \"10s\"",
        "enabled = true",
        "headers = {}",
        "signatures = [\"track\"]",
        "signatures = [\"track\", \"standard-webhooks\"]",
        "enabled = false",
        "secret = \"s\"",
        "filter = [{ plugin = \"p\" }]",
        "transform = [{ plugin = \"p\" }]",
        "order = \"none\"",
        "headers = { a = \"b\" }",
        "user = \"ana\"\n[user.ana]\nid = 1\nrole = \"admin\"",
    ] {
        assert_ne!(subscription(other).digest, plain, "{other}");
    }
}
