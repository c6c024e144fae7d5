//! The HTTP client, and the only place that dials out: which addresses may be dialled,
//! how long it may take, how much of an answer is read. Redirects are not followed.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Incoming, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use dial::{DialError, Dialer};
use line::Tap;

pub mod dial;
mod line;

/// Connections kept open to a callback between deliveries: as many as lanes run at once
/// by default, several times over.
const IDLE_PER_HOST: usize = 64;

/// Shorter than the 60 s after which common servers drop an idle connection, so that few
/// requests meet one that has just been closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of an answer is kept: a validation answer is far smaller.
pub const KEPT: usize = 64 << 10;

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
    #[error("no complete answer within {0:?} (`timeout`)")]
    TimedOut(Duration),
}

/// Cheap to clone; clones share the connections.
#[derive(Clone, Default)]
pub struct Client {
    /// Made at the first use: reading the system's certificates costs time and memory that
    /// a daemon which only talks to loopback never needs to spend.
    pool: std::sync::Arc<OnceLock<Pool<HttpsConnector<Dialer>, Full<Bytes>>>>,
    plain: std::sync::Arc<OnceLock<Pool<Dialer, Full<Bytes>>>>,
}

impl Client {
    /// One exchange, whole: connecting, sending, and reading the answer fit into `timeout`.
    pub async fn send(&self, request: Outgoing, timeout: Duration) -> Result<Answered, SendError> {
        let exchange = async {
            let response = self.request(request).await?;
            read(response).await
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(SendError::TimedOut(timeout)))
    }

    /// Sends a request, once more on a fresh connection if the first turns out to have been
    /// closed since it was last used: that is nobody's refusal.
    async fn request(&self, mut request: Outgoing) -> Result<Response<Incoming>, SendError> {
        let target = request.uri().authority().map_or_else(String::new, ToString::to_string);
        let (again, tap) = (request.clone(), Tap::on(&mut request));
        let mut sent = self.dispatch(request).await;
        if sent.as_ref().is_err_and(broke_off) && tap.was_reused() {
            sent = self.dispatch(again).await;
        } else if sent.is_ok() {
            tap.answered();
        }
        sent.map_err(|error| explain(&error, &target))
    }

    async fn dispatch(&self, request: Outgoing) -> Result<Response<Incoming>, PoolError> {
        if request.uri().scheme_str() == Some("https") {
            self.pool.get_or_init(https_pool).request(request).await
        } else {
            self.plain.get_or_init(plain_pool).request(request).await
        }
    }
}

fn plain_pool() -> Pool<Dialer, Full<Bytes>> {
    builder().build(Dialer)
}

fn https_pool() -> Pool<HttpsConnector<Dialer>, Full<Bytes>> {
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
    builder().build(tls.https_or_http().enable_all_versions().wrap_connector(Dialer))
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_timer(TokioTimer::new());
    builder
}

/// Reads an answer up to `KEPT` bytes. What is longer is cut off together with its
/// connection, however long it goes on.
async fn read(response: Response<Incoming>) -> Result<Answered, SendError> {
    let (parts, mut body) = response.into_parts();
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| SendError::Failed(format!("the answer broke off: {}", root(&error))))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = KEPT - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if kept.len() == KEPT {
            break;
        }
    }
    Ok(Answered { status: parts.status, headers: parts.headers, body: kept.into() })
}

/// The connection ended before any of the answer came.
fn broke_off(error: &PoolError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let reset = matches!(kind, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe));
        if reset || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The sentence for people that an error of the client comes to.
fn explain(error: &PoolError, target: &str) -> SendError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(dialled) = error.downcast_ref::<DialError>() {
            return match dialled {
                DialError::Refused(_) => SendError::Refused(dialled.to_string()),
                _ => SendError::Failed(format!("failed to connect to `{target}`: {dialled}")),
            };
        }
        if let Some(tls) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(tls) = tls.downcast_ref::<rustls::Error>()
        {
            return SendError::Failed(format!("failed to agree on TLS with `{target}`: {tls}"));
        }
        cause = error.source();
    }
    SendError::Failed(format!("failed to send to `{target}`: {}", root(error)))
}

/// The innermost cause says the most; the outer ones say "client error".
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What `Retry-After` asks for, in seconds or as a date; `None` if there is none or it
/// cannot be read. A date in the past is zero.
pub fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More seconds than 64 bits hold is simply long; the rule has its own upper bound.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = jiff::Timestamp::try_from(date).ok()?;
    Some(now.duration_until(date).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests;
