//! Track's Webhooks API, for clients that know no other: the documented requests as `curl`
//! commands, every documented refusal, and whose subscriptions are whose.

use std::fs;

use serde_json::{Value, json};

use crate::harness::event::{ACTIONS, ENTITIES};
use crate::harness::{Answer, Curl, Receiver, Relay, SECRET, curl, event, wait_until};

mod files;
mod refusals;
mod users;

const NO_ACCESS: &str = "User not found/accessible for workspace";

const SIGNATURE: &str = "x-webhook-signature-256";

const WORKSPACE: &str = "/subscriptions/4200017";

/// Two users, and tokens for them.
const USERS: &str = "\n[user.ana]\nid = 5300029\nrole = \"admin\"\napi_token = \"token-of-ana\"\n\
    \n[user.ben]\nid = 5300030\nrole = \"member\"\napi_token = \"token-of-ben\"\n";

/// The keys of a subscription, in Track's order.
const KEYS: [&str; 12] = [
    "subscription_id",
    "workspace_id",
    "user_id",
    "enabled",
    "description",
    "event_filters",
    "url_callback",
    "secret",
    "validated_at",
    "has_pending_events",
    "created_at",
    "updated_at",
];

/// A subscription to be made, as a client says it.
fn wish(description: &str, url: &str) -> Value {
    json!({
        "url_callback": url,
        "event_filters": [{ "entity": "*", "action": "*" }],
        "enabled": true,
        "description": description,
    })
}

/// The same with one key replaced; `null` takes it away.
fn with(mut wish: Value, key: &str, value: Value) -> String {
    wish[key] = value;
    if wish[key].is_null() {
        wish.as_object_mut().unwrap().remove(key);
    }
    wish.to_string()
}

fn keys(subscription: &Value) -> Vec<&str> {
    subscription.as_object().unwrap().keys().map(String::as_str).collect()
}

/// `/subscriptions/4200017/20011`
fn path_of(subscription: &Value) -> String {
    format!("{WORKSPACE}/{}", subscription["subscription_id"])
}

fn config(relay: &Relay) -> String {
    fs::read_to_string(relay.config()).unwrap()
}

#[test]
fn what_needs_no_token_is_answered_to_everybody() {
    let relay = Relay::start("limit = \"starter\"\n");
    let curl = Curl::without_token(&relay);
    assert_eq!(curl.get("/status").ok(), json!({ "status": "OK" }));
    let filters = curl.get("/event_filters").ok();
    assert_eq!(keys(&filters), ENTITIES);
    for entity in ENTITIES {
        assert_eq!(filters[entity], json!(ACTIONS), "{entity}");
    }
    let limits = |relay: &Relay| Curl::without_token(relay).get("/limits/4200017").body;
    assert_eq!(limits(&relay), r#"{"max_events_per_webhook":6,"max_webhooks":2}"#);
    for (limit, events, webhooks) in
        [("off", 10_000, 10_000), ("classic", 10_000, 5), ("free", 3, 1), ("premium", 12, 3)]
    {
        relay.save(&format!("limit = \"{limit}\"\n"));
        assert_eq!(relay.cli(&["reload"]).code, 0);
        let wanted = format!(r#"{{"max_events_per_webhook":{events},"max_webhooks":{webhooks}}}"#);
        assert_eq!(limits(&relay), wanted, "{limit}");
    }
    for path in [WORKSPACE, "/subscriptions/4200017/1/events", "/limits/7"] {
        let refused = curl.get(path);
        assert_eq!((refused.status, refused.json()), (403, NO_ACCESS.into()), "{path}");
    }
    let unknown = curl.get("/subscription/4200017");
    assert_eq!(unknown.status, 404);
    assert!(unknown.json().is_string());
}

#[test]
fn a_client_that_knows_only_track_is_served_from_create_to_delete() {
    let receiver = Receiver::start();
    let relay = Relay::start(USERS);
    let before = config(&relay);
    let ana = Curl::with_token(&relay, "token-of-ana");
    assert_eq!(ana.get(WORKSPACE).ok(), json!([]));

    let filters = json!([{ "entity": "project", "action": "created" }, { "entity": "tag", "action": "*" }]);
    let wish = with(wish("Projects & \"tags\"", &receiver.url("first")), "event_filters", filters.clone());
    let wish = with(serde_json::from_str(&wish).unwrap(), "secret", SECRET.into());
    let made = ana.ask("POST", WORKSPACE, Some(&wish)).ok();
    assert_eq!(receiver.pings().len(), 1, "the callback is asked before the answer is given");
    let ping = receiver.wait_for_pings(1).remove(0).json();
    assert_eq!(ping["subscription_id"], made["subscription_id"]);
    assert_eq!(ping["validation_code"].as_str().map(str::len), Some(32));
    assert_eq!(keys(&made), KEYS);
    assert_eq!((&made["workspace_id"], &made["user_id"]), (&json!(4_200_017), &json!(5_300_029)));
    assert_eq!((&made["description"], &made["event_filters"]), (&json!("Projects & \"tags\""), &filters));
    assert_eq!((&made["secret"], &made["enabled"]), (&json!(SECRET), &json!(true)));
    for time in ["validated_at", "created_at", "updated_at"] {
        let text = made[time].as_str().unwrap_or_else(|| panic!("{time} of {made}"));
        let fraction = text.split_once('.').map_or("", |(_, rest)| rest.trim_end_matches('Z'));
        assert!(text.ends_with('Z') && fraction.len() <= 6, "{time}: {text}");
    }
    assert!(config(&relay).starts_with(&before) && !config(&relay).contains(SECRET), "{}", config(&relay));

    // Live at once, for what its filters name.
    let taken = relay.send(&event("tag.created", 1));
    assert_eq!(taken["events"][0]["subscriptions"], json!(["Projects & \"tags\""]));
    assert_eq!(relay.send(&event("task.created", 2))["events"][0]["subscriptions"], json!([]));
    receiver.wait_for(1);
    let name = "Projects & \"tags\"";
    relay.wait_for_outcome(1, name, "delivered");
    assert_eq!(ana.get(WORKSPACE).ok(), json!([made]));
    let path = path_of(&made);
    let ping = path.replace("/subscriptions/", "/ping/");
    assert_eq!(ana.ask("POST", &ping, None).ok(), json!({ "status": "OK" }));
    assert!(receiver.wait_for_pings(2)[1].json().get("validation_code").is_none());

    let off = ana.ask("PATCH", &path, Some(r#"{"enabled":false}"#)).ok();
    assert_eq!((&off["enabled"], &off["subscription_id"]), (&json!(false), &made["subscription_id"]));
    relay.send(&event("tag.created", 3));
    assert_eq!(relay.decision(3, name)["outcome"], "skipped_disabled");
    assert_eq!(receiver.pings().len(), 2, "nobody is asked whether they want nothing");
    assert_eq!(ana.ask("PATCH", &path, Some(r#"{"enabled":true}"#)).ok()["enabled"], true);
    assert_eq!(receiver.pings().len(), 3);

    // Another URL proves itself anew; what is left out stays.
    let moved =
        json!({ "url_callback": receiver.url("second"), "event_filters": filters, "description": "moved" });
    let moved = ana.ask("PUT", &path, Some(&moved.to_string())).ok();
    assert_eq!((&moved["secret"], &moved["enabled"]), (&json!(SECRET), &json!(true)));
    assert_eq!(moved["subscription_id"], made["subscription_id"]);
    assert!(moved["validated_at"].as_str() > made["validated_at"].as_str(), "{moved}");
    let pings = receiver.wait_for_pings(4);
    assert_eq!((pings[3].path.as_str(), pings.len()), ("/second", 4));
    relay.send(&event("tag.created", 4));
    relay.wait_for_outcome(4, "moved", "delivered");
    assert_eq!(receiver.wait_for_at("second", 1)[0].event_id(), 4);
    assert_eq!(relay.decision(1, "moved")["outcome"], "delivered", "a new name, the same history");

    let list = ana.get(&format!("{path}/events")).ok();
    assert_eq!(keys(&list), ["total", "events"]);
    let ids: Vec<_> = list["events"].as_array().unwrap().iter().map(|entry| &entry["event_id"]).collect();
    assert_eq!((&list["total"], ids), (&json!(2), vec![&json!(4), &json!(1)]), "newest first");

    let gone = ana.ask("DELETE", &path, None).ok();
    assert_eq!(gone["subscription_id"], made["subscription_id"]);
    assert!(gone["deleted_at"].is_string(), "{gone}");
    assert_eq!(ana.get(WORKSPACE).ok(), json!([]));
    assert_eq!(config(&relay), before, "the file is what it was");
    assert_eq!(relay.send(&event("tag.created", 5))["events"][0]["subscriptions"], json!([]));
    assert_eq!(receiver.pings().len(), 4, "{:?}", receiver.pings());
}

#[test]
fn a_callback_may_open_the_validation_url_before_the_answer_is_there() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| {
        if let Some(url) = request.json()["validation_code_url"].as_str() {
            let opened = curl::open(url);
            assert_eq!((opened.status, opened.json()), (200, "OK".into()));
        }
        Answer::status(204)
    });
    let relay = Relay::start("");
    let owner = Curl::with_token(&relay, &relay.token());
    let made = owner.ask("POST", WORKSPACE, Some(&wish("all", &receiver.url("all")).to_string())).ok();
    assert!(made["validated_at"].is_string(), "{made}");
    let moved =
        owner.ask("PUT", &path_of(&made), Some(&wish("all", &receiver.url("moved")).to_string())).ok();
    assert!(moved["validated_at"].as_str() > made["validated_at"].as_str(), "{moved}");
    let url = receiver.pings()[1].json()["validation_code_url"].as_str().unwrap().to_owned();
    let again = curl::open(&url);
    let said = format!("subscription {} has already been validated", made["subscription_id"]);
    assert_eq!((again.status, again.json()), (400, said.into()));
}

#[test]
fn without_an_echo_it_is_there_and_gets_nothing() {
    let receiver = Receiver::start();
    receiver.answer_all(200);
    let relay = Relay::start("");
    let owner = Curl::with_token(&relay, &relay.token());
    let made = owner.ask("POST", WORKSPACE, Some(&wish("all", &receiver.url("all")).to_string())).ok();
    assert_eq!((&made["validated_at"], &made["enabled"]), (&Value::Null, &json!(true)));
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.len() == 20 && secret.bytes().all(|byte| byte.is_ascii_alphabetic()), "{secret}");
    assert!(!config(&relay).contains(secret) && !relay.log().contains(secret));
    relay.send(&event("tag.created", 1));
    assert_eq!(relay.decision(1, "all")["outcome"], "skipped_not_validated");
    let status = relay.cli(&["list"]);
    let url = relay.subscription("all")["validation_code_url"].as_str().unwrap().to_owned();
    let command = format!("trackrelay validate all --config {}", relay.config().display());
    for said in [command.as_str(), &url, "(it answered without the validation code), so it gets no events"] {
        assert!(status.stdout.contains(said), "{status:?}");
    }
    let series =
        r#"trackrelay_subscription_status{subscription="all",status="not_validated",reason="no_code"}"#;
    assert_eq!(relay.metric(series), Some(1.0));
    assert!(relay.cli(&["why", "1", "all"]).stdout.contains(&command));
    curl::open(&url).ok();
    receiver.trust(secret);
    relay.send(&event("tag.created", 2));
    relay.wait_for_outcome(2, "all", "delivered");
}

/// PUT with all five fields, as the documentation shows it to change a secret.
#[test]
fn the_event_list_goes_back_in_pages() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    let owner = Curl::with_token(&relay, &relay.token());
    let id = relay.subscription("all")["subscription_id"].clone();
    let list = |query: &str| owner.get(&format!("{WORKSPACE}/{id}/events{query}"));
    receiver.answer(
        |request, _| if request.event_id() == 60 { Answer::status(500) } else { Answer::status(200) },
    );
    let events: Vec<_> = (1..=60).map(|id| event("tag.created", id).of(id)).collect();
    relay.send_all(&events);
    wait_until("all but the last are delivered", || (receiver.wait_for(60).len() == 60).then_some(()));
    relay.wait_for_status("all", "pending");
    let first = list("").ok();
    let ids = |list: &Value| {
        list["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["event_id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((&first["total"], ids(&first)), (&json!(60), (11..=60).rev().collect()));
    assert_eq!(ids(&list("?offset=50").ok()), (1..=10).rev().collect::<Vec<_>>());
    assert_eq!(list("?offset=60").ok(), json!({ "total": 60, "events": [] }));
    let entry = &first["events"][0];
    let wanted = [
        "event_id",
        "created_at",
        "creator_id",
        "metadata",
        "payload",
        "subscription_id",
        "timestamp",
        "url_callback",
        "last_delivery_attempt",
        "last_delivery_error",
        "failed_delivery_attempts",
    ];
    assert_eq!(keys(entry), wanted);
    assert_eq!((&entry["failed_delivery_attempts"], &entry["payload"]["id"]), (&json!(1), &json!(60)));
    assert!(entry["last_delivery_error"].as_str().unwrap().contains("500"), "{entry}");
    assert_eq!(first["events"][1]["last_delivery_error"], Value::Null);
    for wrong in ["?offset=-1", "?offset=x"] {
        let refused = list(wrong);
        assert_eq!(refused.status, 400);
        assert!(refused.json().as_str().unwrap().contains("`offset`"), "{refused:?}");
    }
}
