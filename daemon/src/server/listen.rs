//! Opens the sockets, and says clearly why when it cannot. What comes through them is not
//! looked at here.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::unix::{UnixError, UnixSocket};
use crate::config::Listen;

/// Sockets that are open, with nobody serving them yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) tcp: TcpListener,
    pub(super) tcp_address: SocketAddr,
    pub(super) unix: Option<UnixSocket>,
    pub(super) hosts: Vec<String>,
}

impl Bound {
    /// The address with its real port.
    pub fn tcp(&self) -> SocketAddr {
        self.tcp_address
    }

    pub fn unix(&self) -> Option<&Path> {
        self.unix.as_ref().map(UnixSocket::path)
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "cannot listen on {0}: another program has this port, perhaps another trackrelay; `ss -ltnp 'sport = :{port}'` shows which; stop it, or set another `[listen] tcp` (port 0 takes a free one)",
        port = .0.port()
    )]
    Taken(SocketAddr),
    #[error("cannot listen on {address}: {source}; set another `[listen] tcp`")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Unix(#[from] UnixError),
}

/// Opens the TCP socket and, unless it is off, the Unix socket.
pub async fn bind(listen: &Listen) -> Result<Bound, BindError> {
    let address = listen.tcp;
    let wrong = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken(address),
        _ => BindError::Tcp { address, source },
    };
    let tcp = TcpListener::bind(address).await.map_err(wrong)?;
    let tcp_address = tcp.local_addr().map_err(wrong)?;
    let unix = listen.unix.as_deref().map(UnixSocket::bind).transpose()?;
    Ok(Bound { tcp, tcp_address, unix, hosts: listen.hosts.clone() })
}
