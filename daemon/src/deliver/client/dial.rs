//! Connecting: names to addresses, addresses to a verdict, and only then a socket. The
//! check is on the address that is about to be dialled, so no name can lead around it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Uri;
use hyper_util::client::legacy::connect::Connection;
use tokio::net::TcpStream;
use tower_service::Service;

use super::line::{self, Line};
use super::trail::{self, Dialed};
use super::{Target, explain};
use crate::config::check::refused_address;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connecting takes milliseconds or does not happen; the rest of `timeout` is the answer's.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Why a connection did not come about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("`{0}` is no address or name")]
    NoHost(String),
    #[error("failed to look up `{name}`: {error}")]
    Lookup { name: String, error: io::Error },
    #[error("{0} is {1}, which is never dialled")]
    Forbidden(IpAddr, &'static str),
    /// The other side is simply not running, as opposed to broken or forbidden.
    #[error("connection refused, nothing listens on {0}")]
    Refused(String),
    #[error("{address}: {error}")]
    Io { address: SocketAddr, error: io::Error },
    #[error("{0}")]
    TimedOut(String),
}

impl DialError {
    fn was_taken(&self) -> bool {
        matches!(self, DialError::Io { error, .. } if error.kind() == io::ErrorKind::ConnectionReset)
    }
}

/// Opens TCP connections for the client.
#[derive(Clone, Copy)]
pub struct Dialer;

impl Service<Uri> for Dialer {
    type Response = Line;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let (host, port) = place(&uri);
            connect(&host, port).await.map(|(stream, dialed)| Line::new(stream, dialed))
        })
    }
}

/// Connects as the one inside does, a TLS handshake included, but not for ever: nobody may
/// be waiting for this connection any more who would give it up.
#[derive(Clone)]
pub struct Patient<C> {
    pub connector: C,
    pub within: Duration,
}

impl<C> Service<Uri> for Patient<C>
where
    C: Service<Uri, Response: Connection, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (target, within) = (Target::of_url(&uri), self.within);
        let connecting = tokio::time::timeout(within, self.connector.call(uri));
        Box::pin(async move {
            let connected = connecting.await;
            let late = |_| DialError::TimedOut(explain::unconnected(within, trail::noted(), &target));
            let connected = connected.map_err(late)?.map_err(Into::into)?;
            if target.secure {
                line::agreed_on_tls(&connected.connected());
            }
            Ok(connected)
        })
    }
}

/// Host and port that a URL names.
fn place(uri: &Uri) -> (String, u16) {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    (host, uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 }))
}

async fn connect(host: &str, port: u16) -> Result<(TcpStream, Dialed), DialError> {
    let mut dialed = Dialed::default();
    let addresses = resolve(host, port, &mut dialed).await?;
    let mut last = DialError::NoHost(host.to_owned());
    let mut refused = Vec::new();
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match dial(address, &mut dialed).await {
            Ok(stream) => return Ok((stream, dialed)),
            Err(DialError::Refused(at)) => refused.push(at),
            // Somebody is there, if only to hang up; who else might be is beside the point.
            Err(error) if error.was_taken() => return Err(error),
            Err(error) => last = error,
        }
    }
    if refused.is_empty() { Err(last) } else { Err(DialError::Refused(refused.join(" and "))) }
}

async fn dial(address: SocketAddr, dialed: &mut Dialed) -> Result<TcpStream, DialError> {
    if let Some(kind) = refused_address(address.ip()) {
        return Err(DialError::Forbidden(address.ip(), kind));
    }
    (dialed.address, dialed.connect) = (Some(address), None);
    trail::note(*dialed);
    let begun = Instant::now();
    let connected = TcpStream::connect(address).await;
    dialed.connect = Some(begun.elapsed());
    trail::note(*dialed);
    let stream = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused(address.to_string()),
        _ => DialError::Io { address, error },
    })?;
    // Deliveries are small and answered at once; waiting for more to send only delays them.
    stream.set_nodelay(true).map_err(|error| DialError::Io { address, error })?;
    Ok(stream)
}

/// `localhost` is both loopback addresses whatever the system's tables say, since servers
/// under development listen on either.
async fn resolve(host: &str, port: u16, dialed: &mut Dialed) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    let begun = Instant::now();
    let found = tokio::net::lookup_host((host, port)).await;
    dialed.dns = Some(begun.elapsed());
    trail::note(*dialed);
    let addresses: Vec<_> =
        found.map_err(|error| DialError::Lookup { name: host.to_owned(), error })?.collect();
    if addresses.is_empty() { Err(DialError::NoHost(host.to_owned())) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that leads to such an address is refused only here, where it is about to be dialled.
    #[tokio::test]
    async fn link_local_and_metadata_addresses_are_never_dialled() {
        for text in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            let dialled = connect(text, 80).await;
            assert!(matches!(dialled, Err(DialError::Forbidden(..))), "{text}: {dialled:?}");
        }
    }

    /// A handshake that hangs is no missing connection.
    #[tokio::test]
    async fn who_took_the_connection_is_told_to_have_done_so() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let uri: Uri = format!("https://{to}/").parse().unwrap();
        let within = Duration::from_millis(300);
        let mut patient = Patient { connector: super::super::https(), within };
        let (connected, dialed) = trail::follow(patient.call(uri.clone())).await;
        let (error, target) = (connected.err().unwrap(), Target::of_url(&uri));
        let silent = format!("`{to}` took the connection and did not answer the TLS handshake within 300ms");
        assert_eq!(explain::connecting(&*error, &target), silent);
        let unanswered = Dialed { connect: None, ..dialed };
        let nobody = format!("no connection to `{to}` within 300ms");
        assert_eq!(explain::unconnected(within, unanswered, &target), nobody);
    }

    #[tokio::test]
    async fn localhost_is_found_on_either_loopback_address() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(connect("localhost", port).await.is_ok(), "{address}");
        }
    }
}
