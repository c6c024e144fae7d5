//! One round: what happens in it, in order, and the verdict. The stage it is played on is
//! `crash_matrix/stage.rs`.

use std::fmt;
use std::ops::AddAssign;

use trackrelay::drill::Point;

use super::stage::Stage;
use crate::harness::crowd::Crowd;
use crate::harness::dice::Dice;
use crate::harness::model::judge;
use crate::harness::relay::{DIE, HURRY};

/// Names one round to be played alone.
pub const ROUND: &str = "TRACKRELAY_ROUND";

pub const WAYS: [&str; 2] = ["kill", "abort"];

/// Senders at the same time.
const SENDERS: i64 = 3;

/// The longest that a sender rests between two requests, in milliseconds.
const REST: u64 = 4;

/// New events that come after the last crash.
const AFTERWARDS: usize = 8;

/// Points that every life comes past, for dying once more while it recovers.
const AGAIN: [Point; 8] = [
    Point::StartOpened,
    Point::StartPlanned,
    Point::StartBound,
    Point::AppendSynced,
    Point::ClaimTaken,
    Point::SendAnswered,
    Point::SettleDecided,
    Point::SettleSynced,
];

#[derive(Clone, Copy)]
pub struct Round {
    pub point: Point,
    pub way: &'static str,
    pub seed: u64,
}

/// What the rounds came to.
#[derive(Default)]
pub struct Toll {
    deaths: usize,
    events: usize,
    deliveries: usize,
    doubles: usize,
}

/// What stands before the dot of a point's name.
pub fn room(point: Point) -> &'static str {
    point.name().split('.').next().unwrap_or_default()
}

impl Round {
    /// `append.synced:kill:7`
    pub fn named(name: &str) -> Option<Round> {
        let mut parts = name.split(':');
        let point = parts.next()?;
        let point = Point::ALL.iter().copied().find(|known| known.name() == point)?;
        let way = parts.next()?;
        let way = WAYS.into_iter().find(|known| *known == way)?;
        Some(Round { point, way, seed: parts.next()?.parse().ok()? })
    }

    pub fn play(self) -> Toll {
        let _repeat = Repeat(self);
        let mut dice = Dice::of((self.point.name(), self.way, self.seed));
        let mut stage = Stage::set(&mut dice, room(self.point));
        let crowd = Crowd::start(stage.relay.socket(), &stage.witness, &dice, SENDERS, REST, Some("track"));
        if room(self.point) == "start" {
            // So that there is something to recover.
            stage.die(Point::AppendSynced, 1 + dice.below(8), self.way);
        }
        stage.die(self.point, self.times(&mut dice), self.way);
        if dice.one_in(3) {
            let again = AGAIN[dice.below(AGAIN.len() as u64) as usize];
            let times = if again.name().starts_with("start") { 1 } else { 1 + dice.below(12) };
            stage.die(again, times, WAYS[dice.below(2) as usize]);
        }
        if room(self.point) == "prune" {
            stage.relay.set_env(DIE, HURRY);
        }
        stage.relay.start_again();
        crowd.wait_for_more(AFTERWARDS);
        crowd.finish();
        self.verdict(stage)
    }

    fn verdict(self, mut stage: Stage) -> Toll {
        stage.drain();
        let story = stage.story();
        let judgement = judge(&story);
        assert!(judgement.wrongs.is_empty(), "{self}:\n  {}", judgement.wrongs.join("\n  "));
        let toll = Toll {
            deaths: story.deaths.len(),
            events: story.told.len(),
            deliveries: story.seen.len(),
            doubles: judgement.doubles,
        };
        stage.close();
        toll
    }

    /// At which passing to die: the first is often special, later ones are under load.
    fn times(self, dice: &mut Dice) -> u64 {
        let most = match room(self.point) {
            "start" | "prune" => 1,
            "reload" => 3,
            "accept" | "append" => 12,
            _ => 40,
        };
        1 + dice.below(most)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.point.name(), self.way, self.seed)
    }
}

impl AddAssign for Toll {
    fn add_assign(&mut self, other: Toll) {
        self.deaths += other.deaths;
        self.events += other.events;
        self.deliveries += other.deliveries;
        self.doubles += other.doubles;
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Toll { deaths, events, deliveries, doubles } = self;
        write!(f, "{deaths} deaths, {events} events, {deliveries} requests, {doubles} doubles")
    }
}

/// Says how to have a round again that failed.
struct Repeat(Round);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let round = self.0;
            eprintln!("again: {ROUND}={round} cargo test -p trackrelay --test promises crash_matrix");
        }
    }
}
