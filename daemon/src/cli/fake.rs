//! A small daemon for tests: a real server on a real socket that answers what a test tells
//! it to, and remembers what it was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::cli::client::Client;
use crate::runtime::Runtime;

/// Answers method, path and body with a status and a document.
pub(crate) type Answer = dyn Fn(&str, &str, &str) -> (u16, Value) + Send + Sync;

pub(crate) struct Fake {
    pub(crate) client: Client,
    asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
    _folder: tempfile::TempDir,
}

impl Fake {
    /// Method and path of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A daemon on a Unix socket.
pub(crate) fn fake(answer: impl Fn(&str, &str, &str) -> (u16, Value) + Send + Sync + 'static) -> Fake {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("relay.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let runtime = Runtime { unix: Some(socket), ..runtime(folder.path()) };
    let (asked, answer): (_, Arc<Answer>) = (Arc::default(), Arc::new(answer));
    let log = Arc::clone(&asked);
    let serve = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, Arc::clone(&log), Arc::clone(&answer)).await;
        }
    };
    let server = AbortOnDropHandle::new(TaskTracker::new().spawn(serve));
    let client = Client::new(runtime, "/a/config.toml".into(), "not running".into());
    Fake { client, asked, _server: server, _folder: folder }
}

pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Answer>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        async move {
            let method = request.method().to_string();
            let path = request.uri().path_and_query().unwrap().to_string();
            let token = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            let token = token.map(|token| format!(" ({token})")).unwrap_or_default();
            asked.lock().unwrap().push(format!("{method} {path}{token}"));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (status, document) = answer(&method, &path, &String::from_utf8_lossy(&body));
            let response = Response::builder().status(status).header(RETRY_AFTER, "0");
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(document.to_string()))).unwrap())
        }
    });
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// A daemon that nothing answers for: no Unix socket, and a port nobody listens on.
pub(crate) fn runtime(folder: &std::path::Path) -> Runtime {
    Runtime {
        pid: std::process::id(),
        config: "/a/config.toml".into(),
        // The discard service, which nobody runs any more.
        tcp: "127.0.0.1:9".parse().unwrap(),
        unix: None,
        token_file: folder.join("api-token"),
        started_at: "2025-09-10T08:00:00Z".parse().unwrap(),
    }
}
