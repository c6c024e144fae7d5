//! The command line: exit codes that scripts rely on, facts as JSON, and help where
//! nothing goes out.

use serde_json::Value;

use crate::harness::event::{ACTIONS, ENTITIES};
use crate::harness::relay::output;
use crate::harness::{Answer, Receiver, Relay, event};

#[test]
fn exit_codes_are_those_scripts_rely_on() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare(&receiver.table("everything"));
    for words in [
        &["status"][..],
        &["list"],
        &["reload"],
        &["why", "1"],
        &["send", "tag.created"],
        &["enable", "everything"],
    ] {
        let output = relay.cli(words);
        assert_eq!(output.code, 69, "{words:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
        assert!(output.stderr.contains("trackrelay run"), "says how to start it: {output:?}");
    }
    for words in [&["nonsense"][..], &["status", "--nonsense"], &["send"], &["why", "abc"], &["replay"]] {
        assert_eq!(relay.cli(words).code, 2, "{words:?}");
    }
    assert_eq!(relay.cli(&["--help"]).code, 0);
    assert_eq!(relay.cli(&["--version"]).code, 0);
    relay.start_again();
    for words in [
        &["enable", "everythin"][..],
        &["why", "77"],
        &["secret", "show", "nobody"],
        &["run"],
        &["test", "nobody"],
    ] {
        let output = relay.cli(words);
        assert_eq!(output.code, 1, "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
    assert!(relay.cli(&["enable", "everythin"]).stderr.contains("did you mean `everything`"));
    relay.save("[subscription.broken]\n");
    relay.wait_until("the config is stale", |status| status["config"]["state"] == "stale");
    for words in [&["check"][..], &["reload"]] {
        assert_eq!(relay.cli(words).code, 78, "{words:?}");
    }
    assert_eq!(relay.cli(&["status"]).code, 0, "commands work while the config is broken");
    let absent = output(relay.bare_command(&["check", "--config", "nowhere.toml"]), "");
    assert_eq!(absent.code, 78, "{absent:?}");
}

#[test]
fn a_first_start_with_a_bad_config_prints_all_errors_and_exits_78() {
    let relay = Relay::prepare(
        "[subscription.a]\nurl_callback = \"nonsense\"\nevent_filters = [\"time_entri.created\"]\n\
                                timeout = \"soon\"\nsecret = { env = \"NOT_THERE\" }\n",
    );
    let run = relay.cli(&["run"]);
    let check = relay.cli(&["check"]);
    for output in [&run, &check] {
        assert_eq!(output.code, 78, "{output:?}");
        for word in ["url_callback", "did you mean `time_entry`", "soon", "NOT_THERE", "config.toml:", "^"] {
            assert!(output.stderr.contains(word), "`{word}` is missing:\n{}", output.stderr);
        }
    }
    let document = relay.cli(&["check", "--json"]);
    assert_eq!(document.code, 78);
    let errors = document.json()["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 4, "{errors:#}");
    for error in errors.as_array().unwrap() {
        assert!(
            error["line"].is_i64() && error["column"].is_i64() && error["message"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn status_and_list_tell_facts() {
    let receiver = Receiver::start();
    let relay =
        Relay::start(&(receiver.table_for("a", r#"["tag.*"]"#) + &receiver.table("b") + "enabled = false\n"));
    let status = relay.cli(&["status", "--json"]);
    assert_eq!(status.code, 0);
    let document = status.json();
    assert_eq!(document["pid"], relay.pid());
    assert_eq!(document["listen"]["tcp"], relay.tcp().to_string());
    assert_eq!(document["listen"]["unix"], relay.unix().to_str().unwrap());
    assert_eq!(document["config"]["state"], "ok");
    for key in ["version", "started_at"] {
        assert!(document[key].is_string(), "{key}");
    }
    let a = &document["subscriptions"][0];
    for key in [
        "name",
        "subscription_id",
        "status",
        "enabled",
        "validated_at",
        "has_pending_events",
        "pending",
        "delivered",
        "failed_attempts",
        "disabled_reason",
        "url_callback",
        "event_filters",
    ] {
        assert!(a.get(key).is_some(), "`{key}` is missing: {a}");
    }
    assert_eq!(
        (&a["name"], &a["status"], &a["event_filters"][0]),
        (&"a".into(), &"enabled".into(), &"tag.*".into())
    );
    assert_eq!(document["subscriptions"][1]["status"], "disabled");
    let human = relay.cli(&["status"]);
    assert!(
        human.stdout.contains("disabled") && !human.stdout.contains('\u{1b}'),
        "no colours in a pipe: {human:?}"
    );
    let list = relay.cli(&["list", "--json"]);
    assert_eq!(list.code, 0);
    assert!(list.stdout.contains("\"a\"") && list.stdout.contains("\"b\""), "{list:?}");
}

#[test]
fn send_knows_all_27_pairs() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let mut sent = 0;
    for entity in ENTITIES {
        for action in ACTIONS {
            let output = relay.cli(&["send", &format!("{entity}.{action}"), "--json", "--no-wait"]);
            assert_eq!(output.code, 0, "{output:?}");
            sent += 1;
            let arrived = receiver.wait_for(sent).pop().unwrap().json();
            assert_eq!(
                (&arrived["metadata"]["model"], &arrived["metadata"]["action"]),
                (&entity.into(), &action.into())
            );
            assert_eq!(arrived["metadata"]["workspace_id"], "4200017");
            assert!(arrived["payload"].is_object());
        }
    }
    assert_eq!(sent, 27);
    let unknown = relay.cli(&["send", "time_entri.created"]);
    assert_ne!(unknown.code, 0);
    assert!(unknown.stderr.contains("time_entry"), "{unknown:?}");
}

#[test]
fn send_says_what_became_of_it_and_what_helps() {
    let receiver = Receiver::start();
    receiver.answer(
        |request, _| if request.path == "/failing" { Answer::status(500) } else { Answer::proper(request) },
    );
    let tables = [
        receiver.table_for("tags", r#"["tag.*"]"#),
        receiver.table("failing") + "retry = [\"10m\"]\n",
        receiver.table("switched-off") + "enabled = false\n",
        receiver.table("working"),
    ];
    let relay = Relay::start(&tables.concat());
    let set = [
        "send",
        "time_entry.created",
        "--set",
        "payload.description=lunch with \"ana\"",
        "--set",
        "payload.duration=1800",
    ];
    let output = relay.cli(&set);
    assert_eq!(output.code, 0, "{output:?}");
    let body = receiver.wait_for_at("working", 1).pop().unwrap().json();
    assert_eq!(body["payload"]["description"], "lunch with \"ana\"");
    assert_eq!(body["payload"]["duration"], 1800);
    let told = output.stdout + &output.stderr;
    for words in [
        "working",
        "delivered",
        "switched-off",
        "trackrelay enable switched-off",
        "tags",
        "event_filters",
        "failing",
        "500",
    ] {
        assert!(told.contains(words), "`{words}` is missing:\n{told}");
    }
}

#[test]
fn send_count_and_input() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let output = relay.cli(&["send", "task.updated", "--count", "120", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    receiver.wait_for(120);
    let mut ids = receiver.ids_at("all");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 120);
    let body = event("tag.created", 5).json();
    assert_eq!(relay.cli_with_input(&["send", "-"], &body).code, 0);
    std::fs::write(relay.path("event.json"), event("tag.created", 6).json()).unwrap();
    assert_eq!(relay.cli(&["send", "event.json"]).code, 0);
    receiver.wait_for(122);
    assert_eq!(receiver.ids_at("all")[120..], [5, 6]);
    let bad = relay.cli_with_input(&["send", "-"], "{\"metadata\":{}}");
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.stderr.contains("metadata"), "{bad:?}");
}

#[test]
fn why_tells_every_subscription() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| Answer::status(if before == 0 { 500 } else { 200 }));
    let relay = Relay::start(
        &(receiver.table("all") + "retry = [\"10ms\"]\n" + &receiver.table_for("tasks", r#"["task.*"]"#)),
    );
    relay.send(&event("tag.created", 1));
    relay.wait_for_outcome(1, "all", "delivered");
    let why = relay.cli(&["why", "1", "--json"]);
    assert_eq!(why.code, 0);
    let document = why.json();
    assert_eq!(
        (&document["event_id"], &document["entity"], &document["action"]),
        (&1.into(), &"tag".into(), &"created".into())
    );
    let decisions = document["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 2);
    let all = decisions.iter().find(|decision| decision["subscription"] == "all").unwrap();
    let attempts = all["attempts"].as_array().unwrap();
    assert_eq!((&attempts[0]["status"], &attempts[1]["status"]), (&500.into(), &200.into()));
    for key in ["n", "at", "status", "error", "ms"] {
        assert!(attempts[0].get(key).is_some(), "{key}");
    }
    let tasks = decisions.iter().find(|decision| decision["subscription"] == "tasks").unwrap();
    assert_eq!(tasks["outcome"], "skipped_filter");
    let one = relay.cli(&["why", "1", "tasks", "--json"]).json();
    assert_eq!(one["decisions"].as_array().unwrap().len(), 1);
    let human = relay.cli(&["why", "1"]).stdout;
    assert!(
        human.contains("delivered") && human.contains("skipped_filter") && human.contains("500"),
        "{human}"
    );
}

#[test]
fn replay_by_id_and_since() {
    let receiver = Receiver::start();
    let relay = Relay::start(
        &(receiver.table_for("tags", r#"["tag.*"]"#) + &receiver.table_for("tasks", r#"["task.*"]"#)),
    );
    relay.send(&event("tag.created", 1));
    relay.wait_for_outcome(1, "tags", "delivered");
    let dry = relay.cli(&["replay", "1", "--dry-run", "--json"]);
    assert_eq!((dry.code, &dry.json()["dry_run"]), (0, &Value::Bool(true)));
    assert_eq!(receiver.events().len(), 1);
    assert_eq!(relay.cli(&["replay", "1"]).code, 0);
    receiver.wait_for_at("tags", 2);
    assert_eq!(relay.cli(&["replay", "--since", "1h"]).code, 0);
    receiver.wait_for_at("tags", 3);
    // By name it goes where its filters would not let it.
    assert_eq!(relay.cli(&["replay", "1", "--to", "tasks"]).code, 0);
    receiver.wait_for_at("tasks", 1);
    assert_eq!(relay.cli(&["replay", "99"]).code, 1, "no such event");
}

#[test]
fn disable_and_enable_write_the_file_and_nothing_else() {
    let receiver = Receiver::start();
    let table = receiver.table("all").replace("validation", "# why: it is local\nvalidation");
    let relay = Relay::start(&table);
    let before = std::fs::read_to_string(relay.config()).unwrap();
    assert_eq!(relay.cli(&["disable", "all"]).code, 0);
    let disabled = std::fs::read_to_string(relay.config()).unwrap();
    assert_eq!(disabled.replace("enabled = false\n", ""), before);
    assert_eq!(relay.subscription("all")["status"], "disabled");
    assert_eq!(relay.cli(&["enable", "all"]).code, 0);
    let enabled = std::fs::read_to_string(relay.config()).unwrap();
    assert_eq!(enabled.replace("enabled = true\n", ""), before);
    assert_eq!(relay.subscription("all")["status"], "enabled");
    assert_eq!(receiver.pings().len(), 1, "`enable` asks the endpoint first");
}

#[test]
fn a_daemon_without_a_unix_socket_is_found_over_tcp() {
    let mut relay = Relay::prepare("");
    relay.save_whole("[listen]\ntcp = \"127.0.0.1:0\"\nunix = \"off\"\n");
    relay.launch();
    let status = crate::harness::wait_until("the daemon is found", || {
        Some(relay.cli(&["status", "--json"])).filter(|output| output.code == 0)
    });
    assert_eq!(status.json()["listen"]["unix"], Value::Null);
    relay.stop();
}

#[test]
fn init_makes_a_config_that_checks_and_does_not_overwrite() {
    let relay = Relay::prepare("");
    let home = relay.path("home");
    let command = |words: &[&str]| {
        let mut command = relay.bare_command(words);
        command.current_dir(&home);
        output(command, "")
    };
    let init = command(&["init"]);
    assert_eq!(init.code, 0, "{init:?}");
    let check = command(&["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    let again = command(&["init"]);
    assert_eq!(again.code, 1, "{again:?}");
    let schema = command(&["schema"]);
    assert_eq!(schema.code, 0);
    assert!(schema.json()["properties"]["subscription"].is_object());
}

#[test]
fn a_refused_event_is_told_by_its_place_in_the_input() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let good = r#"{"metadata":{"model":"tag","action":"created"},"payload":{}}"#;
    let bad = good.replace("tag", "tagg");
    let lines = relay.cli_with_input(&["send", "-"], &format!("{good}\n\n\n{bad}\n"));
    assert_eq!(lines.code, 1, "{lines:?}");
    assert!(lines.stderr.contains("line 4: `metadata.model`: unknown model `tagg`"), "{lines:?}");
    let array = relay.cli_with_input(&["send", "-"], &format!("[{good},\n{bad}]"));
    assert!(array.stderr.contains("`[1].metadata.model`: unknown model `tagg`"), "{array:?}");
}

#[test]
fn samples_are_of_the_daemons_workspace() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare("");
    let listen = "[listen]\ntcp = \"127.0.0.1:0\"\n\n";
    relay.save_whole(&format!("{listen}{}", receiver.table("all")));
    relay.start_again();
    assert_eq!(relay.cli(&["send", "tag.created", "--no-wait"]).code, 0);
    let arrived = receiver.wait_for(1).pop().unwrap().json();
    assert_eq!(arrived["metadata"]["workspace_id"], "1", "the default of a config without `[workspace]`");
}

#[test]
fn samples_come_in_the_shape_of_2023_too() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    assert_eq!(relay.cli(&["send", "time_entry.created", "--as", "gen2023", "--no-wait"]).code, 0);
    let metadata = receiver.wait_for(1)[0].json()["metadata"].clone();
    assert_eq!(metadata["path"], "/api/v9/workspaces/4200017/time_entries", "{metadata}");
    assert!(metadata["time_entry_id"].is_string() && metadata["entity_id"].is_null(), "{metadata}");
    assert_eq!(relay.cli_with_input(&["send", "-", "--as", "gen2023"], "{}").code, 2);
    assert_eq!(relay.cli(&["send", "tag.created", "--as", "gen1999"]).code, 2);
}

#[test]
fn errors_of_a_config_stand_apart_from_what_follows() {
    let relay =
        Relay::prepare("[subscription.a]\nurl_callback = \"nonsense\"\nevent_filters = [\"tag.*\"]\n");
    let check = relay.cli(&["check"]);
    assert!(check.stderr.contains("\n\nerror: 1 error in the config `"), "{check:?}");
}
