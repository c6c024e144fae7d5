//! A TCP connection to a callback that knows since when it stands, and gives way to others.
//! Servers close idle connections when they like; a request that meets such a close was not
//! refused by anybody and is sent once more on a fresh one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection, capture_connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::trail::{Dialed, Way};
use crate::delivery::trace::micros;

/// Reads in a row before others have their turn. A callback that talks without end and
/// without sense would keep a thread of ours busy otherwise, since HTTP reads on until
/// there is something to tell.
const READS_IN_A_ROW: u8 = 4;

/// A connection to a callback.
pub struct Line {
    stream: TokioIo<TcpStream>,
    past: Past,
    /// Reads since it last had nothing to read.
    reads: u8,
}

/// What a connection has been through.
#[derive(Clone)]
struct Past {
    made: Instant,
    /// How it was made, but for what came after dialling.
    dialed: Dialed,
    since: Arc<Since>,
}

#[derive(Default)]
struct Since {
    /// Whether an answer has come through it.
    used: AtomicBool,
    /// How long TLS took, in µs; 0 without.
    tls_us: AtomicU32,
}

impl Line {
    pub(super) fn new(stream: TcpStream, dialed: Dialed) -> Line {
        let past = Past { made: Instant::now(), dialed, since: Arc::default() };
        Line { stream: TokioIo::new(stream), past, reads: 0 }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.past.clone())
    }
}

/// A connection has agreed on TLS just now.
pub(super) fn agreed_on_tls(connected: &Connected) {
    if let Some(past) = past(connected) {
        let took = u32::try_from(micros(past.made.elapsed())).unwrap_or(u32::MAX);
        past.since.tls_us.store(took, Ordering::Relaxed);
    }
}

/// Finds out which connection a request goes over.
pub(super) struct Tap {
    captured: CaptureConnection,
    since: Instant,
}

impl Tap {
    pub(super) fn on<B>(request: &mut Request<B>) -> Tap {
        Tap { captured: capture_connection(request), since: Instant::now() }
    }

    /// An answer has come.
    pub(super) fn answered(&self) {
        if let Some(past) = self.past() {
            past.since.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the connection may have been closed since anybody last looked: somebody has
    /// used it before, or it stood before the request was there.
    pub(super) fn way(&self) -> Way {
        let stood = |past: Past| past.made < self.since || past.since.used.load(Ordering::Relaxed);
        if self.past().is_some_and(stood) { Way::Kept } else { Way::Made }
    }

    /// Nobody else is to use the connection. Whether there is one.
    pub(super) fn poison(&self) -> bool {
        self.captured.connection_metadata().as_ref().map(Connected::poison).is_some()
    }

    /// How the connection was made, if there is one.
    pub(super) fn dialed(&self) -> Option<Dialed> {
        let past = self.past()?;
        let tls = match past.since.tls_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us.into())),
        };
        Some(Dialed { tls, ..past.dialed })
    }

    fn past(&self) -> Option<Past> {
        past(self.captured.connection_metadata().as_ref()?)
    }
}

fn past(connected: &Connected) -> Option<Past> {
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    extras.remove()
}

impl Read for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.reads == READS_IN_A_ROW {
            line.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut line.stream).poll_read(cx, buf);
        line.reads = if read.is_ready() { line.reads + 1 } else { 0 };
        read
    }
}

impl Write for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }
}
