//! `trackrelay test`: sends a subscription's endpoint a signed PING.

use crate::cli::args;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, GOOD, WARN, clean, styled};
use crate::cli::reply::Tested;

/// Send a signed PING to a subscription's endpoint
///
/// Works for disabled ones too. A failed PING does not count against the subscription.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay test slack
  trackrelay test slack --json | jq .ms")]
pub struct Args {
    /// The subscription
    #[arg(value_parser = args::name, add = args::subscriptions())]
    name: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let target = Target::subscription(&args.name, "test");
    let reply = here.daemon()?.post(&target, &serde_json::json!({})).await?;
    if args.json {
        return output::document(&reply.json::<serde_json::Value>()?);
    }
    output::facts(&render(&args.name, &reply.json()?, here))
}

fn render(name: &str, tested: &Tested, here: &Invocation) -> String {
    let ok = styled(GOOD, "ok");
    let text = format!("{}: {ok}, {} in {} ms", clean(name), tested.http_status, tested.ms);
    if tested.validated != Some(false) {
        return text;
    }
    let validate = clean(&here.command(&["validate", name])).into_owned();
    format!(
        "{text}, but it is still {}: its answer does not echo `validation_code`, so it gets no events\n  \
         let it echo the code, or run `{validate}`, or set `validation = \"off\"`",
        styled(WARN, "not validated")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_the_code_does_not_validate() {
        let here = Invocation::with_env(None, |_| None);
        let said = |validated: &str| {
            let reply = format!(r#"{{"status":"OK","http_status":200,"ms":5{validated}}}"#);
            output::plain(&render("slack", &serde_json::from_str(&reply).unwrap(), &here))
        };
        assert_eq!(said(""), "slack: ok, 200 in 5 ms");
        assert_eq!(said(r#","validated":true"#), "slack: ok, 200 in 5 ms");
        assert_eq!(
            said(r#","validated":false"#),
            "slack: ok, 200 in 5 ms, but it is still not validated: its answer does not echo `validation_code`, \
             so it gets no events\n  let it echo the code, or run `trackrelay validate slack`, \
             or set `validation = \"off\"`"
        );
    }
}
