//! Every metric by name, behind methods that say what happened. `docs/metrics.md` has
//! the same list for people; a test compares the two.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The content type of `Metrics::render`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a callback in the same process to the longest usual timeout, in seconds.
const ATTEMPT_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySource {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySourceAndReason {
    source: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlugin {
    plugin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySubscription {
    subscription: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    subscription: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAttempt {
    subscription: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFault {
    subscription: String,
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    subscription: String,
    status: &'static str,
    reason: &'static str,
}

#[derive(Clone)]
struct AttemptHistogram;

impl MetricConstructor<Histogram> for AttemptHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(ATTEMPT_BUCKETS)
    }
}

/// How one subscription stands when somebody asks for the metrics, and what waits of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub subscription: String,
    pub status: &'static str,
    /// One word for why it is not enabled; empty if it is.
    pub reason: &'static str,
    pub pending: u64,
    pub held: u64,
}

/// All counts of one daemon; shared behind an `Arc`.
pub struct Metrics {
    /// Behind a lock, so that two scrapes cannot fill the gauges of what waits at once.
    registry: Mutex<Registry>,
    received: Family<BySource, Counter>,
    duplicate: Family<BySource, Counter>,
    refused: Family<ByReason, Counter>,
    source_refused: Family<BySourceAndReason, Counter>,
    deliveries: Family<ByOutcome, Counter>,
    attempts: Family<ByAttempt, Counter>,
    attempt_seconds: Family<BySubscription, Histogram, AttemptHistogram>,
    plugin_failures: Family<ByPlugin, Counter>,
    faults: Family<ByFault, Counter>,
    pending: Family<BySubscription, Gauge>,
    held: Family<BySubscription, Gauge>,
    status: Family<ByStatus, Gauge>,
    config_stale: Gauge,
    reloads: Family<ByResult, Counter>,
    store_errors: Family<ByReason, Counter>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("trackrelay")),
            received: Family::default(),
            duplicate: Family::default(),
            refused: Family::default(),
            source_refused: Family::default(),
            deliveries: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(AttemptHistogram),
            plugin_failures: Family::default(),
            faults: Family::default(),
            pending: Family::default(),
            held: Family::default(),
            status: Family::default(),
            config_stale: Gauge::default(),
            reloads: Family::default(),
            store_errors: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let to = &mut *registry;
        to.register("events_received", "Events accepted and made durable", self.received.clone());
        to.register("events_duplicate", "Events known already, by event_id", self.duplicate.clone());
        to.register("requests_refused", "Requests that were refused as a whole", self.refused.clone());
        let of_sources = self.source_refused.clone();
        to.register("source_refused", "Deliveries to a source that were refused", of_sources);
        to.register("deliveries", "Deliveries that ended, by outcome", self.deliveries.clone());
        to.register("attempts", "Attempts at deliveries", self.attempts.clone());
        let seconds = self.attempt_seconds.clone();
        to.register("attempt_duration_seconds", "How long attempts took", seconds);
        to.register("plugin_failures", "Traps, limits hit and errors", self.plugin_failures.clone());
        to.register("faults_injected", "Faults that were injected on purpose", self.faults.clone());
        to.register(
            "deliveries_pending",
            "Deliveries not yet ended, held ones included",
            self.pending.clone(),
        );
        to.register("deliveries_held", "Deliveries held by a plugin's failure", self.held.clone());
        to.register("subscription_status", "1 for the status that holds, and why", self.status.clone());
        to.register("config_stale", "1 while the files hold a refused config", self.config_stale.clone());
        to.register("config_reloads", "Loads of the config", self.reloads.clone());
        to.register("store_errors", "Requests the store refused or failed", self.store_errors.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        to.register("build", "The running program", version);
    }

    /// Events of one source are durable now; `duplicates` of the `received` were known.
    pub fn events_received(&self, source: &str, received: u64, duplicates: u64) {
        let source = BySource { source: source.to_owned() };
        self.received.get_or_create(&source).inc_by(received);
        self.duplicate.get_or_create(&source).inc_by(duplicates);
    }

    /// A request was refused as a whole.
    pub fn request_refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ByReason { reason }).inc();
    }

    /// A delivery to a source of the config was refused; counted as a request as well.
    pub fn source_refused(&self, source: &str, reason: &'static str) {
        self.request_refused(reason);
        let source = source.to_owned();
        self.source_refused.get_or_create(&BySourceAndReason { source, reason }).inc();
    }

    /// A delivery ended.
    pub fn delivery_ended(&self, subscription: &str, outcome: &'static str) {
        let subscription = subscription.to_owned();
        self.deliveries.get_or_create(&ByOutcome { subscription, outcome }).inc();
    }

    /// An attempt was made; `result` is one word such as `ok`, `status`, `timeout`.
    pub fn attempt_made(&self, subscription: &str, result: &'static str, took: Duration) {
        let subscription = subscription.to_owned();
        self.attempts.get_or_create(&ByAttempt { subscription: subscription.clone(), result }).inc();
        self.attempt_seconds.get_or_create(&BySubscription { subscription }).observe(took.as_secs_f64());
    }

    pub fn plugin_failed(&self, plugin: &str) {
        self.plugin_failures.get_or_create(&ByPlugin { plugin: plugin.to_owned() }).inc();
    }

    /// An attempt met a fault of its subscription's `faults` table.
    pub fn fault_injected(&self, subscription: &str, fault: &'static str) {
        self.faults.get_or_create(&ByFault { subscription: subscription.to_owned(), fault }).inc();
    }

    /// The config was loaded and is in force, or was refused and the last good one stays.
    pub fn config_loaded(&self, accepted: bool) {
        let result = if accepted { "ok" } else { "refused" };
        self.reloads.get_or_create(&ByResult { result }).inc();
        self.config_stale.set(i64::from(!accepted));
    }

    /// The store said no; `reason` is `busy` or `failed`.
    pub fn store_failed(&self, reason: &'static str) {
        self.store_errors.get_or_create(&ByReason { reason }).inc();
    }

    /// All metrics as OpenMetrics text. What waits is counted now, not as it changes.
    pub fn render(&self, backlog: &[Backlog]) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.pending.clear();
        self.held.clear();
        self.status.clear();
        for Backlog { subscription, status, reason, pending, held } in backlog {
            let subscription = BySubscription { subscription: subscription.clone() };
            let by_status = ByStatus { subscription: subscription.subscription.clone(), status, reason };
            self.status.get_or_create(&by_status).set(1);
            self.pending.get_or_create(&subscription).set(pending.cast_signed());
            self.held.get_or_create(&subscription).set(held.cast_signed());
        }
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("writing to a string cannot fail");
        page
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One of everything.
    fn busy() -> Metrics {
        let metrics = Metrics::new();
        metrics.events_received("events", 3, 1);
        metrics.request_refused("not_json");
        metrics.source_refused("track", "signature");
        metrics.delivery_ended("slack", "delivered");
        metrics.attempt_made("slack", "ok", Duration::from_millis(3));
        metrics.plugin_failed("match");
        metrics.fault_injected("slack", "drop");
        metrics.config_loaded(false);
        metrics.store_failed("busy");
        metrics
    }

    fn backlog(subscription: &str, pending: u64) -> Backlog {
        let (status, reason) = ("disabled", "failures");
        Backlog { subscription: subscription.into(), status, reason, pending, held: 0 }
    }

    #[test]
    fn what_happened_is_on_the_page() {
        let page = busy().render(&[backlog("slack", 7)]);
        for line in [
            r#"trackrelay_events_received_total{source="events"} 3"#,
            r#"trackrelay_events_duplicate_total{source="events"} 1"#,
            r#"trackrelay_requests_refused_total{reason="not_json"} 1"#,
            r#"trackrelay_requests_refused_total{reason="signature"} 1"#,
            r#"trackrelay_source_refused_total{source="track",reason="signature"} 1"#,
            r#"trackrelay_deliveries_total{subscription="slack",outcome="delivered"} 1"#,
            r#"trackrelay_attempts_total{subscription="slack",result="ok"} 1"#,
            r#"trackrelay_attempt_duration_seconds_bucket{le="0.005",subscription="slack"} 1"#,
            r#"trackrelay_plugin_failures_total{plugin="match"} 1"#,
            r#"trackrelay_faults_injected_total{subscription="slack",fault="drop"} 1"#,
            r#"trackrelay_deliveries_pending{subscription="slack"} 7"#,
            r#"trackrelay_deliveries_held{subscription="slack"} 0"#,
            r#"trackrelay_subscription_status{subscription="slack",status="disabled",reason="failures"} 1"#,
            "trackrelay_config_stale 1",
            r#"trackrelay_config_reloads_total{result="refused"} 1"#,
            r#"trackrelay_store_errors_total{reason="busy"} 1"#,
            concat!(r#"trackrelay_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_subscription_that_is_gone_has_no_gauge() {
        let metrics = busy();
        metrics.render(&[backlog("slack", 7)]);
        let page = metrics.render(&[backlog("other", 1)]);
        assert!(!page.contains(r#"pending{subscription="slack"}"#), "{page}");
        metrics.config_loaded(true);
        assert!(metrics.render(&[]).contains("trackrelay_config_stale 0\n"));
    }

    #[test]
    fn the_documentation_lists_every_metric() {
        let documented: BTreeSet<&str> = include_str!("../../../docs/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `trackrelay_")?.split('`').next())
            .map(|name| name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name))
            .collect();
        let page = busy().render(&[backlog("slack", 7)]);
        let exported: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE trackrelay_")?.split(' ').next())
            .collect();
        assert_eq!(documented, exported);
        assert_eq!(exported.len(), 16);
    }
}
