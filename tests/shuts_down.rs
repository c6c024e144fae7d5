//! SIGTERM lets what is under way finish; a second signal does not wait.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Answer, Gate, Receiver, Relay, Sender, event, wait_until};

#[test]
fn what_is_under_way_is_finished() {
    let receiver = Receiver::start();
    let gate = Gate::default();
    let held = gate.clone();
    receiver.answer(move |_, _| Answer::status(200).when(&held));
    let mut relay = Relay::start(&receiver.table("all"));
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    relay.signal(Signal::TERM);
    // New work is refused from now on; the delivery under way is not cut.
    let socket = relay.unix();
    wait_until("it listens no more", || Sender::at(&socket).err());
    assert!(!relay.has_ended(), "{}", relay.log());
    gate.open();
    let status = relay.wait_for_end();
    assert!(status.success(), "{status}");
    assert!(relay.runtime_path().is_none(), "no runtime file is left behind");
    assert!(!socket.exists(), "no socket is left behind");
    relay.start_again();
    relay.wait_for_outcome(1, "all", "delivered");
    relay.send(&event("tag.created", 2));
    receiver.wait_for(2);
    assert_eq!(receiver.ids_at("all"), [1, 2], "delivered once");
}

#[test]
fn a_delivery_that_does_not_end_is_cut_and_made_again() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| if before == 0 { Answer::Hang } else { Answer::status(200) });
    let mut relay = Relay::start(&(receiver.table("all") + "timeout = \"5m\"\n"));
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    let started = Instant::now();
    relay.stop();
    assert!(started.elapsed() < Duration::from_secs(15), "within the grace period: {:?}", started.elapsed());
    relay.start_again();
    let decision = relay.wait_for_outcome(1, "all", "delivered");
    assert_eq!(relay.subscription("all")["failed_attempts"], 0, "cut off is not failed: {decision}");
}

#[test]
fn a_second_signal_leaves_at_once() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::Hang);
    let mut relay = Relay::start(&(receiver.table("all") + "timeout = \"5m\"\n"));
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    relay.signal(Signal::INT);
    let socket = relay.unix();
    wait_until("it listens no more", || Sender::at(&socket).err());
    let started = Instant::now();
    // Right after the first one it counts as the same wish.
    wait_until("it gives in", || {
        let ended = relay.has_ended();
        if !ended {
            relay.signal(Signal::INT);
        }
        ended.then_some(())
    });
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn an_idle_daemon_ends_at_once_even_with_open_connections() {
    let mut relay = Relay::start("");
    let _idle = (Sender::tcp(&relay), Sender::unix(&relay));
    let mut kept = Sender::tcp(&relay);
    assert_eq!(kept.get("/healthz").status, 200);
    let started = Instant::now();
    relay.stop();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
