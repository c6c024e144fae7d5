//! Reads a request's body within bounds: its size, its time, and the bytes of all bodies
//! together. Knows nothing of what is in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::event::read::Kind;

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one body: `[listen] max_body`.
    pub max_body: usize,
    /// Bytes of all bodies that are being read or written down.
    pub in_flight: usize,
    /// Longest wait for the next byte.
    pub stall: Duration,
    /// Longest time for a whole body.
    pub whole: Duration,
}

impl Limits {
    pub fn new(max_body: usize) -> Limits {
        // Sixteen of the largest usual bodies at once keep the disk busy; more would only wait.
        let in_flight = max_body.max(16 << 20);
        Limits { max_body, in_flight, stall: Duration::from_secs(10), whole: Duration::from_secs(30) }
    }
}

/// How much of a body that is too large is still read and thrown away. A sender that
/// writes everything before it reads would otherwise see a reset instead of the answer.
const DISCARDED: usize = 8 << 20;

/// A sender says how long its body is, but gets memory only up to this before it proves it.
const BELIEVED: usize = 64 << 10;

/// Where all bodies pass through.
pub struct Intake {
    limits: Limits,
    room: Arc<Semaphore>,
}

/// A body as a whole. Its bytes count as in flight until this is dropped.
#[derive(Debug)]
pub struct Taken {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Taken {
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {0} bytes; send it in parts or raise `[listen] max_body`")]
    TooLarge(usize),
    #[error("the body stalled: nothing came for {0:?}")]
    Stalled(Duration),
    #[error("the body took longer than {0:?}")]
    TooSlow(Duration),
    #[error("the body broke off")]
    BrokenOff,
    #[error("too many bodies at once; try again in a moment")]
    Full,
}

impl BodyError {
    /// One word for counting.
    pub fn reason(self) -> &'static str {
        match self {
            BodyError::TooLarge(_) => "too_large",
            BodyError::Stalled(_) | BodyError::TooSlow(_) => "stalled",
            BodyError::BrokenOff => "broken_off",
            BodyError::Full => "in_flight",
        }
    }

    pub fn answer(self) -> Answer {
        match self {
            BodyError::TooLarge(_) => answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, self),
            BodyError::Stalled(_) | BodyError::TooSlow(_) => {
                answer::refusal(StatusCode::REQUEST_TIMEOUT, self)
            }
            BodyError::BrokenOff => answer::refusal(StatusCode::BAD_REQUEST, self),
            BodyError::Full => answer::unavailable(Duration::from_secs(1), self),
        }
    }
}

impl Intake {
    pub fn new(limits: Limits) -> Intake {
        Intake { limits, room: Arc::new(Semaphore::new(limits.in_flight)) }
    }

    /// Reads all of a body, or says why not.
    pub async fn collect<B>(&self, body: B) -> Result<Taken, BodyError>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let whole = self.limits.whole;
        timeout(whole, self.gather(body)).await.unwrap_or(Err(BodyError::TooSlow(whole)))
    }

    async fn gather<B>(&self, mut body: B) -> Result<Taken, BodyError>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        // A body of its own rather than a slice of the connection's buffer, which is larger
        // and would live as long as the event.
        let mut bytes = Vec::with_capacity(announced.min(BELIEVED));
        let mut room = None;
        let mut too_large = announced > self.limits.max_body;
        while !too_large && let Some(data) = self.next(&mut body).await? {
            too_large = bytes.len() + data.len() > self.limits.max_body;
            if !too_large {
                self.hold(&mut room, data.len())?;
                bytes.extend_from_slice(&data);
            }
        }
        if too_large {
            self.discard(body, announced).await?;
            return Err(BodyError::TooLarge(self.limits.max_body));
        }
        Ok(Taken { bytes: bytes.into(), _room: room })
    }

    /// The next bytes, or none at the end.
    async fn next<B>(&self, body: &mut B) -> Result<Option<Bytes>, BodyError>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let stall = self.limits.stall;
        match timeout(stall, body.frame()).await {
            Ok(Some(Ok(frame))) => Ok(Some(Frame::into_data(frame).unwrap_or_default())),
            Ok(Some(Err(_))) => Err(BodyError::BrokenOff),
            Ok(None) => Ok(None),
            Err(_) => Err(BodyError::Stalled(stall)),
        }
    }

    /// Counts `len` more bytes as in flight.
    fn hold(&self, room: &mut Option<OwnedSemaphorePermit>, len: usize) -> Result<(), BodyError> {
        let len = u32::try_from(len).map_err(|_| BodyError::Full)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(len).map_err(|_| BodyError::Full)?;
        match room {
            Some(held) => held.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }

    async fn discard<B>(&self, mut body: B, announced: usize) -> Result<(), BodyError>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let mut left = if announced > DISCARDED { 0 } else { DISCARDED };
        while left > 0
            && let Some(data) = self.next(&mut body).await?
        {
            left = left.saturating_sub(data.len().max(1));
        }
        Ok(())
    }
}

/// How events are set apart in a body of this content type; none if it is not JSON.
pub fn kind(headers: &HeaderMap) -> Option<Kind> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !parameters.split(';').all(is_harmless) {
        return None;
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Kind::Json),
        "application/x-ndjson" => Some(Kind::NdJson),
        _ => None,
    }
}

/// Whether the body's bytes are something else than what they say they hold: compressed,
/// mostly. Nothing here unpacks them, so that a small body stays a small body.
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.is_empty() || value.eq_ignore_ascii_case(b"identity")
    };
    !headers.get_all(CONTENT_ENCODING).iter().all(plain)
}

/// JSON is UTF-8; a body that claims another charset would be read wrongly.
fn is_harmless(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    !name.trim().eq_ignore_ascii_case("charset")
        || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_content_types_are_known() {
        for (value, expected) in [
            ("application/json", Some(Kind::Json)),
            ("Application/JSON; charset=UTF-8", Some(Kind::Json)),
            ("application/json;charset=\"utf-8\"; x=y", Some(Kind::Json)),
            ("application/x-ndjson", Some(Kind::NdJson)),
            ("application/json; charset=utf-16", None),
            ("text/plain", None),
            ("application/jsonp", None),
            ("application/x-www-form-urlencoded", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(kind(&headers), expected, "{value}");
        }
        assert_eq!(kind(&HeaderMap::new()), None);
        let mut twice = HeaderMap::new();
        twice.append(CONTENT_TYPE, "application/json".parse().unwrap());
        twice.append(CONTENT_TYPE, "text/plain".parse().unwrap());
        assert_eq!(kind(&twice), None);
    }

    #[test]
    fn only_plain_bodies_are_read() {
        for (values, encoded) in [
            (&[][..], false),
            (&["identity"], false),
            (&[" Identity "], false),
            (&[""], false),
            (&["gzip"], true),
            (&["identity, gzip"], true),
            (&["identity", "br"], true),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(is_encoded(&headers), encoded, "{values:?}");
        }
    }
}
