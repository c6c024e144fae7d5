//! The rule as stories, and as properties over any sequence of answers.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::config::fixture;

const MINUTE: Duration = Duration::from_secs(60);

fn subscription(retry: &[u64], disable_after: u32) -> Subscription {
    let retry = retry.iter().map(|seconds| Duration::from_secs(*seconds)).collect();
    Subscription { retry, disable_after, ..fixture::subscription("hooks") }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Seconds that a probe's wait was set to end at, on the clock of a story.
fn due(story: &Story) -> f64 {
    story.probe().due.left(story.start).as_secs_f64()
}

fn failure() -> Answer {
    Answer::Failure { said: "answered 500".into(), retry_after: None }
}

/// A subscription under test, its clock in seconds awake since `start`.
struct Story {
    subscription: Subscription,
    standing: Standing,
    start: Instant,
    now: u64,
}

impl Story {
    fn new(retry: &[u64], disable_after: u32) -> Story {
        let (subscription, start) = (subscription(retry, disable_after), Instant::now());
        Story { subscription, standing: Standing::default(), start, now: 0 }
    }

    /// The wall clock stands still: nothing here is to be measured by it.
    fn clock(&self) -> Now {
        Now { wall: at(0), awake: self.start + Duration::from_secs(self.now) }
    }

    /// An attempt claimed right now.
    fn claim(&self, delivery: i64) -> Tried {
        let generation = self.standing.generation;
        Tried { delivery: DeliveryId(delivery), place: (at(0), EventId(delivery)), generation }
    }

    fn answer(&mut self, tried: &Tried, answer: &Answer) -> Outcome {
        let now = self.clock();
        apply(&mut self.standing, tried, answer, &self.subscription, now, 1.0).outcome
    }

    fn fail(&mut self, delivery: i64) -> Outcome {
        let tried = self.claim(delivery);
        self.answer(&tried, &failure())
    }

    fn succeed(&mut self, delivery: i64) -> Outcome {
        let tried = self.claim(delivery);
        self.answer(&tried, &Answer::Success)
    }

    fn probe(&self) -> &Probe {
        self.standing.pending.as_ref().expect("a pending subscription")
    }
}

#[test]
fn the_first_failure_makes_it_pending_and_success_opens_the_lanes() {
    let mut story = Story::new(&[60, 300], 3);
    assert_eq!(story.fail(7), Outcome::Pending);
    assert_eq!(story.standing.failed_attempts, 1);
    assert_eq!((story.probe().delivery, due(&story)), (Some(DeliveryId(7)), 60.0));
    story.now = 60;
    assert_eq!(story.fail(7), Outcome::Pending);
    assert_eq!((story.standing.failed_attempts, due(&story)), (2, 360.0));
    story.now = 360;
    assert_eq!(story.succeed(7), Outcome::Delivered);
    assert_eq!(story.standing.pending, None);
    assert_eq!((story.standing.failed_attempts, story.standing.delivered), (0, 1));
}

#[test]
fn three_failures_disable_and_the_delivery_stays_waiting() {
    let mut story = Story::new(&[60, 300], 3);
    assert_eq!([story.fail(7), story.fail(7), story.fail(7)], [Outcome::Pending; 3]);
    let disabled = story.standing.disabled.clone().expect("disabled");
    assert_eq!(disabled.reason, "3 attempts in a row failed, last: answered 500");
    assert_eq!(story.standing.pending, None);
    open_lanes(&mut story.standing);
    assert_eq!((story.standing.disabled.as_ref(), story.standing.failed_attempts), (None, 0));
}

#[test]
fn after_its_last_attempt_a_delivery_fails_and_the_oldest_is_tried_at_once() {
    let mut story = Story::new(&[60], 10);
    assert_eq!([story.fail(7), story.fail(7)], [Outcome::Pending, Outcome::Failed]);
    assert_eq!((story.probe().delivery, due(&story)), (None, 0.0));
    assert_eq!(story.fail(8), Outcome::Pending);
    assert_eq!((story.probe().delivery, story.probe().tried), (Some(DeliveryId(8)), 1));
    assert_eq!(story.standing.failed_attempts, 3);
}

#[test]
fn without_waits_every_delivery_has_one_attempt() {
    let mut story = Story::new(&[], 3);
    assert_eq!(
        [story.fail(1), story.fail(2), story.fail(3)],
        [Outcome::Failed, Outcome::Failed, Outcome::Pending]
    );
    assert!(story.standing.disabled.is_some());
}

#[test]
fn attempts_in_flight_at_the_first_failure_change_nothing() {
    let mut story = Story::new(&[60, 300], 3);
    let (first, second, third) = (story.claim(5), story.claim(6), story.claim(7));
    story.answer(&first, &failure());
    let pending = story.standing.clone();
    assert_eq!(story.answer(&second, &failure()), Outcome::Pending);
    assert_eq!(story.standing, pending);
    assert_eq!(story.answer(&third, &Answer::Success), Outcome::Delivered);
    assert_eq!(story.standing, Standing { delivered: 1, ..pending });
}

#[test]
fn of_several_that_failed_at_once_the_oldest_is_tried_again() {
    let mut story = Story::new(&[60, 300], 3);
    let (older, newer) = (story.claim(5), story.claim(6));
    story.answer(&newer, &failure());
    story.answer(&older, &failure());
    assert_eq!(story.probe().delivery, Some(DeliveryId(5)));
    assert_eq!((story.standing.failed_attempts, due(&story)), (1, 60.0));
}

#[test]
fn an_attempt_from_before_disabling_does_not_disturb_what_came_after() {
    let mut story = Story::new(&[60, 300], 1);
    let stale = story.claim(6);
    story.fail(5);
    assert!(story.standing.disabled.is_some());
    assert_eq!(story.answer(&stale, &Answer::Success), Outcome::Delivered);
    assert!(story.standing.disabled.is_some());
    open_lanes(&mut story.standing);
    assert_eq!(story.answer(&stale, &failure()), Outcome::Pending);
    assert_eq!((story.standing.pending.as_ref(), story.standing.failed_attempts), (None, 0));
}

#[test]
fn retry_after_makes_a_wait_longer_never_shorter_and_at_most_an_hour() {
    for (asked, waited) in [(0, 60.0), (59, 60.0), (61, 61.0), (3600, 3600.0), (90_000, 3600.0)] {
        let mut story = Story::new(&[60], 3);
        let tried = story.claim(1);
        let retry_after = Some(Duration::from_secs(asked));
        story.answer(&tried, &Answer::Failure { said: "answered 503".into(), retry_after });
        assert_eq!(due(&story), waited, "asked for {asked} s");
        assert_eq!(story.standing.failed_attempts, 1);
    }
}

#[test]
fn a_refused_connection_counts_unless_told_to_wait() {
    let refused = Answer::Refused { said: "connection refused".into() };
    let mut story = Story::new(&[60], 2);
    let tried = story.claim(1);
    story.answer(&tried, &refused);
    assert_eq!(story.standing.failed_attempts, 1);

    let mut story = Story::new(&[60], 2);
    story.subscription.when_unreachable = WhenUnreachable::Wait;
    let mut waits = Vec::new();
    for _ in 0..7 {
        let tried = story.claim(1);
        assert_eq!(story.answer(&tried, &refused), Outcome::Pending);
        waits.push(due(&story));
    }
    assert_eq!(waits, [0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0]);
    assert_eq!((story.standing.failed_attempts, story.probe().tried), (0, 0));
    story.fail(1);
    assert_eq!((story.standing.failed_attempts, due(&story)), (1, 60.0));
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let said = || "said".to_owned();
    prop_oneof![
        Just(Answer::Success),
        Just(Answer::Refused { said: said() }),
        proptest::option::of(0..200_000u64).prop_map(move |seconds| Answer::Failure {
            said: said(),
            retry_after: seconds.map(Duration::from_secs)
        }),
    ]
}

proptest! {
    /// Whatever answers come, in whatever order, from whenever they were claimed.
    #[test]
    fn the_count_stays_within_its_bounds(
        answers in proptest::collection::vec((any_answer(), 0..4i64, any::<bool>()), 1..60),
        retry in proptest::collection::vec(0..100u64, 0..4),
        disable_after in 1..6u32,
        jitter in 0.8..1.2f64,
    ) {
        let mut story = Story::new(&retry, disable_after);
        let mut delivered = 0;
        let mut stale = story.claim(0);
        for (answer, delivery, late) in answers {
            let tried = if late { stale } else { story.claim(delivery) };
            stale = story.claim(delivery);
            let before = story.standing.clone();
            let now = story.clock();
            let next = apply(&mut story.standing, &tried, &answer, &story.subscription, now, jitter);
            delivered += u64::from(answer == Answer::Success);
            let standing = &story.standing;
            prop_assert_eq!(standing.delivered, delivered);
            prop_assert_eq!(next.outcome == Outcome::Delivered, answer == Answer::Success);
            prop_assert!(standing.failed_attempts <= disable_after);
            prop_assert!(standing.failed_attempts <= before.failed_attempts + 1);
            prop_assert_eq!(standing.disabled.is_some(), standing.failed_attempts == disable_after);
            prop_assert!(standing.disabled.is_none() || standing.pending.is_none());
            if let Some(probe) = &standing.pending {
                prop_assert!(probe.tried as usize <= retry.len());
                prop_assert!(probe.due.left(story.clock().awake) <= MAX_RETRY_AFTER.max(3 * MINUTE));
            }
            story.now += 30;
        }
    }
}
