//! The doors: one HTTP service on TCP and on the Unix socket. It says which path is whose,
//! and every answer leaves through here with the same strict headers.
//!
//! Who may come in is `server/guard.rs`, sockets are opened in `server/listen.rs` and
//! `server/unix.rs`, connections live and die in `server/connection.rs`.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::answer::{self, Answer};
use crate::source::Source;
use crate::telemetry::{Metrics, metrics};

mod connection;
mod guard;
mod listen;
mod patience;
#[cfg(test)]
mod tests;
mod token;
mod unix;

use connection::{Connections, Stream};
use guard::{Door, Guard};

pub use guard::Peer;
pub use listen::{BindError, Bound, bind};
pub use token::{Token, TokenError, same_text};

/// Answers what lies behind `/api` and Track's Webhooks API.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    async fn handle(&self, question: Question<'_>) -> Answer;
}

/// A request that was let in. Track's Webhooks API has users of its own to tell apart.
pub struct Question<'a> {
    pub peer: Peer,
    pub method: Method,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub authorization: Option<&'a HeaderValue>,
    pub body: Bytes,
}

/// Everything that stands behind the sockets.
pub struct Doors {
    pub source: Arc<Source>,
    pub api: Arc<dyn Handler>,
    pub token: Token,
    pub metrics: Arc<Metrics>,
    /// Whether the files hold a config that was refused.
    pub config_stale: Box<dyn Fn() -> bool + Send + Sync>,
    pub limits: Limits,
}

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more are told to come back.
    pub connections: usize,
    /// From a request's first byte to the end of its headers.
    pub header: Duration,
    /// How long a connection may stay without a request.
    pub idle: Duration,
    /// After the end was announced, how long requests may still take.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // Each costs about 10 KiB and a file descriptor; systems give a process 1024 and up.
            connections: 1024,
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            grace: Duration::from_secs(10),
        }
    }
}

/// How long to leave a socket alone that gives no connections, mostly for want of file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `cancel`, then lets requests in progress finish.
pub async fn run(bound: Bound, doors: Doors, cancel: CancellationToken) -> anyhow::Result<()> {
    let Bound { tcp, tcp_address, unix, hosts } = bound;
    let limits = doors.limits;
    let guard = Guard::new(tcp_address, &hosts);
    let connections = Connections::new(Service { guard, doors }, limits, cancel.clone());
    let next_tcp = || async {
        let (stream, _) = tcp.accept().await?;
        // Answers are small and written at once; waiting for more would only delay them.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let serve_unix = async {
        if let Some(unix) = &unix {
            accept(Peer::Unix, || unix.accept(), &connections, &cancel).await;
        }
    };
    tokio::join!(accept(Peer::Tcp, next_tcp, &connections, &cancel), serve_unix);
    connections.finish().await;
    Ok(())
}

/// Hands every new connection on, until `cancel`.
async fn accept<S, F>(peer: Peer, next: impl Fn() -> F, connections: &Connections, cancel: &CancellationToken)
where
    S: Stream,
    F: Future<Output = io::Result<S>>,
{
    while let Some(accepted) = cancel.run_until_cancelled(next()).await {
        match accepted {
            Ok(stream) => connections.serve(peer, stream).await,
            Err(error) => {
                warn!("cannot take a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The one service behind all sockets.
struct Service {
    guard: Guard,
    doors: Doors,
}

impl Service {
    async fn answer<B>(&self, peer: Peer, request: Request<B>) -> Result<Answer, Infallible>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let door = Door::of(head.uri.path());
        let mut answer = match self.guard.check(peer, door, &head, &self.doors.token) {
            Err(refusal) => self.refuse(refusal.reason(), &refusal, refusal.answer()),
            Ok(()) => match door {
                Door::Events => self.doors.source.events(headers_of(head), body).await,
                Door::Track => {
                    let name = guard::source_of(head.uri.path()).to_owned();
                    self.doors.source.track(&name, headers_of(head), body).await
                }
                Door::Health => self.health(),
                Door::Metrics => self.metrics(),
                Door::Api | Door::Webhooks | Door::Validate => self.ask_api(peer, &head, body).await,
                Door::Unknown => guard::Refusal::NoSuchPath.answer(),
            },
        };
        harden(answer.headers_mut());
        Ok(answer)
    }

    async fn ask_api<B>(&self, peer: Peer, head: &Parts, body: B) -> Answer
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        match self.doors.source.intake().collect(body).await {
            Ok(taken) => {
                let question = Question {
                    peer,
                    method: head.method.clone(),
                    path: head.uri.path(),
                    query: head.uri.query(),
                    authorization: head.headers.get(AUTHORIZATION),
                    body: taken.bytes().clone(),
                };
                self.doors.api.handle(question).await
            }
            Err(error) => self.refuse(error.reason(), &error, error.answer()),
        }
    }

    /// Counts a refusal; `source` counts its own.
    fn refuse(&self, reason: &'static str, why: &dyn std::fmt::Display, answer: Answer) -> Answer {
        self.doors.metrics.request_refused(reason);
        debug!(reason, "request refused: {why}");
        answer
    }

    /// Alive and serving; what is wrong beside that stands in the body.
    fn health(&self) -> Answer {
        let health = Health {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            config: if (self.doors.config_stale)() { "stale" } else { "ok" },
            store: if self.doors.source.store_failing() { "failing" } else { "ok" },
        };
        answer::json(StatusCode::OK, &health)
    }

    fn metrics(&self) -> Answer {
        let page = self.doors.metrics.render(&self.doors.source.backlog());
        answer::with_type(StatusCode::OK, metrics::CONTENT_TYPE, page)
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    config: &'static str,
    store: &'static str,
}

/// The headers alone: nothing else of the request's head is to outlive them.
fn headers_of(head: Parts) -> HeaderMap {
    head.headers
}

/// What a browser must not do with an answer, unless the answer says otherwise.
fn harden(headers: &mut HeaderMap) {
    let mut default = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(CONTENT_SECURITY_POLICY, "default-src 'none'");
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(CACHE_CONTROL, "no-store");
}
