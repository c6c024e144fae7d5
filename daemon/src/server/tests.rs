use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Listen;
use crate::source::fake::Rig;

mod who_may;

const TAG: &str = r#"{"event_id":7,"metadata":{"action":"created","model":"tag"},"payload":{}}"#;

const QUICK: Limits = Limits {
    connections: 8,
    header: Duration::from_millis(60),
    idle: Duration::from_millis(150),
    grace: Duration::from_secs(5),
};

/// Says what it was asked; `/api/slow` waits to be let go, `/api/live` goes on and on.
#[derive(Default)]
struct Echo {
    arrived: Notify,
    go: Notify,
}

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, question: Question<'_>) -> Answer {
        let Question { method, path, query, body, .. } = question;
        match path {
            "/api/slow" => {
                self.arrived.notify_one();
                self.go.notified().await;
            }
            "/api/live" => return Response::new(answer::Body::stream(Forever)),
            _ => {}
        }
        let body = String::from_utf8_lossy(&body);
        answer::json(StatusCode::OK, &json!([method.as_str(), path, query, body]))
    }
}

/// A stream that never gives anything and never ends.
struct Forever;

impl HttpBody for Forever {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Pending
    }
}

/// A server on free sockets, with a fake store behind it.
struct Running {
    rig: Rig,
    echo: Arc<Echo>,
    token: String,
    tcp: SocketAddr,
    unix: PathBuf,
    cancel: CancellationToken,
    done: JoinHandle<anyhow::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(limits: Limits) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::new();
        let (doors, echo, token) = doors(&rig, folder.path(), limits);
        let bound = bind(&listen(Some(folder.path().join("run/s")))).await.unwrap();
        let (tcp, unix) = (bound.tcp(), bound.unix().unwrap().to_owned());
        let cancel = CancellationToken::new();
        let done = tokio_util::task::TaskTracker::new().spawn(run(bound, doors, cancel.clone()));
        Running { rig, echo, token, tcp, unix, cancel, done, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.tcp).await.unwrap()
    }

    /// Sends `request` as it stands and reads until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(stream).await
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.done.await.unwrap().unwrap();
    }
}

fn listen(unix: Option<PathBuf>) -> Listen {
    let hosts = vec!["relay.test".to_owned()];
    Listen { tcp: ([127, 0, 0, 1], 0).into(), unix, hosts, max_body: 64 << 10 }
}

fn doors(rig: &Rig, store: &std::path::Path, limits: Limits) -> (Doors, Arc<Echo>, String) {
    let token = Token::in_store(store).unwrap();
    let text = std::fs::read_to_string(token.path()).unwrap().trim().to_owned();
    let echo = Arc::new(Echo::default());
    let doors = Doors {
        source: Arc::clone(&rig.source),
        api: Arc::clone(&echo) as Arc<dyn Handler>,
        token,
        metrics: Arc::clone(&rig.metrics),
        config_stale: Box::new(|| false),
        limits,
    };
    (doors, echo, text)
}

async fn read_all(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

fn post_events(body: &str) -> String {
    format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn body_of(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let running = Running::start(Limits::default()).await;
    let with = |header: &str| get("/api/status").replace("connection:", &format!("{header}\r\nconnection:"));
    let unknown = running.ask(&get("/api/status")).await;
    assert_eq!(status(&unknown), "401");
    assert!(unknown.contains("www-authenticate: Bearer"), "{unknown}");
    assert!(body_of(&unknown).as_str().unwrap().contains("api-token` holds the token"), "{unknown}");
    let known = running.ask(&with(&format!("authorization: bearer {}", running.token))).await;
    assert_eq!(body_of(&known), json!(["GET", "/api/status", null, ""]));
    let method = running.ask(&get("/events")).await;
    assert!(method.contains("allow: POST\r\n"), "{method}");
    let page = running.ask(&with("origin: https://evil.test")).await;
    assert!(body_of(&page).as_str().unwrap().contains("`https://evil.test`"), "{page}");
    let host = running.ask(&get("/healthz").replace("localhost", "evil.test")).await;
    assert!(body_of(&host).as_str().unwrap().contains("`[listen] hosts`"), "{host}");
    let two_hosts = running.ask(&with("host: localhost")).await;
    assert_eq!(status(&two_hosts), "403");
    let absolute = running.ask(&get("http://evil.test/healthz")).await;
    assert_eq!(status(&absolute), "403");
    for (reason, count) in [("token", 1), ("method", 1), ("origin", 1), ("host", 3)] {
        let metric = format!("trackrelay_requests_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(running.rig.metric(&metric), count, "{reason}");
    }
    running.stop().await;
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    let running = Running::start(Limits::default()).await;
    let health = body_of(&running.ask(&get("/healthz")).await);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(health, json!({"status": "ok", "version": version, "config": "ok", "store": "ok"}));
    assert_eq!(status(&running.ask(&post_events(TAG)).await), "202");
    let metrics = running.ask(&get("/metrics")).await;
    assert!(metrics.contains("trackrelay_events_received_total{source=\"events\"} 1\n"), "{metrics}");
    assert!(metrics.contains("trackrelay_deliveries_pending{subscription=\"all\"} 1\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn the_unix_socket_is_admin_whatever_host_it_names() {
    let running = Running::start(Limits::default()).await;
    let mut stream = UnixStream::connect(&running.unix).await.unwrap();
    let request = get("/api/status?x=1").replace("localhost", "anything");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_all(stream).await;
    assert_eq!(body_of(&answer), json!(["GET", "/api/status", "x=1", ""]));
    let unix = running.unix.clone();
    running.stop().await;
    assert!(!unix.exists());
}

#[tokio::test]
async fn http_2_works_without_tls() {
    let running = Running::start(Limits::default()).await;
    let io = TokioIo::new(running.connect().await);
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let client = tokio_util::task::TaskTracker::new().spawn(connection);
    let request = Request::post(format!("http://{}/events", running.tcp))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(TAG)))
        .unwrap();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 202);
    drop(answer.into_body().collect().await.unwrap());
    running.stop().await;
    client.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let running = Running::start(Limits::default()).await;
    let mut stream = running.connect().await;
    let keep = post_events(TAG).replace("connection: close\r\n", "");
    for request in [&keep, &keep, &post_events(TAG)] {
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    let answers = read_all(stream).await;
    assert_eq!(answers.matches("HTTP/1.1 202 Accepted").count(), 3, "{answers}");
    running.stop().await;
}

#[tokio::test]
async fn a_sender_that_writes_before_it_reads_sees_the_413() {
    let running = Running::start(Limits::default()).await;
    let answer = running.ask(&post_events(&" ".repeat(3 << 20))).await;
    assert_eq!(status(&answer), "413", "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_stalls_gets_a_408() {
    let running = Running::start(Limits::default()).await;
    let answer = running.ask(&post_events(TAG).replace("\"payload\":{}}", "")).await;
    assert_eq!(status(&answer), "408", "{answer}");
    assert!(running.rig.store.kept().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn whoever_says_nothing_or_half_a_thing_is_hung_up_on() {
    let running = Running::start(QUICK).await;
    for start in ["", "P", "PRI * HTTP/2.0\r\n", "GET /healthz HTTP/1.1\r\nhost: loc"] {
        let begun = Instant::now();
        assert_eq!(running.ask(start).await, "", "{start:?}");
        assert!(begun.elapsed() >= QUICK.header, "{start:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_connection_may_idle_longer_than_a_header_may_take() {
    let running = Running::start(QUICK).await;
    let mut stream = running.connect().await;
    let keep = get("/healthz").replace("connection: close\r\n", "");
    stream.write_all(keep.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let answer = read_all(stream).await;
    assert_eq!(status(&answer), "200");
    assert!(begun.elapsed() >= QUICK.idle, "{:?}", begun.elapsed());
    running.stop().await;
}

#[tokio::test]
async fn a_request_in_progress_is_not_idle() {
    let running = Running::start(QUICK).await;
    let mut stream = UnixStream::connect(&running.unix).await.unwrap();
    stream.write_all(get("/api/slow").as_bytes()).await.unwrap();
    running.echo.arrived.notified().await;
    let idle = running.ask("").await;
    assert_eq!(idle, "", "meanwhile a silent connection has come and gone");
    running.echo.go.notify_one();
    assert_eq!(status(&read_all(stream).await), "200");
    running.stop().await;
}

#[tokio::test]
async fn more_connections_than_places_are_told_so() {
    let running = Running::start(Limits { connections: 2, ..Limits::default() }).await;
    let mut first = running.connect().await;
    let second = running.connect().await;
    let answer = running.ask("").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert_eq!(body_of(&answer), json!("too many connections"));
    first.write_all(get("/healthz").as_bytes()).await.unwrap();
    assert_eq!(status(&read_all(first).await), "200");
    drop(second);
    running.stop().await;
}

#[tokio::test]
async fn the_end_lets_requests_in_progress_finish() {
    let running = Running::start(Limits::default()).await;
    let mut busy = UnixStream::connect(&running.unix).await.unwrap();
    busy.write_all(get("/api/slow").as_bytes()).await.unwrap();
    running.echo.arrived.notified().await;
    let idle = running.connect().await;
    running.cancel.cancel();
    assert_eq!(read_all(idle).await, "", "idle connections are closed at once");
    running.echo.go.notify_one();
    assert_eq!(status(&read_all(busy).await), "200");
    running.done.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.tcp).await.is_err());
}

#[tokio::test]
async fn the_end_does_not_wait_for_streams_forever() {
    let running = Running::start(Limits { grace: Duration::from_millis(20), ..Limits::default() }).await;
    let mut live = UnixStream::connect(&running.unix).await.unwrap();
    live.write_all(get("/api/live").as_bytes()).await.unwrap();
    let mut start = [0; 15];
    live.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    running.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let first = bind(&listen(None)).await.unwrap();
    assert_ne!(first.tcp().port(), 0);
    let said = bind(&Listen { tcp: first.tcp(), ..listen(None) }).await.unwrap_err().to_string();
    assert!(said.contains(&format!("cannot listen on {}", first.tcp())), "{said}");
    assert!(said.contains("`[listen] tcp`"), "{said}");
    let nowhere = Listen { tcp: ([203, 0, 113, 1], 0).into(), ..listen(None) };
    assert!(matches!(bind(&nowhere).await, Err(BindError::Tcp { .. })));
}

#[tokio::test]
async fn a_body_of_the_api_is_bounded_as_well() {
    let running = Running::start(Limits::default()).await;
    let request = post_events(&" ".repeat((64 << 10) + 1));
    let request = request.replace("POST /events", "PUT /api/x");
    let mut stream = UnixStream::connect(&running.unix).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(status(&read_all(stream).await), "413");
    assert_eq!(running.rig.metric("trackrelay_requests_refused_total{reason=\"too_large\"}"), 1);
    running.stop().await;
}
