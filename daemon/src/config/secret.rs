//! A text that cannot be printed: no `Debug` of its content, no `Display`, no `Serialize`;
//! and the bytes that it stands for.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Before the base64 of a key, says that it is one: the spelling of Standard Webhooks.
pub const WHSEC: &str = "whsec_";

/// Some write the `=` at the end and some do not.
pub const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret's text. `reveal` is the only way to its content, so that every use can be found.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Letters of a secret made here, as in Track's published sample: about 114 bits.
const LETTERS: usize = 20;

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// A new one: letters A to Z and a to z from the system's cryptographic generator.
    pub fn make() -> Secret {
        const ALPHABET: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let letter = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
        Secret((0..LETTERS).map(letter).collect())
    }

    /// The text itself. Sign with it or show it on explicit demand; never log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The key that Standard Webhooks signs with: what stands behind `whsec_`, decoded. Any
    /// other text is the key itself, as Track takes it.
    pub fn standard_key(&self) -> Cow<'_, [u8]> {
        match self.0.strip_prefix(WHSEC).and_then(decoded) {
            Some(key) => Cow::Owned(key),
            None => Cow::Borrowed(self.0.as_bytes()),
        }
    }

    /// Whether it claims to be base64 and is not.
    pub fn is_garbled(&self) -> bool {
        self.0.strip_prefix(WHSEC).is_some_and(|encoded| decoded(encoded).is_none())
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    LENIENT_BASE64.decode(text).ok().filter(|key| !key.is_empty())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_secret_is_twenty_letters_and_never_the_same() {
        let secret = Secret::make();
        assert_eq!(secret.reveal().len(), 20);
        assert!(secret.reveal().bytes().all(|byte| byte.is_ascii_alphabetic()));
        assert_ne!(secret, Secret::make());
    }
}
