//! The life of connections: how many there are, how long they may idle, and how they end.
//! HTTP/1 and HTTP/2 alike; what is asked is not looked at here.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::guard::Peer;
use super::patience::{Busy, Heard, Patience};
use super::{ACCEPT_PAUSE, Limits, Service};
use crate::answer::Body;

/// Said to whoever comes when all places are taken.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 22\r\n\r\n\"too many connections\"";

/// Requests of one HTTP/2 connection at once.
const STREAMS: u32 = 128;

/// Request headers may be this long, and so much is read ahead.
const HEADER_BYTES: usize = 64 << 10;

/// What a connection's bytes go through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// All open connections.
pub(super) struct Connections {
    service: Arc<Service>,
    http: Arc<Builder<Tracked>>,
    limits: Limits,
    room: Arc<Semaphore>,
    tracker: TaskTracker,
    /// No new requests: finish what is in progress.
    cancel: CancellationToken,
    /// Nothing any more.
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(service: Service, limits: Limits, cancel: CancellationToken) -> Connections {
        let tracker = TaskTracker::new();
        Connections {
            service: Arc::new(service),
            http: Arc::new(http(Tracked(tracker.clone()))),
            limits,
            room: Arc::new(Semaphore::new(limits.connections)),
            tracker,
            cancel,
            cut: CancellationToken::new(),
        }
    }

    /// Serves a new connection in a task of its own, or turns it away.
    pub(super) async fn serve(&self, peer: Peer, stream: impl Stream) {
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(place) => drop(self.tracker.spawn(self.attend(peer, stream, place))),
            Err(_) => turn_away(stream).await,
        }
    }

    /// Waits for requests in progress, and cuts off those that take longer than the grace period.
    pub(super) async fn finish(self) {
        self.tracker.close();
        if timeout(self.limits.grace, self.tracker.wait()).await.is_err() {
            warn!("{} connections were cut off after {:?}", self.tracker.len(), self.limits.grace);
            self.cut.cancel();
            self.tracker.wait().await;
        }
    }

    fn attend(
        &self,
        peer: Peer,
        stream: impl Stream,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (service, http) = (Arc::clone(&self.service), Arc::clone(&self.http));
        let (cancel, cut) = (self.cancel.clone(), self.cut.clone());
        let patience = Patience::new(self.limits);
        async move {
            let _place = place;
            let io = TokioIo::new(Heard::new(stream, Arc::clone(&patience)));
            let answer = service_fn(|request: Request<Incoming>| {
                let (service, mut busy) = (Arc::clone(&service), patience.begin());
                async move {
                    let answer = service.answer(peer, request).await?;
                    if matches!(answer.body(), Body::Stream(_)) {
                        busy.streams();
                    }
                    Ok::<_, Infallible>(answer.map(|body| Kept { body, _busy: busy }))
                }
            });
            let mut connection = pin!(http.serve_connection(io, answer));
            // In this order: what the connection just heard counts for its patience.
            let ended = tokio::select! { biased;
                ended = connection.as_mut() => Some(ended),
                () = patience.run_out() => None,
                () = cancel.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! { biased;
                        ended = connection.as_mut() => Some(ended),
                        () = patience.run_out() => None,
                        () = patience.only_streams_are_left() => None,
                        () = cut.cancelled() => None,
                    }
                }
            };
            match ended {
                Some(Ok(())) => {}
                Some(Err(error)) => debug!("a connection ended: {error}"),
                None => debug!("a connection was closed by us"),
            }
        }
    }
}

fn http(executor: Tracked) -> Builder<Tracked> {
    let mut http = Builder::new(executor);
    // `Patience` watches over headers, without a timer for each request.
    http.http1().header_read_timeout(None).max_buf_size(HEADER_BYTES);
    http.http2().max_concurrent_streams(STREAMS);
    http
}

async fn turn_away(mut stream: impl Stream) {
    debug!("a connection was turned away: all places are taken");
    // A few bytes fit into any fresh socket; whoever does not take them at once gets none.
    let told = timeout(ACCEPT_PAUSE, async {
        stream.write_all(FULL).await?;
        stream.shutdown().await
    });
    drop(told.await);
}

/// Runs the tasks of HTTP/2 connections where they are counted.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn(task));
    }
}

/// An answer's body, which keeps its request in progress.
struct Kept {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
