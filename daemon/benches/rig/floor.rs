//! The floors: the least that any relay does. The forward floor hands a request on and
//! then answers; the durable floor appends it to a log, answers once that is synced, and
//! then delivers it signed. Same HTTP library, same runtime as the daemon, nothing else.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri, service::service_fn};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use trackrelay::clock;
use trackrelay::config::Secret;
use trackrelay::sign::{self, Key};

use super::receiver::SECRET;
use super::role::Role;
use super::wire::Stream;

/// Connections that a floor keeps to its endpoint, and deliveries at the same time.
const CONNECTIONS: usize = 64;

/// Name of the Unix socket in a floor's folder.
pub const SOCKET: &str = "floor.sock";

/// Events that may wait for the writer of the log.
const WAITING: usize = 4096;

/// Listens until killed. Prints its TCP address first.
pub fn run(role: Role, folder: &Path, urls: &[String]) -> anyhow::Result<()> {
    let log = (role == Role::DurableFloor).then(|| Log::create(&folder.join("floor.log"))).transpose()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let floor = Arc::new(Floor {
        client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(CONNECTIONS).build(connector),
        urls: urls.iter().map(|url| url.parse()).collect::<Result<_, _>>()?,
        key: Key::new(&Secret::new(SECRET.to_owned())),
        log,
        deliveries: TaskTracker::new(),
        room: Arc::new(Semaphore::new(CONNECTIONS)),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(floor, folder))
}

struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    urls: Vec<Uri>,
    key: Key,
    /// Where events are written down; the forward floor has none.
    log: Option<Log>,
    deliveries: TaskTracker,
    room: Arc<Semaphore>,
}

async fn listen(floor: Arc<Floor>, folder: &Path) -> anyhow::Result<()> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let unix = UnixListener::bind(folder.join(SOCKET))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", tcp.local_addr()?)?;
    out.flush()?;
    let connections = TaskTracker::new();
    loop {
        let floor = Arc::clone(&floor);
        tokio::select! {
            accepted = tcp.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(floor.serve(stream));
            }
            accepted = unix.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(floor.serve(stream));
            }
        }
    }
}

impl Floor {
    async fn serve(self: Arc<Floor>, stream: impl Stream + 'static) {
        let answer = service_fn(|request| {
            let floor = Arc::clone(&self);
            async move { Ok::<_, Infallible>(floor.answer(request).await) }
        });
        // A load that hangs up is done.
        drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
    }

    async fn answer(self: Arc<Floor>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let taken = self.take(request).await;
        let status = if taken.is_ok() { 200 } else { 500 };
        let said = taken.err().map(|error| format!("{error:#}")).unwrap_or_default();
        Response::builder().status(status).body(Full::from(said)).expect("the parts are constant")
    }

    async fn take(self: Arc<Floor>, request: Request<Incoming>) -> anyhow::Result<()> {
        let body = request.into_body().collect().await?.to_bytes();
        let Some(log) = &self.log else {
            for url in &self.urls {
                self.deliver(&body, url).await?;
            }
            return Ok(());
        };
        log.append(body.clone()).await?;
        for place in 0..self.urls.len() {
            // A batch has an event on each line; a single event is one line.
            for event in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                Arc::clone(&self).deliver_later(body.slice_ref(event), place).await?;
            }
        }
        Ok(())
    }

    /// Waits for room, not for the delivery.
    async fn deliver_later(self: Arc<Floor>, event: Bytes, place: usize) -> anyhow::Result<()> {
        let room = Arc::clone(&self.room).acquire_owned().await?;
        let floor = Arc::clone(&self);
        self.deliveries.spawn(async move {
            if let Err(error) = floor.deliver(&event, &floor.urls[place]).await {
                eprintln!("a floor's delivery failed: {error:#}");
            }
            drop(room);
        });
        Ok(())
    }

    async fn deliver(&self, event: &[u8], url: &Uri) -> anyhow::Result<()> {
        let body = envelope(event, url);
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header(sign::HEADER, self.key.sign(&body))
            .body(Full::from(body))?;
        self.client.request(request).await?.into_body().collect().await?;
        Ok(())
    }
}

/// Track's three further keys behind those of the event.
fn envelope(event: &[u8], url: &Uri) -> Vec<u8> {
    let mut body = Vec::with_capacity(event.len() + 160);
    body.extend_from_slice(event.strip_suffix(b"}").unwrap_or(event));
    let written = write!(
        body,
        ",\"subscription_id\":1,\"timestamp\":\"{}\",\"url_callback\":\"{url}\"}}",
        clock::now()
    );
    written.expect("writing to a vector cannot fail");
    body
}

/// An event for the log, and who waits for it.
type Entry = (Bytes, oneshot::Sender<()>);

/// A file to which one thread appends; all events that wait share one sync.
struct Log(mpsc::SyncSender<Entry>);

impl Log {
    fn create(path: &Path) -> anyhow::Result<Log> {
        let file = File::options().create_new(true).append(true).open(path)?;
        let (entries, waiting) = mpsc::sync_channel(WAITING);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_down(file, &waiting))?;
        Ok(Log(entries))
    }

    /// Returns once the event is on the disk.
    async fn append(&self, event: Bytes) -> anyhow::Result<()> {
        let (synced, done) = oneshot::channel();
        self.0.try_send((event, synced)).context("the log takes no more")?;
        done.await.context("the log cannot be written")
    }
}

fn write_down(mut file: File, waiting: &mpsc::Receiver<Entry>) {
    let (mut bytes, mut who) = (Vec::new(), Vec::<oneshot::Sender<()>>::new());
    while let Ok(first) = waiting.recv() {
        for (event, synced) in std::iter::once(first).chain(waiting.try_iter()) {
            let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&event);
            who.push(synced);
        }
        if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        bytes.clear();
        for synced in who.drain(..) {
            // Whoever has gone meanwhile need not know.
            synced.send(()).ok();
        }
    }
}
