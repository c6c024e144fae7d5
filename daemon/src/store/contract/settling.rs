//! Outcomes: verdicts, standings, held deliveries.

use super::*;

every_store! {
    a_verdict_changes_standing_and_delivery_together
    a_try_that_is_no_attempt_stays_until_the_next
    a_retry_goes_back_to_its_place
    settling_twice_does_no_harm
    verdicts_never_overwrite_each_other
    a_held_delivery_blocks_its_own_lane_only
    held_lanes_do_not_fill_the_window
    what_was_given_up_in_flight_stays_so
}

async fn a_verdict_changes_standing_and_delivery_together<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 71, 2), one).await;
    for (outcome, delivered) in [(Outcome::Delivered, 1), (Outcome::SkippedPlugin, 1)] {
        let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
        assert_eq!(settle(&subject, lease, outcome).await.delivered, delivered);
    }
    assert_eq!(subject.store().standing(one).unwrap().delivered, 1);
    assert_eq!(outcomes(&subject, 1).await, [(Outcome::Delivered, 1, false)]);
    assert_eq!(outcomes(&subject, 2).await, [(Outcome::SkippedPlugin, 1, false)]);
    let decision = why(&subject, 1).await.decisions.remove(0);
    assert_eq!(decision.at, at(101));
    assert_eq!(decision.reason.as_deref(), Some("delivered"));
    let trace = Some(traced());
    let attempt = Attempt { n: 1, at: at(100), status: Some(200), error: None, ms: 7, trace };
    assert_eq!(decision.attempts(), [attempt]);
    assert_eq!(subject.store().waiting(one).pending, 0);
}

/// What was none uses up no number, and is known until something else happens.
async fn a_try_that_is_no_attempt_stays_until_the_next<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    let on = |outcome| move |_: &mut Standing| Next { outcome, reason: None };
    let tried = |n| Attempt { n, at: at(100), status: None, error: None, ms: 7, trace: Some(traced()) };
    for n in [1, 0, 0] {
        let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
        assert_eq!(lease.attempts, u32::from(n == 0));
        subject.store().settle(lease, Some(tried(n)), at(101), &on(Outcome::Pending)).await.unwrap();
    }
    let subject = subject.reopen().await;
    assert_eq!(why(&subject, 1).await.decisions[0].tries, [tried(1), tried(0)]);
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    subject.store().settle(lease, Some(tried(2)), at(101), &on(Outcome::Delivered)).await.unwrap();
    let decision = why(&subject, 1).await.decisions.remove(0);
    assert_eq!((decision.attempts(), decision.stopped()), (&[tried(1), tried(2)][..], None));
}

async fn a_retry_goes_back_to_its_place<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 70, 2), one).await;
    for attempts in 0..3 {
        let lease = claim(&subject, one, Take::Heads(9)).await.remove(0);
        assert_eq!((lease.event.id.0, lease.attempts), (1, attempts));
        settle(&subject, lease, Outcome::Pending).await;
        assert_eq!(outcomes(&subject, 1).await, [(Outcome::Pending, attempts as usize + 1, false)]);
    }
    assert_eq!(subject.store().waiting(one).pending, 2);
    let subject = subject.reopen().await;
    let lease = claim(&subject, one, Take::Heads(9)).await.remove(0);
    assert_eq!((lease.event.id.0, lease.attempts), (1, 3));
    settle(&subject, lease, Outcome::Failed).await;
    assert_eq!(outcomes(&subject, 1).await, [(Outcome::Failed, 4, false)]);
}

async fn settling_twice_does_no_harm<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease.clone(), Outcome::Delivered).await;
    assert_eq!(settle(&subject, lease, Outcome::Failed).await.delivered, 1);
    assert_eq!(outcomes(&subject, 1).await, [(Outcome::Delivered, 1, false)]);
    assert_eq!(subject.store().waiting(one).pending, 0);
}

async fn verdicts_never_overwrite_each_other<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let subject = Arc::new(subject);
    let batch = (1..=200).map(|n| arrival(tag(n, n, n), vec![wanted(one)]));
    subject.store().append(batch.collect()).await.unwrap();
    let deliver = |_| async {
        while let Some(lease) = claim(&*subject, one, Take::Heads(1)).await.pop() {
            settle(&*subject, lease, Outcome::Delivered).await;
            let count = |standing: &mut Standing| standing.failed_attempts += 1;
            subject.store().set_standing(one, &count).await.unwrap();
        }
    };
    let [a, b, c, d] = [1, 2, 3, 4].map(deliver);
    tokio::join!(a, b, c, d);
    let standing = subject.store().standing(one).unwrap();
    assert_eq!((standing.delivered, standing.failed_attempts), (200, 200));
}

async fn a_held_delivery_blocks_its_own_lane_only<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for (event, lane) in [(1, 70), (2, 70), (3, 71)] {
        append(&subject, tag(event, lane, event), one).await;
    }
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Held).await;
    assert_eq!(subject.store().waiting(one), Waiting { pending: 3, held: 1, unreadable: 0 });
    assert_eq!(outcomes(&subject, 1).await[0].0, Outcome::Held);
    append(&subject, tag(4, 70, 0), one).await;
    assert_eq!(drain(&subject, one).await, [3]);

    subject.store().woken().await;
    let (woken, released) = tokio::join!(subject.store().woken(), subject.store().release_held(one));
    assert_eq!((woken, released.unwrap()), (vec![one], 1));
    assert_eq!(outcomes(&subject, 1).await[0].0, Outcome::Pending);
    assert_eq!(drain(&subject, one).await, [4, 1, 2]);
    assert_eq!(subject.store().waiting(one), Waiting::default());
}

async fn held_lanes_do_not_fill_the_window<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let batch = (1..=100).map(|n| arrival(tag(n, if n <= 90 { 70 } else { n }, n), vec![wanted(one)]));
    subject.store().append(batch.collect()).await.unwrap();
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Held).await;
    assert_eq!(drain(&subject, one).await, (91..=100).collect::<Vec<i64>>());
    subject.store().release_held(one).await.unwrap();
    assert_eq!(drain(&subject, one).await, (1..=90).collect::<Vec<i64>>());
}

async fn what_was_given_up_in_flight_stays_so<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 70, 9), one).await;
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    assert_eq!(subject.store().prune(at(5)).await.unwrap(), [(one, 1)]);
    assert_eq!(heads(&subject, one).await, [0; 0], "its lane is still in flight");
    assert_eq!(subject.store().waiting(one).pending, 1);
    settle(&subject, lease, Outcome::Pending).await;
    assert_eq!(drain(&subject, one).await, [2]);
    assert_eq!(subject.store().waiting(one).pending, 0);
    assert!(subject.store().why(EventId(1)).await.unwrap().is_none());
}
