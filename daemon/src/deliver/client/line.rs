//! A TCP connection that knows whether it has been used before. Servers close idle
//! connections when they like; a request that meets such a close was not refused by anybody
//! and is sent once more on a fresh one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::Request;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection, capture_connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection to a callback.
pub struct Line {
    stream: TokioIo<TcpStream>,
    used: Used,
}

/// Whether an answer has come through it.
#[derive(Clone, Default)]
struct Used(Arc<AtomicBool>);

impl Line {
    pub(super) fn new(stream: TcpStream) -> Line {
        Line { stream: TokioIo::new(stream), used: Used::default() }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.used.clone())
    }
}

/// Finds out which connection a request goes over.
pub(super) struct Tap(CaptureConnection);

impl Tap {
    pub(super) fn on<B>(request: &mut Request<B>) -> Tap {
        Tap(capture_connection(request))
    }

    /// An answer has come.
    pub(super) fn answered(&self) {
        if let Some(Used(used)) = self.used() {
            used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether an answer had come over the same connection before.
    pub(super) fn was_reused(&self) -> bool {
        self.used().is_some_and(|Used(used)| used.load(Ordering::Relaxed))
    }

    fn used(&self) -> Option<Used> {
        let mut extras = Extensions::new();
        self.0.connection_metadata().as_ref()?.get_extras(&mut extras);
        extras.remove()
    }
}

impl Read for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
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
