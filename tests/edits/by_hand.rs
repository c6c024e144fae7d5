//! `edit NAME` opens an editor on a copy, and saves only what would load.

use super::*;

/// An editor that is a shell script; `$f` is the file, `$1` what came before it.
fn with_editor(relay: &mut Relay, script: &str) {
    let editor = relay.path("editor.sh");
    fs::write(&editor, format!("#!/bin/sh\nfor f; do :; done\n{script}\n")).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o700)).unwrap();
    relay.unset_env("EDITOR");
    relay.set_env("EDITOR", editor.to_str().unwrap());
    relay.unset_env("TMPDIR");
    relay.set_env("TMPDIR", relay.path("home").to_str().unwrap());
}

/// Copies that were left behind.
fn copies(relay: &Relay) -> Vec<std::path::PathBuf> {
    fs::read_dir(relay.path("home")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_an_editor_leaves_is_live() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare("");
    write_files(&relay, &receiver);
    relay.start_again();
    with_editor(&mut relay, "sed -i 's/client\\.\\*/tag.*/' \"$f\"");
    let before = files(&relay);
    let output = ok(relay.cli(&["edit", "from there"]));
    assert_eq!(output.stdout, "subscription `from there`: event_filters changed\n");
    assert_eq!(files(&relay), (before.0, before.1.replace("client.*", "tag.*")));
    let sent = relay.send(&event("tag.created", 1));
    assert!(sent["events"][0]["subscriptions"].to_string().contains("from there"), "{sent}");

    with_editor(&mut relay, "true");
    assert_eq!(ok(relay.cli(&["edit", "from there"])).stdout, "nothing changed\n");
    with_editor(&mut relay, "exit 3");
    assert_eq!(relay.cli(&["edit", "from there"]).code, 1);
    let unknown = relay.cli(&["edit", "slak"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("did you mean `slack`?"), "{unknown:?}");
    relay.stop();
    with_editor(&mut relay, "sed -i 's/tag\\.\\*/task.*/' \"$f\"");
    let output = ok(relay.cli(&["edit", "from there"]));
    assert!(output.stderr.contains("no daemon is running"), "{output:?}");
    assert!(files(&relay).1.contains("task.*"));
}

#[test]
fn the_editor_opens_at_the_table() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare("");
    write_files(&relay, &receiver);
    let editor = relay.path("vim");
    with_editor(&mut relay, "echo \"$1\" \"$(basename \"$f\")\" > seen; stat -c %a \"$f\" >> seen");
    fs::rename(relay.path("editor.sh"), &editor).unwrap();
    relay.unset_env("EDITOR");
    relay.set_env("EDITOR", format!("{} ", editor.display()));
    for (name, wanted) in [
        ("slack", "+13 config.toml\n600\n"),
        ("e", "+30 config.toml\n600\n"),
        ("from there", "+2 there.toml\n600\n"),
    ] {
        ok(relay.cli(&["edit", name]));
        assert_eq!(fs::read_to_string(relay.path("seen")).unwrap(), wanted);
    }
    assert_eq!(copies(&relay), [] as [std::path::PathBuf; 0]);
}

#[test]
fn errors_can_be_mended_or_given_up() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("a"));
    for daemon in [true, false] {
        let text = fs::read_to_string(relay.config()).unwrap();
        // Wrong at first, right when it is opened again.
        with_editor(
            &mut relay,
            "if grep -q tiemout \"$f\"; then sed -i s/tiemout/timeout/ \"$f\"; else echo 'tiemout = \"7s\"' >> \"$f\"; fi",
        );
        for answers in ["", "g\n", "what?\nq\n"] {
            let output = relay.cli_with_input(&["edit", "a"], answers);
            assert!(output.code == 1 && output.stderr.contains("did you mean `timeout`?"), "{output:?}");
            assert!(output.stderr.contains("edit again, or give up?"), "{output:?}");
            assert_eq!(fs::read_to_string(relay.config()).unwrap(), text);
            let kept = copies(&relay).pop().unwrap();
            assert!(output.stderr.contains(kept.to_str().unwrap()), "{output:?}");
            fs::remove_dir_all(kept).unwrap();
        }
        let output = ok(relay.cli_with_input(&["edit", "a"], "e\n"));
        let mended = text.clone() + "timeout = \"7s\"\n";
        assert_eq!(fs::read_to_string(relay.config()).unwrap(), mended, "{output:?}");
        relay.save_whole(&text);
        if daemon {
            relay.stop();
        }
    }
}

#[test]
fn a_broken_config_can_be_mended() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("a"));
    let good = fs::read_to_string(relay.config()).unwrap();
    with_editor(&mut relay, "sed -i /tiemout/d \"$f\"");
    for daemon in [true, false] {
        relay.save_whole(&(good.clone() + "tiemout = \"7s\"\n"));
        if daemon {
            relay.wait_until("the config is stale", |status| status["config"]["state"] == "stale");
        }
        ok(relay.cli(&["edit", "a"]));
        assert_eq!(fs::read_to_string(relay.config()).unwrap(), good);
        if daemon {
            assert_eq!(relay.status()["config"]["state"], "ok");
            relay.stop();
        }
    }
}

#[test]
fn a_save_while_the_editor_is_open_is_not_overwritten() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("a"));
    let config = relay.config();
    with_editor(
        &mut relay,
        &format!("echo '# saved meanwhile' >> '{}'; echo '# mine' >> \"$f\"", config.display()),
    );
    for daemon in [true, false] {
        let output = relay.cli(&["edit", "a"]);
        assert!(output.code == 1 && output.stderr.contains("config.toml` has changed since"), "{output:?}");
        let text = fs::read_to_string(&config).unwrap();
        assert!(text.contains("# saved meanwhile") && !text.contains("# mine"), "{text}");
        let kept = copies(&relay).pop().unwrap();
        assert!(fs::read_to_string(kept.join("config.toml")).unwrap().ends_with("# mine\n"));
        fs::remove_dir_all(kept).unwrap();
        if daemon {
            relay.stop();
        }
    }
}
