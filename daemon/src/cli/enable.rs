//! `trackrelay enable`: lets a subscription deliver again.

use hyper::StatusCode;
use serde_json::json;

use crate::cli::args;
use crate::cli::client::{Client, JSON, Reply, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, clean, styled};
use crate::cli::reply::Subscription;
use crate::cli::status::{note, status_style};

/// Enable a subscription
///
/// Sends a PING first; if that is refused, things stay as they are. What waited goes out
/// first, oldest before newest. Writes `enabled = true` into the config if that says false.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay enable slack
  trackrelay enable slack --force      without asking the endpoint")]
pub struct Args {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Enable it even if its endpoint does not answer
    #[arg(long)]
    force: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let reply = enable(&here.daemon()?, &args, here).await?;
    match args.json {
        true => output::document(&reply.json::<serde_json::Value>()?),
        false => output::facts(&render(&reply.json()?, here)),
    }
}

async fn enable(client: &Client, args: &Args, here: &Invocation) -> Result<Reply, Failure> {
    let target = Target::subscription(&args.name, "enable");
    let reply = client.submit(&target, JSON, json!({ "force": args.force }).to_string().into()).await?;
    // A limit is refused with the same status, and no way around it.
    let pinged = reply.status == StatusCode::BAD_REQUEST && reply.text().starts_with("URL endpoint");
    if pinged && !args.force {
        let anyway = here.command(&["enable", &args.name, "--force"]);
        return Err(Failure::failed(format!("{}; `{anyway}` enables it without a PING", reply.text())));
    }
    reply.accepted()
}

/// How the subscription stands now and, where it gets nothing, what to do next.
pub fn render(subscription: &Subscription, here: &Invocation) -> String {
    let note = note(subscription, here, crate::clock::now());
    let note = note.map(|note| format!("\n  {}", clean(&note))).unwrap_or_default();
    format!("{}{note}", line(subscription))
}

/// The same in a line, for who knows why.
pub fn line(subscription: &Subscription) -> String {
    let status = styled(status_style(subscription.status), subscription.status.as_str());
    let waiting = match subscription.pending {
        0 => String::new(),
        n => format!(", {} waiting", output::count(n, "event")),
    };
    format!("{}: {status}{waiting}", clean(&subscription.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::fake;

    #[tokio::test]
    async fn a_refused_ping_names_the_way_around_it() {
        let daemon = fake(|_, path, _| match path {
            path if path.contains("/away/") => {
                (400, json!("URL endpoint http://127.0.0.1:3000/ request failed"))
            }
            path if path.contains("/sixth/") => (400, json!("limit reached")),
            _ => (404, json!("no subscription `b`")),
        });
        let here = Invocation::with_env(Some("c.toml".into()), |_| None);
        let said = async |name: &str, force| {
            let args = Args { name: name.to_owned(), force, json: false };
            enable(&daemon.client, &args, &here).await.unwrap_err().to_string()
        };
        assert_eq!(
            said("away", false).await,
            "URL endpoint http://127.0.0.1:3000/ request failed; \
             `trackrelay enable away --force --config c.toml` enables it without a PING"
        );
        assert_eq!(said("away", true).await, "URL endpoint http://127.0.0.1:3000/ request failed");
        assert_eq!(said("b", false).await, "no subscription `b`");
        assert_eq!(said("sixth", false).await, "limit reached");
    }

    #[test]
    fn says_how_it_stands_and_what_waits() {
        let here = Invocation::with_env(None, |_| None);
        let subscription = |status: &str, pending: u64| -> Subscription {
            serde_json::from_value(json!({
                "name": "slack", "status": status, "pending": pending, "delivered": 0, "failed_attempts": 0,
                "url_callback": "http://127.0.0.1:3000/", "event_filters": [],
            }))
            .unwrap()
        };
        let said = |status, pending| output::plain(&render(&subscription(status, pending), &here));
        assert_eq!(said("enabled", 0), "slack: enabled");
        assert_eq!(said("enabled", 1), "slack: enabled, 1 event waiting");
        assert_eq!(
            said("not_validated", 0),
            "slack: not_validated\n  its endpoint is asked for the validation code and has not answered yet; \
             until then events wait; run `trackrelay validate slack`"
        );
        assert_eq!(output::plain(&line(&subscription("disabled", 1))), "slack: disabled, 1 event waiting");
    }
}
