//! The endpoint of every subscription, told apart by path, on a thread of its own. It
//! checks each signature itself and writes each delivery into its subscription's book.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::book::Arrivals;
use super::event;
use super::wire::{Wire, header, path};

/// What every subscription signs with.
pub const SECRET: &str = "a secret for the yardstick";

/// How an endpoint takes deliveries.
#[derive(Clone)]
pub enum Manner {
    /// 200, and written down.
    Takes(Arc<Arrivals>),
    /// This status, and nothing else.
    Fails(u16),
    /// Reads, and never answers.
    Hangs,
}

/// Endpoints that listen until dropped.
pub struct Receiver {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens, with the endpoint of subscription N at N's place.
    pub fn start(endpoints: Vec<Manner>) -> io::Result<Receiver> {
        Receiver::start_at("127.0.0.1:0", endpoints)
    }

    pub fn start_at(address: impl Into<String>, endpoints: Vec<Manner>) -> io::Result<Receiver> {
        let (address, stop) = (address.into(), CancellationToken::new());
        let (bound, listening) = mpsc::channel();
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime of one thread needs no more than a descriptor");
            runtime.block_on(stopped.run_until_cancelled(listen(&address, endpoints.into(), bound)));
        })?;
        let address = listening.recv().map_err(io::Error::other)??;
        Ok(Receiver { address, stop, thread: Some(thread) })
    }

    /// Where deliveries of subscription N go.
    pub fn url(&self, place: usize) -> String {
        format!("http://{}/{place}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and has then said so.
            drop(thread.join());
        }
    }
}

async fn listen(address: &str, endpoints: Arc<[Manner]>, bound: mpsc::Sender<io::Result<SocketAddr>>) {
    let listener = TcpListener::bind(address).await;
    let told =
        listener.as_ref().map_err(|error| error.kind().into()).and_then(|listener| listener.local_addr());
    if bound.send(told).is_err() {
        return;
    }
    let (Ok(listener), mut connections) = (listener, JoinSet::new()) else { return };
    let key = Hmac::new_from_slice(SECRET.as_bytes()).expect("HMAC takes keys of any length");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&endpoints), key.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until the other side ends it.
async fn serve(stream: TcpStream, endpoints: Arc<[Manner]>, key: Hmac<Sha256>) {
    drop(stream.set_nodelay(true));
    let mut wire = Wire::new(stream);
    while let Ok(Some(request)) = wire.next().await {
        let (head, body) = (wire.head(&request), wire.body(&request));
        let manner = place(head).and_then(|place| endpoints.get(place));
        let answer: &[u8] = match manner {
            Some(Manner::Takes(arrivals)) => {
                arrivals.record(event::id(body), is_signed(&key, head, body));
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            }
            Some(Manner::Fails(status)) => {
                let failing = format!("HTTP/1.1 {status} Failing\r\ncontent-length: 0\r\n\r\n");
                if wire.send(failing.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            Some(Manner::Hangs) => std::future::pending().await,
            None => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        };
        if wire.send(answer).await.is_err() {
            return;
        }
    }
}

fn place(head: &[u8]) -> Option<usize> {
    std::str::from_utf8(path(head).strip_prefix(b"/")?).ok()?.parse().ok()
}

fn is_signed(key: &Hmac<Sha256>, head: &[u8], body: &[u8]) -> bool {
    let claimed = header(head, "x-webhook-signature-256").and_then(|value| value.strip_prefix(b"sha256="));
    let Some(claimed) = claimed.filter(|claimed| claimed.len() == 64) else { return false };
    let mut mac = key.clone();
    mac.update(body);
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let made = mac.finalize().into_bytes();
    let digits = made.iter().flat_map(|byte| [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]));
    digits.eq(claimed.iter().copied())
}
