//! What the daemon tells about itself: where log lines go and in which form, and the
//! metrics. What is worth a line or a count is decided where it happens.

use std::env;
use std::io;

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

pub mod complaint;
pub mod metrics;
pub mod shell;

pub use complaint::Complaint;
pub use metrics::Metrics;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// A level or filter nobody understands.
#[derive(Debug, thiserror::Error)]
#[error(
    "{origin}: cannot read `{given}` as a log filter ({source}); try `debug` or `trackrelay=debug,hyper=info`"
)]
pub struct LogError {
    origin: &'static str,
    given: String,
    source: ParseError,
}

/// Sends log lines to standard error from now on. `level` is what `--log` says; without
/// it `RUST_LOG` decides, and without that `info`. Does nothing if it was done before.
pub fn log_to_stderr(level: Option<&str>, format: LogFormat) -> Result<(), LogError> {
    let env = env::var("RUST_LOG").ok();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(level, env.as_deref())?)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(AutoStream::choice(&io::stderr()) != ColorChoice::Never);
    let done = match format {
        LogFormat::Text => lines.compact().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    // An error means that a log is set up already: in tests that is another test's.
    drop(done);
    Ok(())
}

fn filter(level: Option<&str>, env: Option<&str>) -> Result<EnvFilter, LogError> {
    let (origin, given) = match (level, env.filter(|env| !env.is_empty())) {
        (Some(level), _) => ("--log", level),
        (None, Some(env)) => ("RUST_LOG", env),
        (None, None) => ("--log", "info"),
    };
    // A bare level is about the daemon; its libraries only warn.
    let directives = match given.parse::<tracing::Level>() {
        Ok(level) => format!("warn,trackrelay={level}"),
        Err(_) => given.to_owned(),
    };
    let wrong = |source| LogError { origin, given: given.to_owned(), source };
    EnvFilter::builder().parse(directives).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_environment_and_info_is_the_default() {
        let said = |level, env| filter(level, env).unwrap().to_string();
        assert_eq!(said(None, None), "trackrelay=info,warn");
        assert_eq!(said(None, Some("")), "trackrelay=info,warn");
        assert_eq!(said(None, Some("hyper=trace")), "hyper=trace");
        assert_eq!(said(Some("debug"), Some("trace")), "trackrelay=debug,warn");
    }

    #[test]
    fn a_bad_filter_names_its_origin() {
        let said = |level, env| filter(level, env).unwrap_err().to_string();
        assert!(said(Some("trackrelay=loud"), None).starts_with("--log: cannot read `trackrelay=loud`"));
        assert!(said(None, Some("a=b=c")).starts_with("RUST_LOG: cannot read `a=b=c`"));
    }
}
