//! Connections that are kept between deliveries, and endpoints that end them at the worst
//! moment: no attempt is lost to that, none is counted, and no answer goes to another's request.

use std::time::Duration;

use super::row::{check, row};
use crate::harness::authority::{Authority, Flaw};
use crate::harness::endpoint::Manners::{self, Http2, Plain, Tls};
use crate::harness::frames::{Frame, GOES, GONE, REFUSED_STREAM};
use crate::harness::script::Step::{Again, Hang, Head, Pause, Request, Reset};
use crate::harness::script::{OK, say};
use crate::harness::{Endpoint, Relay, SECRET, event};

const EVENTS: i64 = 12;
const NO: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";

/// Every connection answers one request, and is closed around the next one.
#[test]
fn a_close_between_two_deliveries_costs_no_attempt() {
    let authority = Authority::new("our company");
    let (one, two) = (authority.server(Flaw::None, &["http/1.1"]), authority.server(Flaw::None, &["h2"]));
    let endpoints: Vec<(&str, Manners)> = vec![
        // Closed under several requests at once, which of them were read nobody can tell: this
        // one is for the first round only, in which they go one by one.
        ("http2-at-the-next-request", Http2(two.clone(), |_| vec![vec![Frame::Ok], vec![Frame::Close]])),
        ("once-answered", Plain(vec![Request, say(OK)])),
        ("once-answered-by-reset", Plain(vec![Request, say(OK), Pause(Duration::from_millis(1)), Reset])),
        ("at-the-next-head", Plain(vec![Request, say(OK), Head])),
        ("at-the-next-head-by-reset", Plain(vec![Request, say(OK), Head, Reset])),
        ("at-the-next-request", Plain(vec![Request, say(OK), Request])),
        ("at-the-next-request-by-reset", Plain(vec![Request, say(OK), Request, Reset])),
        ("over-tls-once-answered", Tls(one.clone(), vec![Request, say(OK)])),
        ("over-tls-at-the-next-request", Tls(one.clone(), vec![Request, say(OK), Request])),
        ("over-tls-by-reset", Tls(one, vec![Request, say(OK), Request, Reset])),
        ("http2-goes-after-an-answer", Http2(two.clone(), |_| vec![vec![Frame::Ok, GOES]])),
        ("http2-goes-unread", Http2(two.clone(), |_| vec![vec![Frame::Ok], vec![GONE]])),
        ("http2-goes-and-answers", Http2(two.clone(), |_| vec![vec![Frame::Ok], vec![GOES, Frame::Ok]])),
        (
            "http2-refuses-the-stream",
            Http2(two, |_| vec![vec![Frame::Ok], vec![Frame::Reset(REFUSED_STREAM)]]),
        ),
    ];
    let endpoints: Vec<_> =
        endpoints.into_iter().map(|(name, manners)| (name, Endpoint::start(manners))).collect();
    for (order, endpoints) in [("subscription", &endpoints[..]), ("entity", &endpoints[1..])] {
        let tables: String = endpoints.iter().map(|(name, endpoint)| table(name, endpoint, order)).collect();
        let relay = trusting(&authority, &tables);
        relay.send_all(&(1..=EVENTS).map(|id| event("tag.created", id).of(id)).collect::<Vec<_>>());
        for (name, _) in endpoints {
            relay.wait_for(name, "has delivered", |it| {
                it["delivered"] == EVENTS && it["failed_attempts"] == 0
            });
            let series =
                |result| format!("trackrelay_attempts_total{{subscription=\"{name}\",result=\"{result}\"}}");
            let made =
                ["ok", "failed", "refused"].map(|result| relay.metric(&series(result)).unwrap_or_default());
            assert_eq!(made, [EVENTS as f64, 0.0, 0.0], "attempts of `{name}` that are ok, failed, refused");
        }
    }
    for (name, endpoint) in &endpoints {
        let (requests, most) = (endpoint.requests() as i64, 2 * 2 * EVENTS);
        assert!(requests <= most, "`{name}` took {requests} requests, more than twice each");
    }
}

/// What comes after the end of an answer belongs to nobody: least of all is it the answer
/// to the next request, whoever's that is.
#[test]
fn a_second_answer_is_never_taken_for_the_next_one() {
    check(&[
        row("refusal-and-answer", [Request, say(&format!("{NO}{OK}")), Again])
            .fails_with(500, "answered 500"),
        row("refusal-and-half", [Request, say(&format!("{NO}{}", &OK[..20])), Again])
            .fails_with(500, "answered 500"),
        row("longer-than-it-says", [Request, say(&format!("{NO}and more")), Again])
            .fails_with(500, "answered 500"),
        row("204-with-an-answer", [Request, say(&format!("HTTP/1.1 204 No\r\n\r\n{NO}")), Again])
            .delivers(204),
    ]);
}

/// The same when it comes while the connection is idle, and the next delivery is that of
/// another subscription.
#[test]
fn an_answer_nobody_asked_for_ends_the_connection() {
    let script = vec![Request, say(NO), Pause(Duration::from_millis(20)), say(OK), Hang];
    let endpoint = Endpoint::start(Plain(script));
    let table = |name: &str, action: &str| {
        table(name, &endpoint, "entity").replace("*.*", action) + "retry = []\ndisable_after = 100\n"
    };
    let relay = Relay::start(&(table("first", "tag.created") + &table("second", "tag.updated")));
    for id in 1..=10 {
        let (name, action) = if id % 2 == 1 { ("first", "created") } else { ("second", "updated") };
        relay.send(&event(&format!("tag.{action}"), id));
        relay.wait_for_outcome(id, name, "failed");
        endpoint.wait_for_ends(id as usize);
    }
    assert_eq!((endpoint.requests(), endpoint.connections()), (10, 10));
}

/// A connection that fell silent, as after a night's sleep, costs one attempt and not all.
#[test]
fn a_connection_that_missed_the_timeout_is_not_used_again() {
    let authority = Authority::new("our company");
    let endpoint = Endpoint::start(Http2(authority.server(Flaw::None, &["h2"]), |before| match before {
        0 => vec![vec![Frame::Ok], vec![]],
        _ => vec![vec![Frame::Ok]],
    }));
    let relay =
        trusting(&authority, &(table("all", &endpoint, "entity") + "timeout = \"1s\"\nretry = [\"20ms\"]\n"));
    relay.send(&event("tag.created", 1));
    relay.wait_for_outcome(1, "all", "delivered");
    relay.send(&event("tag.created", 2));
    let decision = relay.wait_for_outcome(2, "all", "delivered");
    assert_eq!(decision["attempts"].as_array().unwrap().len(), 2, "{decision:#}");
    assert_eq!(endpoint.connections(), 2);
}

fn table(name: &str, endpoint: &Endpoint, order: &str) -> String {
    format!(
        "\n[subscription.{name}]\nurl_callback = \"{}\"\nevent_filters = [\"*.*\"]\nsecret = \"{SECRET}\"\n\
         validation = \"off\"\norder = \"{order}\"\n",
        endpoint.url(name)
    )
}

/// A daemon that trusts an authority.
fn trusting(authority: &Authority, tables: &str) -> Relay {
    let mut relay = Relay::prepare(tables);
    let trusted = relay.path("authority.pem");
    authority.write(&trusted);
    relay.set_env("SSL_CERT_FILE", trusted.to_str().unwrap());
    relay.start_again();
    relay
}
