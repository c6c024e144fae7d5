//! An answer that goes on: the daemon's stream of Server-Sent Events, read one by one.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Fuse;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{ANSWER_WITHIN, Client, MAX_ANSWER, Reply, Target};
use crate::cli::failure::Failure;

/// The daemon says something at least every 15 seconds; after three such it is not there.
const SILENCE: Duration = Duration::from_secs(45);

/// The longest event: one that is for 10 000 subscriptions names them in 1 MiB.
const MAX_EVENT: usize = 16 << 20;

const LOST: &str = "the daemon closed the connection; its log may say why";

/// Moves a connection's bytes while it is polled.
type Driven = Fuse<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// An open stream.
pub struct Events {
    body: Incoming,
    connection: Driven,
    /// Read and not yet taken.
    text: Vec<u8>,
}

/// One event of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    pub kind: String,
    pub data: String,
}

impl Client {
    /// Opens a stream. A refusal is what the daemon said.
    pub async fn stream(&self, target: &Target) -> Result<Result<Events, Reply>, Failure> {
        let request = Request::get(target.to_string()).header(HOST, self.runtime.tcp.to_string());
        let opened = async {
            if let Some(stream) = self.connect_unix().await {
                return open(stream, request).await;
            }
            let stream = self.connect_tcp().await?;
            let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token().await?));
            open(stream, request).await
        };
        let late = || Failure::failed(format!("the daemon does not answer within {ANSWER_WITHIN:?}"));
        timeout(ANSWER_WITHIN, opened).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn open(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: hyper::http::request::Builder,
) -> Result<Result<Events, Reply>, Failure> {
    let request = request.body(Full::<Bytes>::default()).context("the request cannot be made")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context(LOST)?;
    let connection: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async { drop(connection.await) });
    let mut connection = connection.fuse();
    let (head, body) =
        driven(&mut connection, sender.send_request(request)).await.context(LOST)?.into_parts();
    if head.status.is_success() {
        return Ok(Ok(Events { body, connection, text: Vec::new() }));
    }
    let body = driven(&mut connection, Limited::new(body, MAX_ANSWER).collect()).await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    Ok(Err(Reply { status: head.status, retry_after: None, body }))
}

/// Waits for something that needs the connection to move.
async fn driven<T>(connection: &mut Driven, wanted: impl Future<Output = T>) -> T {
    // What it read before its end is still to be taken; if it failed, `wanted` says so.
    let drive = async {
        connection.await;
        pending().await
    };
    tokio::select! { wanted = wanted => wanted, never = drive => never }
}

impl Events {
    /// The next event; none at the end, whatever ended it.
    pub async fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some(block) = self.take_block() {
                if let Some(sent) = read(&block) {
                    return Some(sent);
                }
            }
            let frame = timeout(SILENCE, driven(&mut self.connection, self.body.frame())).await;
            let frame = frame.ok()??.ok()?;
            if let Ok(data) = frame.into_data() {
                self.text.extend_from_slice(&data);
            }
            if self.text.len() > MAX_EVENT {
                return None;
            }
        }
    }

    /// What stands before the next empty line.
    fn take_block(&mut self) -> Option<String> {
        let end = self.text.windows(2).position(|two| two == b"\n\n")?;
        let block = self.text.drain(..end + 2).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&block).into_owned())
    }
}

/// Comments, as the daemon sends when nothing happens, have no data.
fn read(block: &str) -> Option<Sent> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = field("data")?.to_owned();
    Some(Sent { kind: field("event").unwrap_or("message").to_owned(), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_from_comments() {
        assert_eq!(read(": still here\n\n"), None);
        let sent = Sent { kind: "hello".into(), data: r#"{"a":": b"}"#.into() };
        assert_eq!(read("event: hello\nid: 1-2\ndata: {\"a\":\": b\"}\n\n"), Some(sent));
    }
}
