//! `trackrelay plugin`: what is needed to write plugins comes with the program.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::harness::guest::{Guest, moody};
use crate::harness::relay::{Output, output};
use crate::harness::{DEADLINE, Relay, event, repository, wait_at_most};

/// A program that stands in for one of the toolchain.
fn tool(relay: &Relay, name: &str, script: &str) -> PathBuf {
    let path = relay.path(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_new_plugin_is_whole_and_overwrites_nothing() {
    let relay = Relay::prepare("");
    let new = |words: &[&str]| output(relay.bare_command(&[&["plugin", "new"], words].concat()), "");
    let made = new(&["long-only"]);
    assert_eq!((made.code, made.stdout.as_str()), (0, "long-only\n"), "{made:?}");
    for file in ["Cargo.toml", "Cargo.lock", "README.md", "events.ndjson", "src/lib.rs", "sdk/src/lib.rs"] {
        assert!(relay.path("long-only").join(file).is_file(), "{file}");
    }
    fs::write(relay.path("long-only/src/lib.rs"), "mine").unwrap();
    let again = new(&["long-only", "--kind", "transform"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("`long-only` is there already"), "{again:?}");
    assert_eq!(fs::read_to_string(relay.path("long-only/src/lib.rs")).unwrap(), "mine");
    assert_eq!(new(&["Not A Name"]).code, 2);
}

#[test]
fn a_missing_toolchain_is_named_with_the_command_that_installs_it() {
    let relay = Relay::prepare("");
    output(relay.bare_command(&["plugin", "new", "long-only"]), "");
    let (works, empty) =
        (tool(&relay, "works", "echo 1.95"), tool(&relay, "empty", "mkdir -p lib; echo lib"));
    let said = |cargo: &std::path::Path, rustc: &std::path::Path| {
        let mut command = relay.bare_command(&["plugin", "build", "long-only"]);
        let built = output(
            {
                command.env("CARGO", cargo).env("RUSTC", rustc);
                command
            },
            "",
        );
        assert_eq!(built.code, 1, "{built:?}");
        built.stderr
    };
    let nowhere = relay.path("nowhere");
    for (cargo, rustc, lacks) in [
        (&nowhere, &works, "no cargo"),
        (&works, &nowhere, "no compiler"),
        (&works, &empty, "cannot build for wasm32-unknown-unknown"),
    ] {
        let stderr = said(cargo, rustc);
        assert!(stderr.contains(lacks), "{stderr}");
        assert!(stderr.contains("| sh -s -- --target wasm32-unknown-unknown`"), "{stderr}");
    }
    let outside = output(relay.bare_command(&["plugin", "build"]), "");
    assert!(outside.code == 1 && outside.stderr.contains("trackrelay plugin new NAME"), "{outside:?}");
}

#[test]
fn a_compiler_without_a_linker_gets_that_of_another() {
    let relay = Relay::prepare("");
    output(relay.bare_command(&["plugin", "new", "long-only"]), "");
    for folder in ["own/wasm/lib", "other/host/lib", "other/host/bin", "path", "empty"] {
        fs::create_dir_all(relay.path(folder)).unwrap();
    }
    fs::write(relay.path("own/wasm/lib/libstd-1.rlib"), "").unwrap();
    let linker = relay.path("other/host/bin/rust-lld");
    fs::write(&linker, "").unwrap();
    let says =
        |name: &str, folder: &str| tool(&relay, name, &format!("echo {}", relay.path(folder).display()));
    let (rustc, _other) = (says("rustc", "own/wasm/lib"), says("path/rustc", "other/host/lib"));
    let cargo = tool(
        &relay,
        "cargo",
        "[ \"$1\" = build ] || exit 0; echo \"linker $CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER\" >&2; exit 1",
    );
    let build = |path: &str, named: Option<&str>| {
        let mut command = relay.bare_command(&["plugin", "build", "long-only"]);
        command.env("CARGO", &cargo).env("RUSTC", &rustc).env("PATH", relay.path(path));
        command.env_remove("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER");
        command.envs(named.map(|linker| ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)));
        output(command, "").stderr
    };
    let lacks = "no linker for wasm was found";
    let found = build("path", None);
    assert!(found.contains(&format!("linker {}\n", linker.display())) && !found.contains(lacks), "{found}");
    let named = build("path", Some("mine"));
    assert!(named.contains("linker mine\n") && !named.contains(lacks), "{named}");
    let missing = build("empty", None);
    assert!(missing.contains("linker \n") && missing.contains(lacks), "{missing}");
}

#[test]
fn a_file_tells_what_it_is() {
    let relay = Relay::prepare("");
    let inspect = |file: &str| output(relay.bare_command(&["plugin", "inspect", file, "--json"]), "");
    let slack = inspect(repository("plugins/slack.wasm").to_str().unwrap()).json();
    let recorded = fs::read_to_string(repository("plugins/BUILDINFO")).unwrap();
    assert!(recorded.contains(&format!("file slack.wasm {}", slack["sha256"].as_str().unwrap())), "{slack}");
    assert_eq!(slack["form"], "component");
    assert_eq!(slack["contract"], "0.1.0");
    assert_eq!(slack["worlds"], serde_json::json!(["transform"]));
    for import in slack["imports"].as_array().unwrap() {
        assert!(import["name"].as_str().unwrap().starts_with("track:relay/"), "{import}");
        assert_eq!(import["wasi"], false, "{import}");
    }
    fs::write(relay.path("text.wasm"), "no plugin").unwrap();
    let refused = inspect("text.wasm");
    assert!(refused.code == 1 && refused.stderr.contains("not a WebAssembly file"), "{refused:?}");
}

/// A folder with two time entries, an hour and ten minutes long, and what is said there.
struct Bench {
    relay: Relay,
}

impl Bench {
    fn new() -> Bench {
        let relay = Relay::prepare("");
        let entry = |id, seconds: i64| event("time_entry.updated", id).with("duration", seconds).json();
        fs::write(relay.path("events.ndjson"), format!("{}\n{}\n", entry(100, 3600), entry(101, 600)))
            .unwrap();
        for shipped in ["match.wasm", "slack.wasm"] {
            fs::copy(repository("plugins").join(shipped), relay.path(shipped)).unwrap();
        }
        Bench { relay }
    }

    fn say(&self, command: &str, file: &str, more: &[&str]) -> Output {
        let words = [&["plugin", command, file, "--events", "events.ndjson"], more].concat();
        output(self.command(&words), "")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.relay.bare_command(words);
        command.env("TMPDIR", self.relay.path(""));
        command
    }

    fn tool(&self, name: &str, script: &str) -> PathBuf {
        tool(&self.relay, name, script)
    }
}

fn lines(said: &Output) -> Vec<Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A minimum length for `match`.
const AN_HOUR: [&str; 2] = ["--with", r#"{"payload.duration":{"gte":3600}}"#];

#[test]
fn a_plugin_is_shown_events_and_says_what_it_makes_of_them() {
    let bench = Bench::new();
    let told = bench.say("test", "match.wasm", &[&AN_HOUR[..], &["--json"]].concat());
    assert_eq!(told.code, 0, "{told:?}");
    let records = lines(&told);
    let verdicts: Vec<_> =
        records.iter().map(|it| (&it["event_id"], &it["verdict"], &it["reason"])).collect();
    let reason = json!("payload.duration is 600, wanted >= 3600");
    assert_eq!(verdicts[0], (&json!(100), &json!("deliver"), &Value::Null), "{told:?}");
    assert_eq!(verdicts[1], (&json!(101), &json!("skip"), &reason), "{told:?}");
    for record in &records {
        assert!(record["ms"].as_f64() > Some(0.0) && record["fresh_ms"].as_f64() > Some(0.0), "{record}");
        assert!(record["memory"].as_u64() > Some(1 << 16) && record["agrees"] == true, "{record}");
    }

    let shown = bench.say("test", "slack.wasm", &[]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("    -   \"event_id\": 100,\n"), "{shown:?}");
    assert!(shown.stdout.contains("    +   \"text\": \"Time entry updated"), "{shown:?}");
    assert!(shown.stderr.contains("2 events, reused and fresh instances agree"), "{shown:?}");

    let refused = bench.say("test", "match.wasm", &["--with", r#"{"a":{"nearly":1}}"#]);
    let said = "plugin `match` refuses its config in `--with`: ";
    assert!(refused.code == 1 && refused.stderr.contains(said), "{refused:?}");
    assert_eq!(bench.say("test", "match.wasm", &["--with", "[]"]).code, 2);
    let mistaken = bench.say("test", "match.wasm", &["--config", AN_HOUR[1]]);
    assert!(mistaken.code == 2 && mistaken.stderr.contains("is `--with JSON`"), "{mistaken:?}");
}

#[test]
fn a_plugin_is_shown_what_the_daemon_had_last() {
    let relay = Relay::start("");
    for (id, seconds) in [(100, 60), (101, 600), (102, 3600)] {
        relay.send(&event("time_entry.updated", id).with("duration", seconds));
    }
    let file = repository("plugins/match.wasm");
    let words = ["plugin", "test", file.to_str().unwrap(), "--last", "2", "--json"];
    let told = relay.cli(&[&words[..], &AN_HOUR].concat());
    assert_eq!(told.code, 0, "{told:?}");
    let verdicts: Vec<_> =
        lines(&told).iter().map(|it| (it["event_id"].clone(), it["verdict"].clone())).collect();
    assert_eq!(verdicts, [(json!(101), json!("skip")), (json!(102), json!("deliver"))]);
}

#[test]
fn answers_are_kept_and_compared() {
    let bench = Bench::new();
    let expect =
        |more: &[&str]| bench.say("test", "match.wasm", &[more, &["--expect", "answers.json"]].concat());
    let missing = expect(&AN_HOUR);
    assert!(missing.code == 1 && missing.stderr.contains("`--update` writes it"), "{missing:?}");
    let update = [&AN_HOUR[..], &["--update"]].concat();
    assert_eq!(expect(&update).code, 0);
    let kept = fs::read_to_string(bench.relay.path("answers.json")).unwrap();
    assert_eq!(expect(&update).code, 0);
    assert_eq!(fs::read_to_string(bench.relay.path("answers.json")).unwrap(), kept);
    assert_eq!(expect(&AN_HOUR).code, 0);

    let other = expect(&["--with", r#"{"payload.duration":{"gte":60}}"#, "--json"]);
    assert!(other.code == 1 && other.stderr.contains("1 of 2 answers are other than in"), "{other:?}");
    let records = lines(&other);
    assert_eq!((&records[0]["expected"], &records[1]["expected"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&records[1]["verdict"], &records[1]["wanted"]["verdict"]),
        (&json!("deliver"), &json!("skip"))
    );

    let one = event("time_entry.updated", 100).with("duration", 3600).json();
    fs::write(bench.relay.path("events.ndjson"), one).unwrap();
    let fewer = expect(&AN_HOUR);
    assert!(fewer.code == 1 && fewer.stderr.contains("has 2 answers, and there were 1"), "{fewer:?}");
}

#[test]
fn hidden_state_and_failures_show() {
    let bench = Bench::new();
    fs::write(bench.relay.path("moody.wasm"), moody()).unwrap();
    let told = bench.say("test", "moody.wasm", &["--expect", "answers.json", "--update"]);
    assert_eq!(told.code, 1, "{told:?}");
    for part in ["event 1 (100)", "out of sorts", "a fresh one `deliver`", "keeps something between events"] {
        assert!(told.stderr.contains(part), "{told:?}");
    }
    assert!(!bench.relay.path("answers.json").exists(), "answers that depend on luck were written");
    Guest::Errs.save(&bench.relay.path("errs.wasm"));
    let failed = bench.say("test", "errs.wasm", &[]);
    assert!(failed.code == 1 && failed.stderr.contains("the plugin failed at 2 events"), "{failed:?}");
}

#[test]
fn a_plugin_is_measured_against_the_budget() {
    let bench = Bench::new();
    let measured = bench.say("bench", "match.wasm", &[&AN_HOUR[..], &["--calls", "300", "--json"]].concat());
    assert_eq!(measured.code, 0, "{measured:?}");
    let measured = measured.json();
    let lines = measured["lines"].as_array().unwrap();
    let what: Vec<_> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    let wanted = [
        "load, compiled anew",
        "load, compiled code in the cache",
        "filter, reused instance",
        "filter, fresh instance",
    ];
    assert_eq!(what, wanted);
    for line in lines {
        let us = |key: &str| line[key].as_f64().unwrap();
        assert!(us("p50_us") > 0.0 && us("p99_us") >= us("p50_us"), "{line}");
        assert_eq!(line["within"], us("p50_us") <= us("budget_us"), "{line}");
    }
    assert!(lines[1]["p50_us"].as_f64() < lines[0]["p50_us"].as_f64(), "the cache is of no use: {lines:?}");
    assert!(lines[2]["measured"] == 300 && lines[3]["measured"] == 300, "{lines:?}");
    Guest::Errs.save(&bench.relay.path("errs.wasm"));
    let failed = bench.say("bench", "errs.wasm", &["--calls", "3"]);
    assert!(failed.code == 1 && failed.stderr.contains("event 100: plugin `errs`"), "{failed:?}");
    let left = fs::read_dir(bench.relay.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().unwrap().contains("bench")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A command that goes on until the test is over.
struct Going(Child);

impl Drop for Going {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_save_builds_and_shows_again() {
    let bench = Bench::new();
    let path = |name: &str| bench.relay.path(name);
    fs::create_dir_all(path("own/src")).unwrap();
    fs::create_dir_all(path("own/target")).unwrap();
    fs::write(path("own/Cargo.toml"), "").unwrap();
    Guest::Traps.save(&path("own/target/own.wasm"));
    Guest::Good.save(&path("next.wasm"));
    let made = r#"{"manifest_path":"$PWD/Cargo.toml","filenames":["$PWD/target/own.wasm"]}"#;
    let build = format!("[ \"$1\" = build ] && cp ../next.wasm target/own.wasm\ncat <<END\n{made}\nEND");
    let cargo = bench.tool("cargo", &build);
    let rustc = bench.tool("rustc", "mkdir -p lib; touch lib/libstd-1.rlib; echo $PWD/lib");

    let words = ["plugin", "test", "own/target/own.wasm", "--events", "events.ndjson", "--watch"];
    let mut command = bench.command(&words);
    command.env("CARGO", cargo).env("RUSTC", rustc);
    command.stdout(File::create(path("out")).unwrap()).stderr(File::create(path("err")).unwrap());
    let _going = Going(command.spawn().unwrap());
    let said = || fs::read_to_string(path("err")).unwrap();
    let says = |what: &str| {
        let found = wait_at_most(DEADLINE, || said().contains(what).then_some(()));
        assert!(found.is_some(), "not `{what}` but {}", said());
    };
    says("2 events, reused and fresh instances agree\nwaiting");

    Guest::Errs.save(&path("next.wasm"));
    fs::write(path("own/src/lib.rs"), "saved").unwrap();
    says("the plugin failed at 2 events\nwaiting");
    fs::write(path("events.ndjson"), event("tag.created", 100).json()).unwrap();
    says("the plugin failed at 1 event\nwaiting");
}
