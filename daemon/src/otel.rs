//! Traces by OpenTelemetry, in builds with the feature `otel`: what the feed tells becomes
//! spans (`otel/spans.rs`), and these go to the collector that the standard environment
//! variables name (`otel/settings.rs`, `otel/export.rs`). A build without the feature only says
//! so where a collector is named. Nothing else knows the crates of OpenTelemetry.

use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::runtime::Env;

#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod settings;
#[cfg(feature = "otel")]
mod spans;

/// Variables that name a collector; the first that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// A variable that cannot be followed. Its value is told only where it holds no secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {wrong}")]
pub struct BadVariable {
    pub variable: String,
    pub wrong: String,
}

/// The export of traces, ready to begin.
pub struct Traces {
    #[cfg(feature = "otel")]
    export: export::Export,
    #[cfg(not(feature = "otel"))]
    never: std::convert::Infallible,
}

/// What the environment asks for; none if it names no collector.
pub fn of_environment(env: Env<'_>) -> Result<Option<Traces>, BadVariable> {
    match named(env) {
        Some(variable) => built_in(variable, env),
        None => Ok(None),
    }
}

/// The variable that names a collector, unless another one says that nothing is to be told.
fn named(env: Env<'_>) -> Option<&'static str> {
    let is = |name: &str, value: &str| env(name).is_some_and(|set| set.trim().eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    ENDPOINTS.into_iter().find(|name| env(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(feature = "otel")]
fn built_in(endpoint: &'static str, env: Env<'_>) -> Result<Option<Traces>, BadVariable> {
    let settings = settings::Settings::read(endpoint, env)?;
    let export = export::Export::build(settings)?;
    Ok(Some(Traces { export }))
}

#[cfg(not(feature = "otel"))]
fn built_in(endpoint: &'static str, _: Env<'_>) -> Result<Option<Traces>, BadVariable> {
    tracing::warn!(
        "{endpoint} is set, but this build has no OpenTelemetry, so no traces are exported; \
         build it with `--features otel`"
    );
    Ok(None)
}

impl Traces {
    /// Exports what the feed tells from now on, until all that was under way is settled, and
    /// then what is left, for a short while.
    #[cfg(feature = "otel")]
    pub fn run(
        self,
        feed: &Feed,
        settled: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let listener = feed.listen_closely(settled.clone());
        self.export.run(listener, settled)
    }

    #[cfg(not(feature = "otel"))]
    pub fn run(self, _: &Feed, _: CancellationToken) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let never = self.never;
        async move { match never {} }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collector_of_traces_goes_first_and_saying_no_before_all() {
        type Set = &'static [(&'static str, &'static str)];
        let table: [(Set, Option<&str>); 6] = [
            (&[], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a")], Some(ENDPOINTS[1])),
            (&[(ENDPOINTS[1], "http://a"), (ENDPOINTS[0], "http://b")], Some(ENDPOINTS[0])),
            (&[(ENDPOINTS[1], "http://a"), ("OTEL_SDK_DISABLED", "True")], None),
            (&[(ENDPOINTS[1], "http://a"), ("OTEL_TRACES_EXPORTER", "none")], None),
        ];
        for (set, wanted) in table {
            let env = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(named(&env), wanted, "{set:?}");
        }
    }
}
