//! `trackrelay status`: how the daemon, its config and its subscriptions stand.

use anstyle::Style;
use jiff::Timestamp;

use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, Align, BAD, GOOD, STRONG, Table, WARN, clean, styled};
use crate::cli::reply::{ConfigState, State, StatusReply, StoreState, Subscription};
use crate::delivery::Status;

mod sources;

/// Show how the daemon, its config and its subscriptions stand
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay status
  trackrelay status --json | jq -r '.subscriptions[] | select(.status != \"enabled\").name'")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let client = here.daemon()?;
    let reply = client.get(&Target::new(&["api", "status"])).await?;
    if args.json {
        return output::document(&reply.json::<serde_json::Value>()?);
    }
    let config = client.config().display().to_string();
    output::facts(&render(&reply.json()?, &config, here, crate::clock::now()))
}

/// A status in the colour of how urgent it is.
pub fn status_style(status: Status) -> Style {
    match status {
        Status::Enabled => GOOD,
        Status::Pending | Status::NotValidated => WARN,
        Status::Disabled => BAD,
    }
}

fn render(reply: &StatusReply, config: &str, here: &Invocation, now: Timestamp) -> String {
    let running = format!(
        "{} {}, process {}, up {}\n",
        styled(STRONG, "trackrelay"),
        clean(&reply.version),
        reply.pid,
        output::since(reply.started_at, now)
    );
    let unix = reply.listen.unix.as_deref().unwrap_or("off");
    let sockets = format!("tcp     {}\nunix    {}\n", clean(&reply.listen.tcp), clean(unix));
    let config = format!("config  {}: {}", clean(config), config_state(&reply.config, now));
    let table = match reply.subscriptions.is_empty() {
        true => "no subscriptions\n".to_owned(),
        false => subscriptions(&reply.subscriptions, here, now),
    };
    let store = store_state(reply.store, here);
    let sources = sources::render(&reply.sources, now);
    format!("{running}{config}{store}{sockets}\n{table}{sources}")
}

/// A store that works goes without saying.
fn store_state(store: StoreState, here: &Invocation) -> String {
    match store {
        StoreState::Ok => String::new(),
        StoreState::Failing => format!(
            "store   {}, new events are refused; the log and `{}` say why\n",
            styled(BAD, "failing"),
            here.command(&["doctor"])
        ),
        StoreState::Unreadable => format!(
            "store   {}, some of what waits cannot be read; the log and `{}` say why\n",
            styled(BAD, "unreadable"),
            here.command(&["doctor"])
        ),
    }
}

fn config_state(config: &ConfigState, now: Timestamp) -> String {
    let loaded = output::since(config.loaded_at, now);
    let mut text = match config.state {
        State::Ok | State::Unchanged => format!("{}, loaded {loaded} ago\n", styled(GOOD, "ok")),
        State::Stale => {
            let errors = output::count(config.errors.len() as u64, "error");
            format!("{}, {errors}; what was loaded {loaded} ago keeps running\n", styled(BAD, "stale"))
        }
    };
    for problem in &config.errors {
        text += &output::problem(problem, BAD, "error");
    }
    for key in &config.restart_needed {
        text += &format!("{}: `{}` changes only with a restart\n", styled(WARN, "warning"), clean(key));
    }
    text
}

fn subscriptions(all: &[Subscription], here: &Invocation, now: Timestamp) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATUS", Align::Left),
        ("PENDING", Align::Right),
        ("DELIVERED", Align::Right),
        ("URL", Align::Left),
    ]);
    for subscription in all {
        let cell = |text: String| (text, Style::new());
        table.row(
            vec![
                cell(subscription.name.clone()),
                status(subscription),
                cell(subscription.pending.to_string()),
                cell(subscription.delivered.to_string()),
                cell(subscription.url_callback.clone()),
            ],
            note(subscription, here, now)
                .into_iter()
                .chain(faults(subscription))
                .chain(held(subscription))
                .chain(unreadable(subscription, here))
                .collect(),
        );
    }
    table.render()
}

/// Why a subscription is not simply enabled, and what helps.
pub fn note(subscription: &Subscription, here: &Invocation, now: Timestamp) -> Option<String> {
    let name = subscription.name.as_str();
    match subscription.status {
        Status::Enabled => None,
        Status::Pending => Some(trouble(subscription, now)),
        Status::NotValidated => {
            let command = here.command(&["validate", name]);
            let url = subscription.validation_code_url.as_deref();
            let url = url.map(|url| format!(", or open {url}")).unwrap_or_default();
            let met = match &subscription.last_error {
                Some(met) => format!("its endpoint has not answered with the validation code ({met}), so it gets no events"),
                // Nothing has been met before the first PING is over.
                None => "its endpoint is asked for the validation code and has not answered yet; until then events wait".to_owned(),
            };
            Some(format!("{met}; run `{command}`{url}"))
        }
        Status::Disabled => {
            let reason = subscription.disabled_reason.as_deref().unwrap_or("disabled in the config");
            Some(format!("{reason}; run `{}`", here.command(&["enable", name])))
        }
    }
}

/// What went wrong last, how often, and when it goes on.
fn trouble(subscription: &Subscription, now: Timestamp) -> String {
    let attempts = output::count(subscription.failed_attempts.into(), "failed attempt");
    let next = subscription.retry_at.map(|at| output::next_try(at, now));
    let parts = [
        subscription.last_error.clone(),
        // A refused connection that is waited out is no failed attempt.
        (subscription.failed_attempts > 0).then(|| format!("{attempts} in a row")),
        Some(next.unwrap_or_else(|| "it is tried again".to_owned())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The status, and loudly if not everything that goes wrong does so by itself.
pub fn status(subscription: &Subscription) -> (String, Style) {
    let word = subscription.status.as_str();
    match subscription.faults {
        Some(_) => (format!("{word}, FAULTS INJECTED"), BAD),
        None => (word.to_owned(), status_style(subscription.status)),
    }
}

/// Which faults, and how they end.
pub fn faults(subscription: &Subscription) -> Option<String> {
    let faults = subscription.faults.as_ref()?;
    Some(format!(
        "faults are injected on purpose: {faults}; take its `faults` table out of the config to end it"
    ))
}

fn held(subscription: &Subscription) -> Option<String> {
    let Subscription { pending, held, .. } = subscription;
    (*held > 0).then(|| {
        format!(
            "{pending} pending, {held} of them held by a plugin: mend it or its config and save, then they are tried again"
        )
    })
}

fn unreadable(subscription: &Subscription, here: &Invocation) -> Option<String> {
    let Subscription { pending, unreadable, .. } = subscription;
    (*unreadable > 0).then(|| {
        let repair = here.command(&["doctor", "--repair"]);
        format!(
            "{pending} pending, {unreadable} of them set aside, the store cannot read them: stop the daemon and run `{repair}`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::plain;

    fn reply(config: &str) -> StatusReply {
        let subscription = |name, status, pending, reason: Option<&str>| {
            let trouble = status == "pending";
            serde_json::json!({
                "name": name, "subscription_id": 1, "status": status, "enabled": true, "validated_at": null,
                "has_pending_events": pending > 0, "pending": pending, "held": u64::from(name == "held"),
                "delivered": 12, "failed_attempts": if name == "away" { 0 } else { 3 },
                "validation_code_url": (name == "fresh").then_some("http://127.0.0.1:7717/v/1/2/ab"),
                "last_error": match name {
                    "fresh" => Some("it answered 404"),
                    _ => trouble.then_some("connection refused"),
                },
                "retry_at": trouble.then_some("2025-09-10T10:04:00Z"), "disabled_reason": reason, "url_callback": "http://127.0.0.1:3000/toggl",
                "event_filters": ["time_entry.*"],
            })
        };
        serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "pid": 4711, "started_at": "2025-09-10T08:00:00Z",
            "listen": { "tcp": "127.0.0.1:7717", "unix": null },
            "config": serde_json::from_str::<serde_json::Value>(config).unwrap(),
            "subscriptions": [
                subscription("plain", "enabled", 0, None),
                subscription("slack", "disabled", 4, Some("3 attempts failed in a row, the last with 500")),
                subscription("fresh", "not_validated", 1, None),
                subscription("slow", "pending", 2, None),
                subscription("away", "pending", 2, None),
                subscription("held", "enabled", 2, None),
            ],
        }))
        .unwrap()
    }

    fn rendered(config: &str) -> String {
        let here = Invocation::with_env(None, |_| None);
        plain(&render(&reply(config), "/a/config.toml", &here, "2025-09-10T10:03:04Z".parse().unwrap()))
    }

    #[test]
    fn says_everything_at_a_glance() {
        let wanted = "\
trackrelay 0.1.0, process 4711, up 2h 3m
config  /a/config.toml: ok, loaded 3m 4s ago
tcp     127.0.0.1:7717
unix    off

NAME   STATUS         PENDING  DELIVERED  URL
plain  enabled              0         12  http://127.0.0.1:3000/toggl
slack  disabled             4         12  http://127.0.0.1:3000/toggl
  3 attempts failed in a row, the last with 500; run `trackrelay enable slack`
fresh  not_validated        1         12  http://127.0.0.1:3000/toggl
  its endpoint has not answered with the validation code (it answered 404), so it gets no events; \
run `trackrelay validate fresh`, or open http://127.0.0.1:7717/v/1/2/ab
slow   pending              2         12  http://127.0.0.1:3000/toggl
  connection refused; 3 failed attempts in a row; next try in 56s (2025-09-10 10:04:00Z)
away   pending              2         12  http://127.0.0.1:3000/toggl
  connection refused; next try in 56s (2025-09-10 10:04:00Z)
held   enabled              2         12  http://127.0.0.1:3000/toggl
  2 pending, 1 of them held by a plugin: mend it or its config and save, then they are tried again
";
        assert_eq!(rendered(r#"{"state":"ok","loaded_at":"2025-09-10T10:00:00Z","errors":[]}"#), wanted);
    }

    #[test]
    fn a_failing_store_shows() {
        let config = r#"{"state":"ok","loaded_at":"2025-09-10T10:00:00Z","errors":[]}"#;
        let mut reply = reply(config);
        reply.store = StoreState::Failing;
        let here = Invocation::with_env(None, |_| None);
        let text = plain(&render(&reply, "/a/config.toml", &here, "2025-09-10T10:03:04Z".parse().unwrap()));
        let wanted =
            "\nstore   failing, new events are refused; the log and `trackrelay doctor` say why\ntcp ";
        assert!(text.contains(wanted), "{text}");

        reply.store = StoreState::Unreadable;
        reply.subscriptions[0].unreadable = 1;
        let text = plain(&render(&reply, "/a/config.toml", &here, "2025-09-10T10:03:04Z".parse().unwrap()));
        for wanted in [
            "\nstore   unreadable, some of what waits cannot be read; the log and `trackrelay doctor` say why\ntcp ",
            " pending, 1 of them set aside, the store cannot read them: stop the daemon and run `trackrelay doctor --repair`\n",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn a_stale_config_shows_its_errors() {
        let text = rendered(
            r#"{"state":"stale","loaded_at":"2025-09-10T10:00:00Z","restart_needed":["listen.tcp"],"errors":[
                {"file":"/a/config.toml","line":3,"column":9,"message":"unknown plugin `slak`",
                 "hint":"did you mean `slack`?"}]}"#,
        );
        let wanted = "\
config  /a/config.toml: stale, 1 error; what was loaded 3m 4s ago keeps running
error: unknown plugin `slak`
 --> /a/config.toml:3:9
  = help: did you mean `slack`?
warning: `listen.tcp` changes only with a restart
tcp ";
        assert!(text.contains(wanted), "{text}");
    }
}
