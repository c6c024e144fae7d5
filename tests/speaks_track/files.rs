//! What calls write into the TOML files, beside whoever else writes there.

use serde_json::{Value, json};

use super::{SIGNATURE, WORKSPACE, config, path_of, wish, with};
use crate::harness::receiver::signature;
use crate::harness::{Curl, Receiver, Relay, SECRET, event, wait_until};

#[test]
fn a_new_secret_signs_at_once_and_goes_where_the_old_one_was() {
    let receiver = Receiver::start();
    let table = |name: &str| receiver.table(name);
    let mut relay = Relay::prepare(&format!(
        "{}{}",
        table("text"),
        table("env").replace(&format!("\"{SECRET}\""), "{ env = \"HOOK_SECRET\" }")
    ));
    relay.set_env("HOOK_SECRET", SECRET);
    relay.start_again();
    let owner = Curl::with_token(&relay, &relay.token());
    let kept = with(wish("kept", &receiver.url("kept")), "secret", SECRET.into());
    owner.ask("POST", WORKSPACE, Some(&kept)).ok();
    let path = |name: &str| path_of(&relay.subscription(name));
    let put = |name: &str, secret: &str| {
        let wish = with(wish(name, &receiver.url(name)), "secret", secret.into());
        owner.ask("PUT", &path(name), Some(&wish))
    };
    receiver.trust("another");
    for name in ["text", "kept"] {
        assert_eq!(put(name, "another").ok()["secret"], "another", "{name}");
        let ping = receiver.pings().pop().unwrap();
        assert_eq!(ping.header(SIGNATURE).unwrap(), signature("another", &ping.body), "{name}");
    }
    // What no library of Standard Webhooks could decode is no secret for it.
    let edited = relay.cli(&["edit", "kept", "--set", "signatures=[\"track\", \"standard-webhooks\"]"]);
    assert_eq!(edited.code, 0, "{edited:?}");
    let garbled = put("kept", "whsec_%");
    assert!(garbled.status == 400 && garbled.body.contains("not base64"), "{garbled:?}");
    let refused = put("env", "another");
    assert_eq!(refused.status, 409);
    assert!(refused.json().as_str().unwrap().contains("HOOK_SECRET"), "{refused:?}");
    assert_eq!(put("env", SECRET).ok()["secret"], SECRET, "nothing to change");
    relay.send(&event("tag.created", 1));
    for (name, secret) in [("text", "another"), ("kept", "another"), ("env", SECRET)] {
        let request = receiver.wait_for_at(name, 1).remove(0);
        assert_eq!(request.header(SIGNATURE).unwrap(), signature(secret, &request.body), "{name}");
    }
    let written = config(&relay);
    assert_eq!(written.matches("another").count(), 1, "{written}");
    assert!(!written.contains(SECRET) && !relay.log().contains("another"), "{written}");
}

#[test]
fn what_somebody_saves_meanwhile_stays() {
    let receiver = Receiver::start();
    let gate = receiver.hold();
    let relay = Relay::start("");
    let owner = Curl::with_token(&relay, &relay.token());
    let wished = wish("all", &receiver.url("all")).to_string();
    let answered = std::thread::scope(|scope| {
        let creating = scope.spawn(|| owner.ask("POST", WORKSPACE, Some(&wished)));
        wait_until("the PING is there", || receiver.pings().pop());
        relay.save("# saved by hand\n");
        gate.open();
        creating.join().unwrap()
    });
    // Either what was saved is in force by now, and the table goes below it, or it is not.
    assert!(config(&relay).contains("# saved by hand\n"));
    let made = match answered.status {
        409 => {
            assert!(answered.json().as_str().unwrap().contains("config.toml"), "{answered:?}");
            assert_eq!(owner.get(WORKSPACE).ok(), json!([]));
            relay.cli(&["reload"]);
            owner.ask("POST", WORKSPACE, Some(&wished)).ok()
        }
        _ => answered.ok(),
    };
    relay.save_whole(&format!("{}broken", config(&relay)));
    relay.wait_until("the broken file is noticed", |status| status["config"]["state"] == "stale");
    let broken = config(&relay);
    for (method, body) in [("PUT", Some(wished.as_str())), ("DELETE", None)] {
        let answered = owner.ask(method, &path_of(&made), body);
        assert_eq!(answered.status, 409, "{answered:?}");
        assert!(answered.json().as_str().unwrap().contains("config.toml"), "{answered:?}");
    }
    assert_eq!(config(&relay), broken);
}

/// Its callback is asked, and meanwhile somebody renames or removes what it is about.
#[test]
fn a_call_that_is_overtaken_says_so() {
    let receiver = Receiver::start();
    let relay = Relay::start(&(receiver.table("a") + &receiver.table("b")));
    let owner = Curl::with_token(&relay, &relay.token());
    let missing = |id: &Value| format!("subscription {id} for workspace 4200017 was not found");
    for (n, (name, words)) in
        [("a", ["edit", "a", "--rename", "c"].as_slice()), ("b", ["rm", "b", "--yes"].as_slice())]
            .into_iter()
            .enumerate()
    {
        let gate = receiver.hold();
        let (path, id) =
            (path_of(&relay.subscription(name)), relay.subscription(name)["subscription_id"].clone());
        let filters = json!([{ "entity": "tag", "action": "*" }]);
        let wished = with(wish(name, &receiver.url(name)), "event_filters", filters);
        let answered = std::thread::scope(|scope| {
            let changing = scope.spawn(|| owner.ask("PUT", &path, Some(&wished)));
            receiver.wait_for_pings(n + 1);
            let overtaking = relay.cli(words);
            assert_eq!(overtaking.code, 0, "{overtaking:?}");
            gate.open();
            changing.join().unwrap()
        });
        let (status, said) = match name {
            "a" => (409, "`a` was renamed at the same moment, so nothing was changed; try again".to_owned()),
            _ => (404, missing(&id)),
        };
        assert_eq!((answered.status, answered.json()), (status, said.into()), "{words:?}");
    }
    assert!(!config(&relay).contains("tag.*"), "{}", config(&relay));
}
