//! Track's PING, as a signed source gets it: told from an event by its payload, and asked
//! only for the code that it wants to see again. What we send as a PING ourselves is
//! `deliver/envelope.rs`.

use super::error::{ReadError, Wrong};
use super::fields::{Picked, is_text, kind_of, pick, plain_text};
use super::utf8;

/// A PING that came in.
#[derive(Debug, PartialEq, Eq)]
pub struct Ping {
    /// There while the subscription it belongs to is not validated.
    pub validation_code: Option<String>,
}

/// Reads a body of which `read` said that it is a PING.
pub fn ping(body: &[u8]) -> Result<Ping, ReadError> {
    let text = utf8(body)?;
    let Picked { values: [code], twice } = pick(text, &["validation_code"], text, "")?;
    let wrong = |wrong| Err(ReadError::of("validation_code", wrong));
    match code {
        _ if twice.is_some() => wrong(Wrong::Twice),
        None | Some("null") => Ok(Ping { validation_code: None }),
        Some(code) if !is_text(code) => wrong(Wrong::Type { wanted: "text", found: kind_of(code) }),
        Some(code) => Ok(Ping { validation_code: Some(plain_text(code).into_owned()) }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_code_is_read_as_text() {
        for (body, wanted) in [
            (r#"{"payload":"ping","validation_code":"0123"}"#, Ok(Some("0123"))),
            (r#"{"validation_code":"a\"b\u0063","payload":"ping"}"#, Ok(Some("a\"bc"))),
            (r#"{"payload":"ping"}"#, Ok(None)),
            (r#"{"payload":"ping","validation_code":null}"#, Ok(None)),
            (
                r#"{"validation_code":"a","validation_code":"b"}"#,
                Err("`validation_code`: stands there twice; leave one out"),
            ),
            (r#"{"validation_code":["a"]}"#, Err("`validation_code`: must be text, found an array")),
            (r#"["validation_code"]"#, Err("`event`: must be an object, found an array")),
        ] {
            let read = ping(body.as_bytes()).map(|ping| ping.validation_code);
            let read = read.as_ref().map(Option::as_deref).map_err(ToString::to_string);
            assert_eq!(read, wanted.map_err(str::to_owned), "{body}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_no_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            drop(ping(&body));
            drop(ping(&[br#"{"validation_code":""#, body.as_slice(), br#""}"#].concat()));
        }
    }
}
