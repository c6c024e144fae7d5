//! `trackrelay list`: the subscriptions and which events they want.

use anstyle::Style;
use jiff::Timestamp;

use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, Align, Table};
use crate::cli::reply::{StatusReply, Subscription};
use crate::cli::status::{faults, note, status};

/// List the subscriptions and which events they want
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay list
  trackrelay list --json | jq -r '.[].name'")]
pub struct Args {
    /// Print one JSON array with the objects of `status --json`
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let reply = here.daemon()?.get(&Target::new(&["api", "status"])).await?;
    if args.json {
        return output::document(&reply.json::<serde_json::Value>()?["subscriptions"]);
    }
    let reply: StatusReply = reply.json()?;
    if reply.subscriptions.is_empty() {
        output::say("no subscriptions");
        return Ok(());
    }
    output::facts(&render(&reply.subscriptions, here, crate::clock::now()))
}

fn render(subscriptions: &[Subscription], here: &Invocation, now: Timestamp) -> String {
    let columns = [
        ("NAME", Align::Left),
        ("STATUS", Align::Left),
        ("EVENT FILTERS", Align::Left),
        ("URL", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for subscription in subscriptions {
        let cell = |text: &str| (text.to_owned(), Style::new());
        table.row(
            vec![
                cell(&subscription.name),
                status(subscription),
                cell(&subscription.event_filters.join(" ")),
                cell(&subscription.url_callback),
            ],
            note(subscription, here, now).into_iter().chain(faults(subscription)).collect(),
        );
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_both_written_forms_of_a_filter_and_why_one_is_not_enabled() {
        let subscription = |name, status, reason: Option<&str>| {
            serde_json::from_value(serde_json::json!({
                "name": name, "status": status, "pending": 0, "delivered": 0, "failed_attempts": 0,
                "url_callback": "http://127.0.0.1:3000/", "disabled_reason": reason,
                "event_filters": ["tag.created", { "entity": "time_entry", "action": "*" }],
            }))
            .unwrap()
        };
        let all = [
            subscription("plain", "enabled", None),
            subscription("off", "disabled", Some("3 failed attempts in a row, last: 500")),
        ];
        let wanted = "\
NAME   STATUS    EVENT FILTERS             URL
plain  enabled   tag.created time_entry.*  http://127.0.0.1:3000/
off    disabled  tag.created time_entry.*  http://127.0.0.1:3000/
  3 failed attempts in a row, last: 500; run `trackrelay enable off`
";
        let here = Invocation::with_env(None, |_| None);
        assert_eq!(output::plain(&render(&all, &here, Timestamp::UNIX_EPOCH)), wanted);
    }
}
