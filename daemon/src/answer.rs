//! HTTP answers as every door gives them: JSON, a JSON string for what is refused, and a
//! body that is whole or a stream. Which answer is given is decided elsewhere.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// What every door answers with.
pub type Answer = Response<Body>;

/// An answer's body: known as a whole, or coming bit by bit.
pub enum Body {
    Whole(Full<Bytes>),
    Stream(UnsyncBoxBody<Bytes, Infallible>),
}

impl Body {
    pub fn stream(body: impl HttpBody<Data = Bytes, Error = Infallible> + Send + 'static) -> Body {
        Body::Stream(body.boxed_unsync())
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Body {
        Body::Whole(Full::new(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Body::Whole(body) => Pin::new(body).poll_frame(context),
            Body::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(body) => body.is_end_stream(),
            Body::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(body) => body.size_hint(),
            Body::Stream(body) => body.size_hint(),
        }
    }
}

/// A JSON document.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("our own answers have text keys and finite numbers");
    with_type(status, "application/json", body)
}

/// A refusal: one sentence as a JSON string, as Track words its errors.
pub fn refusal(status: StatusCode, sentence: impl fmt::Display) -> Answer {
    json(status, &sentence.to_string())
}

/// 503, and when to come back.
pub fn unavailable(wait: Duration, sentence: impl fmt::Display) -> Answer {
    let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, sentence);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    answer
}

/// 405, and what works there.
pub fn other_method(allowed: &str) -> Answer {
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, format_args!("only {allowed} works here"));
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}

/// Anything else.
pub fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_json_string() {
        let answer = refusal(StatusCode::BAD_REQUEST, "`a`: \"wrong\"");
        let Body::Whole(body) = answer.into_body() else { panic!("a refusal is known as a whole") };
        assert_eq!(body.into_inner().unwrap(), r#""`a`: \"wrong\"""#);
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, seconds) in [(0, "1"), (1_000, "1"), (1_001, "2"), (60_000, "60")] {
            let answer = unavailable(Duration::from_millis(wait), "busy");
            assert_eq!(answer.headers()[RETRY_AFTER], seconds);
        }
    }
}
