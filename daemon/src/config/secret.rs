//! A text that cannot be printed: no `Debug` of its content, no `Display`, no `Serialize`.

use std::fmt;

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
