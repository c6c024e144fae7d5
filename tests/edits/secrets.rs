//! A new secret goes where the old one lives, and signs whatever is sent from then on.

use super::*;

/// Of a file, without what else it is.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn shown(relay: &Relay) -> String {
    ok(relay.cli(&["secret", "show", "a"])).stdout.trim_end().to_owned()
}

fn table(receiver: &Receiver, secret: &str) -> String {
    format!(
        "[subscription.a]\nurl_callback = \"{}\"\nevent_filters = [\"*.*\"]\nvalidation = \"off\" # why\n{secret}",
        receiver.url("a")
    )
}

/// What the next event is signed with.
#[track_caller]
fn assert_signs(relay: &Relay, receiver: &Receiver, id: i64, secret: &str) {
    relay.send(&event("tag.created", id));
    relay.wait_for_outcome(id, "a", "delivered");
    let request = receiver.events().pop().unwrap();
    let header = request.header("x-webhook-signature-256").unwrap();
    assert_eq!(header, signature(secret, &request.body));
}

#[test]
fn a_secret_is_replaced_where_it_lives() {
    let receiver = Receiver::start();
    for (n, daemon) in [(1, true), (2, false)] {
        for (home, line) in
            ["", "secret = \"OLD\" # kept\n", "secret = { file = \"a.key\" }\n"].into_iter().enumerate()
        {
            let mut relay = Relay::prepare(&table(&receiver, &line.replace("OLD", SECRET)));
            let key = relay.path("a.key");
            fs::write(&key, format!("{SECRET}\n")).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
            relay.start_again();
            let (old, text) = (shown(&relay), fs::read_to_string(relay.config()).unwrap());
            assert_signs(&relay, &receiver, n * 100, &old);
            if !daemon {
                relay.stop();
            }
            let rotated = ok(relay.cli(&["secret", "rotate", "a"]));
            assert_eq!(rotated.stdout, "a: new secret\n");
            assert!(rotated.stderr.contains("no overlap"), "{rotated:?}");
            if !daemon {
                relay.start_again();
            }
            let new = shown(&relay);
            assert!(
                new != old && new.len() == 20 && new.bytes().all(|byte| byte.is_ascii_alphabetic()),
                "{new}"
            );
            assert!(!format!("{rotated:?}{}", relay.log()).contains(&new), "only `secret show` prints it");
            assert_signs(&relay, &receiver, n * 100 + 1, &new);

            let (config, file) =
                (fs::read_to_string(relay.config()).unwrap(), fs::read_to_string(&key).unwrap());
            let (in_config, in_file) = (home == 1, home == 2);
            assert_eq!(config, if in_config { text.replace(&old, &new) } else { text }, "{line}");
            assert_eq!(file, if in_file { format!("{new}\n") } else { format!("{SECRET}\n") }, "{line}");
            assert_eq!(mode(&key), 0o600, "{line}");
        }
    }
}

/// Track goes on signing with the old one, so a source must not change along.
#[test]
fn a_file_that_is_not_its_own_is_left_alone() {
    let receiver = Receiver::start();
    let source = "[source.track]\nsecret = { file = \"a.key\" }\n";
    let mut relay = Relay::prepare(&(table(&receiver, "secret = { file = \"./a.key\" }\n") + source));
    fs::write(relay.path("a.key"), SECRET).unwrap();
    relay.start_again();
    for daemon in [true, false] {
        let refused = relay.cli(&["secret", "rotate", "a"]);
        assert!(refused.code == 1 && refused.stderr.contains("`source.track.secret` uses"), "{refused:?}");
        assert_eq!(fs::read_to_string(relay.path("a.key")).unwrap(), SECRET);
        if daemon {
            relay.stop();
        }
    }
}

#[test]
fn the_environment_is_out_of_reach() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare(&table(&receiver, "secret = { env = \"A_KEY\" }\n"));
    relay.set_env("A_KEY", SECRET);
    relay.start_again();
    let text = fs::read_to_string(relay.config()).unwrap();
    for daemon in [true, false] {
        let refused = relay.cli(&["secret", "rotate", "a"]);
        assert!(refused.code == 1 && refused.stderr.contains("environment variable `A_KEY`"), "{refused:?}");
        assert_eq!(fs::read_to_string(relay.config()).unwrap(), text);
        if daemon {
            assert_signs(&relay, &receiver, 1, SECRET);
            relay.stop();
        }
    }
}

#[test]
fn a_new_subscription_takes_its_secret_from_a_file() {
    let receiver = Receiver::start();
    let relay = Relay::start("");
    fs::create_dir(relay.path("keys")).unwrap();
    fs::write(relay.path("keys/a"), SECRET).unwrap();
    let url = receiver.url("a");
    let words =
        ["add", "a", "--url", &url, "--event", "*.*", "--set", "validation=off", "--secret-file", "keys/a"];
    ok(relay.cli(&words));
    assert!(fs::read_to_string(relay.config()).unwrap().contains("secret = { file = \"keys/a\" }"));
    assert_signs(&relay, &receiver, 1, SECRET);
    assert_eq!(shown(&relay), SECRET);
}
