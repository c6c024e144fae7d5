//! Traces by OpenTelemetry: in a build with the feature they are exported as the standard
//! variables ask (`otel/export.rs`), and one without it says so.

use crate::harness::{Receiver, Relay, event};

#[cfg(feature = "otel")]
mod export;

/// Names the collector for all that is told, and for traces.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

#[test]
fn without_a_collector_nobody_hears_of_it() {
    let receiver = Receiver::start();
    let mut relay = Relay::prepare(&receiver.table("plain"));
    relay.set_env("OTEL_SERVICE_NAME", "time");
    relay.start_again();
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    relay.stop();
    assert!(!relay.log().contains("OpenTelemetry") && !relay.log().contains("collector"), "{}", relay.log());
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_without_it_says_why_no_traces_arrive() {
    let (receiver, collector) = (Receiver::start(), Receiver::start());
    let mut relay = Relay::prepare(&receiver.table("plain"));
    relay.set_env(ENDPOINT, collector.url(""));
    relay.start_again();
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    relay.stop();
    let said = "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build has no OpenTelemetry, so no traces are \
                exported; build it with `--features otel`";
    assert_eq!(relay.log().matches(said).count(), 1, "{}", relay.log());
    assert_eq!(collector.connections(), 0);
}
