//! `X-Webhook-Signature-256`, made and checked, as Track does it: HMAC-SHA256 over the
//! exact bytes of the body, keyed with the bytes of the secret's text. Pure.
//!
//! The three headers of Standard Webhooks are `sign/standard.rs`; why a signature does not
//! fit is `sign/mistake.rs`.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::config::{Secret, SignatureScheme};

pub mod mistake;
pub mod standard;

/// The header's name, in lower case as HTTP/2 wants it.
pub const HEADER: &str = "x-webhook-signature-256";

const PREFIX: &str = "sha256=";

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Signs what one subscription sends, in each scheme it asks for.
#[derive(Debug)]
pub struct Signer {
    track: Option<Key>,
    standard: Option<standard::Key>,
}

impl Signer {
    pub fn new(schemes: &[SignatureScheme], secret: &Secret) -> Signer {
        let wanted = |scheme| schemes.contains(&scheme);
        Signer {
            track: wanted(SignatureScheme::Track).then(|| Key::new(secret)),
            standard: wanted(SignatureScheme::StandardWebhooks).then(|| standard::Key::new(secret)),
        }
    }

    /// Hands out the headers that sign these bytes. `id` is the same whenever the same
    /// thing is sent again; `now` is the moment of this attempt.
    pub fn sign(&self, body: &[u8], id: &str, now: Timestamp, mut put: impl FnMut(&'static str, &str)) {
        if let Some(key) = &self.track {
            put(HEADER, &key.sign(body));
        }
        if let Some(key) = &self.standard {
            let second = now.as_second();
            put(standard::ID, id);
            put(standard::TIMESTAMP, &second.to_string());
            put(standard::SIGNATURE, &key.sign(id, second, body));
        }
    }
}

/// A secret made ready for signing. Cloning it is cheaper than making it.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    pub fn new(secret: &Secret) -> Key {
        let mac = Hmac::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes keys of any length");
        Key(mac)
    }

    /// The header's value for this body: `sha256=` and 64 lowercase hex digits.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(body);
        let mut value = String::with_capacity(PREFIX.len() + 64);
        value.push_str(PREFIX);
        for byte in mac.finalize().into_bytes() {
            value.extend([byte >> 4, byte & 15].map(|nibble| char::from(DIGITS[usize::from(nibble)])));
        }
        value
    }

    /// Whether `value` is this body's signature. Takes the same time wherever they differ.
    pub fn verify(&self, body: &[u8], value: &str) -> bool {
        let Some(claimed) = value.strip_prefix(PREFIX).and_then(decode_hex) else { return false };
        let mut mac = self.0.clone();
        mac.update(body);
        mac.verify_slice(&claimed).is_ok()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Whether this has the form of a signature, right or wrong.
pub fn is_formed(value: &str) -> bool {
    value.strip_prefix(PREFIX).and_then(decode_hex).is_some()
}

/// 64 lowercase hex digits as bytes; Track never sends upper case.
fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::*;

    fn vectors(text: &str) -> Vec<(String, Key, Vec<u8>, String)> {
        let list: Vec<Value> = serde_json::from_str(text).unwrap();
        let word = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let read = |entry: &Value| {
            let body = STANDARD.decode(word(entry, "body_base64")).unwrap();
            (
                word(entry, "name"),
                Key::new(&Secret::new(word(entry, "secret"))),
                body,
                word(entry, "signature"),
            )
        };
        list.iter().map(read).collect()
    }

    #[test]
    fn published_and_computed_signatures_are_met_exactly() {
        let vectors = vectors(include_str!("../../tests/vectors/signing.json"));
        assert!(vectors.len() >= 10);
        for (name, key, body, signature) in vectors {
            assert_eq!(key.sign(&body), signature, "{name}");
            assert!(key.verify(&body, &signature), "{name}");
        }
    }

    #[test]
    fn wrong_signatures_are_refused() {
        let vectors = vectors(include_str!("../../tests/vectors/signing-negative.json"));
        assert!(vectors.len() >= 9);
        for (name, key, body, signature) in vectors {
            assert!(!key.verify(&body, &signature), "{name}");
        }
    }

    #[test]
    fn a_key_does_not_print_its_secret() {
        let key = Key::new(&Secret::new("PGuRrhCFajIyEvFlreKL".into()));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
