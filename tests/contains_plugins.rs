//! A plugin that misbehaves costs its own lane of its own subscription, and nothing else;
//! once it is mended, what it held goes out.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::harness::guest::Guest;
use crate::harness::{Receiver, Relay, event, wait_until};

/// Ids of three digits are those that the bad guests fail on.
const BAD: i64 = 100;

fn tables(receiver: &Receiver, keys: &str) -> String {
    let plugin = "[plugin.guest]\npath = \"guest.wasm\"\nlimits = { time = \"100ms\", memory = \"4MiB\" }\n";
    let guarded = receiver.table("guarded") + "filter = [{ plugin = \"guest\" }]\n" + keys;
    [plugin, &guarded, &receiver.table("plain")].concat()
}

fn relay(receiver: &Receiver, guest: Guest, keys: &str) -> Relay {
    let mut relay = Relay::prepare(&tables(receiver, keys));
    guest.save(&relay.path("guest.wasm"));
    relay.start_again();
    relay
}

#[test]
fn a_misbehaving_plugin_holds_its_own_lane_and_releases_it_when_mended() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, Guest::Good, "");
    for (round, guest) in (0..).zip(Guest::BAD) {
        guest.save(&relay.path("guest.wasm"));
        assert_eq!(relay.cli(&["reload"]).code, 0, "{guest:?}");
        let base = 1000 + round * 100;
        let bad = BAD + round;
        let lane = 10 + round;
        relay.send(&event("tag.created", bad).of(lane));
        let held = relay.wait_for_outcome(bad, "guarded", "held");
        let reason = held["reason"].as_str().unwrap();
        assert!(reason.contains("guest"), "{guest:?}: {reason}");
        assert!(reason.contains(word(guest)), "{guest:?}: {reason}");

        // Behind it in its lane; in another lane; for another subscription.
        relay.send(&event("tag.updated", base).of(lane));
        relay.send(&event("tag.updated", base + 1).of(99));
        relay.wait_for_outcome(base + 1, "guarded", "delivered");
        relay.wait_for_outcome(bad, "plain", "delivered");
        relay.wait_for_outcome(base, "plain", "delivered");
        let state = relay.subscription("guarded");
        assert_eq!(
            (&state["status"], &state["failed_attempts"]),
            (&"enabled".into(), &0.into()),
            "{guest:?}"
        );
        assert_eq!((&state["pending"], &state["has_pending_events"]), (&2.into(), &true.into()), "{guest:?}");
        assert_eq!(relay.decision(base, "guarded")["outcome"], "pending", "{guest:?}");
        assert_eq!(
            relay.decision(bad, "guarded")["attempts"],
            serde_json::json!([]),
            "{guest:?}: no attempt used"
        );

        Guest::Good.save(&relay.path("guest.wasm"));
        relay.wait_for_outcome(bad, "guarded", "delivered");
        relay.wait_for_outcome(base, "guarded", "delivered");
        let ids = receiver.ids_at("guarded");
        let at = |id: i64| ids.iter().position(|other| *other == id);
        assert!(at(bad) < at(base), "{guest:?}: the lane kept its order: {ids:?}");
    }
}

/// What the reason names, so that an author finds the key.
fn word(guest: Guest) -> &'static str {
    match guest {
        Guest::Good => "",
        Guest::Loops => "time",
        Guest::Traps => "unreachable",
        Guest::EatsMemory => "memory",
        Guest::Recurses => "stack",
        Guest::Errs => "out of sorts",
    }
}

#[test]
fn on_plugin_error_deliver_goes_on_without_it() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, Guest::Traps, "on_plugin_error = \"deliver\"\n");
    relay.send(&event("tag.created", BAD));
    relay.wait_for_outcome(BAD, "guarded", "delivered");
    receiver.wait_for_at("guarded", 1);
}

#[test]
fn on_plugin_error_drop_gives_the_delivery_up() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, Guest::Errs, "on_plugin_error = \"drop\"\n");
    relay.send(&event("tag.created", BAD));
    let dropped = relay.wait_for_outcome(BAD, "guarded", "dropped");
    assert!(dropped["reason"].as_str().unwrap().contains("out of sorts"), "{dropped}");
    // The lane goes on.
    relay.send(&event("tag.created", 1000));
    relay.wait_for_outcome(1000, "guarded", "delivered");
    assert_eq!(receiver.ids_at("guarded"), [1000]);
}

#[test]
fn a_restart_tries_what_was_held_again() {
    let receiver = Receiver::start();
    let mut relay = relay(&receiver, Guest::Traps, "");
    relay.send(&event("tag.created", BAD));
    relay.wait_for_outcome(BAD, "guarded", "held");
    relay.stop();
    Guest::Good.save(&relay.path("guest.wasm"));
    relay.start_again();
    relay.wait_for_outcome(BAD, "guarded", "delivered");
}

#[test]
fn a_file_that_is_no_plugin_is_refused_and_the_last_good_one_stays() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, Guest::Good, "");
    std::fs::write(relay.path("guest.wasm"), b"\0asm\x01\0\0\0 not really").unwrap();
    let status = relay.wait_until("the config is stale", |status| status["config"]["state"] == "stale");
    let message = status["config"]["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("guest"), "{message}");
    relay.send(&event("tag.created", BAD));
    relay.wait_for_outcome(BAD, "guarded", "delivered");
    let check = relay.cli(&["check"]);
    assert_eq!(check.code, 78, "{check:?}");
    assert!(check.stderr.contains("guest"), "{check:?}");
}

#[test]
fn replay_tries_what_was_held_again() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, Guest::Traps, "");
    relay.send(&event("tag.created", BAD));
    let first = relay.wait_for_outcome(BAD, "guarded", "held");
    // Still the same plugin: it is tried, and held again.
    assert_eq!(relay.cli(&["replay", &BAD.to_string(), "--to", "guarded"]).code, 0);
    let again = wait_until("it is tried and held again", || {
        let now = relay.decision(BAD, "guarded");
        (now["outcome"] == "held" && now["at"] != first["at"]).then_some(now)
    });
    assert_eq!(again["replay"], Value::Null, "the one that was held, not a second one behind it: {again}");
    assert_eq!(relay.subscription("guarded")["pending"], 1);
}

#[test]
fn another_list_of_plugins_tries_what_was_held_again() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, Guest::Traps, "");
    relay.send(&event("tag.created", BAD));
    relay.wait_for_outcome(BAD, "guarded", "held");
    relay.save(&tables(&receiver, "").replace("filter = [{ plugin = \"guest\" }]\n", ""));
    relay.wait_for_outcome(BAD, "guarded", "delivered");
}

#[test]
fn a_pinned_plugin_is_that_file_and_no_other() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare("");
    Guest::Good.save(&relay.path("guest.wasm"));
    let digest: String =
        Sha256::digest(Guest::Good.wasm()).iter().map(|byte| format!("{byte:02x}")).collect();
    let pin = |digest: &str| {
        tables(&receiver, "").replace("[plugin.guest]\n", &format!("[plugin.guest]\nsha256 = \"{digest}\"\n"))
    };
    relay.save(&pin(&digest));
    relay.start_again();
    relay.send(&event("tag.created", BAD));
    relay.wait_for_outcome(BAD, "guarded", "delivered");
    Guest::Traps.save(&relay.path("guest.wasm"));
    let status = relay.wait_until("the other file is refused", |status| status["config"]["state"] == "stale");
    assert!(status["config"]["errors"].to_string().contains("sha256"), "{status:#}");
    relay.send(&event("tag.created", BAD + 1));
    relay.wait_for_outcome(BAD + 1, "guarded", "delivered");
}

#[test]
fn a_fresh_instance_for_every_event_where_the_config_says_so() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare("");
    Guest::Traps.save(&relay.path("guest.wasm"));
    relay.save(&tables(&receiver, "").replace("[plugin.guest]\n", "[plugin.guest]\nisolation = \"event\"\n"));
    relay.start_again();
    let events: Vec<_> =
        (0..20).map(|n| event("tag.created", if n == 7 { BAD } else { 1000 + n }).of(n)).collect();
    relay.send_all(&events);
    relay.wait_for_outcome(BAD, "guarded", "held");
    receiver.wait_for_at("guarded", 19);
}
