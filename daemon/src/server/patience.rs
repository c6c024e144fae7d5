//! How long a connection may do nothing. Its bytes and its requests tell what it is doing,
//! and one timer per connection, none per request, ends it when that lasts too long.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};

use super::Limits;

/// How long a stream that has ended may take to be read: what is on its way to a reader that
/// reads at all is there within it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What one connection is doing.
pub(super) struct Patience {
    doing: Mutex<Doing>,
    limits: Limits,
}

struct Doing {
    requests: usize,
    /// Of these, answered by streams.
    streams: usize,
    /// Bytes came that are not a request yet.
    speaking: bool,
    since: Instant,
}

impl Patience {
    /// A new connection is expected to speak at once.
    pub(super) fn new(limits: Limits) -> Arc<Patience> {
        let doing = Doing { requests: 0, streams: 0, speaking: true, since: Instant::now() };
        Arc::new(Patience { doing: Mutex::new(doing), limits })
    }

    /// A request has arrived; it is in progress until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut doing = self.doing();
        doing.requests += 1;
        doing.speaking = false;
        Busy { patience: Arc::clone(self), streams: false }
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

    /// At the stop: returns when nothing is in progress but streams, whose reader does not take
    /// even their end. Such a one must not hold up the daemon.
    pub(super) async fn only_streams_are_left(&self) {
        loop {
            sleep(LAST_WORDS).await;
            let doing = self.doing();
            if doing.streams > 0 && doing.streams == doing.requests {
                return;
            }
        }
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
pub(super) struct Busy {
    patience: Arc<Patience>,
    streams: bool,
}

impl Busy {
    /// Its answer ends when the daemon does, if not before.
    pub(super) fn streams(&mut self) {
        if !std::mem::replace(&mut self.streams, true) {
            self.patience.doing().streams += 1;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut doing = self.patience.doing();
        doing.requests -= 1;
        doing.streams -= usize::from(self.streams);
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
