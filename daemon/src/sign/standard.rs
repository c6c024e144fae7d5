//! Standard Webhooks 1.0.0, the symmetric scheme: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, an HMAC-SHA256 over id, timestamp and body, in base64. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;
use crate::config::secret::{LENIENT_BASE64, WHSEC};

/// The headers' names, in lower case as HTTP/2 wants them.
pub const ID: &str = "webhook-id";
pub const TIMESTAMP: &str = "webhook-timestamp";
pub const SIGNATURE: &str = "webhook-signature";

/// Version 1: symmetric. The header may list several signatures, with spaces between.
const VERSION: &str = "v1,";

/// A secret made ready for signing.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// `whsec_` and base64 is the key in that encoding; any other text is the key itself,
    /// as Track takes it.
    pub fn new(secret: &Secret) -> Key {
        Key::of_bytes(&secret.standard_key())
    }

    pub(super) fn of_bytes(key: &[u8]) -> Key {
        Key(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The value of `webhook-signature`. `second` counts from 1970.
    pub fn sign(&self, id: &str, second: i64, body: &[u8]) -> String {
        format!("{VERSION}{}", STANDARD.encode(self.digest(id, &second.to_string(), body)))
    }

    pub(super) fn digest(&self, id: &str, second: &str, body: &[u8]) -> Vec<u8> {
        self.over(id, second, body).finalize().into_bytes().to_vec()
    }

    /// Whether one of the signatures that `value` lists is right. `second` as the header
    /// has it.
    pub fn verify(&self, id: &str, second: &str, body: &[u8], value: &str) -> bool {
        let claimed =
            value.split(' ').filter_map(|one| LENIENT_BASE64.decode(one.strip_prefix(VERSION)?).ok());
        let mac = self.over(id, second, body);
        // Each is compared in constant time, and all are.
        claimed.fold(false, |right, claimed| right | mac.clone().verify_slice(&claimed).is_ok())
    }

    fn over(&self, id: &str, second: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", second.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The secret as libraries of this scheme expect it.
pub fn encoded(secret: &Secret) -> String {
    format!("{WHSEC}{}", STANDARD.encode(secret.standard_key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secret, id, timestamp, body and signature as the scheme's own libraries test them.
    const PUBLISHED: (&str, &str, i64, &[u8], &str) = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        br#"{"test": 2432232314}"#,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    );

    fn key(secret: &str) -> Key {
        Key::new(&Secret::new(secret.to_owned()))
    }

    #[test]
    fn the_published_vector_is_met() {
        let (secret, id, second, body, signature) = PUBLISHED;
        assert_eq!(key(secret).sign(id, second, body), signature);
        assert!(key(secret).verify(id, "1614265330", body, signature));
    }

    #[test]
    fn any_one_right_signature_of_a_list_is_enough() {
        let (secret, id, _, body, signature) = PUBLISHED;
        let verify = |value: &str| key(secret).verify(id, "1614265330", body, value);
        let wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
        assert!(verify(&format!("{wrong} v2,x {signature}")));
        assert!(verify(signature.trim_end_matches('=')));
        for value in [wrong, "", "v1,", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1a,x", "v1,%"] {
            assert!(!verify(value), "{value:?}");
        }
    }

    #[test]
    fn everything_signed_counts() {
        let (secret, id, second, body, signature) = PUBLISHED;
        let other_body = [body, b"\n"].concat();
        assert_ne!(key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign(id, second, body), signature);
        assert_ne!(key(secret).sign("msg_2", second, body), signature);
        assert_ne!(key(secret).sign(id, second + 1, body), signature);
        assert_ne!(key(secret).sign(id, second, &other_body), signature);
    }

    #[test]
    fn a_secret_is_the_same_key_in_both_encodings() {
        for text in ["PGuRrhCFajIyEvFlreKL", "größer", "a"] {
            let (plain, encoded) = (key(text), key(&encoded(&Secret::new(text.to_owned()))));
            assert_eq!(plain.sign("1", 2, b"3"), encoded.sign("1", 2, b"3"), "{text}");
        }
        let published = Secret::new(PUBLISHED.0.to_owned());
        assert_eq!(encoded(&published), PUBLISHED.0);
        assert!(!published.is_garbled());
        assert!(Secret::new("whsec_not base64".to_owned()).is_garbled());
        assert!(Secret::new("whsec_".to_owned()).is_garbled());
        assert!(!Secret::new("PGuRrhCFajIyEvFlreKL".to_owned()).is_garbled());
    }
}
