//! How long a connection may do nothing. Its bytes and its requests tell what it is doing,
//! and one timer per connection, none per request, ends it when that lasts too long.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::Limits;

/// What one connection is doing.
pub(super) struct Patience {
    doing: Mutex<Doing>,
    limits: Limits,
}

struct Doing {
    requests: usize,
    /// Bytes came that are not a request yet.
    speaking: bool,
    since: Instant,
}

impl Patience {
    /// A new connection is expected to speak at once.
    pub(super) fn new(limits: Limits) -> Arc<Patience> {
        let doing = Doing { requests: 0, speaking: true, since: Instant::now() };
        Arc::new(Patience { doing: Mutex::new(doing), limits })
    }

    /// A request has arrived; it is in progress until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut doing = self.doing();
        doing.requests += 1;
        doing.speaking = false;
        Busy(Arc::clone(self))
    }

    /// Returns when it lasted too long. To be polled after the connection itself, by the
    /// same task: then what came meanwhile is known and needs no wake-up of its own.
    pub(super) async fn run_out(&self) {
        let mut alarm = pin!(sleep_until(self.deadline()));
        poll_fn(|context| {
            let deadline = self.deadline();
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            loop {
                ready!(alarm.as_mut().poll(context));
                let deadline = self.deadline();
                if deadline <= Instant::now() {
                    return Poll::Ready(());
                }
                alarm.as_mut().reset(deadline);
            }
        })
        .await;
    }

    fn deadline(&self) -> Instant {
        let doing = self.doing();
        match (doing.requests, doing.speaking) {
            (0, true) => doing.since + self.limits.header,
            (0, false) => doing.since + self.limits.idle,
            // A request has its own limits; look again later.
            _ => Instant::now() + self.limits.idle,
        }
    }

    fn heard(&self) {
        let mut doing = self.doing();
        if doing.requests == 0 && !doing.speaking {
            doing.speaking = true;
            doing.since = Instant::now();
        }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in progress, until its answer's last byte is handed over.
pub(super) struct Busy(Arc<Patience>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut doing = self.0.doing();
        doing.requests -= 1;
        doing.since = Instant::now();
    }
}

/// A stream that tells when bytes come.
pub(super) struct Heard<S> {
    stream: S,
    patience: Arc<Patience>,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S, patience: Arc<Patience>) -> Heard<S> {
        Heard { stream, patience }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.patience.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
