//! The way to the collector: the daemon's own client in the form that the libraries want. It
//! tries again what may yet be taken, says once that nobody takes spans, and says when they are
//! taken again. While it tries, spans wait in bounded queues behind it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::StatusCode;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use crate::clock;
use crate::deliver::client::{Client, retry_after};
use crate::telemetry::Complaint;

/// How soon a collector is tried again, and how seldom at last: it is a neighbour, and mostly
/// just starting.
const SOON: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(10);

pub(super) struct Collector {
    client: Client,
    place: String,
    hint: &'static str,
    timeout: Duration,
    stopping: CancellationToken,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    lasts: bool,
    complaint: Complaint,
}

/// Why spans were not taken.
struct NotTaken {
    said: String,
    /// How long to wait at least, if the same may be taken later.
    later: Option<Duration>,
}

impl Collector {
    /// From `stopping` on nothing is tried a second time.
    pub(super) fn new(settings: &Settings, stopping: CancellationToken) -> Collector {
        Collector {
            client: Client::default(),
            place: settings.place.clone(),
            hint: settings.hint,
            timeout: settings.timeout,
            stopping,
            trouble: Mutex::default(),
        }
    }

    async fn offer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NotTaken> {
        let request = request.map(Full::new);
        let answered = self.client.send(request, self.timeout).await;
        let answered =
            answered.map_err(|error| NotTaken { said: error.to_string(), later: Some(Duration::ZERO) })?;
        if !answered.status.is_success() {
            let asked = retry_after(&answered.headers, clock::now()).unwrap_or_default();
            let later = may_be_taken_later(answered.status).then_some(asked);
            return Err(NotTaken { said: format!("it answered {}", answered.status), later });
        }
        let mut response = Response::new(answered.body);
        *response.status_mut() = answered.status;
        Ok(response)
    }

    fn begins(&self, not_taken: &NotTaken) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut trouble.lasts, true)
            && trouble.complaint.happened(Instant::now()).is_some()
        {
            let fate = if not_taken.later.is_some() { "it is tried again" } else { "these spans are lost" };
            tracing::warn!(
                "the collector at {} takes no traces: {}{}; {fate}, deliveries go on",
                self.place,
                not_taken.said,
                self.hint
            );
        }
    }

    fn ends(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut trouble.lasts) && trouble.complaint.is_over() {
            tracing::info!("the collector at {} takes traces again", self.place);
        }
    }
}

/// What the specification has tried again; anything else would be refused again.
fn may_be_taken_later(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut wait = SOON;
        loop {
            let not_taken = match self.offer(request.clone()).await {
                Ok(response) => {
                    self.ends();
                    return Ok(response);
                }
                Err(not_taken) => not_taken,
            };
            self.begins(&not_taken);
            let Some(asked) = not_taken.later.filter(|_| !self.stopping.is_cancelled()) else {
                return Err(not_taken.said.into());
            };
            let resting = tokio::time::sleep(wait.max(asked.min(SELDOM)));
            let _stopped = self.stopping.run_until_cancelled(resting).await;
            wait = (2 * wait).min(SELDOM);
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Requests hold keys, so nothing of them.
        f.debug_struct("Collector").field("place", &self.place).finish_non_exhaustive()
    }
}
