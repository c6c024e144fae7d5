use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A body that is right, with one key replaced; `null` takes it away.
fn body(key: &str, value: Value) -> Vec<u8> {
    let mut body = json!({
        "url_callback": "https://hooks.example.test/toggl",
        "event_filters": [{ "entity": "*", "action": "*" }, { "entity": "tag", "action": "created" }],
        "enabled": true,
        "description": "All events, and tags twice",
        "secret": "s",
    });
    body[key] = value;
    serde_json::to_vec(&body).unwrap()
}

#[track_caller]
fn refused(body: &[u8], limit: Limit) -> String {
    match Desired::read(body, limit) {
        Ok(_) => panic!("{} is taken", String::from_utf8_lossy(body)),
        Err(Refusal(status, text)) => {
            assert_eq!(status, 400, "{text}");
            text
        }
    }
}

#[test]
fn a_body_is_read_and_foreign_keys_are_passed_over() {
    let wish = Desired::read(&body("subscription_id", json!("any")), Limit::Off).ok().unwrap();
    let filters: Vec<_> = wish.event_filters.iter().map(ToString::to_string).collect();
    assert_eq!(
        (wish.description.as_str(), filters),
        ("All events, and tags twice", vec!["*.*".into(), "tag.created".into()])
    );
    assert_eq!(wish.url_text, "https://hooks.example.test/toggl");
    assert_eq!((wish.enabled, wish.secret), (Some(true), Some(Secret::new("s".into()))));
    for nothing in [Value::Null, json!("")] {
        let wish = Desired::read(&body("secret", nothing), Limit::Off).ok().unwrap();
        assert_eq!(wish.secret, None);
    }
    assert_eq!(Desired::read(&body("enabled", Value::Null), Limit::Off).ok().unwrap().enabled, None);
}

#[test]
fn every_mistake_has_its_words() {
    let filter = |entity: &str, action: &str| json!([{ "entity": entity, "action": action }]);
    let odd = "can only contain letters, numbers and '_' or be '*' to match all";
    let empty = "field for each subscription event filter must be non-empty";
    let url = |url: &str, why: &str| format!("URL endpoint {url} request failed with error: {why}");
    let example = "write a whole URL, such as \"http://127.0.0.1:3000/toggl\"";
    let table = [
        ("description", json!(""), "Subscription description must not be empty".to_owned()),
        ("description", json!(" "), "Subscription description must not be empty".to_owned()),
        ("description", Value::Null, "Subscription description must not be empty".to_owned()),
        ("description", json!("a\nb"), "`description` must not hold control characters".to_owned()),
        (
            "description",
            json!("-x"),
            "`description` must not begin with `-`, which commands take for an option".to_owned(),
        ),
        ("description", json!(5), "`description` must be text".to_owned()),
        ("event_filters", json!([]), "The list of event filters must not be empty".to_owned()),
        ("event_filters", Value::Null, "The list of event filters must not be empty".to_owned()),
        ("event_filters", json!({}), "`event_filters` must be a list".to_owned()),
        ("event_filters", json!(["tag.created"]), "`event_filters[0]` must be an object".to_owned()),
        (
            "event_filters",
            json!([{ "entity": "tag", "action": "*" }, { "entity": 1, "action": "*" }]),
            "`event_filters[1].entity` must be text".to_owned(),
        ),
        ("event_filters", filter("", "created"), format!("The entity {empty}")),
        ("event_filters", json!([{ "entity": "tag" }]), format!("The action {empty}")),
        ("event_filters", filter("ta-g", "created"), format!("The value 'ta-g' for the filter entity {odd} entities")),
        ("event_filters", filter("**", "*"), format!("The value '**' for the filter entity {odd} entities")),
        ("event_filters", filter("tag", "a b"), format!("The value 'a b' for the filter action {odd} actions")),
        ("event_filters", filter("tag", "started"), "Invalid value 'started' for event filter action".to_owned()),
        (
            "event_filters",
            filter("timer", "created"),
            "Invalid value 'timer' for event filter entity; it must be one of client, project, project_group, \
             project_user, tag, task, time_entry, workspace, workspace_user or '*'"
                .to_owned(),
        ),
        (
            "event_filters",
            json!([{ "entity": "tag", "action": "*" }, { "entity": "tag", "action": "*" }]),
            "The following event filter appears more than once for your subscription: tag.*".to_owned(),
        ),
        ("url_callback", Value::Null, url("", &format!("`url_callback` has no scheme; {example}"))),
        ("url_callback", json!("hooks"), url("hooks", &format!("`url_callback` has no scheme; {example}"))),
        (
            "url_callback",
            json!("http://169.254.169.254/"),
            url("http://169.254.169.254/", "`url_callback` points at a link-local address; nothing is sent there; use another address"),
        ),
        ("enabled", json!("yes"), "`enabled` must be true or false".to_owned()),
        ("secret", json!("s".repeat(4097)), "`secret` must be at most 4096 bytes long".to_owned()),
        ("secret", json!(["hidden"]), "`secret` must be text".to_owned()),
    ];
    for (key, value, said) in table {
        let body = body(key, value);
        assert_eq!(refused(&body, Limit::Off), said, "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn what_is_no_object_is_told_so() {
    for (body, said) in
        [("", "the body is empty"), ("[]", "must be a JSON object"), ("{", "is not JSON: EOF")]
    {
        assert!(refused(body.as_bytes(), Limit::Off).contains(said), "{body}");
    }
    assert!(refused(b"\"\xff\"", Limit::Off).contains("is not JSON"));
}

#[test]
fn each_list_entry_counts_once_against_the_limit() {
    let three = json!([
        { "entity": "tag", "action": "*" }, { "entity": "task", "action": "*" }, { "entity": "*", "action": "deleted" },
    ]);
    assert!(Desired::read(&body("event_filters", three.clone()), Limit::Free).is_ok());
    let mut four = three;
    four.as_array_mut().unwrap().push(json!({ "entity": "nonsense", "action": "" }));
    let said = "The limit of 3 event filters for your subscription has been exceeded as you're trying to set 4 filters";
    assert_eq!(refused(&body("event_filters", four), Limit::Free), said);
    let many = json!(vec![json!({ "entity": "tag", "action": "*" }); UNLIMITED + 1]);
    assert!(
        refused(&body("event_filters", many), Limit::Off).starts_with("The limit of 10000 event filters")
    );
}

#[test]
fn a_patch_says_enabled() {
    assert_eq!(enabled(br#"{"enabled":false}"#).ok(), Some(false));
    for body in ["{}", r#"{"enabled":null}"#, r#"{"enabled":1}"#, ""] {
        assert!(enabled(body.as_bytes()).is_err(), "{body}");
    }
}

/// Anything that can stand for a value, the right thing included.
fn any_value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("tag"),
        Just("created"),
        Just("*"),
        Just(""),
        Just("http://a.test/"),
        Just("\u{0}é")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            pair.prop_map(|(entity, action)| json!({ "entity": entity, "action": action })),
        ]
    })
}

proptest! {
    /// Whatever stands in a body, it is taken as a whole or refused with 400.
    #[test]
    fn no_body_is_half_taken(key in "description|event_filters|url_callback|enabled|secret", value in any_value()) {
        match Desired::read(&body(&key, value.clone()), Limit::Off) {
            Err(Refusal(status, text)) => prop_assert!(status == 400 && !text.is_empty(), "{text}"),
            Ok(desired) => {
                prop_assert!(!desired.description.trim().is_empty() && !desired.event_filters.is_empty());
                prop_assert!(callback_of(&desired.url_text).is_ok());
            }
        }
    }
}
