use trackrelay_plugin::json::Json;
use trackrelay_plugin::testing::event;
use trackrelay_plugin::{Content, Outcome, Transform};

use super::{LONGEST, Slack};

#[path = "../../native.rs"]
mod native;

fn body(config: &str, json: &str) -> String {
    match Slack::configure(config).unwrap().apply(&event(json)).unwrap() {
        Outcome::Replace(message) => {
            assert_eq!(message.content_type, "application/json");
            match message.body {
                Content::Text(body) => body,
                Content::Bytes(_) => panic!("not text"),
            }
        }
        _ => panic!("not replaced"),
    }
}

fn text(config: &str, json: &str) -> String {
    let body = body(config, json);
    Json::parse(&body).unwrap().get("text").unwrap().as_str().unwrap().into_owned()
}

fn refused(config: &str) -> String {
    Slack::configure(config).err().unwrap()
}

#[test]
fn fields_of_every_kind_are_filled_in() {
    let event =
        r#"{"a":{"s":"x\ny","n":9007199254740993,"f":1.50,"b":true,"z":null,"l":["p",2,null],"o":{"k":1}}}"#;
    let template = r#"{"template":"{a.s}|{a.n}|{a.f}|{a.b}|{a.z}|{a.l}|{ a.l.0 }|{a.o}|{a.nothing}"}"#;
    assert_eq!(text(template, event), "x\ny|9007199254740993|1.50|true||p, 2, null|p|{\"k\":1}|");
}

#[test]
fn braces_are_doubled() {
    assert_eq!(text(r#"{"template":"{{{a}}} }}{{"}"#, r#"{"a":1}"#), "{1} }{");
}

#[test]
fn what_comes_from_the_event_is_escaped_and_the_template_is_not() {
    let event = r#"{"a":"<!here> & <b>","o":{"k":"<"},"l":["<"]}"#;
    let config = r#"{"template":"<!here> & {a} {o} {l}"}"#;
    assert_eq!(text(config, event), "<!here> & &lt;!here&gt; &amp; &lt;b&gt; {\"k\":\"&lt;\"} &lt;");
}

#[test]
fn channel_and_username_are_added_in_the_order_of_the_config() {
    let config = r##"{"username":"Tr\"ack","channel":"#time","template":"x"}"##;
    assert_eq!(body(config, "{}"), r##"{"text":"x","username":"Tr\"ack","channel":"#time"}"##);
    assert_eq!(body(r#"{"template":"x"}"#, "{}"), r#"{"text":"x"}"#);
}

#[test]
fn long_text_ends_where_slack_would_cut_it() {
    let long = |description: String| text(r#"{"template":"{a}"}"#, &format!(r#"{{"a":"{description}"}}"#));
    let cut = long("é".repeat(LONGEST + 1));
    assert_eq!(cut.chars().count(), LONGEST);
    assert!(cut.ends_with("é…"));
    assert_eq!(long("é".repeat(LONGEST)), "é".repeat(LONGEST));
    let cut = long("x".to_owned() + &"&".repeat(LONGEST));
    assert!(cut.ends_with("&amp;…") && cut.chars().count() <= LONGEST, "{}", &cut[cut.len() - 20..]);
}

#[test]
fn without_a_template_the_line_says_what_happened() {
    for (event, expected) in [
        (
            r#"{"metadata":{"model":"time_entry","action":"updated"},"payload":{"description":"a & b","duration":5405}}"#,
            "Time entry updated: a &amp; b (1:30:05)",
        ),
        (
            r#"{"metadata":{"model":"time_entry","action":"created"},"payload":{"description":"","duration":-1}}"#,
            "Time entry created: (no description) (running)",
        ),
        (
            r#"{"metadata":{"model":"project_user","action":"created"},"payload":{"user_id":5,"project_id":7}}"#,
            "Project user created: user 5 in project 7",
        ),
        (
            r#"{"metadata":{"model":"project_group","action":"deleted"},"payload":{"group_id":5,"pid":7}}"#,
            "Project group deleted: group 5 in project 7",
        ),
        (r#"{"metadata":{"model":"tag","action":"created"},"payload":{"name":"dev"}}"#, "Tag created: dev"),
        (
            r#"{"metadata":{"model":"client","action":"deleted"},"payload":{"id":9}}"#,
            "Client deleted: number 9",
        ),
        (
            r#"{"metadata":{"model":"workspace_user","action":"updated"},"payload":{"name":null,"email":"a@b.test"}}"#,
            "Workspace user updated: a@b.test",
        ),
        (r#"{"metadata":{"model":"moon","action":"risen","entity_id":"3"}}"#, "Moon risen: number 3"),
        ("[]", "Event"),
    ] {
        assert_eq!(text("{}", event), expected);
    }
}

#[test]
fn wrong_configs_are_refused() {
    assert_eq!(refused("[]"), "the config must be a table");
    assert_eq!(refused(r#"{"channel":1}"#), "`channel` must be text");
    assert_eq!(refused(r#"{"icon":"x"}"#), "unknown key `icon`; there are template, channel, username");
    assert_eq!(refused(r#"{"template":"a } b"}"#), "`template` has a lone `}`; write `}}` for a brace");
    assert_eq!(refused(r#"{"template":"a { b"}"#), "`template` has a lone `{`; write `{{` for a brace");
    assert_eq!(refused(r#"{"template":"{}"}"#), "`template`: `` is no path; write one like `payload.tags.0`");
    assert_eq!(refused(r#"{"template":"{a.*}"}"#), "`template`: `a.*` holds `*`, but a field is one value");
}

#[test]
fn what_is_not_json_is_a_failure() {
    let answer = Slack::configure("{}").unwrap().apply(&event("hello"));
    assert_eq!(answer.err().unwrap(), "the event is not well-formed JSON at byte 0");
}

#[test]
#[ignore = "`cargo bench --bench plugins` runs it and reads the time"]
fn native_calls() {
    native::time(Slack::configure, Slack::apply);
}
