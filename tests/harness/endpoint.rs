//! An endpoint from hell: a port whose every connection goes by a script, over plain TCP,
//! over TLS, or in frames of HTTP/2. It counts what came, and checks nothing of it; the
//! endpoint that tests of everything else deliver to is `harness/receiver.rs`.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::frames::{self, Frames};
use super::script::{self, Step};
use super::wait_until;

/// What is done on each connection.
#[derive(Clone)]
pub enum Manners {
    Plain(Vec<Step>),
    Tls(Arc<ServerConfig>, Vec<Step>),
    /// HTTP/2 over TLS, told apart by how many connections came before.
    Http2(Arc<ServerConfig>, fn(usize) -> Frames),
}

/// What came so far.
#[derive(Default)]
pub struct Tally {
    connections: AtomicUsize,
    requests: AtomicUsize,
    ended: AtomicUsize,
    over: AtomicBool,
}

impl Tally {
    pub fn took(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// Listens on loopback until dropped.
pub struct Endpoint {
    address: SocketAddr,
    secure: bool,
    tally: Arc<Tally>,
}

impl Endpoint {
    pub fn start(manners: Manners) -> Endpoint {
        Endpoint::at("127.0.0.1:0", manners).unwrap()
    }

    /// Listens where it is told to.
    pub fn at(address: &str, manners: Manners) -> io::Result<Endpoint> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let tally = Arc::new(Tally::default());
        let secure = !matches!(manners, Manners::Plain(_));
        let heard = Arc::clone(&tally);
        thread::spawn(move || listen(&listener, &manners, &heard));
        Ok(Endpoint { address, secure, tally })
    }

    pub fn url(&self, path: &str) -> String {
        let (scheme, host) = if self.secure { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}/{path}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn connections(&self) -> usize {
        self.tally.connections.load(Ordering::Relaxed)
    }

    /// Requests that were taken, repetitions included.
    pub fn requests(&self) -> usize {
        self.tally.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many connections have ended, by either side.
    #[track_caller]
    pub fn wait_for_ends(&self, count: usize) {
        let ended = || (self.tally.ended.load(Ordering::Relaxed) >= count).then_some(());
        wait_until("connections end", ended);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.tally.over.store(true, Ordering::Relaxed);
        // The listener looks up when somebody comes.
        drop(TcpStream::connect(self.address));
    }
}

fn listen(listener: &TcpListener, manners: &Manners, tally: &Arc<Tally>) {
    for stream in listener.incoming() {
        if tally.over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let before = tally.connections.fetch_add(1, Ordering::Relaxed);
        let (manners, tally) = (manners.clone(), Arc::clone(tally));
        // How a connection ends is for the other side to judge.
        thread::spawn(move || {
            drop(talk(stream, &manners, before, &tally));
            tally.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
}

fn talk(stream: TcpStream, manners: &Manners, before: usize, tally: &Tally) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = stream.try_clone()?;
    match manners {
        Manners::Plain(steps) => script::play(steps, &mut { stream }, &socket, tally),
        Manners::Tls(config, steps) => script::play(steps, &mut shake_hands(config, stream)?, &socket, tally),
        Manners::Http2(config, frames) => {
            frames::serve(&mut shake_hands(config, stream)?, &frames(before), tally)
        }
    }
}

fn shake_hands(
    config: &Arc<ServerConfig>,
    mut stream: TcpStream,
) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let mut session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}
