//! What became of an event that was just sent, and what helps where nothing went out.

use std::time::Duration;

use anstyle::Style;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::cli::client::{Client, Reply, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{STRONG, clean, next_try, styled};
use crate::cli::reply::{Decision, StatusReply, Subscription, Why};
use crate::cli::why::{self, attempt_result, outcome_style};
use crate::delivery::{Outcome, Status};

/// Between two questions: quick enough to feel immediate.
const POLL: Duration = Duration::from_millis(30);

/// Asks until every subscription has something to tell, but no longer than `within`.
/// Returns the daemon's document as it came, and as read.
pub async fn follow(client: &Client, event_id: i64, within: Duration) -> Result<(Reply, Why), Failure> {
    let deadline = Instant::now() + within;
    loop {
        let reply = client.get(&Target::new(&["api", "why", &event_id.to_string()])).await?;
        let why: Why = reply.json()?;
        if why.decisions.iter().all(has_news) || Instant::now() >= deadline {
            return Ok((reply, why));
        }
        sleep(POLL).await;
    }
}

/// A line per subscription, with the exact command that helps.
pub fn render(why: &Why, status: &StatusReply, here: &Invocation, now: Timestamp) -> String {
    if why.decisions.is_empty() {
        return "no subscription is configured; add a [subscription.NAME] table and save\n".to_owned();
    }
    let line = |decision: &Decision| {
        let subscription = status.subscriptions.iter().find(|known| known.name == decision.subscription);
        let told = tell(decision, why, subscription, here, now);
        let style: Style = outcome_style(decision.outcome);
        let outcome = styled(style, decision.outcome.as_str());
        format!("{}: {outcome}{}\n", styled(STRONG, &decision.subscription), clean(&told))
    };
    why.decisions.iter().map(line).collect()
}

/// Final, or tried at least once: a retry comes in minutes, which nobody waits for here.
fn has_news(decision: &Decision) -> bool {
    decision.outcome != Outcome::Pending || !decision.attempts.is_empty()
}

fn tell(
    decision: &Decision,
    why: &Why,
    subscription: Option<&Subscription>,
    here: &Invocation,
    now: Timestamp,
) -> String {
    let name = decision.subscription.as_str();
    let reason = decision.reason.as_deref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let run = |words: &[&str]| format!("run `{}`", here.command(words));
    let missed = || here.command(&["replay", "--missed", name]);
    match decision.outcome {
        Outcome::Delivered => match decision.attempts.last() {
            Some(attempt) => format!(", {}", attempt_result(attempt)),
            None => String::new(),
        },
        Outcome::Pending => pending(decision, why, subscription, here, now),
        Outcome::SkippedFilter => {
            let help = why::filter_help(&why.entity, &why.action, name, here);
            format!("{}; {help}", filtered(subscription))
        }
        Outcome::SkippedDisabled => {
            format!("{reason}; {}, then `{}` sends this event", run(&["enable", name]), missed())
        }
        Outcome::SkippedNotValidated => {
            format!("{reason}; {}, then `{}` sends this event", run(&["validate", name]), missed())
        }
        Outcome::SkippedRights => {
            format!("{reason}; {}", why::rights_help(&why.entity))
        }
        Outcome::Held => format!("{reason}; mend the plugin or its config and save, then it is tried again"),
        Outcome::SkippedPlugin | Outcome::Failed | Outcome::Dropped | Outcome::Cancelled => {
            format!("{reason}; {}", run(&["why", &why.event_id.to_string(), name]))
        }
    }
}

fn filtered(subscription: Option<&Subscription>) -> String {
    match subscription {
        Some(subscription) => format!(", its event_filters are {:?}", subscription.event_filters),
        None => ", its event_filters do not match".to_owned(),
    }
}

fn pending(
    decision: &Decision,
    why: &Why,
    subscription: Option<&Subscription>,
    here: &Invocation,
    now: Timestamp,
) -> String {
    let look = format!("run `{}`", here.command(&["why", &why.event_id.to_string(), &decision.subscription]));
    if let Some(attempt) = decision.attempts.last() {
        let tried = format!(", attempt {}: {}", attempt.n, attempt_result(attempt));
        return match (&decision.reason, decision.next_try) {
            (_, Some(at)) => format!("{tried}; {}; {look}", next_try(at, now)),
            (Some(reason), None) => format!("{tried}; {reason}; {look}"),
            (None, None) => format!("{tried}; it is tried again; {look}"),
        };
    }
    match (&decision.reason, subscription.map(|known| known.status)) {
        (Some(reason), _) => format!(", {reason}; {look}"),
        (None, Some(Status::Pending)) => {
            format!(
                ", behind an earlier event that is being tried again; run `{}`",
                here.command(&["status"])
            )
        }
        (None, Some(Status::NotValidated)) => {
            format!(", its first PING is not answered yet; {look}")
        }
        _ => format!(", not answered yet; {look}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::{Value, json};

    use super::*;
    use crate::cli::fake::fake;
    use crate::cli::output::plain;

    fn why(decisions: Value) -> Why {
        let document =
            json!({ "event_id": 17, "entity": "tag", "action": "created", "decisions": decisions });
        serde_json::from_value(document).unwrap()
    }

    fn status(name: &str, status: &str) -> StatusReply {
        serde_json::from_value(json!({
            "version": "0.1.0", "pid": 1, "started_at": "2025-09-10T08:00:00Z",
            "listen": { "tcp": "127.0.0.1:7717", "unix": null },
            "config": { "state": "ok", "loaded_at": "2025-09-10T08:00:00Z" },
            "subscriptions": [{
                "name": name, "status": status, "pending": 0, "delivered": 0, "failed_attempts": 0,
                "url_callback": "http://127.0.0.1:3000/", "event_filters": ["project.*", "time_entry.created"],
            }],
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2025-09-10T08:00:02Z".parse().unwrap()
    }

    fn told(decision: Value, state: &str) -> String {
        let here = Invocation::with_env(None, |_| None);
        plain(&render(&why(json!([decision])), &status("my sub", state), &here, now()))
    }

    #[test]
    fn says_what_happened_and_what_helps() {
        let failed = json!([{ "n": 1, "at": "2025-09-10T08:00:00Z", "status": 500, "error": null, "ms": 3 }]);
        let ok = json!([{ "n": 1, "at": "2025-09-10T08:00:00Z", "status": 200, "error": null, "ms": 12 }]);
        let table = [
            ("delivered", json!(null), ok, "enabled", "delivered, 200 in 12 ms"),
            (
                "pending",
                json!(null),
                failed.clone(),
                "pending",
                "pending, attempt 1: 500 in 3 ms; next try in 58s (2025-09-10 08:01:00Z); \
                 run `trackrelay why 17 'my sub'`",
            ),
            (
                "pending",
                json!("waits until `trackrelay enable 'my sub'`"),
                failed,
                "enabled",
                "pending, attempt 1: 500 in 3 ms; waits until `trackrelay enable 'my sub'`; \
                 run `trackrelay why 17 'my sub'`",
            ),
            (
                "pending",
                json!("waits for a plugin to load"),
                json!([]),
                "enabled",
                "pending, waits for a plugin to load; run `trackrelay why 17 'my sub'`",
            ),
            (
                "pending",
                json!(null),
                json!([]),
                "pending",
                "pending, behind an earlier event that is being tried again; run `trackrelay status`",
            ),
            (
                "pending",
                json!(null),
                json!([]),
                "enabled",
                "pending, not answered yet; run `trackrelay why 17 'my sub'`",
            ),
            (
                "skipped_filter",
                json!("no filter matches"),
                json!([]),
                "enabled",
                "skipped_filter, its event_filters are [\"project.*\", \"time_entry.created\"]; \
                 add \"tag.created\" to its event_filters: `trackrelay edit 'my sub'`",
            ),
            (
                "skipped_disabled",
                json!("3 attempts failed in a row"),
                json!([]),
                "disabled",
                "skipped_disabled, 3 attempts failed in a row; run `trackrelay enable 'my sub'`, \
                 then `trackrelay replay --missed 'my sub'` sends this event",
            ),
            (
                "skipped_not_validated",
                json!(null),
                json!([]),
                "not_validated",
                "skipped_not_validated; run `trackrelay validate 'my sub'`, \
                 then `trackrelay replay --missed 'my sub'` sends this event",
            ),
            (
                "skipped_rights",
                json!("not ana's"),
                json!([]),
                "enabled",
                "skipped_rights, not ana's; give that user `role = \"admin\"`, \
                 or send the event as its own with `--set metadata.event_user_id=ID`",
            ),
            (
                "skipped_plugin",
                json!("payload.billable is false"),
                json!([]),
                "enabled",
                "skipped_plugin, payload.billable is false; run `trackrelay why 17 'my sub'`",
            ),
            (
                "held",
                json!("plugin `slack` took over 50ms"),
                json!([]),
                "enabled",
                "held, plugin `slack` took over 50ms; mend the plugin or its config and save, then it is tried again",
            ),
        ];
        for (outcome, reason, attempts, state, wanted) in table {
            let decision = json!({
                "subscription": "my sub", "outcome": outcome, "reason": reason, "attempts": attempts,
                "next_try": (state == "pending").then_some("2025-09-10T08:01:00Z"),
            });
            assert_eq!(told(decision, state), format!("my sub: {wanted}\n"));
        }
    }

    #[test]
    fn commands_name_the_config_that_was_named() {
        let here = Invocation::with_env(Some("b.toml".into()), |_| None);
        let decision = json!({ "subscription": "my sub", "outcome": "skipped_disabled", "reason": null });
        let text = plain(&render(&why(json!([decision])), &status("my sub", "disabled"), &here, now()));
        assert_eq!(
            text,
            "my sub: skipped_disabled; run `trackrelay enable 'my sub' --config b.toml`, \
             then `trackrelay replay --missed 'my sub' --config b.toml` sends this event\n"
        );
    }

    #[test]
    fn every_outcome_reads_to_its_end() {
        for outcome in Outcome::ALL {
            let decision = json!({ "subscription": "my sub", "outcome": outcome, "reason": "because" });
            let text = told(decision, "enabled");
            assert!(text.starts_with(&format!("my sub: {}", outcome.as_str())), "{text}");
        }
    }

    #[tokio::test]
    async fn waits_for_news_of_every_subscription() {
        let asked = AtomicU32::new(0);
        let daemon = fake(move |_, _, _| {
            let second = if asked.fetch_add(1, Ordering::Relaxed) < 2 { "pending" } else { "delivered" };
            let decisions = json!([
                { "subscription": "a", "outcome": "skipped_filter" },
                { "subscription": "b", "outcome": second },
            ]);
            (200, json!({ "event_id": 17, "entity": "tag", "action": "created", "decisions": decisions }))
        });
        let (_, why) = follow(&daemon.client, 17, Duration::from_secs(60)).await.unwrap();
        assert_eq!(why.decisions[1].outcome, Outcome::Delivered);
        assert_eq!(daemon.asked(), ["GET /api/why/17"; 3]);
    }

    #[tokio::test]
    async fn does_not_wait_longer_than_asked() {
        let daemon = fake(|_, _, _| {
            let decisions = json!([{ "subscription": "a", "outcome": "pending" }]);
            (200, json!({ "event_id": 17, "entity": "tag", "action": "created", "decisions": decisions }))
        });
        let (_, why) = follow(&daemon.client, 17, Duration::ZERO).await.unwrap();
        assert_eq!(why.decisions[0].outcome, Outcome::Pending);
        assert_eq!(daemon.asked().len(), 1);
    }
}
