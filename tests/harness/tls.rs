//! An https endpoint with an authority of its own, which speaks HTTP/1.1 and HTTP/2 as the
//! other side likes. Only what `delivers` asks of it: who came, over what, with which bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::authority::{Authority, Flaw};
use super::receiver::signature;
use super::{SECRET, wait_until};

/// A request that came in over TLS.
#[derive(Clone, Debug)]
pub struct Taken {
    pub version: Version,
    pub connection: usize,
    pub signed: bool,
}

/// Serves until dropped.
pub struct TlsReceiver {
    address: SocketAddr,
    authority: Authority,
    taken: Arc<Mutex<Vec<Taken>>>,
    _runtime: tokio::runtime::Runtime,
}

impl TlsReceiver {
    /// Offers these protocols (ALPN).
    pub fn start(protocols: &[&str]) -> TlsReceiver {
        TlsReceiver::with(Flaw::None, protocols)
    }

    /// The same with a certificate like this.
    pub fn with(flaw: Flaw, protocols: &[&str]) -> TlsReceiver {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let authority = Authority::new("our company");
        let config = authority.server(flaw, protocols);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = TaskTracker::new();
        let serving = serve(listener, TlsAcceptor::from(config), Arc::clone(&taken), connections.clone());
        drop(connections.spawn_on(serving, runtime.handle()));
        TlsReceiver { address, authority, taken, _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/secure", self.address.port())
    }

    /// Writes the authority's certificate, for whom shall trust it.
    pub fn write_authority(&self, path: &Path) {
        self.authority.write(path);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Taken> {
        wait_until("requests over TLS", || Some(self.taken()).filter(|taken| taken.len() >= count))
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    taken: Arc<Mutex<Vec<Taken>>>,
    connections: TaskTracker,
) {
    let count = AtomicUsize::new(0);
    while let Ok((stream, _)) = listener.accept().await {
        let connection = count.fetch_add(1, Ordering::Relaxed);
        drop(connections.spawn(talk(stream, acceptor.clone(), connection, Arc::clone(&taken))));
    }
}

async fn talk(stream: TcpStream, acceptor: TlsAcceptor, connection: usize, taken: Arc<Mutex<Vec<Taken>>>) {
    // A client that does not trust us ends here; that nothing was taken says so.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request: Request<Incoming>| {
        let taken = Arc::clone(&taken);
        async move {
            let version = request.version();
            let given = request.headers().get("x-webhook-signature-256").cloned();
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let signed = given.is_some_and(|given| given == signature(SECRET, &body).as_str());
            taken.lock().unwrap().push(Taken { version, connection, signed });
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // Ends with an error when the daemon is killed, which is how tests end.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}
