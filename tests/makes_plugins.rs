//! `trackrelay plugin`: what is needed to write plugins comes with the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::relay::output;
use crate::harness::{Relay, repository};

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
    let tool = |name: &str, script: &str| {
        let path = relay.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let (works, empty) = (tool("works", "echo 1.95"), tool("empty", "mkdir -p lib; echo lib"));
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
    assert!(refused.code == 1 && refused.stderr.contains("is not a WebAssembly file"), "{refused:?}");
}
