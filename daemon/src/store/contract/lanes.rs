//! Claiming: lane order, in small windows.

use super::*;

every_store! {
    a_lane_gives_one_at_a_time_by_creation_then_id
    lanes_are_handed_out_by_their_oldest
    an_older_event_that_arrives_later_goes_first
    no_order_means_no_waiting_for_each_other
    one_lane_for_all_if_so_ordered
    one_delivery_can_be_asked_for
    one_delivery_outside_of_the_window_can_be_asked_for
    the_oldest_can_be_asked_for
    a_claim_wakes_for_what_is_new
    an_outcome_wakes_for_the_next_of_its_lane
    what_is_given_back_waits_as_before
    nothing_is_lost_or_doubled_through_small_windows
}

async fn a_lane_gives_one_at_a_time_by_creation_then_id<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for (event, created) in [(4, 2), (3, 2), (9, 1)] {
        append(&subject, tag(event, 70, created), one).await;
    }
    let first = claim(&subject, one, Take::Heads(9)).await;
    assert_eq!(first.len(), 1);
    assert_eq!(heads(&subject, one).await, [0; 0]);
    assert_eq!(first[0].event.id.0, 9);
    settle(&subject, first[0].clone(), Outcome::Delivered).await;
    assert_eq!(drain(&subject, one).await, [3, 4]);
}

async fn lanes_are_handed_out_by_their_oldest<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for (event, lane, created) in [(1, 70, 9), (2, 71, 5), (3, 72, 7), (4, 71, 1)] {
        append(&subject, tag(event, lane, created), one).await;
    }
    assert_eq!(heads(&subject, one).await, [4, 3, 1]);
}

async fn an_older_event_that_arrives_later_goes_first<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for event in 10..30 {
        append(&subject, tag(event, 70, event), one).await;
    }
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    append(&subject, tag(1, 70, 1), one).await;
    settle(&subject, lease, Outcome::Pending).await;
    let expected: Vec<i64> = [1].into_iter().chain(10..30).collect();
    assert_eq!(drain(&subject, one).await, expected);
}

async fn no_order_means_no_waiting_for_each_other<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let unordered = || vec![Routed { order: Order::None, ..wanted(one) }];
    let batch = (1..=3).map(|event| arrival(tag(event, 70, event), unordered()));
    subject.store().append(batch.collect()).await.unwrap();
    assert_eq!(heads(&subject, one).await, [1, 2, 3]);
}

async fn one_lane_for_all_if_so_ordered<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let ordered = || vec![Routed { order: Order::Subscription, ..wanted(one) }];
    let batch = (1..=3).map(|event| arrival(tag(event, event, event), ordered()));
    subject.store().append(batch.collect()).await.unwrap();
    assert_eq!(heads(&subject, one).await, [1]);
}

async fn one_delivery_can_be_asked_for<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 71, 2), one).await;
    let wanted = why(&subject, 2).await.decisions[0].delivery;
    let lease = claim(&subject, one, Take::Only(wanted)).await.remove(0);
    assert_eq!(lease.event.id.0, 2);
    assert!(claim(&subject, one, Take::Only(wanted)).await.is_empty(), "in flight");
    settle(&subject, lease, Outcome::Delivered).await;
    assert!(claim(&subject, one, Take::Only(wanted)).await.is_empty(), "delivered");
    assert!(claim(&subject, one, Take::Only(DeliveryId(99))).await.is_empty(), "unknown");
}

async fn one_delivery_outside_of_the_window_can_be_asked_for<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for event in 1..=40 {
        append(&subject, tag(event, 70 + event % 20, event), one).await;
    }
    let wanted = why(&subject, 39).await.decisions[0].delivery;
    let lease = claim(&subject, one, Take::Only(wanted)).await.remove(0);
    assert_eq!(lease.event.id.0, 39);
    assert!(claim(&subject, one, Take::Only(wanted)).await.is_empty(), "in flight");
    let drained = drain(&subject, one).await;
    assert!(!drained.contains(&19), "its lane waits");
    settle(&subject, lease, Outcome::Delivered).await;
    assert!(claim(&subject, one, Take::Only(wanted)).await.is_empty(), "delivered");
    assert_eq!(drain(&subject, one).await, [19]);
}

async fn the_oldest_can_be_asked_for<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 5), one).await;
    append(&subject, tag(2, 71, 3), one).await;
    append(&subject, tag(3, 71, 4), one).await;
    assert_eq!(claim(&subject, one, Take::Oldest).await[0].event.id.0, 2);
    assert_eq!(claim(&subject, one, Take::Oldest).await[0].event.id.0, 1);
    assert!(claim(&subject, one, Take::Oldest).await.is_empty());
}

async fn a_claim_wakes_for_what_is_new<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let two = enroll(&subject, "two").await;
    append(&subject, tag(1, 70, 1), two).await;
    append(&subject, tag(2, 71, 2), two).await;
    assert_eq!(subject.store().woken().await, [two], "once for both");
    let (woken, _) = tokio::join!(subject.store().woken(), append(&subject, tag(3, 72, 3), one));
    assert_eq!(woken, [one]);
}

async fn what_is_given_back_waits_as_before<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for (event, lane) in [(1, 70), (2, 70), (3, 71)] {
        append(&subject, tag(event, lane, event), one).await;
    }
    let leases = claim(&subject, one, Take::Heads(9)).await;
    assert_eq!(subject.store().woken().await, [one]);
    subject.store().give_back(leases.clone());
    assert_eq!(subject.store().woken().await, [one]);
    assert_eq!(subject.store().waiting(one).pending, 3);
    assert_eq!(outcomes(&subject, 1).await, [(Outcome::Pending, 0, false)]);
    assert_eq!(drain(&subject, one).await, [1, 2, 3]);
    // What has ended is not made to wait again.
    subject.store().give_back(leases);
    assert_eq!((subject.store().waiting(one).pending, heads(&subject, one).await), (0, vec![]));
}

async fn an_outcome_wakes_for_the_next_of_its_lane<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 70, 2), one).await;
    assert_eq!(subject.store().woken().await, [one]);
    let lease = claim(&subject, one, Take::Heads(9)).await.remove(0);
    let (woken, _) = tokio::join!(subject.store().woken(), settle(&subject, lease, Outcome::Delivered));
    assert_eq!(woken, [one]);
}

async fn nothing_is_lost_or_doubled_through_small_windows<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let batch = (1..=300).map(|n| arrival(tag(n, n % 17, (n * 7919) % 101), vec![wanted(one)]));
    subject.store().append(batch.collect()).await.unwrap();
    let subject = subject.reopen().await;
    let mut delivered = Vec::new();
    let mut last_of_lane = HashMap::new();
    loop {
        let leases = claim(&subject, one, Take::Heads(3)).await;
        if leases.is_empty() {
            break;
        }
        for lease in leases {
            let place = (lease.event.created_at, lease.event.id);
            let before = last_of_lane.insert(lease.event.entity_id, place);
            assert!(before.is_none_or(|before| before < place), "out of order");
            delivered.push(lease.event.id.0);
            settle(&subject, lease, Outcome::Delivered).await;
        }
    }
    delivered.sort_unstable();
    assert_eq!(delivered, (1..=300).collect::<Vec<i64>>());
    assert_eq!(subject.store().waiting(one), Waiting::default());
}
