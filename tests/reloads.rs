//! A save takes effect, however an editor saves; a broken one leaves the last good set;
//! whoever is not concerned does not notice.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::guest::Guest;
use crate::harness::load::Load;
use crate::harness::relay::BASE;
use crate::harness::{Answer, Gate, Receiver, Relay, SECRET, event};

/// What the daemon promises on a quiet machine. The tests allow more, since they run side
/// by side in a debug build, and print what they measured.
const PROMISED: Duration = Duration::from_millis(500);

/// Saves a config with one subscription of this name.
type Way<'a> = &'a dyn Fn(&str);

/// When a save was seen in `status`.
fn seen(relay: &Relay, name: &str) -> Instant {
    relay.wait_until("the save takes effect", |_| !relay.subscription(name).is_null());
    Instant::now()
}

#[test]
fn every_way_of_saving_takes_effect() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("before"));
    let text = |name: &str| BASE.to_owned() + &receiver.table(name);
    let config = relay.config();
    let real = relay.path("elsewhere.toml");
    let ways: [(&str, Way); 7] = [
        ("in-place", &|name| fs::write(&config, text(name)).unwrap()),
        ("rename", &|name| relay.save_by_rename(&receiver.table(name))),
        ("halves", &|name| {
            let text = text(name);
            fs::write(&config, &text[..text.len() / 2]).unwrap();
            // Less than the time files have to be at rest.
            std::thread::sleep(Duration::from_millis(40));
            let mut file = fs::File::options().append(true).open(&config).unwrap();
            std::io::Write::write_all(&mut file, &text.as_bytes()[text.len() / 2..]).unwrap();
        }),
        ("delete-and-create", &|name| {
            fs::remove_file(&config).unwrap();
            fs::write(&config, text(name)).unwrap();
        }),
        ("symlink", &|name| {
            fs::write(&real, text(name)).unwrap();
            symlink(&real, relay.path("link")).unwrap();
            fs::rename(relay.path("link"), &config).unwrap();
        }),
        ("behind-the-symlink", &|name| fs::write(&real, text(name)).unwrap()),
        ("symlink-swapped", &|name| {
            let other = relay.path("other.toml");
            fs::write(&other, text(name)).unwrap();
            symlink(&other, relay.path("link")).unwrap();
            fs::rename(relay.path("link"), &config).unwrap();
        }),
    ];
    for (n, (name, save)) in (1..).zip(ways) {
        let saved = Instant::now();
        save(name);
        let took = seen(&relay, name) - saved;
        eprintln!("save {name}: in force after {took:?}");
        assert!(took < PROMISED * 6, "{name}: {took:?}");
        relay.send(&event("tag.created", n));
        relay.wait_for_outcome(n, name, "delivered");
    }
    assert!(!relay.log().contains("refused"), "half a save was read");
}

#[test]
fn a_busy_file_beside_the_config_holds_nothing_up() {
    let receiver = Receiver::start();
    let relay = Relay::start("");
    let busy = relay.path("busy.log");
    let quickest = std::thread::scope(|scope| {
        // Dropped with this closure, however it ends.
        let (_busy, idle) = mpsc::channel::<()>();
        scope.spawn(move || {
            while idle.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
                fs::write(&busy, "another line").unwrap();
            }
        });
        let save = |name: &str| {
            let saved = Instant::now();
            relay.save(&receiver.table(name));
            seen(&relay, name) - saved
        };
        ["one", "two", "three"].map(save).into_iter().min().unwrap()
    });
    eprintln!("beside a busy file: in force after {quickest:?}");
    assert!(quickest < PROMISED + Duration::from_millis(400), "{quickest:?}");
}

#[test]
fn a_broken_save_keeps_the_last_good_set_and_shows_everywhere() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    assert_eq!(relay.metric("trackrelay_config_stale"), Some(0.0));
    let flaws = "retri = [\"1s\"]\ntimeout = \"10 parsecs\"\n[plugin.p]\npath = \"config.toml\"\n";
    relay.save(&(receiver.table("all") + flaws));
    let status = relay.wait_until("the config is stale", |status| status["config"]["state"] == "stale");
    let errors = status["config"]["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 3, "all at once, plugins too: {status:#}");
    assert!(errors[2].to_string().contains("is text, not a WebAssembly file"), "{status:#}");
    assert!(errors[0]["line"].as_i64().unwrap() > 5 && errors[0]["column"].is_i64(), "{status:#}");
    assert_eq!(errors[0]["hint"], "did you mean `retry`?", "{status:#}");
    assert!(relay.log().contains("retri"), "the log tells");
    let health = relay.get("/healthz");
    assert_eq!((health.status, &health.json()["config"]), (200, &"stale".into()));
    assert_eq!(relay.metric("trackrelay_config_stale"), Some(1.0));
    let told = relay.cli(&["status"]);
    assert!(told.stdout.contains("stale") || told.stderr.contains("stale"), "{told:?}");
    let reload = relay.cli(&["reload"]);
    assert_eq!(reload.code, 78, "{reload:?}");
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);

    relay.save(&receiver.table("all"));
    relay.wait_until("the config is good again", |status| status["config"]["state"] == "ok");
    assert_eq!(relay.get("/healthz").json()["config"], "ok");
    assert_eq!(relay.metric("trackrelay_config_stale"), Some(0.0));
}

#[test]
fn a_config_that_is_gone_for_good_is_stale_too() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    fs::remove_file(relay.config()).unwrap();
    relay.wait_until("the config is stale", |status| status["config"]["state"] == "stale");
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    relay.save(&receiver.table("all"));
    relay.wait_until("the config is good again", |status| status["config"]["state"] == "ok");
}

#[test]
fn included_files_come_and_go() {
    let receiver = Receiver::start();
    let relay = Relay::prepare("");
    let mut relay = relay;
    fs::create_dir(relay.path("subscriptions")).unwrap();
    relay.save_whole(&format!("include = [\"subscriptions/*.toml\"]\n{BASE}"));
    relay.start_again();
    let file = relay.path("subscriptions/one.toml");
    fs::write(&file, receiver.table("one")).unwrap();
    seen(&relay, "one");
    fs::write(&file, receiver.table("two")).unwrap();
    seen(&relay, "two");
    fs::remove_file(&file).unwrap();
    relay.wait_until("it is gone", |status| status["subscriptions"] == Value::Array(Vec::new()));
}

#[test]
fn a_changed_plugin_file_counts() {
    let receiver = Receiver::start();
    let plugin = "[plugin.guest]\npath = \"guest.wasm\"\n";
    let mut relay =
        Relay::prepare(&(plugin.to_owned() + &receiver.table("all") + "filter = [{ plugin = \"guest\" }]\n"));
    Guest::Errs.save(&relay.path("guest.wasm"));
    relay.start_again();
    relay.send(&event("tag.created", 100));
    relay.wait_for_outcome(100, "all", "held");
    Guest::Good.save(&relay.path("guest.wasm"));
    relay.wait_for_outcome(100, "all", "delivered");
    receiver.wait_for(1);
}

#[test]
fn a_changed_secret_file_counts() {
    let receiver = Receiver::start();
    receiver.trust("first");
    let table = receiver.table("all").replace(&format!("\"{SECRET}\""), "{ file = \"secret\" }");
    let mut relay = Relay::prepare(&table);
    fs::write(relay.path("secret"), "first").unwrap();
    relay.start_again();
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    fs::write(relay.path("secret"), "second").unwrap();
    relay.wait_until("the new secret is in force", |_| {
        relay.cli(&["secret", "show", "all"]).stdout.trim() == "second"
    });
    receiver.trust("second");
    relay.send(&event("tag.created", 2));
    receiver.wait_for(2);
    let log = relay.log();
    assert!(!log.contains("second\"") && !log.contains("`second`"), "the log shows a secret");
}

#[test]
fn an_unrelated_subscription_keeps_its_connection_and_its_flight() {
    let receiver = Receiver::start();
    let gate = Gate::default();
    let held = gate.clone();
    receiver.answer(move |request, before| {
        if request.path == "/kept" && before == 1 {
            Answer::status(200).when(&held)
        } else {
            Answer::status(200)
        }
    });
    let kept = receiver.table("kept");
    let relay = Relay::start(&kept);
    relay.send(&event("tag.created", 1));
    receiver.wait_for_at("kept", 1);
    relay.send(&event("tag.created", 2));
    receiver.wait_for_at("kept", 2);
    relay.save(&(kept.clone() + &receiver.table_for("other", r#"["task.created"]"#)));
    seen(&relay, "other");
    gate.open();
    relay.send(&event("tag.created", 3));
    let requests = receiver.wait_for_at("kept", 3);
    assert!(requests.iter().all(|request| request.connection == requests[0].connection), "one connection");
    let state = relay.wait_for("kept", "has delivered three", |it| it["delivered"] == 3);
    assert_eq!(receiver.ids_at("kept"), [1, 2, 3], "{state}");
}

#[test]
fn what_vanishes_and_returns_resumes() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let table = receiver.table("all") + "retry = [\"100ms\", \"10m\"]\n";
    let relay = Relay::start(&table);
    relay.send(&event("tag.created", 1));
    relay.send(&event("tag.created", 2));
    let before = relay.wait_for("all", "failed twice", |it| it["failed_attempts"] == 2);
    relay.save("");
    relay.wait_until("it is gone", |status| status["subscriptions"] == Value::Array(Vec::new()));
    relay.send(&event("tag.created", 3));
    receiver.answer_all(200);
    relay.save(&table.replace("10m", "10s"));
    let after = relay.wait_for("all", "is back", |it| !it.is_null());
    assert_eq!(after["subscription_id"], before["subscription_id"]);
    relay.cli(&["enable", "all"]);
    relay.wait_for("all", "has delivered what waited", |it| it["delivered"] == 2 && it["pending"] == 0);
    relay.send(&event("tag.created", 4));
    relay.wait_for_outcome(4, "all", "delivered");
    assert!(!receiver.ids_at("all").contains(&3), "what came while it was away is not for it");
}

#[test]
fn a_change_of_its_own_table_enables_what_failures_disabled() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let table = receiver.table("all") + "retry = [\"10ms\", \"10ms\"]\n";
    let relay = Relay::start(&(table.clone() + &receiver.table_for("other", r#"["task.created"]"#)));
    relay.send(&event("tag.created", 1));
    relay.wait_for_status("all", "disabled");
    receiver.answer_all(200);
    // Somebody else's table changes nothing for it.
    relay.save(&(table.clone() + &receiver.table_for("third", r#"["task.created"]"#)));
    seen(&relay, "third");
    assert_eq!(relay.subscription("all")["status"], "disabled");
    relay.save(&(table + "timeout = \"9s\"\n"));
    relay.wait_for_outcome(1, "all", "delivered");
    assert_eq!(relay.subscription("all")["status"], "enabled");
}

#[test]
fn a_change_made_while_the_daemon_was_down_counts_too() {
    let receiver = Receiver::start();
    receiver.answer_all(500);
    let table = receiver.table("all") + "retry = [\"10ms\", \"10ms\"]\n";
    let mut relay = Relay::start(&table);
    relay.send(&event("tag.created", 1));
    relay.wait_for_status("all", "disabled");
    relay.restart();
    assert_eq!(relay.subscription("all")["status"], "disabled", "a restart alone does not enable");
    relay.stop();
    receiver.answer_all(200);
    relay.save(&(table + "timeout = \"9s\"\n"));
    relay.start_again();
    relay.wait_for_outcome(1, "all", "delivered");
}

#[test]
fn disabling_and_enabling_in_the_file() {
    let receiver = Receiver::start();
    let table = receiver.table("all");
    let relay = Relay::start(&table);
    relay.save(&(table.clone() + "enabled = false\n"));
    relay.wait_for_status("all", "disabled");
    relay.send(&event("tag.created", 1));
    assert_eq!(relay.decision(1, "all")["outcome"], "skipped_disabled");
    relay.save(&table);
    relay.wait_for_status("all", "enabled");
    relay.send(&event("tag.created", 2));
    receiver.wait_for(1);
    assert_eq!(receiver.ids_at("all"), [2]);
}

#[test]
fn the_hangup_signal_and_the_command_reload_too() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("one"));
    relay.save_by_rename(&receiver.table("two"));
    relay.signal(Signal::HUP);
    seen(&relay, "two");
    relay.save_by_rename(&receiver.table("three"));
    let output = relay.cli(&["reload", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(["ok", "unchanged"].contains(&output.json()["state"].as_str().unwrap()), "{output:?}");
    assert!(!relay.subscription("three").is_null(), "in force when the command returns");
    assert_eq!(relay.cli(&["reload", "--json"]).json()["state"], "unchanged");
}

#[test]
fn what_needs_a_restart_says_so() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("one"));
    let address = relay.tcp();
    relay.save_whole(&(BASE.replace("127.0.0.1:0", "127.0.0.1:1") + &receiver.table("two")));
    seen(&relay, "two");
    let status = relay.status();
    assert!(status["config"]["restart_needed"].to_string().contains("listen.tcp"), "{status:#}");
    assert_eq!(relay.tcp(), address);
    assert!(relay.log().contains("listen.tcp"));
}

#[test]
fn sixty_saves_under_load_lose_and_double_nothing() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let load = Load::start(&relay, 3);
    let mut slowest = Duration::ZERO;
    for n in 0..60 {
        load.wait_for_more(3);
        let table =
            receiver.table("all") + &format!("concurrency = {}\ntimeout = \"{}s\"\n", n % 8 + 1, n % 7 + 3);
        let extra = receiver.table_for(&format!("extra{n}"), r#"["task.created"]"#);
        let saved = Instant::now();
        match n % 3 {
            0 => relay.save_by_rename(&(table + &extra)),
            1 => relay.save(&(table + &extra)),
            _ => {
                relay.save("[subscription.broken");
                relay.save_by_rename(&(table + &extra));
            }
        }
        slowest = slowest.max(seen(&relay, &format!("extra{n}")) - saved);
    }
    let acknowledged: HashSet<_> = load.finish().into_iter().collect();
    relay.wait_for("all", "has delivered everything", |it| it["pending"] == 0);
    let arrived = receiver.ids_at("all");
    let unique: HashSet<_> = arrived.iter().copied().collect();
    eprintln!("60 saves under {} events; the slowest was in force after {slowest:?}", acknowledged.len());
    assert_eq!(arrived.len(), unique.len(), "an event was doubled");
    let lost: Vec<_> = acknowledged.difference(&unique).collect();
    assert!(lost.is_empty(), "{} events were lost: {lost:?}", lost.len());
}
