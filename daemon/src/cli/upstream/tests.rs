use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::*;

const CONFIG: &str = r#"
[workspace]
id = 4200017
[source.track]
secret = { env = "NOT_AT_HAND" }
[source.second]
secret = { env = "NOR_THIS" }
[user.ana]
id = 1
role = "admin"
api_token = { env = "ONE" }
[user.bob]
id = 2
role = "member"
api_token = { env = "ANOTHER" }
[subscription.billing]
url_callback = "http://127.0.0.1:3000/"
event_filters = ["time_entry.created", "time_entry.updated", "project.*"]
[subscription.names]
url_callback = "http://127.0.0.1:3000/"
event_filters = ["project.updated", { entity = "client", action = "updated" }]
enabled = false
"#;

fn args(words: &str) -> PlanArgs {
    use clap::Parser;
    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: PlanArgs,
    }
    Alone::parse_from(std::iter::once("plan").chain(words.split_whitespace())).args
}

fn here(text: &str) -> (tempfile::TempDir, Invocation) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    (folder, Invocation::with_env(Some(path), |name| (name == "HOME").then(|| "/home/ana".to_owned())))
}

fn planned(text: &str, words: &str) -> Result<Upstream, Failure> {
    let (_folder, here) = here(text);
    plan(&args(words), &here)
}

#[test]
fn tells_filters_plans_and_the_command() {
    let upstream = planned(CONFIG, "").unwrap();
    let wanted = "\
What 2 subscriptions here want, one at Track brings with 4 event filters:

EVENT FILTER        FOR
project.*           billing, names
client.updated      names
time_entry.created  billing
time_entry.updated  billing

TRACK'S PLAN  SUBSCRIPTIONS  FILTERS EACH  FITS
free                      1             3  with wildcards: project.* *.updated time_entry.created
  brings also project_group.updated, project_user.updated, tag.updated, task.updated, workspace.updated, workspace_user.updated
  `--fit free` asks for these
starter                   2             6  exactly
premium                   3            12  exactly

curl ";
    let told = output::plain(&told::facts(&upstream));
    assert!(told.starts_with(wanted), "{told}");
    let fitted = planned(CONFIG, "--fit free --enabled-only").unwrap();
    let filters: Vec<_> = fitted.filters.iter().map(|wanted| wanted.filter.to_string()).collect();
    assert_eq!(filters, ["project.*", "time_entry.created", "time_entry.updated"]);
    assert!(fitted.fits.iter().all(|fit| fit.exact));
}

#[test]
fn says_what_is_missing() {
    assert_eq!(told::remarks(&planned(CONFIG, "").unwrap()).len(), 1);
    let bare = "[subscription.a]\nurl_callback = \"http://127.0.0.1:3000/\"\nevent_filters = [\"*.*\"]\n";
    let upstream = planned(bare, "").unwrap();
    let remarks = told::remarks(&upstream).join("\n");
    assert!(remarks.contains("[source.track]") && remarks.contains("TRACK_WORKSPACE_ID"), "{remarks}");
    assert!(told::facts(&upstream).contains("/subscriptions/$TRACK_WORKSPACE_ID\""));
    let nothing = planned("", "").unwrap();
    assert!(told::facts(&nothing).starts_with("no subscription here wants events"));
    assert_eq!((told::remarks(&nothing).len(), &told::document(&nothing)["curl"]), (0, &Value::Null));
    let failure = planned(CONFIG, "--source secnd").unwrap_err();
    assert_eq!(failure.to_string(), "no source `secnd`; did you mean `second`?");
    assert_eq!(planned("[listn]", "").unwrap_err().exit_code(), 78);
}

/// A shell makes of it what Track is to get, and the secret stands only in the shell.
#[test]
fn the_command_can_be_pasted_into_a_shell() {
    let upstream = planned(CONFIG, "--source second").unwrap();
    let document = told::document(&upstream);
    let line = document["curl"].as_str().unwrap();
    let script = format!("curl() {{ printf '%s\\0' \"$@\"; }}\n{line}\n");
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", &script]).env("TRACK_SECRET", "abc").env("TRACK_API_TOKEN", "t0k");
    let printed = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let words: Vec<&str> = printed.split_terminator('\0').collect();
    let after = |option: &str| words[1 + words.iter().position(|word| *word == option).unwrap()];
    assert_eq!((after("-X"), after("-u")), ("POST", "t0k:api_token"));
    assert_eq!(words.last(), Some(&"https://api.track.toggl.com/webhooks/api/v1/subscriptions/4200017"));
    let body: Value = serde_json::from_str(after("-d")).unwrap();
    let filter = |entity: &str, action: &str| json!({ "entity": entity, "action": action });
    let filters = [
        filter("project", "*"),
        filter("client", "updated"),
        filter("time_entry", "created"),
        filter("time_entry", "updated"),
    ];
    let wanted = json!({
        "description": "trackrelay",
        "url_callback": "https://YOUR-TUNNEL/track/second",
        "event_filters": filters,
        "enabled": true,
        "secret": "abc",
    });
    assert_eq!(body, wanted);
}
