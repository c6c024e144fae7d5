//! From a message to the request that goes out, signed over its exact bytes, and from
//! what came back to an answer the rule understands. Pure.

use std::borrow::Cow;

use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use jiff::Timestamp;

use super::client::{Answered, Outgoing, SendError, retry_after};
use super::rule::Answer;
use crate::plan::Planned;
use crate::plugin::Message;

/// What deliveries call themselves.
pub const PRODUCT: &str = concat!("trackrelay/", env!("CARGO_PKG_VERSION"));

/// Characters of a refusal's body that are shown.
const EXCERPT: usize = 200;

/// And of what came with a 2xx, which is kept for every delivery: enough for `{"ok":false,…`,
/// with which some callbacks refuse.
const GOOD_EXCERPT: usize = 60;

/// An attempt that reached the network, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub answer: Answer,
    pub status: Option<u16>,
    /// How the answer's body begins, on one line.
    pub excerpt: Option<String>,
}

impl Sent {
    /// What went wrong, for people.
    pub fn error(&self) -> Option<String> {
        match &self.answer {
            Answer::Success => None,
            Answer::Failure { said, .. } | Answer::Refused { said } => Some(said.clone()),
        }
    }

    pub(super) fn panicked() -> Sent {
        let said = "trackrelay itself failed on this delivery; the log has the place, please report it";
        Sent { answer: Answer::Failure { said: said.into(), retry_after: None }, status: None, excerpt: None }
    }
}

/// The signed request. The config's headers and the transform's were checked when they
/// came in; the signature is set last, so that nothing can stand in its place. `id` and
/// `now` are signed in schemes that have a place for them.
pub fn outgoing(planned: &Planned, message: Message, id: &str, now: Timestamp) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
    for (name, value) in planned.meant.headers.iter().chain(&message.headers) {
        insert(&mut headers, name, value);
    }
    insert(&mut headers, CONTENT_TYPE.as_str(), &message.content_type);
    planned.signer.sign(&message.body, id, now, |name, value| insert(&mut headers, name, value));
    let mut request = Request::new(Full::new(message.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target(planned);
    *request.headers_mut() = headers;
    request
}

/// A callback that is a URL but no request target is refused when the config is checked.
fn target(planned: &Planned) -> Uri {
    planned.meant.url_callback.as_str().parse().expect("the config check has parsed this very URI")
}

pub(super) fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.insert(name, value);
    }
}

/// The rule's view of what came back.
pub fn sent(answered: Result<Answered, SendError>, now: Timestamp) -> Sent {
    let excerpt = answered.as_ref().ok().and_then(excerpt);
    let (answer, status) = match answered {
        Ok(answered) if answered.status.is_success() => (Answer::Success, Some(answered.status)),
        Ok(answered) => {
            let told =
                matches!(answered.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let retry_after = retry_after(&answered.headers, now).filter(|_| told);
            (Answer::Failure { said: refusal(&answered), retry_after }, Some(answered.status))
        }
        Err(SendError::Refused(said)) => (Answer::Refused { said }, None),
        Err(error) => (Answer::Failure { said: error.to_string(), retry_after: None }, None),
    };
    Sent { answer, status: status.map(|status| status.as_u16()), excerpt }
}

/// "answered 500 Internal Server Error: …", with what the callback says about it.
fn refusal(answered: &Answered) -> String {
    let status = answered.status;
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        let location = answered.headers.get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()));
        let location = location.map(|to| format!(" to {}", shorten(&to, EXCERPT))).unwrap_or_default();
        return format!("answered {status}: a redirect{location}, which is not followed");
    }
    match shorten(&beginning(&answered.body), EXCERPT).as_str() {
        "" => format!("answered {status}"),
        excerpt => format!("answered {status}: {excerpt}"),
    }
}

fn excerpt(answered: &Answered) -> Option<String> {
    let most = if answered.status.is_success() { GOOD_EXCERPT } else { EXCERPT };
    let excerpt = shorten(&beginning(&answered.body), most);
    (!excerpt.is_empty()).then_some(excerpt)
}

/// No more of a body than can be shown of it, white space aside.
fn beginning(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&body[..body.len().min(8 * EXCERPT)])
}

/// One line of printable text, cut after so many characters.
fn shorten(text: &str, most: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().map(printable).collect();
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
