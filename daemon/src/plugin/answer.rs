//! What a plugin answered, checked: a message that comes out of here can be sent as it is.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::bindings::track::relay::types::{self, Content, Outcome};
use super::text;
use super::{Message, Reshape};
use crate::config::check::is_reserved_header;

/// Extra headers of one message. Servers refuse requests with more than about a hundred.
const HEADERS: usize = 64;

/// Bytes of all extra headers and the content type together. Servers refuse more than 8 KiB.
const HEADER_BYTES: usize = 8 << 10;

/// An answer that cannot be used. `TooLarge` is told apart because a key changes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooLarge { size: usize },
    Unfit(String),
}

/// `output` bounds the body and what goes with it.
pub(super) fn checked(outcome: Outcome, output: usize) -> Result<Reshape, Refusal> {
    match outcome {
        Outcome::Unchanged => Ok(Reshape::Unchanged),
        Outcome::Skip(reason) => Ok(Reshape::Skip(text::brief(&reason))),
        Outcome::Replace(message) => checked_message(message, output).map(Reshape::Replace),
    }
}

fn checked_message(message: types::Message, output: usize) -> Result<Message, Refusal> {
    let body = match message.body {
        Content::Text(text) => Bytes::from(text),
        Content::Bytes(bytes) => Bytes::from(bytes),
    };
    let extra = message.headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>()
        + message.content_type.len();
    if body.len() + extra > output {
        return Err(Refusal::TooLarge { size: body.len() + extra });
    }
    if message.headers.len() > HEADERS {
        return Err(unfit(format!("{} headers; at most {HEADERS} can be sent", message.headers.len())));
    }
    if extra > HEADER_BYTES {
        let most = text::size(HEADER_BYTES);
        return Err(unfit(format!("{extra} bytes of headers; at most {most} can be sent")));
    }
    check_content_type(&message.content_type)?;
    for header in &message.headers {
        check_header(&header.name, &header.value)?;
    }
    let headers = message.headers.into_iter().map(|header| (header.name, header.value)).collect();
    Ok(Message { body, content_type: message.content_type, headers })
}

fn check_content_type(content_type: &str) -> Result<(), Refusal> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_type = essence
        .split_once('/')
        .is_some_and(|(kind, sub)| [kind, sub].iter().all(|part| HeaderName::try_from(*part).is_ok()));
    if is_type && is_value(content_type) {
        return Ok(());
    }
    let shown = text::brief(content_type);
    Err(unfit(format!("the content type `{shown}`; write it like `application/json`")))
}

fn check_header(name: &str, value: &str) -> Result<(), Refusal> {
    let shown = text::brief(name);
    let Ok(name) = HeaderName::try_from(name) else {
        return Err(unfit(format!("the header name `{shown}`, which HTTP does not allow")));
    };
    if is_reserved_header(name.as_str()) {
        return Err(unfit(format!("the header `{shown}`, which only trackrelay sets")));
    }
    if !is_value(value) {
        return Err(unfit(format!("a value of the header `{shown}` that HTTP does not allow")));
    }
    Ok(())
}

/// HTTP allows bytes beyond ASCII in a value, but nobody agrees on what they mean.
fn is_value(value: &str) -> bool {
    value.is_ascii() && HeaderValue::from_str(value).is_ok()
}

fn unfit(what: String) -> Refusal {
    Refusal::Unfit(what)
}

#[cfg(test)]
mod tests {
    use super::types::Header;
    use super::*;

    fn message(content_type: &str, headers: &[(&str, &str)]) -> Outcome {
        let headers =
            headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() });
        Outcome::Replace(types::Message {
            body: Content::Text("body".into()),
            content_type: content_type.into(),
            headers: headers.collect(),
        })
    }

    fn refused(outcome: Outcome) -> String {
        match checked(outcome, 1 << 20) {
            Err(Refusal::Unfit(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_legal_message_passes_as_it_is() {
        let outcome = message("text/plain; charset=utf-8", &[("X-Env", "dev"), ("x-env", "a b\tc")]);
        let expected = Message {
            body: Bytes::from_static(b"body"),
            content_type: "text/plain; charset=utf-8".into(),
            headers: vec![("X-Env".into(), "dev".into()), ("x-env".into(), "a b\tc".into())],
        };
        assert_eq!(checked(outcome, 1 << 20), Ok(Reshape::Replace(expected)));
    }

    #[test]
    fn reserved_headers_are_refused_whatever_their_case() {
        for name in [
            "Host",
            "content-LENGTH",
            "X-Webhook-Signature-256",
            "Webhook-Id",
            "Transfer-Encoding",
            "Connection",
            "Content-Type",
            "Proxy-Authorization",
        ] {
            assert_eq!(
                refused(message("a/b", &[(name, "x")])),
                format!("the header `{name}`, which only trackrelay sets")
            );
        }
    }

    #[test]
    fn illegal_headers_are_refused_by_name() {
        assert_eq!(
            refused(message("a/b", &[("a b", "x")])),
            "the header name `a b`, which HTTP does not allow"
        );
        assert_eq!(
            refused(message("a/b", &[("a\r\nb", "x")])),
            r"the header name `a\r\nb`, which HTTP does not allow"
        );
        assert_eq!(refused(message("a/b", &[("", "x")])), "the header name ``, which HTTP does not allow");
        for value in ["x\r\ny: z", "x\0", "é"] {
            assert_eq!(
                refused(message("a/b", &[("x", value)])),
                "a value of the header `x` that HTTP does not allow"
            );
        }
    }

    #[test]
    fn content_types_look_like_content_types() {
        for bad in ["", "json", "a/", "/b", "a b/c", "a/b\r\nx: y", "a/b; é"] {
            assert!(refused(message(bad, &[])).starts_with("the content type `"), "{bad:?}");
        }
    }

    #[test]
    fn headers_are_counted_and_weighed() {
        let many: Vec<_> = (0..65).map(|_| ("x-y", "z")).collect();
        assert_eq!(refused(message("a/b", &many)), "65 headers; at most 64 can be sent");
        let long = "z".repeat(HEADER_BYTES);
        assert_eq!(
            refused(message("a/b", &[("x-y", &long)])),
            "8198 bytes of headers; at most 8KiB can be sent"
        );
    }

    #[test]
    fn output_counts_body_and_headers() {
        let outcome = || message("a/b", &[("x", "y")]);
        assert!(checked(outcome(), 9).is_ok());
        assert_eq!(checked(outcome(), 8), Err(Refusal::TooLarge { size: 9 }));
    }
}
