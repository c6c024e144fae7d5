//! Subscriptions: names, ids, standings.

use futures_util::FutureExt;

use super::*;

every_store! {
    a_name_keeps_its_id_and_what_waits
    a_rename_keeps_everything
    what_waited_of_a_removed_subscription_is_cancelled
    a_changed_standing_survives
    many_standings_change_at_once
}

async fn a_name_keeps_its_id_and_what_waits<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    let names = ["two".to_owned(), "one".to_owned(), "two".to_owned()];
    let enrolled = subject.store().enroll(&names, at(5)).await.unwrap();
    assert_eq!(enrolled.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["two", "one", "two"]);
    assert_eq!((enrolled[1].id, enrolled[0].id), (one, enrolled[2].id));
    assert_ne!(enrolled[0].id, one);
    assert_eq!(enrolled[0].standing.created_at, Some(at(5)));
    let subject = subject.reopen().await;
    assert_eq!(enroll(&subject, "one").await, one);
    assert_eq!(subject.store().waiting(one).pending, 1);
    assert_eq!(drain(&subject, one).await, [1]);
}

async fn a_rename_keeps_everything<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let two = enroll(&subject, "two").await;
    append(&subject, tag(1, 70, 1), one).await;
    assert!(matches!(subject.store().rename(one, "two").await, Err(Error::NameTaken(name)) if name == "two"));
    subject.store().rename(one, "uno").await.unwrap();
    let subject = subject.reopen().await;
    assert_eq!(enroll(&subject, "uno").await, one);
    assert_eq!(drain(&subject, one).await, [1]);
    let again = enroll(&subject, "one").await;
    assert!(again != one && again != two);
    let unknown = SubscriptionId(99);
    assert!(matches!(subject.store().rename(unknown, "x").await, Err(Error::UnknownSubscription(_))));
}

async fn what_waited_of_a_removed_subscription_is_cancelled<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let two = enroll(&subject, "two").await;
    let batch = (1..=1500).map(|n| arrival(tag(n, n, n), vec![wanted(one), wanted(two)]));
    subject.store().append(batch.collect()).await.unwrap();
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    assert_eq!(subject.store().remove(one, at(9)).await.unwrap(), 1500);
    let verdict = |_: &mut Standing| Next { outcome: Outcome::Delivered, reason: None };
    let settled = subject.store().settle(lease, None, at(9), &verdict).await;
    assert!(matches!(settled, Err(Error::UnknownSubscription(_))));

    let outcome_of = |past: PastEvent| past.decisions.iter().map(|it| it.outcome).collect::<Vec<_>>();
    assert_eq!(outcome_of(why(&subject, 1500).await), [Outcome::Cancelled, Outcome::Pending]);
    assert_eq!(subject.store().waiting(two).pending, 1500);
    assert!(subject.store().standing(one).is_none());
    let subject = subject.reopen().await;
    let again = enroll(&subject, "one").await;
    assert!(again != one && again != two, "an id is never used again");
    assert_eq!(subject.store().waiting(again).pending, 0);
}

async fn a_changed_standing_survives<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let change = |standing: &mut Standing| standing.validation.validated_at = Some(at(3));
    let changed = subject.store().set_standing(one, &change).await.unwrap();
    assert_eq!(changed.validation.validated_at, Some(at(3)));
    append(&subject, tag(1, 70, 1), one).await;
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Delivered).await;
    let subject = subject.reopen().await;
    let standing = subject.store().standing(one).unwrap();
    assert_eq!((standing.validation.validated_at, standing.delivered), (Some(at(3)), 1));
}

async fn many_standings_change_at_once<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let names: Vec<String> = (0..600).map(|n| format!("many-{n}")).collect();
    let enrolled = subject.store().enroll(&names, at(0)).await.unwrap();
    let ids: Vec<SubscriptionId> = enrolled.iter().map(|it| it.id).collect();
    let gone = ids[7];
    subject.store().remove(gone, at(1)).await.unwrap();
    append(&subject, tag(1, 70, 1), ids[0]).await;
    while subject.store().woken().now_or_never().is_some() {}

    let change = |id: SubscriptionId, standing: &mut Standing| standing.delivered = id.0.cast_unsigned();
    subject.store().set_standings(&ids, &change).await.unwrap();
    assert_eq!(subject.store().woken().await, [ids[0]], "what waits may go now");
    subject.store().set_standings(&[], &|_, _| unreachable!()).await.unwrap();
    let subject = subject.reopen().await;
    let now = |id| subject.store().standing(id).map(|standing| standing.delivered);
    for id in ids {
        assert_eq!(now(id), (id != gone).then_some(id.0.cast_unsigned()));
    }
    assert_eq!(now(one), Some(0));
}
