//! The demo's endpoint: checks the signature of everything it gets, echoes validation
//! codes, and fails on demand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::config::Secret;
use crate::sign::{self, Key};

/// What has arrived so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    /// Bodies of events by path, in order of arrival, each with a good signature.
    pub(super) events: HashMap<String, Vec<Bytes>>,
    pub(super) pings: usize,
    /// Requests answered with 500 on demand.
    pub(super) refused: usize,
    pub(super) good_signatures: usize,
    pub(super) bad_signatures: usize,
}

impl Book {
    pub(super) fn at(&self, path: &str) -> &[Bytes] {
        self.events.get(path).map(Vec::as_slice).unwrap_or_default()
    }
}

struct Desk {
    key: Key,
    book: watch::Sender<Book>,
    broken: watch::Sender<bool>,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    desk: Arc<Desk>,
}

impl Receiver {
    pub(super) async fn start(secret: &str, tracker: &TaskTracker) -> anyhow::Result<Receiver> {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("failed to open the receiver's port")?;
        let address = listener.local_addr()?;
        let key = Key::new(&Secret::new(secret.to_owned()));
        let desk = Desk { key, book: watch::Sender::new(Book::default()), broken: watch::Sender::new(false) };
        let desk = Arc::new(desk);
        let (front, connections) = (Arc::clone(&desk), tracker.clone());
        tracker.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let desk = Arc::clone(&front);
                let service = service_fn(move |request| answer(Arc::clone(&desk), request));
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // A connection that breaks is the daemon's to notice.
                connections.spawn(async move { drop(serving.await) });
            }
        });
        Ok(Receiver { address, desk })
    }

    pub(super) fn set_broken(&self, broken: bool) {
        self.desk.broken.send_replace(broken);
    }

    pub(super) fn book(&self) -> Book {
        self.desk.book.borrow().clone()
    }

    /// Waits until what has arrived is as it should be.
    pub(super) async fn until(&self, what: impl Fn(&Book) -> bool) -> Book {
        let mut news = self.desk.book.subscribe();
        let found = news.wait_for(|book| what(book)).await;
        found.map(|book| book.clone()).unwrap_or_default()
    }
}

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let signature =
        request.headers().get(sign::HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let good = signature.is_some_and(|signature| desk.key.verify(&body, &signature));
    let broken = *desk.broken.borrow();
    let (status, reply) = respond(&body, good, broken);
    desk.book.send_modify(|book| {
        book.good_signatures += usize::from(good);
        book.bad_signatures += usize::from(!good);
        book.refused += usize::from(broken);
        if is_ping(&body) {
            book.pings += 1;
        } else if status.is_success() {
            book.events.entry(path).or_default().push(body);
        }
    });
    let mut response = Response::new(Full::new(Bytes::from(reply.to_string())));
    *response.status_mut() = status;
    Ok(response)
}

fn respond(body: &Bytes, good: bool, broken: bool) -> (StatusCode, Value) {
    if !good {
        return (StatusCode::UNAUTHORIZED, json!("wrong signature"));
    }
    if broken {
        return (StatusCode::INTERNAL_SERVER_ERROR, json!("the demo has broken this endpoint"));
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body.get("validation_code").map(|code| json!({ "validation_code": code }));
    (StatusCode::OK, code.unwrap_or_default())
}

fn is_ping(body: &Bytes) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["payload"] == "ping")
}
