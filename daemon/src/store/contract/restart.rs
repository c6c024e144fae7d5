//! What a restart finds. A store that is not durable has nothing to promise here.

use super::*;

every_store! {
    every_claim_is_void
    held_deliveries_wait_again
    what_waits_is_woken
    it_goes_on_where_it_was
}

async fn every_claim_is_void<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for event in 1..=3 {
        append(&subject, tag(event, event, event), one).await;
    }
    let delivered = claim(&subject, one, Take::Heads(2)).await.remove(0);
    settle(&subject, delivered, Outcome::Delivered).await;
    let subject = subject.reopen().await;
    let expected: &[i64] = if S::DURABLE { &[2, 3] } else { &[3] };
    assert_eq!(drain(&subject, one).await, expected);
}

async fn held_deliveries_wait_again<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 70, 2), one).await;
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Held).await;
    let subject = subject.reopen().await;
    let held = u64::from(!S::DURABLE);
    assert_eq!(subject.store().waiting(one), Waiting { pending: 2, held, unreadable: 0 });
    let outcome = if S::DURABLE { Outcome::Pending } else { Outcome::Held };
    assert_eq!(outcomes(&subject, 1).await, [(outcome, 1, false)]);
    let expected: &[i64] = if S::DURABLE { &[1, 2] } else { &[] };
    assert_eq!(drain(&subject, one).await, expected);
}

async fn what_waits_is_woken<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    enroll(&subject, "two").await;
    append(&subject, tag(1, 70, 1), one).await;
    let subject = subject.reopen().await;
    assert_eq!(subject.store().woken().await, [one]);
}

async fn it_goes_on_where_it_was<S: Subject>() {
    let (mut subject, one) = with_one::<S>().await;
    for round in 0..5 {
        let batch = (0..40).map(|n| arrival(tag(1 + round * 40 + n, n % 7, n), vec![wanted(one)]));
        subject.store().append(batch.collect()).await.unwrap();
        for lease in claim(&subject, one, Take::Heads(5)).await {
            settle(&subject, lease, Outcome::Delivered).await;
        }
        subject = subject.reopen().await;
    }
    assert_eq!(subject.store().waiting(one).pending, 175);
    assert_eq!(subject.store().standing(one).unwrap().delivered, 25);
    assert_eq!(drain(&subject, one).await.len(), 175);
    assert!(append(&subject, tag(1, 70, 1), one).await.duplicate);
}
