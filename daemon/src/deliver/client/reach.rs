//! Whether a callback could be reached: connects and agrees on TLS just as a delivery does,
//! and sends nothing.

use std::error::Error;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Scheme;
use rustls::{Error as TlsError, InvalidMessage};
use tower_service::Service;

use super::dial::DialError;
use super::{Target, explain, https, trail};

/// Why a delivery would not get through. The text is for people.
#[derive(Debug)]
pub enum Unreachable {
    /// Nobody takes the connection.
    Refused(String),
    /// The name leads nowhere.
    NoSuchName(String),
    /// Somebody takes it who speaks no TLS.
    NoTls(String),
    Certificate(String),
    Failed(String),
    TimedOut(String),
    /// Somebody takes it and says nothing to a greeting in TLS.
    Silent(String),
}

/// Connects to where the URL points, TLS included where it says so.
pub async fn reach(url: &Uri, within: Duration) -> Result<(), Unreachable> {
    let target = Target::of_url(url);
    let connecting = tokio::time::timeout(within, https().call(url.clone()));
    let (connected, dialed) = trail::follow(connecting).await;
    match connected {
        Ok(Ok(_connection)) => Ok(()),
        Ok(Err(error)) => Err(kind(&*error, explain::connecting(&*error, &target), target.secure)),
        Err(_) => {
            let said = explain::unconnected(within, dialed, &target);
            let silent = target.secure && dialed.connect.is_some();
            Err(if silent { Unreachable::Silent(said) } else { Unreachable::TimedOut(said) })
        }
    }
}

/// Whether TLS is spoken where a URL says plain HTTP. Whoever listens there and does not
/// speak it may complain of this in its log.
pub async fn speaks_tls(url: &Uri, within: Duration) -> bool {
    let mut parts = url.clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    // Without a port the two would mean different ones.
    let Some(url) = Uri::from_parts(parts).ok().filter(|url| url.port().is_some()) else { return false };
    matches!(reach(&url, within).await, Ok(()) | Err(Unreachable::Certificate(_)))
}

fn kind(error: &(dyn Error + 'static), said: String, secure: bool) -> Unreachable {
    match (explain::find::<DialError>(error), explain::find::<TlsError>(error)) {
        (Some(DialError::Refused(_)), _) => Unreachable::Refused(said),
        (Some(DialError::Lookup { .. } | DialError::NoHost(_)), _) => Unreachable::NoSuchName(said),
        (_, Some(TlsError::InvalidCertificate(_))) => Unreachable::Certificate(said),
        (_, Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType))) => Unreachable::NoTls(said),
        // It hangs up on a greeting in TLS.
        (None, None) if secure => Unreachable::NoTls(said),
        _ => Unreachable::Failed(said),
    }
}
