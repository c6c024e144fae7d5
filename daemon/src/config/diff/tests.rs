//! Pairs of configs, and what changed between them.

use std::fs;

use crate::config::Config;
use crate::config::load::load;

use super::*;

const OLD: &str = r#"
[listen]
tcp = "127.0.0.1:0"
[store]
path = "/tmp/s"
[user.ana]
id = 1
role = "admin"
[source.track]
secret = "of Track"
[plugin.p]
path = "p.wasm"
[subscription.a]
url_callback = "http://h/a"
event_filters = ["tag.*"]
secret = "s"
filter = [{ plugin = "p", config = { x = 1 } }]
[subscription.b]
url_callback = "http://h/b"
event_filters = ["*.*"]
"#;

/// Configs of these texts under one path.
fn configs<const N: usize>(texts: [&str; N]) -> [Config; N] {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.wasm"), "").unwrap();
    texts.map(|text| {
        let main = folder.path().join("config.toml");
        fs::write(&main, text).unwrap();
        let env = |name: &str| (name == "HOME").then(|| "/home/ana".to_owned());
        load(&main, &env).result.unwrap_or_else(|problems| panic!("{problems:?}"))
    })
}

/// The sentences of the change that replaces one part of the text.
fn said(from: &str, to: &str) -> Vec<String> {
    assert!(OLD.contains(from), "{from}");
    let [old, new] = configs([OLD, &OLD.replacen(from, to, 1)]);
    let diff = diff(&old, &new);
    assert_eq!(diff.is_empty(), from == to);
    diff.sentences()
}

#[test]
fn layout_and_comments_are_no_change() {
    let [old, new] = configs([OLD, &format!("# A comment.\n\n{}", OLD.replace(" = ", "   =   "))]);
    assert_ne!(old, new, "the places differ");
    assert_eq!(diff(&old, &new), Diff::default());
}

#[test]
fn each_change_is_one_sentence() {
    for (from, to, sentence) in [
        ("http://h/a", "http://h/x", "subscription `a`: url_callback changed"),
        ("tag.*\"", "tag.*\", \"task.*\"", "subscription `a`: event_filters changed"),
        ("secret = \"s\"", "secret = \"t\"", "subscription `a`: secret changed"),
        ("secret = \"s\"", "enabled = false", "subscription `a`: secret, enabled changed"),
        ("x = 1", "x = 2", "subscription `a`: filter changed"),
        ("filter = [", "transform = [", "subscription `a`: filter, transform changed"),
        ("path = \"p.wasm\"", "path = \"p.wasm\"\nisolation = \"event\"", "plugin `p` changed"),
        ("of Track", "another", "source `track` changed"),
        ("[source.track]\nsecret = \"of Track\"\n", "", "source `track` removed"),
        ("[user.ana]", "[user.bo]\nid = 9\nrole = \"member\"\n[user.ana]", "user `bo` added"),
        ("[listen]", "[workspace]\nid = 2\n[listen]", "workspace.id changed"),
        ("127.0.0.1:0", "127.0.0.1:1", "listen.tcp changed; restart to use it"),
        (
            "path = \"/tmp/s\"",
            "path = \"/tmp/t\"\nkeep = \"1d\"",
            "store.path, store.keep changed; restart to use it",
        ),
    ] {
        assert_eq!(said(from, to), [sentence], "{from} → {to}");
    }
}

#[test]
fn what_differs_is_never_without_a_sentence() {
    let elsewhere = Diff { files: true, ..Diff::default() };
    assert_eq!(elsewhere.sentences(), ["the same, read from other files or folders"]);
}

#[test]
fn a_user_and_its_subscriptions_change_together() {
    let sentences =
        ["subscription `a`: user changed", "subscription `b`: user changed", "user `ana` changed"];
    assert_eq!(said("id = 1", "id = 2"), sentences);
}

#[test]
fn a_new_default_changes_those_that_do_not_override_it() {
    let text = OLD.replace("secret = \"s\"", "timeout = \"10s\"\nsecret = \"s\"");
    let [old, new] = configs([&text, &format!("[defaults]\ntimeout = \"9s\"\n{text}")]);
    let expected = Changed { name: "b".to_owned(), keys: vec!["timeout"] };
    assert_eq!(diff(&old, &new), Diff { changed: vec![expected], ..Diff::default() });
}

#[test]
fn a_table_that_says_a_default_is_another_table() {
    let sentences = ["subscription `a`: table changed"];
    assert_eq!(said("secret = \"s\"", "secret = \"s\"\ntimeout = \"10s\""), sentences);
}

#[test]
fn subscriptions_come_and_go() {
    let sentences = ["subscription `c` added", "subscription `b` removed"];
    assert_eq!(said("[subscription.b]", "[subscription.c]"), sentences);
}

#[test]
fn what_is_known_to_be_the_same_is_renamed() {
    let moved = OLD.replace("[subscription.b]", "[subscription.c]\ntimeout = \"9s\"");
    let [old, new] = configs([OLD, &moved]);
    let named = |config: &Config, name: &str| {
        config.subscriptions.iter().find(|subscription| subscription.name == name).cloned().unwrap()
    };
    let mut diff = diff(&old, &new);
    diff.rename([(&named(&old, "b"), &named(&new, "c"))].into_iter());
    let sentences = ["subscription `b` renamed to `c`", "subscription `c`: timeout changed"];
    assert_eq!(diff.sentences(), sentences);
}

#[test]
fn plugins_come_and_go() {
    let [with, without] =
        configs([OLD, &OLD.replace("[plugin.p]\npath = \"p.wasm\"\n", "").replace("filter = [{", "# ")]);
    let gone = diff(&with, &without);
    let of = |what| vec![Other { name: "p".to_owned(), what }];
    assert_eq!((gone.plugins, gone.files), (of("removed"), true));
    assert_eq!(diff(&without, &with).plugins, of("added"));
}
