//! The window against a naive model that keeps everything in one sorted map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::Entity;

const WINDOW: std::ops::Range<usize> = 3..8;
const PAGE: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Arrive { created_at: i64, lane: i64 },
    Claim(usize),
    Only(usize),
    Oldest,
    Deliver(usize),
    Retry(usize),
    Hold(usize),
    Release,
    Read,
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..20i64, 0..5i64).prop_map(|(created_at, lane)| Step::Arrive { created_at, lane }),
        3 => (1..4usize).prop_map(Step::Claim),
        1 => any::<prop::sample::Index>().prop_map(|n| Step::Only(n.index(1000))),
        1 => Just(Step::Oldest),
        4 => (0..8usize).prop_map(Step::Deliver),
        2 => (0..8usize).prop_map(Step::Retry),
        1 => (0..8usize).prop_map(Step::Hold),
        1 => Just(Step::Release),
        3 => Just(Step::Read),
        1 => (0..1000usize).prop_map(Step::GiveUp),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waits,
    Flies,
    FliesGivenUp,
    Held,
}

/// What is true, and the window that must agree with it.
struct Model {
    all: BTreeMap<Place, (Lane, State)>,
    lanes: Lanes,
    budget: Budget,
    next: i64,
}

impl Model {
    fn new() -> Model {
        let budget = Budget::new(WINDOW, 1 << 20);
        Model { all: BTreeMap::new(), lanes: Lanes::default(), budget, next: 1 }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Arrive { created_at, lane } => self.arrive(created_at, lane),
            Step::Claim(most) => self.claim(Take::Heads(most), most),
            Step::Oldest => self.claim(Take::Oldest, 1),
            Step::Only(n) => self.only(n),
            Step::Deliver(n) => self.land(n, |_| Landing::Ended, None),
            Step::Retry(n) => self.land(n, Landing::Back, Some(State::Waits)),
            Step::Hold(n) => self.land(n, |entry| Landing::Held(entry.place), Some(State::Held)),
            Step::Release => self.release(),
            Step::Read => self.read(),
            Step::GiveUp(n) => self.give_up(n),
        }
        self.check();
    }

    fn arrive(&mut self, created_at: i64, lane: i64) {
        let delivery = DeliveryId(self.next);
        let place = Place { created_at, event: EventId(self.next), delivery };
        self.next += 1;
        let lane = match lane {
            0 => Lane::Alone(delivery),
            _ => Lane::Entity { workspace_id: None, entity: Entity::Tag, entity_id: lane },
        };
        self.all.insert(place, (lane, State::Waits));
        self.lanes.add(entry(place, lane), &mut self.budget);
    }

    fn claim(&mut self, take: Take, most: usize) {
        let before_edge = |place: &Place| self.lanes.edge.is_none_or(|edge| *place < edge);
        let expected: Vec<Place> = self.heads().into_iter().filter(before_edge).take(most).collect();
        let taken = self.lanes.take(take, &mut self.budget);
        let places: Vec<Place> = taken.iter().map(|entry| entry.place).collect();
        assert_eq!(places, expected);
        for place in places {
            self.all.get_mut(&place).unwrap().1 = State::Flies;
        }
    }

    fn only(&mut self, n: usize) {
        let Some((&place, &(lane, state))) = self.all.iter().nth(n % self.all.len().max(1)) else { return };
        let mut taken = self.lanes.take(Take::Only(place.delivery), &mut self.budget);
        if taken.is_empty() && state == State::Waits {
            taken.extend(self.lanes.take_outside(entry(place, lane)));
        }
        let possible = state == State::Waits && self.lane_is_free(lane);
        assert_eq!(taken.len(), usize::from(possible));
        if possible {
            self.all.get_mut(&place).unwrap().1 = State::Flies;
        }
    }

    fn land(&mut self, n: usize, landing: impl Fn(Entry) -> Landing, then: Option<State>) {
        let flying = self.all.iter().filter(|(_, (_, state))| is_flying(*state));
        let Some((&place, &(lane, state))) = flying.clone().nth(n % flying.count().max(1)) else { return };
        self.lanes.land(place.delivery, landing(entry(place, lane)), &mut self.budget);
        match then.filter(|_| state == State::Flies) {
            Some(then) => self.all.get_mut(&place).unwrap().1 = then,
            None => drop(self.all.remove(&place)),
        }
    }

    fn release(&mut self) {
        let held = self.all.values_mut().filter(|(_, state)| *state == State::Held);
        let count = held.map(|(_, state)| *state = State::Waits).count();
        assert_eq!(self.lanes.release(&mut self.budget), count);
    }

    /// As an engine would: held and flying ones are in the page too.
    fn read(&mut self) {
        let Some(from) = self.lanes.wants_page(&self.budget) else { return };
        let mut rows = self.all.range(from..).filter(|(_, (_, state))| *state != State::FliesGivenUp);
        let entries: Vec<Entry> =
            rows.by_ref().take(PAGE).map(|(place, (lane, _))| entry(*place, *lane)).collect();
        let next = entries.last().filter(|_| entries.len() == PAGE).map(|last| last.place.behind());
        self.lanes.merge(from, Waiters { entries, next }, &mut self.budget);
    }

    fn give_up(&mut self, n: usize) {
        let Some((&place, &(lane, state))) = self.all.iter().nth(n % self.all.len().max(1)) else { return };
        self.lanes.remove(place, lane, &mut self.budget);
        match state {
            State::Flies | State::FliesGivenUp => self.all.get_mut(&place).unwrap().1 = State::FliesGivenUp,
            State::Waits | State::Held => drop(self.all.remove(&place)),
        }
    }

    /// The first of every lane of which nothing flies or is held, sorted.
    fn heads(&self) -> Vec<Place> {
        let mut seen = Vec::new();
        let mut heads = Vec::new();
        for (place, (lane, _)) in &self.all {
            if !seen.contains(lane) && self.lane_is_free(*lane) {
                seen.push(*lane);
                heads.push(*place);
            }
        }
        heads
    }

    fn lane_is_free(&self, lane: Lane) -> bool {
        !self.all.values().any(|(other, state)| *other == lane && *state != State::Waits)
    }

    fn check(&self) {
        assert!(self.lanes.window.len() <= WINDOW.end);
        assert_eq!(self.lanes.window.len(), self.lanes.by_lane.len());
        assert_eq!(self.budget.in_use().0, self.lanes.window.len());
        let held = self.all.values().filter(|(_, state)| *state == State::Held).count();
        assert_eq!(self.lanes.held(), held);
    }

    /// Delivers all there is and says in which order.
    fn drain(&mut self) -> usize {
        self.release();
        let mut delivered = 0;
        while !self.all.is_empty() {
            let before = (self.all.len(), self.lanes.edge);
            self.run(Step::Read);
            self.run(Step::Claim(3));
            while self.all.values().any(|(_, state)| is_flying(*state)) {
                self.run(Step::Deliver(0));
                delivered += 1;
            }
            assert_ne!((self.all.len(), self.lanes.edge), before, "nothing moves any more");
        }
        delivered
    }
}

fn is_flying(state: State) -> bool {
    matches!(state, State::Flies | State::FliesGivenUp)
}

fn entry(place: Place, lane: Lane) -> Entry {
    let arrived_at = Timestamp::UNIX_EPOCH;
    Entry { place, lane, seq: Seq(1), arrived_at, replay: false, attempts: 0, event: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_hands_out_what_the_model_says(steps in prop::collection::vec(step(), 0..150)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
        }
        let waiting = model.all.len();
        prop_assert_eq!(model.drain(), waiting);
        prop_assert_eq!(model.budget.in_use(), (0, 0));
    }
}

#[test]
fn a_subscription_that_holds_too_many_lanes_pauses_until_it_is_released() {
    let mut budget = Budget::new(256..1024, 1 << 20);
    let mut lanes = Lanes::default();
    for n in 0..=HELD_LANES as i64 {
        let place = Place { created_at: n, event: EventId(n), delivery: DeliveryId(n) };
        lanes.add(entry(place, Lane::Alone(DeliveryId(n))), &mut budget);
        if let Some(taken) = lanes.take(Take::Oldest, &mut budget).pop() {
            lanes.land(taken.place.delivery, Landing::Held(taken.place), &mut budget);
        }
    }
    assert_eq!(lanes.held(), HELD_LANES);
    assert!(!lanes.is_ready());
    assert_eq!(lanes.release(&mut budget), HELD_LANES);
    assert_eq!(
        lanes.wants_page(&budget),
        Some(Place { created_at: 0, event: EventId(0), delivery: DeliveryId(0) })
    );
}
