//! Commands change the config as a careful person would: every other byte stays, the change
//! is live when the command returns, and nobody's save is overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::harness::receiver::signature;
#[cfg(debug_assertions)]
use crate::harness::relay::DIE;
use crate::harness::relay::{BASE, Output};
use crate::harness::{Answer, Receiver, Relay, SECRET, event};

mod by_hand;
mod secrets;

/// Written by somebody who explains everything.
const COMMENTED: &str = r#"#:schema config.schema.json
# The relay of this laptop.
include = [ "more/*.toml", ]   # odd   spacing stays

[listen]# no space
tcp="127.0.0.1:0"

[workspace]
id = 4200017    # ours

# Slack, for the long ones.
# Asked for by Ana.
	[subscription.slack]   # header comment
	url_callback  =  'URL/slack'  # two  spaces
	event_filters = [
		"tag.*", # why tags
		"project.*",
	] # end of the list
	validation = "off"
	# timeout = "5s"

	[subscription.slack.headers]
	"x-env" = "dev"

# Apart from everything.

[subscription]
"d" = { url_callback = "URL/d", event_filters = ["*.*"], validation = "off" } # inline
# About e.
e.url_callback = "URL/e"
e.event_filters = ["task.*"]  # dotted
e.validation = "off"

# The end, without a line break."#;

/// An included file with the line ends of another system.
const INCLUDED: &str = "# Included.\r\n[subscription.\"from there\"]\r\nurl_callback = \"URL/there\"\r\n\
                        event_filters = [\"client.*\"]\r\nvalidation = \"off\"\r\n\r\n# After it.\r\n";

fn write_files(relay: &Relay, receiver: &Receiver) {
    let url = receiver.url("");
    fs::create_dir(relay.path("more")).unwrap();
    fs::write(relay.path("more/there.toml"), INCLUDED.replace("URL/", &url)).unwrap();
    relay.save_whole(&COMMENTED.replace("URL/", &url));
}

/// Both files, as they are now.
fn files(relay: &Relay) -> (String, String) {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    (read(&relay.config()), read(&relay.path("more/there.toml")))
}

#[track_caller]
fn ok(output: Output) -> Output {
    assert_eq!(output.code, 0, "{output:?}");
    output
}

/// What each command makes of both files, said as replacements.
type Told = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const SLACK_BLOCK: (&str, &str) = ("# Slack, for the long ones.", "# Apart from everything.");

const COMMANDS: [Told; 12] = [
    (
        &["disable", "slack"],
        &[("\tvalidation = \"off\"\n\t# timeout", "\tvalidation = \"off\"\n\tenabled = false\n\t# timeout")],
    ),
    (&["edit", "slack", "--set", "enabled=true"], &[("enabled = false", "enabled = true")]),
    (
        &["disable", "from there"],
        &[("validation = \"off\"\r\n", "validation = \"off\"\r\nenabled = false\r\n")],
    ),
    (
        &["edit", "d", "--set", "timeout=5s"],
        &[("\"off\" } # inline", "\"off\", timeout = \"5s\" } # inline")],
    ),
    (
        &[
            "edit",
            "slack",
            "--set",
            "event_filters=[\"project.*\", \"task.created\"]",
            "--set",
            "headers.x-b=\"2\"",
        ],
        &[
            ("\n\t\t\"tag.*\", # why tags", ""),
            ("\t\t\"project.*\",\n", "\t\t\"project.*\",\n\t\t\"task.created\",\n"),
            ("= \"dev\"\n", "= \"dev\"\n\tx-b = \"2\"\n"),
        ],
    ),
    (&["edit", "slack", "--unset", "headers.x-b"], &[("\tx-b = \"2\"\n", "")]),
    (
        &["edit", "e", "--rename", "e mail"],
        &[
            ("e.url_callback", "\"e mail\".url_callback"),
            ("\ne.event_filters", "\n\"e mail\".event_filters"),
            ("\ne.validation", "\n\"e mail\".validation"),
        ],
    ),
    (
        &["edit", "slack", "--rename", "chat"],
        &[
            ("[subscription.slack]", "[subscription.chat]"),
            ("[subscription.slack.headers]", "[subscription.chat.headers]"),
        ],
    ),
    (
        &[
            "add",
            "new one",
            "--url",
            "http://127.0.0.1:9/n",
            "--event",
            "tag.*",
            "--event",
            "client.deleted",
            "--disabled",
        ],
        &[(
            "a line break.",
            "a line break.\n\n[subscription.\"new one\"]\nurl_callback = \"http://127.0.0.1:9/n\"\nevent_filters = [\"tag.*\", \"client.deleted\"]\nenabled = false\n",
        )],
    ),
    (&["rm", "d", "--yes"], &[("\"d\" = {", "\0"), ("timeout = \"5s\" } # inline\n", "\0")]),
    (&["rm", "e mail", "--yes"], &[("# About e.\n", "\0"), ("\"off\"\n\n# The end", "\0\n# The end")]),
    (&["rm", "from there", "--yes"], &[("# Included.\r\n", "\0"), ("enabled = false\r\n\r\n", "\0")]),
];

/// Both texts after the replacements. Two `\0` stand around what is gone.
fn replaced(texts: &(String, String), parts: &[(&str, &str)]) -> (String, String) {
    let replace = |text: &String| {
        let text = parts.iter().fold(text.clone(), |text, (old, new)| text.replacen(old, new, 1));
        match (text.find('\0'), text.rfind('\0')) {
            (Some(start), Some(end)) => format!("{}{}", &text[..start], &text[end + 1..]),
            _ => text,
        }
    };
    (replace(&texts.0), replace(&texts.1))
}

#[test]
fn every_command_leaves_every_other_byte() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare("");
    write_files(&relay, &receiver);
    for daemon in [true, false] {
        if daemon {
            relay.start_again();
        } else {
            relay.stop();
            fs::write(relay.path("more/there.toml"), INCLUDED.replace("URL/", &receiver.url(""))).unwrap();
            relay.save_whole(&COMMENTED.replace("URL/", &receiver.url("")));
        }
        for (words, parts) in COMMANDS {
            let before = files(&relay);
            // `disable` is the daemon's; without one the same is said by `edit`.
            let output = match (words, daemon) {
                (["disable", name], false) => relay.cli(&["edit", name, "--set", "enabled=false"]),
                _ => relay.cli(words),
            };
            ok(output);
            let (expected, now) = (replaced(&before, parts), files(&relay));
            assert_ne!(expected, before, "{words:?}");
            assert_eq!(now, expected, "{words:?}, daemon: {daemon}");
        }
        let (main, _) = files(&relay);
        assert!(main.contains(SLACK_BLOCK.0) && main.contains(SLACK_BLOCK.1) && main.starts_with("#:schema"));
    }
}

#[test]
fn a_change_is_live_when_the_command_returns() {
    let receiver = Receiver::start();
    let relay = Relay::start("");
    let url = |path: &str| receiver.url(path);
    let outcome = |id: i64| relay.wait_for_outcome(id, "a", "delivered");
    ok(relay.cli(&["add", "a", "--url", &url("one"), "--event", "tag.*", "--set", "validation=off"]));
    let secret = relay.cli(&["secret", "show", "a"]).stdout;
    receiver.trust(secret.trim());

    assert_eq!(relay.send(&event("tag.created", 1))["events"][0]["subscriptions"], serde_json::json!(["a"]));
    outcome(1);
    ok(relay.cli(&["edit", "a", "--set", &format!("url_callback={}", url("two"))]));
    relay.send(&event("tag.created", 2));
    outcome(2);
    ok(relay.cli(&["edit", "a", "--set", "event_filters=[\"task.*\"]"]));
    relay.send_all(&[event("tag.created", 3), event("task.created", 4)]);
    outcome(4);
    ok(relay.cli(&["rm", "a", "--yes"]));
    assert_eq!(relay.send(&event("task.created", 5))["events"][0]["subscriptions"], serde_json::json!([]));

    assert_eq!((receiver.ids_at("one"), receiver.ids_at("two")), (vec![1], vec![2, 4]));
    assert!(receiver.events().iter().all(|request| request.signed));
}

#[test]
fn what_would_not_load_is_refused_and_nothing_is_written() {
    let receiver = Receiver::start();
    let limited = "limit = \"free\"\n".to_owned() + &receiver.table("a");
    let mut relay = Relay::start(&limited);
    let text = fs::read_to_string(relay.config()).unwrap();
    let add = |name: &'static str, url: &'static str, filter: &'static str| {
        vec!["add", name, "--url", url, "--event", filter, "--disabled"]
    };
    let table: [(Vec<&str>, &str); 10] = [
        (add("b", "ftp://127.0.0.1/", "tag.*"), "has the scheme `ftp`"),
        (add("b", "http://127.0.0.1/", "tga.*"), "unknown entity `tga`; did you mean `tag`?"),
        (add("a", "http://127.0.0.1/", "tag.*"), "`a` exists already"),
        (vec!["edit", "a", "--set", "timeout=soon"], "timeout"),
        (vec!["edit", "a", "--set", "event_filters=tag.*"], "found text; put `[` and `]` around it"),
        (vec!["edit", "a", "--set", "timeuot=1s"], "did you mean `timeout`?"),
        (vec!["edit", "a", "--set", "event_filters=[\"tag.*\", \"tag.*\"]"], "appears more than once"),
        (vec!["edit", "a", "--unset", "url_callback"], "url_callback"),
        (vec!["edit", "b", "--set", "timeout=1s"], "no subscription `b`"),
        (
            vec!["add", "c", "--url", "http://127.0.0.1/", "--event", "tag.*"],
            "already reached the limit of 1 enabled subscriptions",
        ),
    ];
    for daemon in [true, false] {
        for (words, said) in &table {
            let output = relay.cli(words);
            assert!(output.code == 1 && output.stderr.contains(said), "{words:?}: {output:?}");
            assert_eq!(fs::read_to_string(relay.config()).unwrap(), text, "{words:?}");
        }
        if daemon {
            assert_eq!(relay.status()["config"]["state"], "ok", "never tried, so never stale");
            relay.stop();
        }
    }
    relay.save_whole("[broken");
    let output = relay.cli(&table[0].0);
    assert!(output.code == 78 && output.stderr.contains("the config is broken"), "{output:?}");
}

#[test]
fn many_commands_at_once_lose_nothing() {
    const MANY: usize = 12;
    let mut relay = Relay::start("");
    for daemon in [true, false] {
        if !daemon {
            relay.stop();
        }
        let one = |n: usize| {
            let (name, kind) =
                (format!("s{n}-{daemon}"), if n.is_multiple_of(2) { "tag.*" } else { "task.*" });
            ok(relay.cli(&["add", &name, "--url", "http://127.0.0.1:9/", "--event", kind, "--disabled"]));
            ok(relay.cli(&["edit", &name, "--set", "timeout=7s"]));
            if n.is_multiple_of(3) {
                ok(relay.cli(&["rm", &name, "--yes"]));
            }
        };
        thread::scope(|scope| {
            for n in 0..MANY {
                scope.spawn(move || one(n));
            }
        });
        let text = fs::read_to_string(relay.config()).unwrap();
        for n in 0..MANY {
            let there = text.contains(&format!("[subscription.s{n}-{daemon}]"));
            assert_eq!(there, n % 3 != 0, "{n}:\n{text}");
        }
        let kept = (0..MANY).filter(|n| n % 3 != 0).count() * if daemon { 1 } else { 2 };
        assert_eq!(text.matches("timeout = \"7s\"").count(), kept, "{text}");
        let left = fs::read_dir(relay.path("")).unwrap().flatten().map(|entry| entry.file_name());
        assert!(!left.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")));
    }
}

#[test]
fn a_save_at_the_same_moment_is_never_overwritten() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("a"));
    for n in 0..10 {
        let marked = format!("{BASE}{}# save {n}\n", receiver.table("a"));
        let output = thread::scope(|scope| {
            let command = scope.spawn(|| relay.cli(&["disable", "a"]));
            relay.save_whole(&marked);
            command.join().unwrap()
        });
        let text = fs::read_to_string(relay.config()).unwrap();
        let disabled = text.contains("enabled = false");
        assert!(text.contains(&format!("# save {n}\n")) || output.code == 0, "{output:?}\n{text}");
        match output.code {
            // It came first, and the save over it, or it came second.
            0 => assert!(!disabled || text.contains(&format!("# save {n}\n")), "{text}"),
            code => {
                assert_eq!(code, 1, "{output:?}");
                assert!(output.stderr.contains("config.toml` has changed since it was loaded"), "{output:?}");
            }
        }
        relay.save_whole(&format!("{BASE}{}", receiver.table("a")));
        relay.wait_until("the save is in force", |_| relay.subscription("a")["enabled"] == true);
    }
}

/// A relay with an endpoint that refuses, and three events that wait for it.
fn with_waiting(receiver: &Receiver) -> Relay {
    receiver
        .answer(|request, _| if request.is_ping() { Answer::proper(request) } else { Answer::status(500) });
    let relay = Relay::start(&(receiver.table("a") + "retry = [\"1h\"]\ndisable_after = 1000\n"));
    relay.wait_for_status("a", "enabled");
    relay.send_all(&[event("tag.created", 1), event("task.created", 2), event("client.created", 3)]);
    relay.wait_for_status("a", "pending");
    relay
}

fn id(relay: &Relay, name: &str) -> i64 {
    relay.subscription(name)["subscription_id"].as_i64().unwrap_or_else(|| panic!("no `{name}`"))
}

#[test]
fn what_is_removed_is_cancelled_and_nobody_inherits_it() {
    let receiver = Receiver::start();
    for daemon in [true, false] {
        let mut relay = with_waiting(&receiver);
        let (before, table) = (id(&relay, "a"), fs::read_to_string(relay.config()).unwrap());
        let asked = relay.cli_with_input(&["rm", "a"], "n\n");
        assert!(
            asked.code == 1 && asked.stderr.contains("3 events wait for it and are cancelled"),
            "{asked:?}"
        );
        let unasked = relay.cli(&["rm", "a"]);
        assert!(unasked.code == 2 && unasked.stderr.contains("[y/N] \nerror: "), "{unasked:?}");
        assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
        assert_eq!(fs::read_to_string(relay.config()).unwrap(), table);
        if !daemon {
            relay.stop();
        }
        let removed = ok(relay.cli(&["rm", "a", "--yes", "--json"])).json();
        assert_eq!(removed, serde_json::json!({ "name": "a", "cancelled": 3 }));
        if !daemon {
            relay.start_again();
        }
        assert!(relay.subscription("a").is_null());
        for event in 1..=3 {
            let why = relay.why(event);
            assert_eq!(why["decisions"][0]["outcome"], "cancelled", "{why}");
        }
        ok(relay.cli(&["add", "a", "--url", &receiver.url("a"), "--event", "*.*", "--disabled"]));
        assert!(id(&relay, "a") > before);
        assert_eq!(relay.subscription("a")["pending"], 0);
        let nobody = relay.cli(&["rm", "b", "--yes"]);
        assert!(nobody.code == 1 && nobody.stderr.contains("no subscription `b`"), "{nobody:?}");
    }
}

/// After the file is written, before anything else of it is done.
#[cfg(debug_assertions)]
#[test]
fn a_crash_in_the_middle_loses_neither_the_rename_nor_the_end() {
    let receiver = Receiver::start();
    let mut relay = with_waiting(&receiver);
    let before = id(&relay, "a");
    let dying = |relay: &mut Relay, words: &[&str]| {
        relay.stop();
        relay.set_env(DIE, "reload.checked:1:kill");
        relay.start_again();
        assert_eq!(relay.cli(words).code, 1, "the daemon died of it");
        relay.unset_env(DIE);
        relay.wait_for_end();
        relay.start_again();
    };
    dying(&mut relay, &["edit", "a", "--rename", "b"]);
    assert_eq!((id(&relay, "b"), &relay.subscription("b")["pending"]), (before, &Value::from(3)));
    dying(&mut relay, &["rm", "b", "--yes"]);
    assert!(relay.subscription("b").is_null());
    for event in 1..=3 {
        assert_eq!(relay.why(event)["decisions"][0]["outcome"], "cancelled");
    }
}

#[test]
fn what_is_under_way_when_it_is_removed_ends_quietly() {
    let receiver = Receiver::start();
    let gate = receiver.hold();
    let unasked = receiver.table("b").replace("\"off\"", "\"required\"");
    let relay = Relay::start(&(receiver.table("a") + &unasked));
    receiver.wait_for_pings(1);
    relay.send_all(&[event("tag.created", 1), event("tag.created", 2)]);
    receiver.wait_for_at("a", 1);
    ok(relay.cli(&["rm", "a", "--yes"]));
    ok(relay.cli(&["rm", "b", "--yes"]));
    gate.open();
    // What answers after them shows that both have landed.
    relay.save(&receiver.table("c"));
    relay.wait_for_status("c", "enabled");
    relay.send(&event("tag.created", 3));
    relay.wait_for_outcome(3, "c", "delivered");
    assert_eq!(relay.decision(1, "a")["outcome"], "cancelled");
    let log = relay.log();
    assert!(!log.contains("ERROR") && !log.contains("failed"), "{log}");
}

#[test]
fn what_vanished_from_the_file_can_be_ended_too() {
    let receiver = Receiver::start();
    let relay = with_waiting(&receiver);
    relay.save("");
    relay.wait_until("it is gone", |status| status["subscriptions"] == serde_json::json!([]));
    let renamed = {
        ok(relay.cli(&["add", "b", "--url", &receiver.url("b"), "--event", "*.*", "--disabled"]));
        relay.cli(&["edit", "b", "--rename", "a"])
    };
    assert!(renamed.code == 1 && renamed.stderr.contains("`trackrelay rm a` ends them"), "{renamed:?}");
    let asked = relay.cli_with_input(&["rm", "a"], "n\n");
    assert!(
        asked.stderr.contains("`a` is not in the config; end what it has left behind? [y/N]"),
        "{asked:?}"
    );
    let removed = ok(relay.cli(&["rm", "a", "--yes"]));
    assert_eq!(removed.stdout, "a: removed, 3 waiting events cancelled\n");
    ok(relay.cli(&["edit", "b", "--rename", "a"]));
    assert_eq!(relay.cli(&["rm", "b", "--yes"]).code, 1);
}

#[test]
fn a_rename_keeps_id_history_and_what_waits() {
    let receiver = Receiver::start();
    for daemon in [true, false] {
        let mut relay = with_waiting(&receiver);
        let before = id(&relay, "a");
        if !daemon {
            relay.stop();
        }
        ok(relay.cli(&["edit", "a", "--rename", "b c"]));
        if !daemon {
            relay.start_again();
        }
        assert_eq!(relay.log().contains("subscription `a` renamed to `b c`"), daemon, "{}", relay.log());
        assert_eq!((id(&relay, "b c"), &relay.subscription("b c")["pending"]), (before, &Value::from(3)));
        receiver.answer(|request, _| Answer::proper(request));
        // A rename alone changes nothing else, the wait between attempts included.
        ok(relay.cli(&["edit", "b c", "--set", "timeout=9s"]));
        for event in 1..=3 {
            relay.wait_for_outcome(event, "b c", "delivered");
        }
        assert!(relay.subscription("a").is_null());
    }
}
