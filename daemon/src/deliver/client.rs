//! The HTTP client, and the only place that dials out: which addresses may be dialled,
//! how long it may take, how much of an answer is read. Redirects are not followed. What
//! went wrong is put into words in `client/explain.rs`.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri, Version, body::Incoming, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::delivery::trace::{Exchange, micros};
use dial::{CONNECT_TIMEOUT, Dialer, Patient};
use line::Tap;
use patience::Patience;
use trail::Way;

pub mod dial;
mod explain;
mod line;
mod patience;
pub mod reach;
mod trail;

/// Connections kept open to a callback between deliveries: as many as lanes run at once
/// by default, several times over.
const IDLE_PER_HOST: usize = 64;

/// Shorter than the 60 s after which common servers drop an idle connection, so that few
/// requests meet one that has just been closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of an answer is kept: a validation answer is far smaller.
pub const KEPT: usize = 64 << 10;

/// Room for status and headers, and for what is read at a time: as much as HTTP/2 gives
/// them, and more than common servers send or take.
const HEAD: usize = 16 << 10;

/// Header fields of an answer over HTTP/1: the bound of the library, which takes more of
/// them at a price for every answer.
const FIELDS: usize = 100;

/// What a connection of HTTP/2 may send before we have read it, over all its streams. The
/// library would take 5 MiB.
const WINDOW: u32 = 1 << 20;

/// A request ready to go.
pub type Outgoing = Request<Full<Bytes>>;

/// What came back in time: status, headers, and the first `KEPT` bytes of the body.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why nothing came back. The text is for people.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody took the connection.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    TimedOut(String),
}

/// Cheap to clone; clones share the connections.
#[derive(Clone, Default)]
pub struct Client {
    /// Made at the first use: reading the system's certificates costs time and memory that
    /// a daemon which only talks to loopback never needs to spend.
    https: Arc<OnceLock<Pools<HttpsConnector<Dialer>>>>,
    plain: Arc<OnceLock<Pools<Dialer>>>,
}

/// Two ways to a callback that share nothing but how they dial.
struct Pools<C> {
    /// Over a connection that is kept between deliveries.
    kept: Pool<Patient<C>, Full<Bytes>>,
    /// Over one of its own.
    fresh: Pool<Patient<C>, Full<Bytes>>,
}

/// How far an exchange came.
#[derive(Clone, Copy)]
enum Stage {
    Asked,
    Answered(Head),
}

/// The beginning of an answer.
#[derive(Clone, Copy)]
struct Head {
    status: StatusCode,
    version: Version,
    came: Duration,
}

impl Client {
    /// One exchange, whole: connecting, sending, and reading the answer fit into `timeout`.
    pub async fn send(&self, request: Outgoing, timeout: Duration) -> Result<Answered, SendError> {
        self.exchange(request, timeout).await.0
    }

    /// The same, and how it went.
    pub async fn exchange(
        &self,
        mut request: Outgoing,
        timeout: Duration,
    ) -> (Result<Answered, SendError>, Exchange) {
        let (target, begun) = (Target::of(&request), Instant::now());
        let patience = Patience::with(&mut request);
        let (again, tap) = (request.clone(), Tap::on(&mut request));
        let (mut stage, mut way) = (Stage::Asked, None);
        // Its state is large, and what is wrapped around it would move and hold it several times.
        let exchange = Box::pin(async {
            let response = tokio::select! {
                response = self.request(request, again, &tap, &mut way) => response,
                () = patience.ended() => return Err(explain::no_end_of_informing(&target)),
            };
            let response = response.map_err(|error| explain::failure(&error, &target))?;
            stage = Stage::Answered(Head::of(&response, begun.elapsed()));
            read(response).await
        });
        let (ended, noted) = trail::follow(tokio::time::timeout(timeout, exchange)).await;
        let answered = ended.unwrap_or_else(|_| {
            // Whatever keeps an answer from coming, the next request is not to meet it too.
            let connected = tap.poison();
            Err(SendError::TimedOut(explain::timeout(timeout, stage, connected, noted, &target)))
        });
        let way = way.unwrap_or_else(|| tap.way());
        let mut exchange = trail::exchange(way, tap.dialed(), noted, begun.elapsed());
        if let Stage::Answered(head) = stage {
            (exchange.first_byte_us, exchange.http) = (Some(micros(head.came)), trail::http(head.version));
        }
        (answered, exchange)
    }

    /// Sends a request, once more on a fresh connection if the first turns out to have been
    /// closed since it was last used: that is nobody's refusal. Says which way it went.
    async fn request(
        &self,
        request: Outgoing,
        again: Outgoing,
        tap: &Tap,
        way: &mut Option<Way>,
    ) -> Result<Response<Incoming>, PoolError> {
        match self.dispatch(request, false).await {
            Err(error)
                if explain::went_unread(&error) || explain::broke_off(&error) && tap.way() == Way::Kept =>
            {
                *way = Some(Way::Again);
                self.dispatch(again, true).await
            }
            sent => {
                *way = Some(tap.way());
                tap.answered();
                sent
            }
        }
    }

    async fn dispatch(&self, request: Outgoing, fresh: bool) -> Result<Response<Incoming>, PoolError> {
        if request.uri().scheme_str() == Some("https") {
            self.https.get_or_init(|| Pools::over(https())).request(request, fresh).await
        } else {
            self.plain.get_or_init(|| Pools::over(Dialer)).request(request, fresh).await
        }
    }
}

impl<C: Clone> Pools<C>
where
    Patient<C>: Connect + Clone + Send + Sync + 'static,
{
    fn over(connector: C) -> Pools<C> {
        let pool =
            |idle| builder(idle).build(Patient { connector: connector.clone(), within: CONNECT_TIMEOUT });
        Pools { kept: pool(IDLE_PER_HOST), fresh: pool(0) }
    }

    async fn request(&self, request: Outgoing, fresh: bool) -> Result<Response<Incoming>, PoolError> {
        if fresh { self.fresh.request(request).await } else { self.kept.request(request).await }
    }
}

fn https() -> HttpsConnector<Dialer> {
    let tls = HttpsConnectorBuilder::new();
    let tls = match tls.with_native_roots() {
        Ok(tls) => tls,
        Err(error) => {
            tracing::warn!(%error, "found no certificates of the system; https callbacks will be refused");
            let none = rustls::RootCertStore::empty();
            let config = rustls::ClientConfig::builder().with_root_certificates(none).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        }
    };
    tls.https_or_http().enable_all_versions().wrap_connector(Dialer)
}

fn builder(idle: usize) -> hyper_util::client::legacy::Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(HEAD)
        .http2_initial_stream_window_size(KEPT as u32)
        .http2_initial_connection_window_size(WINDOW);
    builder
}

impl Head {
    fn of(response: &Response<Incoming>, came: Duration) -> Head {
        Head { status: response.status(), version: response.version(), came }
    }
}

/// Where a request goes, for people.
struct Target {
    authority: String,
    secure: bool,
}

impl Target {
    fn of(request: &Outgoing) -> Target {
        Target::of_url(request.uri())
    }

    fn of_url(url: &Uri) -> Target {
        let authority = url.authority().map_or_else(String::new, ToString::to_string);
        Target { authority, secure: url.scheme_str() == Some("https") }
    }
}

/// Reads an answer up to `KEPT` bytes. What is longer is cut off together with its
/// connection, however long it goes on.
async fn read(response: Response<Incoming>) -> Result<Answered, SendError> {
    let (parts, mut body) = response.into_parts();
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| explain::half(parts.status, &error))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = KEPT - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if kept.len() == KEPT {
            break;
        }
    }
    Ok(Answered { status: parts.status, headers: parts.headers, body: kept.into() })
}

/// What `Retry-After` asks for, in seconds or as a date; `None` if there is none or it
/// cannot be read. A date in the past is zero. Of several, the longest is meant.
pub fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    headers
        .get_all(header::RETRY_AFTER)
        .iter()
        .filter_map(|asked| wait_of(asked.to_str().ok()?.trim(), now))
        .max()
}

fn wait_of(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More seconds than 64 bits hold is simply long; the rule has its own upper bound.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date can name a few hours more than a timestamp; that is simply long, too.
    let date = jiff::Timestamp::try_from(date).unwrap_or(jiff::Timestamp::MAX);
    Some(now.duration_until(date).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests;
