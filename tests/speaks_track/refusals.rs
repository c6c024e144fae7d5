//! Every documented refusal, in Track's words, with nothing changed by it.

use serde_json::{Value, json};

use super::{NO_ACCESS, USERS, WORKSPACE, config, path_of, wish, with};
use crate::harness::receiver::Request;
use crate::harness::sender::Sender;
use crate::harness::{Answer, Curl, Receiver, Relay};

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
    for (method, path, allowed) in [
        ("PUT", WORKSPACE, "GET, POST"),
        ("GET", &two, "PUT, PATCH, DELETE"),
        ("POST", &format!("{two}/events"), "GET"),
        ("GET", "/ping/4200017/1", "POST"),
        ("DELETE", "/status", "GET"),
        ("DELETE", "/validate/4200017/1/a", "GET"),
    ] {
        let path = format!("/webhooks/api/v1{path}");
        let answered = Sender::tcp(&relay).request(method, &path, &[], b"");
        assert_eq!((answered.status, answered.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    assert_eq!(ana.ask("GET", "/nothing", None).status, 404);

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
