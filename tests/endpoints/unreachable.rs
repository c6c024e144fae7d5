//! Endpoints that are not there, or only now and then, or on one address of two.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::row::{check, row_at};
use crate::harness::endpoint::Manners;
use crate::harness::script::{OK, always};
use crate::harness::{Endpoint, Receiver, Relay, event, wait_until};

/// A port that is taken and where nobody listens: all who come are refused.
struct Deaf {
    port: u16,
    _sockets: Vec<Socket>,
}

impl Deaf {
    /// At each of these addresses, at the same port.
    fn at(hosts: &[&str]) -> Deaf {
        wait_until("a port that is free on all addresses", || Deaf::beside(free_port(), hosts))
    }

    fn beside(port: u16, hosts: &[&str]) -> Option<Deaf> {
        let bind = |host: &&str| {
            let address: SocketAddr = format!("{host}:{port}").parse().unwrap();
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.bind(&address.into()).ok()?;
            Some(socket)
        };
        Some(Deaf { port, _sockets: hosts.iter().map(bind).collect::<Option<_>>()? })
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Listens on one address; the other one refuses.
fn on_one_of_two(here: &str, there: &str) -> (Endpoint, Deaf) {
    wait_until("a port that is free on both addresses", || {
        let deaf = Deaf::beside(free_port(), &[there])?;
        let endpoint = Endpoint::at(&format!("{here}:{}", deaf.port), Manners::Plain(always(OK))).ok()?;
        Some((endpoint, deaf))
    })
}

#[test]
fn who_is_not_there_is_named() {
    let (nobody, neither) = (Deaf::at(&["127.0.0.1"]), Deaf::at(&["127.0.0.1", "[::1]"]));
    let (fourth, _deaf_sixth) = on_one_of_two("127.0.0.1", "[::1]");
    let (sixth, _deaf_fourth) = on_one_of_two("[::1]", "127.0.0.1");
    let url = |host: &str, port: u16| format!("http://{host}:{port}/");
    check(&[
        row_at("nobody", &url("127.0.0.1", nobody.port))
            .fails("connection refused, nothing listens on 127.0.0.1:"),
        row_at("nobody-over-tls", &url("127.0.0.1", nobody.port).replace("http", "https"))
            .fails("connection refused, nothing listens on 127.0.0.1:"),
        row_at("neither", &url("localhost", neither.port)).fails(" and [::1]:"),
        row_at("on-127-only", &url("localhost", fourth.port())).delivers(200),
        row_at("on-1-only", &url("localhost", sixth.port())).delivers(200),
        row_at("by-its-own-name", &url("api.localhost", sixth.port())).delivers(200),
        row_at("a-name-nobody-has", "http://no-such-host.invalid/")
            .fails("failed to look up `no-such-host.invalid`"),
    ]);
}

/// Ten times away and back: nothing is lost, doubled or out of order, no attempt is used
/// up, and while it is away it is looked for now and then, not without a pause.
#[test]
fn a_target_that_comes_and_goes_is_waited_for() {
    const ROUNDS: i64 = 10;
    const EACH: i64 = 4;
    let receiver = Receiver::start();
    // Any attempt that counts would disable it.
    let keys = "when_unreachable = \"wait\"\nretry = []\ndisable_after = 1\norder = \"subscription\"\n";
    let relay = Relay::start(&(receiver.table("all") + keys));
    let refused = || relay.metric("trackrelay_attempts_total{subscription=\"all\",result=\"refused\"}");
    let mut away = Duration::ZERO;
    for round in 0..ROUNDS {
        receiver.stop();
        let since = Instant::now();
        let before = refused().unwrap_or_default();
        let events: Vec<_> = (1..=EACH).map(|n| event("tag.created", round * EACH + n)).collect();
        relay.send_all(&events);
        wait_until("it is looked for", || (refused() > Some(before)).then_some(()));
        receiver.start_again();
        receiver.wait_for(((round + 1) * EACH) as usize);
        away += since.elapsed();
        relay.wait_for("all", "has delivered", |it| it["pending"] == 0 && it["status"] == "enabled");
    }
    let ids = receiver.ids_at("all");
    assert_eq!(ids, (1..=ROUNDS * EACH).collect::<Vec<_>>());
    for id in ids {
        assert_eq!(relay.decision(id, "all")["attempts"].as_array().unwrap().len(), 1, "event {id}");
    }
    // The first look of each round, and then at most two a second.
    let most = ROUNDS as f64 + away.as_secs_f64() * 2.0;
    let looks = refused().unwrap_or_default();
    assert!(looks <= most, "{looks} looks in {away:?}");
}

/// Many lanes find nobody at once; from then on it is looked for by one.
#[test]
fn while_it_is_away_one_looks_for_all() {
    const LANES: i64 = 60;
    let receiver = Receiver::start();
    receiver.stop();
    let relay = Relay::start(&(receiver.table("all") + "when_unreachable = \"wait\"\nconcurrency = 8\n"));
    relay.send_all(&(1..=LANES).map(|id| event("tag.created", id).of(id)).collect::<Vec<_>>());
    let state = relay.wait_for_status("all", "pending");
    // After half a second, and again a second later.
    for _ in 0..2 {
        let seen = relay.subscription("all")["retry_at"].clone();
        relay.wait_for("all", "is looked for again", |it| it["retry_at"] != seen);
    }
    let looks = relay.metric("trackrelay_attempts_total{subscription=\"all\",result=\"refused\"}");
    assert!(looks.is_some_and(|looks| looks <= 8.0 + 3.0), "{looks:?} looks");
    assert_eq!((&state["failed_attempts"], &state["delivered"]), (&0.into(), &0.into()));
    receiver.start_again();
    relay.wait_for("all", "has delivered", |it| it["delivered"] == LANES && it["pending"] == 0);
    let ids = receiver.ids_at("all");
    assert_eq!((ids.len(), ids.into_iter().collect::<HashSet<_>>().len()), (LANES as usize, LANES as usize));
}

/// Whoever accepts a connection is there. That it hangs up counts, whatever
/// `when_unreachable` says: a refusal is the system's word, this is the endpoint's.
#[test]
fn accepting_and_closing_is_no_refusal() {
    let endpoint = Endpoint::start(Manners::Plain(Vec::new()));
    let table = format!(
        "[subscription.all]\nurl_callback = \"{}\"\nevent_filters = [\"*.*\"]\nvalidation = \"off\"\n\
         when_unreachable = \"wait\"\nretry = [\"20ms\", \"20ms\"]\n",
        endpoint.url("all")
    );
    let relay = Relay::start(&table);
    relay.send(&event("tag.created", 1));
    let state = relay.wait_for_status("all", "disabled");
    let reason = state["disabled_reason"].as_str().unwrap();
    assert!(reason.contains("the connection before it had answered"), "{reason}");
    assert_eq!(relay.decision(1, "all")["attempts"].as_array().unwrap().len(), 3);
}
