//! `trackrelay reload`: has the daemon load its config now, and shows what came of it.

use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, BAD, WARN, clean};
use crate::cli::reply::{Reload, State};

/// Load the config now and show what changed
///
/// The daemon does so by itself whenever a file is saved. A config with errors is refused
/// as a whole: the last good one keeps running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay reload
  trackrelay reload --json | jq -r '.changes[]'")]
pub struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let client = here.daemon()?;
    let reply = client.post(&Target::new(&["api", "reload"]), &serde_json::json!({})).await?;
    let reload: Reload = reply.json()?;
    output::say_all(&remarks(&reload));
    if args.json {
        output::document(&reply.json::<serde_json::Value>()?)?;
    } else if reload.state != State::Stale {
        output::facts(&render(&reload))?;
    }
    match reload.state {
        State::Ok | State::Unchanged => Ok(()),
        State::Stale => Err(Failure::BadConfig(format!(
            "`{}` was refused; the last good config keeps running",
            client.config().display()
        ))),
    }
}

/// Problems and what a reload could not do, for stderr.
fn remarks(reload: &Reload) -> Vec<String> {
    let errors = reload.errors.iter().map(|problem| output::problem(problem, BAD, "error"));
    let warnings = reload.warnings.iter().map(|problem| output::problem(problem, WARN, "warning"));
    let restart = reload
        .restart_needed
        .iter()
        .map(|key| format!("{WARN}warning{WARN:#}: `{}` changes only with a restart", clean(key)));
    errors.chain(warnings).chain(restart).collect()
}

fn render(reload: &Reload) -> String {
    if reload.changes.is_empty() {
        return "nothing changed".to_owned();
    }
    let lines: Vec<_> = reload.changes.iter().map(|change| clean(change)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::plain;

    fn reload(json: &str) -> Reload {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn tells_what_changed() {
        let changed = reload(
            r#"{"state":"ok","changes":["subscription `a`: url_callback changed","plugin `b` added"]}"#,
        );
        assert_eq!(render(&changed), "subscription `a`: url_callback changed\nplugin `b` added");
        assert_eq!(render(&reload(r#"{"state":"unchanged"}"#)), "nothing changed");
    }

    #[test]
    fn remarks_come_worst_first() {
        let refused = reload(
            r#"{"state":"stale","restart_needed":["listen.tcp"],
                "warnings":[{"file":"c.toml","line":2,"column":1,"message":"others can read this"}],
                "errors":[{"file":"c.toml","line":1,"column":5,"message":"no value","hint":"write one"}]}"#,
        );
        let told: Vec<String> = remarks(&refused).iter().map(|remark| plain(remark)).collect();
        assert_eq!(
            told,
            [
                "error: no value\n --> c.toml:1:5\n  = help: write one\n",
                "warning: others can read this\n --> c.toml:2:1\n",
                "warning: `listen.tcp` changes only with a restart",
            ]
        );
    }
}
