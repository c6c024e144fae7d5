//! What went wrong with an exchange, in a sentence for the one who has to mend the callback,
//! and whether it went wrong before anybody had read the request.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use hyper_util::client::legacy::Error as PoolError;
use rustls::{CertificateError as Flaw, Error as TlsError, InvalidMessage};

use super::dial::DialError;
use super::patience::MOST;
use super::trail::Dialed;
use super::{FIELDS, HEAD, SendError, Stage, Target};

/// The sentence that an error of the client comes to.
pub(super) fn failure(error: &PoolError, target: &Target) -> SendError {
    let to = &target.authority;
    if matches!(find::<DialError>(error), Some(DialError::Refused(_))) {
        return SendError::Refused(connecting(error, target));
    }
    let before_any_request = find::<DialError>(error).is_some() || find::<TlsError>(error).is_some();
    if before_any_request || error.is_connect() && target.secure {
        return SendError::Failed(connecting(error, target));
    }
    let root = root(error);
    SendError::Failed(if is_io(error, io::ErrorKind::ConnectionReset) {
        format!("`{to}` reset the connection before it had answered")
    } else if broke_off(error) {
        format!("`{to}` closed the connection before it had answered")
    } else if reason(error).is_some_and(hyper::Error::is_parse_too_large) {
        let kibibytes = HEAD >> 10;
        format!("`{to}` answered with status and headers beyond {kibibytes} KiB or {FIELDS} fields")
    } else if reason(error).is_some_and(hyper::Error::is_parse) {
        let tls = !target.secure && root.contains("version");
        let hint = if tls { "; should the URL begin with `https://`?" } else { "" };
        format!("`{to}` did not answer in HTTP: {root}{hint}")
    } else {
        format!("failed to send to `{to}`: {root}")
    })
}

/// The sentence for an error before there was a connection to send anything over.
pub(super) fn connecting(error: &(dyn Error + 'static), target: &Target) -> String {
    let to = &target.authority;
    match (find::<DialError>(error), find::<TlsError>(error)) {
        (Some(whole @ (DialError::Refused(_) | DialError::TimedOut(_))), _) => whole.to_string(),
        (Some(dialled), _) => format!("failed to connect to `{to}`: {dialled}"),
        (_, Some(error)) => format!("failed to agree on TLS with `{to}`: {}", tls(error)),
        _ => format!("failed to agree on TLS with `{to}`: {}; does it speak TLS?", root(error)),
    }
}

/// What is said when the time for connecting is up, TLS included.
pub(super) fn unconnected(within: Duration, dialed: Dialed, target: &Target) -> String {
    let to = &target.authority;
    if target.secure && dialed.connect.is_some() {
        format!("`{to}` took the connection and did not answer the TLS handshake within {within:?}")
    } else {
        format!("no connection to `{to}` within {within:?}")
    }
}

/// What is said when the time is up. A connection there is only with what it agreed on.
pub(super) fn timeout(
    within: Duration,
    stage: Stage,
    connected: bool,
    dialed: Dialed,
    target: &Target,
) -> String {
    let to = &target.authority;
    let missed = match stage {
        Stage::Answered(head) => {
            format!("answered {}, but the answer did not end within {within:?}", head.status)
        }
        Stage::Asked if connected => {
            format!("connected to `{to}`, but status and headers did not come within {within:?}")
        }
        Stage::Asked => unconnected(within, dialed, target),
    };
    format!("{missed} (`timeout`)")
}

/// What is said of one who has much to say and never answers.
pub(super) fn no_end_of_informing(target: &Target) -> SendError {
    let to = &target.authority;
    SendError::Failed(format!(
        "`{to}` sent more than {MOST} informational answers (1xx) and none that counts"
    ))
}

/// What is said of an answer that began well.
pub(super) fn half(status: StatusCode, error: &hyper::Error) -> SendError {
    SendError::Failed(format!("answered {status}, but the answer broke off: {}", root(error)))
}

/// The connection ended before the head of an answer was complete, or even before the request
/// was on its way. Over TLS, many servers end it without the goodbye that TLS asks for.
pub(super) fn broke_off(error: &PoolError) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    reason(error).is_some_and(|it| it.is_incomplete_message() || it.is_canceled() || it.is_closed())
        || [BrokenPipe, ConnectionReset, UnexpectedEof].into_iter().any(|kind| is_io(error, kind))
}

/// The other side says that it has not read this request, and lets us send it again.
pub(super) fn went_unread(error: &PoolError) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        let reason = error.reason();
        let refused = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refused || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

/// What is wrong with a TLS connection, and what helps.
fn tls(error: &TlsError) -> String {
    match hint(error) {
        Some(hint) => format!("{hint} ({error})"),
        None => error.to_string(),
    }
}

fn hint(error: &TlsError) -> Option<&'static str> {
    let flaw = match error {
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return Some("it does not speak TLS; should the URL begin with `http://`?");
        }
        TlsError::InvalidCertificate(flaw) => flaw,
        _ => return None,
    };
    match flaw {
        Flaw::UnknownIssuer | Flaw::BadSignature => {
            Some("nobody trusted here has signed its certificate; `SSL_CERT_FILE` names further authorities")
        }
        Flaw::NotValidForName | Flaw::NotValidForNameContext { .. } => {
            Some("its certificate is for another name")
        }
        Flaw::Expired | Flaw::ExpiredContext { .. } => Some("its certificate has expired"),
        Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => {
            Some("its certificate is not valid yet; is this machine's clock right?")
        }
        // The library keeps the type of this one to itself.
        Flaw::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            Some("its certificate is that of an authority; let the authority sign another one for it")
        }
        _ => None,
    }
}

/// The first of the causes that is of this type.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// What the HTTP library means: a request that could not be sent names the reason behind it.
fn reason<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a hyper::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref()).last()
}

fn is_io(error: &PoolError, kind: io::ErrorKind) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind))
}

/// The innermost cause says the most; the outer ones say "client error".
fn root(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and what lies behind it. Errors of input and output skip the one they are made of.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map_or_else(|| (*error).source(), |wrapped| Some(wrapped as &(dyn Error + 'static)))
    })
}
