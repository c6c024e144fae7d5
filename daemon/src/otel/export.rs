//! From what the feed tells to what the collector gets: spans queue up to a bound, go out in
//! batches, and what is left at the end has a short while. Where the collector is slower than
//! the deliveries, the feed is heard with gaps, and nobody waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::BadVariable;
use super::collector::Collector;
use super::settings::{Form, SERVICE_NAME, Settings};
use super::spans::Drawing;
use crate::feed::{Heard, Listener};
use crate::telemetry::Complaint;

/// How long a daemon that stops waits for the collector: most of what a person will, and enough
/// for some requests to a neighbour.
const FLUSH: Duration = Duration::from_secs(3);

/// A collector that is known, and nothing sent yet.
pub(super) struct Export {
    exporter: SpanExporter,
    settings: Settings,
    stopping: CancellationToken,
}

impl Export {
    pub(super) fn build(settings: Settings) -> Result<Export, BadVariable> {
        let stopping = CancellationToken::new();
        let protocol = match settings.form {
            Form::Protobuf => Protocol::HttpBinary,
            Form::Json => Protocol::HttpJson,
        };
        let built = SpanExporter::builder()
            .with_http()
            .with_protocol(protocol)
            .with_endpoint(settings.url.as_str())
            .with_timeout(settings.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .with_http_client(Collector::new(&settings, stopping.clone()))
            .build();
        let bad = |error: opentelemetry_otlp::ExporterBuildError| BadVariable {
            variable: settings.endpoint.to_owned(),
            wrong: error.to_string(),
        };
        let mut exporter = built.map_err(bad)?;
        exporter.set_resource(&resource(&settings.resource));
        Ok(Export { exporter, settings, stopping })
    }

    pub(super) async fn run(self, listener: Listener, settled: CancellationToken) -> anyhow::Result<()> {
        tracing::info!("traces go to the collector at {}", self.settings.place);
        let (queue, mut spans) = mpsc::channel(self.settings.queue);
        let missed = AtomicU64::new(0);
        let drawing = Drawing::new(self.settings.sampler.clone());
        let work =
            async { tokio::join!(draw(listener, queue, &drawing, &missed), self.send(&mut spans, &missed)) };
        let patience = async {
            settled.cancelled().await;
            self.stopping.cancel();
            tokio::time::sleep(FLUSH).await;
        };
        tokio::select! {
            ((), ()) = work => {}
            () = patience => {
                tracing::warn!("the collector at {} did not take the last spans within {FLUSH:?}", self.settings.place);
            }
        }
        Ok(())
    }

    async fn send(&self, spans: &mut mpsc::Receiver<SpanData>, missed: &AtomicU64) {
        let (mut lost, mut complaint) = (0, Complaint::default());
        loop {
            let batch = self.batch(spans).await;
            let count = batch.len();
            match count {
                0 => break,
                // Why is said where it is noticed.
                _ if self.exporter.export(batch).await.is_err() => lost += count,
                _ => tell_gaps(missed, &mut complaint),
            }
        }
        if lost > 0 {
            tracing::warn!("the collector at {} did not take {lost} spans", self.settings.place);
        }
    }

    /// What goes out together; nothing when all has gone.
    async fn batch(&self, spans: &mut mpsc::Receiver<SpanData>) -> Vec<SpanData> {
        let (mut batch, most) = (Vec::new(), self.settings.batch);
        let _first = spans.recv_many(&mut batch, most).await;
        let due = tokio::time::Instant::now() + self.settings.delay;
        while (1..most).contains(&batch.len()) {
            let room = most - batch.len();
            match tokio::time::timeout_at(due, spans.recv_many(&mut batch, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        batch
    }
}

/// Makes spans of what is told until that ends. Waits for room in the queue, and meanwhile the
/// feed goes on without us.
async fn draw(mut listener: Listener, queue: mpsc::Sender<SpanData>, drawing: &Drawing, missed: &AtomicU64) {
    loop {
        match listener.next().await {
            Heard::Told(told) => {
                for span in drawing.spans(&told) {
                    if queue.send(span).await.is_err() {
                        return;
                    }
                }
            }
            Heard::Missed(count) => {
                missed.fetch_add(count, Ordering::Relaxed);
            }
            Heard::Over => return,
        }
    }
}

fn tell_gaps(missed: &AtomicU64, complaint: &mut Complaint) {
    if missed.load(Ordering::Relaxed) > 0 && complaint.happened(Instant::now()).is_some() {
        let missed = missed.swap(0, Ordering::Relaxed);
        tracing::warn!(
            "traces have gaps: spans came faster than they were taken, and {missed} things are in none"
        );
    }
}

/// Who tells: `trackrelay`, unless the environment has another name for it.
fn resource(asked: &[(String, String)]) -> Resource {
    let own = [(SERVICE_NAME, env!("CARGO_PKG_NAME")), ("service.version", env!("CARGO_PKG_VERSION"))];
    let asked = asked.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own.map(|(key, value)| KeyValue::new(key, value)))
        .with_attributes(asked)
        .build()
}
