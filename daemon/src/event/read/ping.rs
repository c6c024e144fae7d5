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
