//! Asks a running daemon: over its Unix socket, else over TCP with the admin token. What
//! the answers mean is each command's; their shapes are `cli/reply.rs`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::cli::failure::Failure;
use crate::runtime::Runtime;

mod stream;

pub use stream::{Events, Sent};

pub const JSON: &str = "application/json";
pub const NDJSON: &str = "application/x-ndjson";

/// A socket of this machine connects at once or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// For questions, which the daemon answers from what it knows.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// For acts that wait for somebody's endpoint: a subscription's `timeout` is ten minutes
/// at most.
const ACT_WITHIN: Duration = Duration::from_secs(660);

/// The largest answer: `status` of 10 000 subscriptions is about 5 MiB.
const MAX_ANSWER: usize = 64 << 20;

/// The token is 32 hex digits; anything longer is another file.
const MAX_TOKEN: usize = 4096;

/// The way to one daemon.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    config: PathBuf,
    /// What to say when nothing answers.
    not_running: String,
}

/// What the daemon said.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// Seconds of `Retry-After`, when the daemon has more than it can take.
    pub retry_after: Option<u64>,
    pub body: Bytes,
}

impl Reply {
    /// The body of a success; a refusal becomes a failure with the daemon's words.
    pub fn accepted(self) -> Result<Reply, Failure> {
        if self.status.is_success() { Ok(self) } else { Err(Failure::failed(self.text())) }
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        Ok(serde_json::from_slice(&self.body)
            .context("the daemon's answer is of another version; restart it with `trackrelay run`")?)
    }

    /// The body as one text: errors and some answers are a JSON string.
    pub fn text(&self) -> String {
        let plain = || String::from_utf8_lossy(&self.body).trim().to_owned();
        let text = serde_json::from_slice(&self.body).unwrap_or_else(|_| plain());
        if text.is_empty() { format!("the daemon answered {}", self.status) } else { text }
    }
}

impl Client {
    pub fn new(runtime: Runtime, config: PathBuf, not_running: String) -> Client {
        Client { runtime, config, not_running }
    }

    /// The config file by which this daemon was found.
    pub fn config(&self) -> &std::path::Path {
        &self.config
    }

    /// Whether the daemon's process exists.
    pub fn is_alive(&self) -> bool {
        self.runtime.is_alive()
    }

    /// Asks a question; a refusal is a failure.
    pub async fn get(&self, target: &Target) -> Result<Reply, Failure> {
        let request = Request::get(target.to_string());
        self.exchange(request, Bytes::new(), ANSWER_WITHIN).await?.accepted()
    }

    /// Has something done; a refusal is a failure.
    pub async fn post(&self, target: &Target, body: &serde_json::Value) -> Result<Reply, Failure> {
        self.submit(target, JSON, body.to_string().into()).await?.accepted()
    }

    /// Hands a body over and returns the answer, whatever it is.
    pub async fn submit(&self, target: &Target, content_type: &str, body: Bytes) -> Result<Reply, Failure> {
        let request = Request::post(target.to_string()).header(CONTENT_TYPE, content_type);
        self.exchange(request, body, ACT_WITHIN).await
    }

    async fn exchange(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
        within: Duration,
    ) -> Result<Reply, Failure> {
        let request = request.header(HOST, self.runtime.tcp.to_string());
        let answer = async {
            if let Some(stream) = self.connect_unix().await {
                return talk(stream, request, body).await;
            }
            let stream = self.connect_tcp().await?;
            let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token().await?));
            talk(stream, request, body).await
        };
        tokio::time::timeout(within, answer).await.unwrap_or_else(|_| {
            Err(Failure::NoDaemon(format!(
                "the daemon (process {}) does not answer within {within:?}; stop it and start it again",
                self.runtime.pid
            )))
        })
    }

    async fn connect_unix(&self) -> Option<UnixStream> {
        let path = self.runtime.unix.as_ref()?;
        tokio::time::timeout(CONNECT_WITHIN, UnixStream::connect(path)).await.ok()?.ok()
    }

    /// Only while the daemon's process exists: after a crash another program may listen on
    /// its port, and must not be shown the token.
    async fn connect_tcp(&self) -> Result<TcpStream, Failure> {
        let connecting = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(self.runtime.tcp));
        match self.runtime.is_alive() {
            true => connecting.await.ok().and_then(Result::ok),
            false => None,
        }
        .ok_or_else(|| Failure::NoDaemon(self.not_running.clone()))
    }

    async fn token(&self) -> Result<String, Failure> {
        let path = &self.runtime.token_file;
        let failed = || format!("cannot read the admin token in `{}`", path.display());
        let text = tokio::fs::read(path).await.with_context(failed)?;
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_TOKEN)]).trim().to_owned();
        Ok(text)
    }
}

/// One request and its answer over a fresh connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: hyper::http::request::Builder,
    body: Bytes,
) -> Result<Reply, Failure> {
    let lost = "the daemon closed the connection; its log may say why";
    let request = request.body(Full::new(body)).context("the request cannot be made")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context(lost)?;
    let answer = async {
        let response = sender.send_request(request).await.context(lost)?;
        let (head, body) = response.into_parts();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok(Reply { status: head.status, retry_after, body: body.to_bytes() })
    };
    // The connection moves only while polled. When it ends, what it read is still to be
    // taken, and if it failed, the answer says so itself.
    let drive = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! { answer = answer => answer, never = drive => never }
}

/// Path and query of a request, escaped.
#[derive(Clone, Debug)]
pub struct Target(url::Url);

impl Target {
    pub fn new(segments: &[&str]) -> Target {
        let mut url = url::Url::parse("http://localhost/").expect("a valid URL");
        url.path_segments_mut().expect("http URLs have segments").clear().extend(segments);
        Target(url)
    }

    /// `/api/subscriptions/{name}/{verb}`.
    pub fn subscription(name: &str, verb: &str) -> Target {
        Target::new(&["api", "subscriptions", name, verb])
    }

    /// Path and query of a URL that the daemon gave, which is its own.
    pub fn of(url: url::Url) -> Target {
        Target(url)
    }

    pub fn query(mut self, key: &str, value: &str) -> Target {
        self.0.query_pairs_mut().append_pair(key, value);
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[url::Position::BeforePath..url::Position::AfterQuery])
    }
}

#[cfg(test)]
mod tests;
