//! Appending: durable, once per `event_id`.

use super::*;

every_store! {
    what_was_appended_can_be_claimed
    the_same_event_twice_is_queued_once
    a_duplicate_is_known_after_a_restart
    an_event_that_was_pruned_may_come_again
    ids_given_here_never_repeat
    the_previous_event_of_an_entity_is_fixed_on_arrival
    a_subscription_that_is_gone_gets_nothing
}

async fn what_was_appended_can_be_claimed<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let two = enroll(&subject, "two").await;
    let event = tag(7, 70, 1);
    let arrivals = vec![arrival(event.clone(), vec![wanted(one), routed(two, Outcome::SkippedRights)])];
    let receipts = subject.store().append(arrivals).await.unwrap();
    assert_eq!(receipts, [Receipt { event: EventId(7), duplicate: false, queued: vec![one] }]);

    let lease = claim(&subject, one, Take::Heads(9)).await.remove(0);
    assert_eq!(*lease.event, event);
    assert_eq!((lease.arrived_at, lease.replay, lease.attempts), (at(1), false, 0));
    assert!(claim(&subject, two, Take::Heads(9)).await.is_empty());
    assert_eq!(subject.store().waiting(one), Waiting { pending: 1, held: 0, unreadable: 0 });
    assert_eq!(subject.store().waiting(two), Waiting::default());
}

async fn the_same_event_twice_is_queued_once<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let twice = vec![arrival(tag(7, 70, 1), vec![wanted(one)]), arrival(tag(7, 71, 2), vec![wanted(one)])];
    let receipts = subject.store().append(twice).await.unwrap();
    assert_eq!(receipts.iter().map(|it| it.duplicate).collect::<Vec<_>>(), [false, true]);

    let two = enroll(&subject, "two").await;
    let later = append(&subject, tag(7, 72, 3), two).await;
    assert_eq!(later, Receipt { event: EventId(7), duplicate: true, queued: vec![one] });
    assert_eq!(heads(&subject, one).await, [7]);
    assert_eq!(heads(&subject, two).await, [0; 0]);
    assert_eq!(why(&subject, 7).await.event.entity_id, Some(70), "the first bytes win");
}

async fn a_duplicate_is_known_after_a_restart<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(7, 70, 1), one).await;
    let subject = subject.reopen().await;
    assert!(append(&subject, tag(7, 70, 1), one).await.duplicate);
    assert!(!append(&subject, tag(8, 70, 1), one).await.duplicate);
}

async fn an_event_that_was_pruned_may_come_again<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(7, 70, 1), one).await;
    append(&subject, tag(8, 70, 5), one).await;
    assert_eq!(subject.store().prune(at(5)).await.unwrap(), [(one, 1)]);
    assert!(!append(&subject, tag(7, 70, 6), one).await.duplicate);
    assert!(append(&subject, tag(8, 70, 6), one).await.duplicate);
    assert_eq!(drain(&subject, one).await, [8, 7]);
}

async fn ids_given_here_never_repeat<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let first = subject.store().next_event_id();
    assert!(first.0 >= 4_000_000_000_000_000_000);
    append(&subject, tag(first.0, 70, 1), one).await;
    let second = subject.store().next_event_id();
    assert!(second > first);
    // Made in another store, recorded, and sent here: not to be made again for another event.
    append(&subject, tag(second.0 + 1, 70, 1), one).await;
    assert!(subject.store().next_event_id().0 > second.0 + 1);
    let subject = subject.reopen().await;
    assert!(subject.store().next_event_id() > second);
}

async fn the_previous_event_of_an_entity_is_fixed_on_arrival<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 71, 2), one).await;
    let batch = vec![arrival(tag(3, 70, 3), vec![]), arrival(tag_event(4, 70, 4, Action::Deleted), vec![])];
    subject.store().append(batch).await.unwrap();
    let subject = subject.reopen().await;
    append(&subject, tag(5, 70, 5), one).await;
    append(&subject, tag(6, 70, 0), one).await;

    let mut previous = HashMap::new();
    for event in 1..=6 {
        let seq = why(&subject, event).await.seq;
        let payload = subject.store().previous(seq).unwrap();
        previous.insert(event, payload.map(|payload| String::from_utf8(payload.to_vec()).unwrap()));
    }
    let payload = |from: i64| Some(format!(r#"{{"id":70,"from":{from}}}"#));
    assert_eq!(previous[&1], None, "the first");
    assert_eq!(previous[&2], None, "another tag");
    assert_eq!(previous[&3], payload(1));
    assert_eq!(previous[&4], payload(3), "within a batch");
    assert_eq!(previous[&5], None, "after a deletion");
    assert_eq!(previous[&6], payload(5), "by arrival, not by `created_at`");

    let last = why(&subject, 6).await.seq;
    subject.store().prune(at(6)).await.unwrap();
    assert_eq!(subject.store().previous(last).unwrap(), None, "pruned");
}

async fn a_subscription_that_is_gone_gets_nothing<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    subject.store().remove(one, at(1)).await.unwrap();
    let receipt = append(&subject, tag(7, 70, 1), one).await;
    assert_eq!(receipt.queued, []);
    assert_eq!(outcomes(&subject, 7).await, [(Outcome::Cancelled, 0, false)]);
    assert!(matches!(subject.store().claim(one, Take::Oldest).await, Err(Error::UnknownSubscription(_))));
}
