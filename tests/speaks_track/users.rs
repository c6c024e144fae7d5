//! Whose subscriptions and events are whose.

use serde_json::json;

use super::{NO_ACCESS, USERS, WORKSPACE, config, path_of, wish, with};
use crate::harness::{Curl, Receiver, Relay, SECRET, event};

#[test]
fn a_member_sees_own_subscriptions_and_own_events() {
    let receiver = Receiver::start();
    let relay = Relay::start(USERS);
    let (ana, ben) = (Curl::with_token(&relay, "token-of-ana"), Curl::with_token(&relay, "token-of-ben"));
    let make = |who: &Curl, name: &str| {
        let wish = with(wish(name, &receiver.url(name)), "secret", SECRET.into());
        who.ask("POST", WORKSPACE, Some(&wish)).ok()
    };
    let (hers, his) = (make(&ana, "hers"), make(&ben, "his"));
    assert_eq!((&hers["user_id"], &his["user_id"]), (&json!(5_300_029), &json!(5_300_030)));
    assert_eq!(ben.get(WORKSPACE).ok(), json!([his]));
    assert_eq!(ana.get(WORKSPACE).ok(), json!([hers, his]));
    let foreign = path_of(&hers);
    let events = format!("{foreign}/events");
    let ping = foreign.replace("/subscriptions/", "/ping/");
    let (wished, off) = (wish("mine", &receiver.url("x")).to_string(), r#"{"enabled":false}"#);
    for (method, path, body) in [
        ("PUT", &foreign, Some(wished.as_str())),
        ("PATCH", &foreign, Some(off)),
        ("DELETE", &foreign, None),
        ("GET", &events, None),
        ("POST", &ping, None),
    ] {
        let refused = ben.ask(method, path, body);
        let said = format!("subscription {} for workspace 4200017 was not found", hers["subscription_id"]);
        assert_eq!((refused.status, refused.json()), (404, said.into()), "{method} {path}");
    }

    relay.send(&event("time_entry.created", 1).by(5_300_029));
    relay.wait_for_outcome(1, "hers", "delivered");
    assert_eq!(relay.decision(1, "his")["outcome"], "skipped_rights");
    relay.send(&event("time_entry.created", 2).by(5_300_030));
    relay.wait_for_outcome(2, "hers", "delivered");
    relay.wait_for_outcome(2, "his", "delivered");

    let renamed = with(wish("still his", &receiver.url("his")), "secret", SECRET.into());
    let renamed = ana.ask("PUT", &path_of(&his), Some(&renamed)).ok();
    assert_eq!(
        (&renamed["user_id"], &renamed["subscription_id"]),
        (&his["user_id"], &his["subscription_id"])
    );
    let nobody = [relay.token(), "token-of-cy".to_owned(), String::new()];
    for token in nobody {
        let refused = Curl::with_token(&relay, &token).get(WORKSPACE);
        assert_eq!((refused.status, refused.json()), (403, NO_ACCESS.into()), "{token}");
    }
    assert!(!relay.log().contains("token-of-"), "the log shows a token");
}

#[test]
fn classic_counts_each_users_own() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("limit = \"classic\"\n{USERS}"));
    let (ana, ben) = (Curl::with_token(&relay, "token-of-ana"), Curl::with_token(&relay, "token-of-ben"));
    let make = |who: &Curl, name: &str| {
        who.ask("POST", WORKSPACE, Some(&wish(name, &receiver.url(name)).to_string()))
    };
    for name in ["one", "two", "three", "four", "five"] {
        make(&ana, name).ok();
    }
    let refused = make(&ana, "six");
    let full = "User 5300029 already reached the limit of 5 enabled subscriptions for workspace 4200017";
    assert_eq!((refused.status, refused.json()), (400, full.into()));
    make(&ben, "six").ok();
    // The same words for who writes it into the file.
    let more = format!(
        "{}\n[subscription.seven]\nurl_callback = \"http://127.0.0.1:1/\"\nevent_filters = [\"*.*\"]\n",
        config(&relay)
    );
    relay.save_whole(&more);
    let check = relay.cli(&["check"]);
    assert_eq!(check.code, 78);
    for said in [full, "config.toml:", "enabled = false"] {
        assert!(check.stderr.contains(said), "{check:?}");
    }
}
