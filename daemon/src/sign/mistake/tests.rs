//! Each usual mistake is made on purpose and must be found.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::sign::Key;

const SECRET: &str = "PGuRrhCFajIyEvFlreKL";
const BODY: &str = r#"{"event_id":5,"created_at":"2025-09-10T08:15:30.991Z","metadata":{"action":"created","model":"tag"},"payload":{"id":9007199254740993,"name":"größer <b> & \"so\""},"subscription_id":6}"#;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// What comes of a body, a secret and a signature.
fn verdict(body: &[u8], key: &str, signature: &str) -> Verdict {
    examine(&Claim { body, secret: &secret(key), signature, standard: None })
}

fn signed(body: &[u8]) -> String {
    Key::new(&secret(SECRET)).sign(body)
}

/// The one mistake that is found; its words must hold `part`.
fn explains(found: Verdict, part: &str) {
    let Verdict::Mistaken(mistakes) = found else { panic!("{part}: {found:?}") };
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].contains(part), "{part}: {mistakes:?}");
}

#[test]
fn what_is_right_is_right() {
    assert_eq!(verdict(BODY.as_bytes(), SECRET, &signed(BODY.as_bytes())), Verdict::Right);
    assert_eq!(verdict(b"", SECRET, &signed(b"")), Verdict::Right);
    assert_eq!(verdict(b"\xff\x00\n", SECRET, &signed(b"\xff\x00\n")), Verdict::Right);
}

#[test]
fn a_body_that_was_changed_on_the_way_is_recognised() {
    let value: Value = serde_json::from_str(BODY).unwrap();
    let mut keys_sorted = sorted_text(&value);
    keys_sorted.push('\n');
    let table = [
        (format!("{BODY}\n"), "line break at its end"),
        (format!("{BODY}\r\n"), "line break at its end"),
        (format!("\u{feff}{BODY}"), "byte order mark"),
        (format!("{value:#}"), "parsed and written again"),
        (format!("{value:#}\n"), "parsed and written again"),
        (BODY.replace("ö", "\\u00f6"), "parsed and written again"),
        (BODY.replace('<', "\\u003c"), "parsed and written again"),
        (keys_sorted, "another order"),
    ];
    for (body, part) in table {
        explains(verdict(body.as_bytes(), SECRET, &signed(BODY.as_bytes())), part);
    }
}

/// As a parser without an order of its own would write it.
fn sorted_text(value: &Value) -> String {
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_value(value.clone()).unwrap();
    serde_json::to_string_pretty(&sorted).unwrap()
}

#[test]
fn a_sender_that_did_not_sign_the_compact_bytes_is_recognised() {
    let loose = BODY.replace("\":", "\": ").replace(",\"", ", \"");
    explains(verdict(BODY.as_bytes(), SECRET, &signed(loose.as_bytes())), "more compactly");
    explains(verdict(BODY.as_bytes(), SECRET, &signed(format!("{BODY}\n").as_bytes())), "lacks a line break");
    let escaped = BODY.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    explains(verdict(BODY.as_bytes(), SECRET, &signed(escaped.as_bytes())), "parsed and written again");
    let ascii = BODY.replace("ö", "\\u00f6").replace("ß", "\\u00df");
    explains(verdict(BODY.as_bytes(), SECRET, &signed(ascii.as_bytes())), "parsed and written again");
}

#[test]
fn a_secret_that_was_mangled_is_recognised() {
    let body = BODY.as_bytes();
    let signed_with = |key: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    };
    let table: [(&str, &[u8], &str); 8] = [
        ("PGuRrhCFajIyEvFlreKL\n", SECRET.as_bytes(), "line break around it"),
        (" PGuRrhCFajIyEvFlreKL", SECRET.as_bytes(), "line break around it"),
        ("\"PGuRrhCFajIyEvFlreKL\"", SECRET.as_bytes(), "quotes"),
        (SECRET, b"PGuRrhCFajIyEvFlreKL\n", "ends in a line break"),
        ("c2VjcmV0", b"secret", "from base64"),
        ("whsec_c2VjcmV0", b"secret", "from base64"),
        ("736563726574", b"secret", "from hex"),
        ("secret", b"c2VjcmV0", "encoded the secret"),
    ];
    for (given, key, part) in table {
        explains(verdict(body, given, &signed_with(key)), part);
    }
}

#[test]
fn a_signature_that_was_miscopied_is_recognised() {
    let (body, right) = (BODY.as_bytes(), signed(BODY.as_bytes()));
    let digits = right.strip_prefix("sha256=").unwrap();
    let base64 = STANDARD.encode(super::super::decode_hex(digits).unwrap());
    let table = [
        (digits.to_owned(), "lacks `sha256=`"),
        (format!(" {right}"), "white space"),
        (format!("X-Webhook-Signature-256: {right}"), "header's name"),
        (format!("sha256={}", digits.to_ascii_uppercase()), "upper case"),
        (format!("sha256={base64}"), "is base64"),
        (base64, "is base64"),
    ];
    for (written, part) in table {
        explains(verdict(body, SECRET, &written), part);
    }
}

#[test]
fn several_mistakes_at_once_are_all_told() {
    let right = signed(BODY.as_bytes());
    let digits = right.strip_prefix("sha256=").unwrap();
    let found = verdict(format!("{BODY}\n").as_bytes(), "PGuRrhCFajIyEvFlreKL\n", digits);
    let Verdict::Mistaken(mistakes) = found else { panic!("{found:?}") };
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
}

#[test]
fn standard_webhooks_are_told_apart() {
    let body = br#"{"test": 2432232314}"#;
    let (id, second) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let check = |key: &str, signature: &str, id: &str| {
        examine(&Claim { body, secret: &secret(key), signature, standard: Some((id, second)) })
    };
    let right = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(check(right, signature, id), Verdict::Right);
    explains(check("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signature, id), "lacks `whsec_`");
    explains(check(&format!("{right}\n"), signature, id), "line break around it");
    explains(check(right, &signature[3..], id), "lacks `v1,`");
    let textual = standard::Key::of_bytes(right.as_bytes()).sign(id, 1_614_265_330, body);
    explains(check(right, &textual, id), "text for the key");
    assert_eq!(check(right, signature, "msg_2"), Verdict::Unexplained);
    assert!(matches!(check(right, "v1,short", id), Verdict::Unreadable(_)));
    assert!(matches!(verdict(body, right, signature), Verdict::Unreadable(why) if why.contains("`--id`")));
}

#[test]
fn what_is_no_signature_is_said_to_be_none() {
    for (written, part) in [
        ("", "empty"),
        ("  ", "empty"),
        ("sha1=abc", "another hash"),
        ("sha256=abc", "was all of it copied"),
        ("sha256=ö", "was all of it copied"),
    ] {
        let found = verdict(b"x", SECRET, written);
        assert!(matches!(found, Verdict::Unreadable(why) if why.contains(part)), "{written}: {found:?}");
    }
}

proptest! {
    /// Nothing is taken for right that is not, and nothing panics.
    #[test]
    fn another_signature_never_verifies(body in proptest::collection::vec(any::<u8>(), 0..60), text in "\\PC{0,20}", signature in "\\PC{0,90}") {
        let found = verdict(&body, &text, &signature);
        prop_assert!(matches!(found, Verdict::Unexplained | Verdict::Unreadable(_)), "{:?}", found);
    }
}
