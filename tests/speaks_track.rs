//! Track's Webhooks API, for clients that know no other: the documented requests as `curl`
//! commands, every documented refusal, and whose subscriptions are whose.

use std::fs;

use serde_json::{Value, json};

use crate::harness::receiver::{Request, signature};
use crate::harness::{Answer, Curl, Gate, Receiver, Relay, SECRET, curl, event, wait_until};

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
    let entities = [
        "client",
        "project",
        "project_group",
        "project_user",
        "tag",
        "task",
        "time_entry",
        "workspace",
        "workspace_user",
    ];
    assert_eq!(keys(&filters), entities);
    for entity in entities {
        assert_eq!(filters[entity], json!(["created", "updated", "deleted"]), "{entity}");
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
fn every_documented_refusal_is_said_and_changes_nothing() {
    let receiver = Receiver::start();
    let manners = |request: &Request, _: usize| match request.path.as_str() {
        "/teapot" => Answer::status(418),
        "/moved" => Answer::status(302),
        _ => Answer::proper(request),
    };
    receiver.answer(manners);
    let relay = Relay::start(&format!("limit = \"starter\"\n{USERS}"));
    let ana = Curl::with_token(&relay, "token-of-ana");
    let first = ana.ask("POST", WORKSPACE, Some(&wish("first", &receiver.url("a")).to_string())).ok();
    let other = with(wish("other", &receiver.url("b")), "enabled", json!(false));
    let other = ana.ask("POST", WORKSPACE, Some(&other)).ok();
    let (before, listed) = (config(&relay), ana.get(WORKSPACE).ok());

    let filter = |entity: &str, action: &str| json!([{ "entity": entity, "action": action }]);
    let new = || wish("new", &receiver.url("c"));
    let filters = |value: Value| with(new(), "event_filters", value);
    let url = |name: &str| with(new(), "url_callback", receiver.url(name).into());
    let tag = json!({ "entity": "tag", "action": "created" });
    let odd = "can only contain letters, numbers and '_' or be '*' to match all";
    let closed = "http://127.0.0.1:1/";
    // What POST and PUT say alike.
    let both = [
        (with(new(), "description", json!("")), "Subscription description must not be empty".to_owned()),
        (with(new(), "description", Value::Null), "Subscription description must not be empty".to_owned()),
        (filters(json!([])), "The list of event filters must not be empty".to_owned()),
        (
            filters(json!(vec![tag.clone(); 7])),
            "The limit of 6 event filters for your subscription has been exceeded as you're trying to set 7 filters"
                .to_owned(),
        ),
        (
            filters(json!([tag, tag])),
            "The following event filter appears more than once for your subscription: tag.created".to_owned(),
        ),
        (
            filters(filter("", "created")),
            "The entity field for each subscription event filter must be non-empty".to_owned(),
        ),
        (
            filters(filter("tag", "")),
            "The action field for each subscription event filter must be non-empty".to_owned(),
        ),
        (filters(filter("a.b", "*")), format!("The value 'a.b' for the filter entity {odd} entities")),
        (filters(filter("tag", "a b")), format!("The value 'a b' for the filter action {odd} actions")),
        (filters(filter("tag", "started")), "Invalid value 'started' for event filter action".to_owned()),
        (
            with(new(), "url_callback", closed.into()),
            format!("URL endpoint {closed} request failed with error: connection refused, nothing listens on 127.0.0.1:1"),
        ),
    ];
    let (one, two) = (path_of(&first), path_of(&other));
    let mut table: Vec<(&str, &str, String, u16, String)> = Vec::new();
    for (body, said) in both {
        table.push(("POST", WORKSPACE, body.clone(), 400, said.clone()));
        table.push(("PUT", &one, body, 400, said));
    }
    let answered =
        |name: &str, said: &str| format!("URL endpoint {} responded with status {said}", receiver.url(name));
    let taken =
        |name: &str| format!("Subscription description '{name}' is already in use for workspace 4200017");
    let missing = format!("{WORKSPACE}/99");
    let not_there = "subscription 99 for workspace 4200017 was not found".to_owned();
    let enable = r#"{"enabled":true}"#.to_owned();
    table.extend([
        ("POST", WORKSPACE, url("teapot"), 400, answered("teapot", "418 instead of 200")),
        ("POST", WORKSPACE, url("moved"), 400, answered("moved", "302 instead of 200")),
        ("PUT", &one, url("teapot"), 400, answered("teapot", "418 instead of 2xx")),
        ("PATCH", &one, "{}".to_owned(), 400, "`enabled` is missing; it must be true or false".to_owned()),
        ("POST", WORKSPACE, with(new(), "description", json!("other")), 400, taken("other")),
        ("PUT", &one, with(new(), "description", json!("other")), 400, taken("other")),
        ("PUT", &missing, new().to_string(), 404, not_there.clone()),
        ("PATCH", &missing, enable.clone(), 404, not_there.clone()),
        ("DELETE", &missing, String::new(), 404, not_there.clone()),
        ("GET", "/subscriptions/7", String::new(), 403, NO_ACCESS.to_owned()),
        ("POST", "/subscriptions/7", new().to_string(), 403, NO_ACCESS.to_owned()),
        ("PUT", "/subscriptions/7/1", new().to_string(), 403, NO_ACCESS.to_owned()),
        ("PATCH", "/subscriptions/7/1", enable.clone(), 403, NO_ACCESS.to_owned()),
        ("DELETE", "/subscriptions/7/1", String::new(), 403, NO_ACCESS.to_owned()),
        ("POST", "/ping/7/1", String::new(), 403, NO_ACCESS.to_owned()),
    ]);
    let code = "0".repeat(32);
    let id = &first["subscription_id"];
    let validate = format!("/validate/4200017/{id}/{code}");
    let unknown_code =
        format!("subscription {id} for workspace 4200017 and validation code '{code}' was not found");
    table.push(("GET", &validate, String::new(), 400, unknown_code));
    let refused = |(method, path, body, status, said): &(&str, &str, String, u16, String)| {
        let answered = ana.ask(method, path, (!body.is_empty()).then_some(body));
        assert_eq!(
            (answered.status, answered.json()),
            (*status, said.as_str().into()),
            "{method} {path} {body}"
        );
    };
    table.iter().for_each(refused);

    // PATCH asks the URL that is there.
    receiver.answer_all(418);
    refused(&("PATCH", &two, enable.clone(), 400, answered("b", "418 instead of 200")));
    receiver.stop();
    let failed = format!(
        "URL endpoint {} request failed with error: connection refused, nothing listens on 127.0.0.1:{}",
        receiver.url("b"),
        receiver.port()
    );
    refused(&("PATCH", &two, enable.clone(), 400, failed));
    receiver.start_again();
    receiver.answer(manners);

    // Two are enabled now, which is the limit.
    ana.ask("PATCH", &two, Some(&enable)).ok();
    let third = with(new(), "enabled", json!(false));
    let third = path_of(&ana.ask("POST", WORKSPACE, Some(&third)).ok());
    let full =
        "User 5300029 already reached the limit of 2 enabled subscriptions for workspace 4200017".to_owned();
    let pings = receiver.pings().len();
    refused(&("POST", WORKSPACE, wish("more", &receiver.url("teapot")).to_string(), 400, full.clone()));
    refused(&("PATCH", &third, enable.clone(), 400, full.clone()));
    refused(&("PUT", &third, new().to_string(), 400, full));
    let by_hand = relay.cli(&["enable", "new"]);
    assert!(by_hand.code == 1 && by_hand.stderr.contains("already reached the limit of 2"), "{by_hand:?}");
    assert_eq!(receiver.pings().len(), pings, "the limit is looked at before anybody is asked");

    ana.ask("PATCH", &two, Some(r#"{"enabled":false}"#)).ok();
    ana.ask("DELETE", &third, None).ok();
    // What PATCH added is all that is different.
    assert_eq!(config(&relay), before);
    let without_times = |list: &Value| {
        let mut list = list.clone();
        list.as_array_mut().unwrap().iter_mut().for_each(|one| one["updated_at"] = Value::Null);
        list
    };
    assert_eq!(without_times(&ana.get(WORKSPACE).ok()), without_times(&listed));
}

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
    let gate = Gate::default();
    let held = gate.clone();
    receiver.answer(move |request, _| Answer::proper(request).when(&held));
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
        let gate = Gate::default();
        let held = gate.clone();
        receiver.answer(move |request, _| Answer::proper(request).when(&held));
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
