use trackrelay_plugin::testing::event;
use trackrelay_plugin::{Filter, Verdict};

use super::Match;

#[path = "../../native.rs"]
mod native;

const EVENT: &str = concat!(
    r#"{"event_id":9007199254740993,"created_at":"2026-03-01T10:00:00.123Z","creator_id":5300029,"#,
    r#""metadata":{"action":"created","model":"time_entry","workspace_id":"4200017"},"#,
    r#""payload":{"billable":false,"description":"Writing \"docs\"","duration":3600,"rate":12.50,"#,
    r#""project_id":null,"tags":["dev","ops"],"tag_ids":[1,2],"start":"2026-03-01T09:00:00Z"},"#,
    r#""subscription_id":1}"#
);

/// The reason for skipping, or "" for delivering.
fn ask(config: &str) -> String {
    match Match::configure(config).unwrap().check(&event(EVENT)).unwrap() {
        Verdict::Deliver => String::new(),
        Verdict::Skip(reason) => reason,
    }
}

fn refused(config: &str) -> String {
    Match::configure(config).err().unwrap()
}

#[test]
fn conditions_that_hold() {
    for config in [
        r#"{"payload.billable":false}"#,
        r#"{"payload.duration":3600}"#,
        r#"{"payload.duration":3600.0}"#,
        r#"{"payload.rate":12.5}"#,
        r#"{"payload.description":"Writing \"docs\""}"#,
        r#"{"payload.description":"\u0057riting \"docs\""}"#,
        r#"{"payload.duration":{"eq":3600}}"#,
        r#"{"payload.duration":{"ne":3601}}"#,
        r#"{"payload.duration":{"ne":"3600"}}"#,
        r#"{"payload.duration":{"gt":3599.5,"lt":3600.5}}"#,
        r#"{"payload.duration":{"gte":3600,"lte":3600}}"#,
        r#"{"payload.start":{"gte":"2026-03-01","lt":"2026-03-02"}}"#,
        r#"{"payload.billable":{"in":[1,false]}}"#,
        r#"{"payload.tags":{"contains":"ops"}}"#,
        r#"{"payload.tag_ids":{"contains":2}}"#,
        r#"{"payload.tags.0":"dev"}"#,
        r#"{"payload.description":{"contains":"docs"}}"#,
        r#"{"payload.description":{"starts_with":"Writ"}}"#,
        r#"{"payload.description":{"exists":true}}"#,
        r#"{"metadata.model":{"in":["project","time_entry"]},"metadata.action":"created"}"#,
        r#"{"event_id":9007199254740993}"#,
        r#"{"event_id":{"gt":9007199254740992,"lt":9007199254740994}}"#,
    ] {
        assert_eq!(ask(config), "", "{config}");
    }
}

#[test]
fn reasons_tell_path_found_and_wanted() {
    for (config, reason) in [
        (r#"{"payload.billable":true}"#, "payload.billable is false, wanted true"),
        (r#"{"payload.duration":{"gt":3600}}"#, "payload.duration is 3600, wanted > 3600"),
        (r#"{"payload.duration":{"gte":3601}}"#, "payload.duration is 3600, wanted >= 3601"),
        (r#"{"payload.duration":{"lt":1e3}}"#, "payload.duration is 3600, wanted < 1e3"),
        (r#"{"payload.duration":{"lte":0}}"#, "payload.duration is 3600, wanted <= 0"),
        (r#"{"payload.duration":{"gt":"1"}}"#, r#"payload.duration is 3600, wanted > "1""#),
        (r#"{"payload.duration":"3600"}"#, r#"payload.duration is 3600, wanted "3600""#),
        (r#"{"metadata.workspace_id":4200017}"#, r#"metadata.workspace_id is "4200017", wanted 4200017"#),
        (r#"{"payload.duration":{"ne":3600.0}}"#, "payload.duration is 3600, wanted anything but 3600.0"),
        (r#"{"payload.rate":{"in":[1,2]}}"#, "payload.rate is 12.50, wanted one of [1,2]"),
        (
            r#"{"payload.tags":{"contains":"op"}}"#,
            r#"payload.tags is ["dev","ops"], wanted it to contain "op""#,
        ),
        (r#"{"payload.duration":{"contains":3}}"#, "payload.duration is 3600, wanted it to contain 3"),
        (
            r#"{"payload.start":{"starts_with":"2025"}}"#,
            r#"payload.start is "2026-03-01T09:00:00Z", wanted it to start with "2025""#,
        ),
        (r#"{"payload.tags":{"exists":false}}"#, r#"payload.tags is ["dev","ops"], wanted none"#),
        (r#"{"event_id":9007199254740992}"#, "event_id is 9007199254740993, wanted 9007199254740992"),
        (
            r#"{"event_id":{"eq":9007199254740992.0}}"#,
            "event_id is 9007199254740993, wanted 9007199254740992.0",
        ),
    ] {
        assert_eq!(ask(config), reason, "{config}");
    }
}

#[test]
fn all_conditions_must_hold_and_the_first_that_does_not_is_told() {
    let config = r#"{"payload.billable":false,"payload.duration":{"gt":1,"lt":2},"metadata.model":"tag"}"#;
    assert_eq!(ask(config), "payload.duration is 3600, wanted < 2");
}

#[test]
fn a_missing_value_and_null_are_the_same() {
    for path in ["payload.project_id", "payload.nothing", "payload.tags.2", "payload.duration.x"] {
        for holds in [r#"{"exists":false}"#, r#"{"ne":1}"#] {
            assert_eq!(ask(&format!(r#"{{"{path}":{holds}}}"#)), "");
        }
        for fails in
            ["1", "\"null\"", r#"{"exists":true}"#, r#"{"in":[1]}"#, r#"{"lt":9}"#, r#"{"contains":"a"}"#]
        {
            let reason = ask(&format!(r#"{{"{path}":{fails}}}"#));
            assert!(reason.starts_with(&format!("{path} is missing, wanted ")), "{reason}");
        }
    }
}

#[test]
fn long_values_are_shortened_in_reasons() {
    let config = format!(r#"{{"payload.description":"{}"}}"#, "é".repeat(1000));
    let reason = ask(&config);
    assert!(reason.ends_with("é…") && reason.chars().count() < 150, "{reason}");
}

#[test]
fn wrong_configs_are_refused_with_path_and_operator() {
    for (config, error) in [
        ("{}", "no condition; write one like `\"payload.billable\" = true`"),
        ("[]", "no condition; write one like `\"payload.billable\" = true`"),
        (r#"{"a..b":1}"#, "`a..b` is no path; write one like `payload.tags.0`"),
        (r#"{"a.*":1}"#, "`a.*` holds `*`, but a condition is about one value"),
        (
            r#"{"a":{}}"#,
            "`a` has no operator; there are eq, ne, gt, gte, lt, lte, in, contains, starts_with, exists",
        ),
        (
            r#"{"payload":{"billable":true}}"#,
            "`payload`: unknown operator `billable`; there are eq, ne, gt, gte, lt, lte, in, contains, \
             starts_with, exists. For a path, quote all of it: \"payload.billable\"",
        ),
        (r#"{"a":[1]}"#, "`a` is compared with a list; write `{ in = … }` for one of several values"),
        (r#"{"a":{"in":1}}"#, "`a`: `in` takes a list, not 1"),
        (r#"{"a":{"in":[[1]]}}"#, "`a`: `in` takes text, a number, true or false, not [1]"),
        (r#"{"a":{"gt":true}}"#, "`a`: `gt` takes a number or text, not true"),
        (r#"{"a":{"starts_with":1}}"#, "`a`: `starts_with` takes text, not 1"),
        (r#"{"a":{"exists":"yes"}}"#, "`a`: `exists` takes true or false, not \"yes\""),
        (r#"{"a":{"contains":{}}}"#, "`a`: `contains` takes text, a number, true or false, not {}"),
    ] {
        assert_eq!(refused(config), error, "{config}");
    }
}

#[test]
#[ignore = "`cargo bench --bench plugins` runs it and reads the time"]
fn native_calls() {
    native::time(Match::configure, Match::check);
}
