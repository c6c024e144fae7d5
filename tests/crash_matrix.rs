//! Every named point of the daemon's way, `kill -9` and abort, by seed: the daemon dies
//! there under load, starts again, and the reference model finds nothing missing, out of
//! order, half done or done twice beyond what a crash may cut off.
//!
//! `TRACKRELAY_ROUNDS` sets how many rounds there are in all; `TRACKRELAY_ROUND` names one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use trackrelay::drill::Point;

use crate::harness::Relay;
use crate::harness::relay::DIE;
use round::{Round, Toll, WAYS};

mod round;
mod stage;

/// Rounds in all, about: two minutes on two cores.
const ROUNDS: usize = 400;

/// Rounds of one test at the same time. They wait more than they work.
const AT_ONCE: usize = 3;

/// A test for all points whose names begin alike.
macro_rules! rooms {
    ($($test:ident = $room:literal,)*) => {
        const ROOMS: &[&str] = &[$($room),*];
        $(#[test]
        fn $test() {
            matrix($room);
        })*
    };
}

rooms! {
    dying_while_starting = "start",
    dying_while_accepting = "accept",
    dying_while_appending = "append",
    dying_while_claiming = "claim",
    dying_while_a_plugin_works = "plugin",
    dying_while_sending = "send",
    dying_while_settling = "settle",
    dying_while_pruning = "prune",
    dying_while_reloading = "reload",
}

#[test]
fn every_point_has_its_rounds() {
    for point in Point::ALL {
        assert!(ROOMS.contains(&round::room(*point)), "no rounds for `{}`", point.name());
    }
}

#[test]
fn an_order_nobody_understands_is_refused() {
    let mut relay = Relay::prepare("");
    relay.set_env(DIE, "append.sync:1:kill");
    let refused = relay.cli(&["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("names no point: `append.sync`"), "{refused:?}");
}

/// All rounds of these points.
fn matrix(room: &str) {
    let rounds = rounds(room);
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let play = || {
        let mut toll = Toll::default();
        while let Some(round) = rounds.get(next.fetch_add(1, Ordering::Relaxed)) {
            toll += round.play();
        }
        toll
    };
    let toll = thread::scope(|scope| {
        let players: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(play)).collect();
        let mut all = Toll::default();
        // A round that failed has told everything; the others are played to their end.
        let tolls: Vec<_> = players.into_iter().map(|player| player.join()).collect();
        tolls.into_iter().for_each(|toll| all += toll.expect("a round failed"));
        all
    });
    eprintln!("{room}: {} rounds, {toll}, {:.1} s", rounds.len(), begun.elapsed().as_secs_f64());
}

fn rounds(room: &str) -> Vec<Round> {
    if let Ok(one) = std::env::var(round::ROUND) {
        let round = Round::named(&one).unwrap_or_else(|| panic!("`{one}` names no round"));
        return Some(round).filter(|one| round::room(one.point) == room).into_iter().collect();
    }
    let all = std::env::var("TRACKRELAY_ROUNDS").ok().map(|all| all.parse().expect("a number of rounds"));
    let seeds = all.unwrap_or(ROUNDS).div_ceil(Point::ALL.len() * WAYS.len()) as u64;
    let points = Point::ALL.iter().filter(|point| round::room(**point) == room);
    let ways = points.flat_map(|point| WAYS.map(|way| (*point, way)));
    ways.flat_map(|(point, way)| (0..seeds).map(move |seed| Round { point, way, seed })).collect()
}
