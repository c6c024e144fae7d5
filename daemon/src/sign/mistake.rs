//! Why a signature does not fit: the mistakes people make with signed webhooks, tried one
//! after the other, and which of them explains it. Pure.
//!
//! Each part of a check may be wrong: the body that was hashed, the secret, the way the
//! signature is written. What is tried is every reading of each part with every reading of
//! the others, those with the fewest mistakes first.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::standard;
use crate::config::Secret;
use crate::config::secret::{LENIENT_BASE64, WHSEC};

mod bodies;

/// What is to be checked.
pub struct Claim<'a> {
    pub body: &'a [u8],
    pub secret: &'a Secret,
    /// The header's value, as somebody copied it.
    pub signature: &'a str,
    /// `webhook-id` and `webhook-timestamp`: it is a signature of Standard Webhooks.
    pub standard: Option<(&'a str, &'a str)>,
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// Wrong as it stands, but right once these mistakes are undone. Each is a sentence
    /// that says what is wrong and the way out.
    Mistaken(Vec<&'static str>),
    /// It is no signature at all; says why.
    Unreadable(&'static str),
    /// Another secret, or other bytes than were signed.
    Unexplained,
}

/// One way to read a part. Without a mistake it is read as it should be.
struct Reading {
    bytes: Vec<u8>,
    mistake: Option<&'static str>,
}

impl Reading {
    fn right(bytes: &[u8]) -> Reading {
        Reading { bytes: bytes.to_vec(), mistake: None }
    }

    fn mistaken(bytes: impl Into<Vec<u8>>, mistake: &'static str) -> Reading {
        Reading { bytes: bytes.into(), mistake: Some(mistake) }
    }
}

/// Checks a signature and, if it is wrong, looks for what would explain it.
pub fn examine(claim: &Claim<'_>) -> Verdict {
    let signatures = match signatures(claim) {
        Ok(signatures) => signatures,
        Err(why) => return Verdict::Unreadable(why),
    };
    let (secrets, bodies) = (secrets(claim), bodies::readings(claim.body));
    let mut found: Option<Vec<&'static str>> = None;
    for secret in &secrets {
        for body in &bodies {
            let digest = digest(&secret.bytes, claim.standard, &body.bytes);
            for signature in signatures.iter().filter(|signature| signature.bytes == digest) {
                let mistakes: Vec<_> =
                    [signature, secret, body].into_iter().filter_map(|reading| reading.mistake).collect();
                if found.as_ref().is_none_or(|found| mistakes.len() < found.len()) {
                    found = Some(mistakes);
                }
            }
        }
    }
    match found {
        None => Verdict::Unexplained,
        Some(mistakes) if mistakes.is_empty() => Verdict::Right,
        Some(mistakes) => Verdict::Mistaken(mistakes),
    }
}

fn digest(key: &[u8], standard: Option<(&str, &str)>, body: &[u8]) -> Vec<u8> {
    match standard {
        Some((id, second)) => standard::Key::of_bytes(key).digest(id, second, body),
        None => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(body);
            mac.finalize().into_bytes().to_vec()
        }
    }
}

/// What the signature's text may stand for.
fn signatures(claim: &Claim<'_>) -> Result<Vec<Reading>, &'static str> {
    match claim.standard {
        Some(_) => standard_signatures(claim.signature),
        None => track_signatures(claim.signature),
    }
}

fn track_signatures(written: &str) -> Result<Vec<Reading>, &'static str> {
    const NAMED: &str = "the signature has the header's name before it: pass what stands behind the colon";
    const BARE: &str = "the signature lacks `sha256=`: compare the header's whole value";
    const SPACED: &str = "the signature has white space around it: trim the header's value";
    const UPPER: &str = "the signature is in upper case: Track writes lowercase hex digits";
    const BASE64: &str = "the signature is base64: Track writes lowercase hex digits";
    let mut text = written;
    let mut mistake = None;
    if text.trim() != text {
        (text, mistake) = (text.trim(), Some(SPACED));
    }
    let named = text.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(super::HEADER));
    if let Some((_, value)) = named {
        (text, mistake) = (value.trim(), Some(NAMED));
    }
    if text.is_empty() {
        return Err("the signature is empty");
    }
    if ["sha1=", "sha512=", "md5="].iter().any(|other| text.starts_with(other)) {
        return Err("the signature is of another hash than SHA-256, which is all that Track uses");
    }
    let digits = match text.strip_prefix("sha256=").or(text.strip_prefix("SHA256=")) {
        Some(digits) => digits,
        None => {
            mistake = mistake.or(Some(BARE));
            text
        }
    };
    if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let lower = digits.to_ascii_lowercase();
        let mistake = if lower == digits { mistake } else { Some(UPPER) };
        let bytes = super::decode_hex(&lower).map(Vec::from).unwrap_or_default();
        return Ok(vec![Reading { bytes, mistake }]);
    }
    let decoded = LENIENT_BASE64.decode(digits).or_else(|_| URL_SAFE.decode(digits));
    match decoded {
        Ok(bytes) if bytes.len() == 32 => Ok(vec![Reading::mistaken(bytes, BASE64)]),
        _ if text.starts_with("v1,") => {
            Err("this is a signature of Standard Webhooks: pass `--id` and `--timestamp` too, \
             from the headers `webhook-id` and `webhook-timestamp`")
        }
        _ => Err("the signature is not `sha256=` and 64 hex digits: was all of it copied?"),
    }
}

fn standard_signatures(written: &str) -> Result<Vec<Reading>, &'static str> {
    const BARE: &str = "the signature lacks `v1,`: compare the header's whole value";
    let one = |text: &str| {
        let (encoded, mistake) = match text.strip_prefix("v1,") {
            Some(encoded) => (encoded, None),
            None => (text, Some(BARE)),
        };
        let bytes = LENIENT_BASE64.decode(encoded).ok().filter(|bytes| bytes.len() == 32)?;
        Some(Reading { bytes, mistake })
    };
    let readings: Vec<_> = written.split_whitespace().filter_map(one).collect();
    match readings.is_empty() {
        true => Err("none of it is `v1,` and the base64 of 32 bytes: was all of `webhook-signature` copied?"),
        false => Ok(readings),
    }
}

/// What the key may have been.
fn secrets(claim: &Claim<'_>) -> Vec<Reading> {
    let text = claim.secret.reveal();
    let key = |text: &str| match claim.standard {
        Some(_) => Secret::new(text.to_owned()).standard_key().into_owned(),
        None => text.as_bytes().to_vec(),
    };
    let mut readings = vec![Reading::right(&key(text))];
    let mut tried = |bytes: Vec<u8>, mistake: &'static str| {
        if !readings.iter().any(|reading| reading.bytes == bytes) {
            readings.push(Reading::mistaken(bytes, mistake));
        }
    };
    let trimmed = text.trim();
    tried(
        key(trimmed),
        "the secret was given with white space or a line break around it: remove that, \
         wherever the receiver reads its secret from",
    );
    let unquoted = trimmed.trim_matches(['"', '\'']);
    tried(key(unquoted), "the secret was given with quotes around it: remove them");
    tried(
        format!("{trimmed}\n").into(),
        "the sender's secret ends in a line break that this one lacks: a file it came from was read whole",
    );
    let bare = unquoted.strip_prefix(WHSEC).unwrap_or(unquoted);
    if claim.standard.is_some() {
        tried(
            unquoted.into(),
            "the sender took the secret's text for the key; Standard Webhooks decodes what stands behind `whsec_`",
        );
    }
    if let Ok(key) = LENIENT_BASE64.decode(bare) {
        let mistake = match claim.standard {
            None => {
                "the sender decoded the secret from base64; for Track the key is the secret's text as it is"
            }
            Some(_) => {
                "the sender decoded the secret from base64, yet it lacks `whsec_`: write that before it"
            }
        };
        tried(key, mistake);
    }
    if let Some(key) = from_hex(bare) {
        tried(key, "the sender decoded the secret from hex; the key is the secret's text as it is");
    }
    tried(
        STANDARD.encode(unquoted).into(),
        "the sender encoded the secret in base64 first; the key is the secret's text as it is",
    );
    readings
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests;
