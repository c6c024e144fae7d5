//! `trackrelay validate`: proves that a subscription's endpoint may be sent events.

use serde_json::json;

use crate::cli::args;
use crate::cli::client::{Client, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::cli::reply::Validated;

/// Validate a subscription's endpoint
///
/// Sends a PING with the validation code. If the endpoint does not echo it, prints the
/// validation URL and calls it, as opening it in a browser would. That is enough, whether the
/// endpoint answers or not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay validate slack
  trackrelay validate slack --json")]
pub struct Args {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let client = here.daemon()?;
    let answer = validate(&client, &args.name).await?;
    if args.json {
        let url = answer.validation_code_url.as_ref().map(url::Url::as_str);
        let Validated { validated, message, .. } = &answer;
        output::document(&json!({ "validated": validated, "validation_code_url": url, "message": message }))?;
    } else if answer.validated {
        output::facts(&format!("{}: {}", output::clean(&args.name), output::clean(&answer.message)))?;
    }
    match answer.validated {
        true => Ok(()),
        false => Err(Failure::failed(format!("`{}` is not validated: {}", args.name, answer.message))),
    }
}

async fn validate(client: &Client, name: &str) -> Result<Validated, Failure> {
    let pinged: Validated = client.post(&Target::subscription(name, "validate"), &json!({})).await?.json()?;
    let Some(url) = pinged.validation_code_url.clone().filter(|_| !pinged.validated) else {
        return Ok(pinged);
    };
    output::say(&format!("{}; calling {url}", output::clean(&pinged.message)));
    client.get(&Target::of(url)).await?;
    let message = match pinged.answered {
        true => "validated by its URL",
        false => "validated by its URL; it does not take events yet, so each one will be a failed attempt",
    };
    Ok(Validated { validated: true, message: message.to_owned(), ..pinged })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::fake;

    #[tokio::test]
    async fn an_echo_is_enough() {
        let daemon = fake(|_, _, _| {
            (
                200,
                json!({ "validated": true, "answered": true, "validation_code_url": null, "message": "echoed" }),
            )
        });
        let answer = validate(&daemon.client, "a b").await.unwrap();
        assert!(answer.validated);
        assert_eq!(daemon.asked(), ["POST /api/subscriptions/a%20b/validate"]);
    }

    #[tokio::test]
    async fn without_an_echo_the_url_is_called() {
        let daemon = fake(|_, path, _| match path.starts_with("/api") {
            true => (
                200,
                json!({ "validated": false, "answered": false, "message": "no echo",
                        "validation_code_url": "http://127.0.0.1:7717/webhooks/api/v1/validate/1/2/abc" }),
            ),
            false => (200, json!("OK")),
        });
        let answer = validate(&daemon.client, "a").await.unwrap();
        assert!(answer.validated && answer.message.contains("does not take events yet"));
        assert_eq!(
            daemon.asked(),
            ["POST /api/subscriptions/a/validate", "GET /webhooks/api/v1/validate/1/2/abc"]
        );
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_tracks_words() {
        let daemon = fake(|_, path, _| match path.starts_with("/api") {
            true => (
                200,
                json!({ "validated": false, "answered": false, "message": "no echo", "validation_code_url": "http://127.0.0.1:7717/v" }),
            ),
            false => (400, json!("subscription 2 has already been validated")),
        });
        let failure = validate(&daemon.client, "a").await.unwrap_err();
        assert_eq!(failure.to_string(), "subscription 2 has already been validated");
    }
}
