//! The bytes to send: Track's envelope for one subscription, compact, keys in Track's
//! order, `metadata` and `payload` byte for byte as received. Also Track's PING. Pure.

use bytes::Bytes;
use jiff::Timestamp;

use crate::delivery::SubscriptionId;
use crate::event::Event;

/// The body of a delivery. `now` becomes `timestamp`, fresh on each attempt.
pub fn build(event: &Event, subscription: SubscriptionId, url_callback: &str, now: Timestamp) -> Bytes {
    let (metadata, payload) = (event.metadata_bytes(), event.payload_bytes());
    let mut body = Vec::with_capacity(metadata.len() + payload.len() + url_callback.len() + 224);
    body.extend_from_slice(b"{\"event_id\":");
    push(&mut body, &event.id.0);
    body.extend_from_slice(b",\"created_at\":");
    push(&mut body, &event.created_at_text);
    body.extend_from_slice(b",\"creator_id\":");
    push(&mut body, &event.creator_id);
    body.extend_from_slice(b",\"metadata\":");
    body.extend_from_slice(metadata);
    body.extend_from_slice(b",\"payload\":");
    body.extend_from_slice(payload);
    body.extend_from_slice(b",\"subscription_id\":");
    push(&mut body, &subscription.0);
    body.extend_from_slice(b",\"timestamp\":");
    push(&mut body, &now);
    body.extend_from_slice(b",\"url_callback\":");
    push(&mut body, &url_callback);
    body.push(b'}');
    body.into()
}

/// What a PING says beside its time.
pub struct Ping<'a> {
    pub creator_id: i64,
    pub subscription: SubscriptionId,
    pub url_callback: &'a str,
    /// Code and URL, only for a subscription that is not validated.
    pub validation: Option<(&'a str, &'a str)>,
}

/// The body of a PING, as in Track's published sample.
pub fn ping(ping: &Ping<'_>, now: Timestamp) -> Bytes {
    let mut body = Vec::with_capacity(512);
    body.extend_from_slice(b"{\"event_id\":0,\"created_at\":");
    push(&mut body, &now);
    body.extend_from_slice(b",\"creator_id\":");
    push(&mut body, &ping.creator_id);
    body.extend_from_slice(b",\"metadata\":{\"request_type\":\"POST\",\"event_user_id\":");
    push(&mut body, &ping.creator_id);
    body.extend_from_slice(b"},\"payload\":\"ping\",\"subscription_id\":");
    push(&mut body, &ping.subscription.0);
    body.extend_from_slice(b",\"timestamp\":");
    push(&mut body, &now);
    body.extend_from_slice(b",\"url_callback\":");
    push(&mut body, &ping.url_callback);
    if let Some((code, url)) = ping.validation {
        body.extend_from_slice(b",\"validation_code\":");
        push(&mut body, &code);
        body.extend_from_slice(b",\"validation_code_url\":");
        push(&mut body, &url);
    }
    body.push(b'}');
    body.into()
}

fn push(body: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(body, value).expect("numbers, texts and times always serialise");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::SubscriptionId;
    use crate::event::EventId;
    use crate::event::read::{Fill, read};

    fn event(received: &str) -> Event {
        let fill = Fill { now: Timestamp::UNIX_EPOCH, next_id: &|| EventId(1), only_admin: None };
        read(Bytes::copy_from_slice(received.as_bytes()), &fill).unwrap()
    }

    /// Track's published PING, byte for byte.
    #[test]
    fn a_ping_is_the_published_one() {
        let published = include_str!("../../../tests/vectors/ping-published.raw.json");
        let ping = Ping {
            creator_id: 6,
            subscription: SubscriptionId(6),
            url_callback: "https://callback-url.com",
            validation: None,
        };
        let now = "2022-06-25T03:58:10.207820267Z".parse().unwrap();
        assert_eq!(super::ping(&ping, now), published);
    }

    #[test]
    fn a_ping_with_a_code_has_the_keys_of_the_captured_one() {
        let captured = include_str!("../../../tests/vectors/ping-not-validated.json");
        let ping = Ping {
            creator_id: 5_300_029,
            subscription: SubscriptionId(20_011),
            url_callback: "https://hooks.example.test/toggl",
            validation: Some((
                "0123456789abcdef0123456789abcdef",
                "https://track.toggl.com/webhooks/api/v1/validate/4200017/20011/0123456789abcdef0123456789abcdef",
            )),
        };
        let now = "2025-09-10T08:00:00.123456789Z".parse().unwrap();
        assert_eq!(super::ping(&ping, now), captured);
    }

    /// Times are printed as the service prints them: zeros at the end of the fraction go.
    #[test]
    fn the_timestamp_drops_trailing_zeros() {
        let event = event(r#"{"metadata":{"action":"created","model":"tag"},"payload":{"id":1}}"#);
        for (now, printed) in [("12:00:00.500000000Z", "12:00:00.5Z"), ("12:00:00.000000000Z", "12:00:00Z")] {
            let body = build(
                &event,
                SubscriptionId(1),
                "http://localhost/",
                format!("2025-09-10T{now}").parse().unwrap(),
            );
            let wanted = format!("\"timestamp\":\"2025-09-10T{printed}\"");
            assert!(String::from_utf8_lossy(&body).contains(&wanted), "{body:?}");
        }
    }

    proptest! {
        /// Numbers beyond floats, escapes, key order and white space inside the payload all
        /// go out as they came in; keys around it are Track's, in Track's order.
        #[test]
        fn metadata_and_payload_pass_byte_for_byte(
            number in "-?[1-9][0-9]{0,40}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
            text in "[ -~&&[^\"\\\\]]{0,30}",
            space in "[ \t\r\n]{0,3}",
        ) {
            let payload = format!(r#"{{"z":{number},{space}"a":"\u003c{text}","z2" :{space}[1.0,10e2]}}"#);
            let metadata = r#"{"model":"tag", "action":"updated"}"#;
            let event = event(&format!(r#"{{"extra":1,"payload":{payload},"metadata":{metadata},"event_id":9007199254740993}}"#));
            let body = build(&event, SubscriptionId(7), "http://localhost/\"q", Timestamp::UNIX_EPOCH);
            let wanted = format!(
                r#"{{"event_id":9007199254740993,"created_at":"{}","creator_id":0,"metadata":{metadata},"payload":{payload},"subscription_id":7,"timestamp":"1970-01-01T00:00:00Z","url_callback":"http://localhost/\"q"}}"#,
                event.created_at_text
            );
            prop_assert_eq!(String::from_utf8_lossy(&body).into_owned(), wanted);
        }
    }
}
