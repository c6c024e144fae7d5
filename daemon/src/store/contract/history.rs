//! What is known of the past, replays, and the end of it.

use super::*;
use crate::event::Entity;
use crate::store::find::Find;

every_store! {
    every_decision_is_recorded
    pages_go_back_from_the_newest
    a_search_finds_what_fits_newest_first
    a_search_looks_at_a_part_and_says_where_to_go_on
    what_was_queued_for_one_is_found_newest_first
    the_past_is_found_by_what_became_of_it
    a_replay_is_a_new_delivery
    a_replay_survives_a_restart
    old_events_end_with_what_waits_of_them
    plans_are_remembered
}

async fn every_decision_is_recorded<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let refusals = [Outcome::SkippedRights, Outcome::SkippedDisabled, Outcome::SkippedNotValidated];
    let mut routes = vec![wanted(one)];
    for refusal in refusals {
        routes.push(routed(enroll(&subject, refusal.as_str()).await, refusal));
    }
    let arrivals = vec![Arrival { plan: 42, ..arrival(tag(1, 70, 1), routes.clone()) }];
    subject.store().append(arrivals).await.unwrap();
    let subject = subject.reopen().await;
    let past = why(&subject, 1).await;
    assert_eq!((past.plan, past.arrived_at, &*past.event), (42, at(1), &tag(1, 70, 1)));
    assert_eq!(past.decisions.len(), routes.len());
    for (decision, route) in past.decisions.iter().zip(&routes) {
        assert_eq!((decision.subscription, decision.outcome), (route.subscription, route.outcome));
        assert_eq!((&decision.reason, decision.at, decision.replay), (&route.reason, at(1), false));
    }
    assert!(subject.store().why(EventId(2)).await.unwrap().is_none());
}

async fn pages_go_back_from_the_newest<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for event in 1..=5 {
        append(&subject, tag(event, 70, 10 - event), one).await;
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = subject.store().page(before, 2).await.unwrap();
        seen.push(page.events.iter().map(|past| past.event.id.0).collect::<Vec<_>>());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [vec![5, 4], vec![3, 2], vec![1]]);
    let seqs: Vec<Seq> =
        subject.store().page(None, 9).await.unwrap().events.iter().map(|it| it.seq).collect();
    let asked = [seqs[4], Seq(i64::MAX), seqs[0]];
    let events = subject.store().events(&asked).await.unwrap();
    assert_eq!(events.iter().map(|past| past.event.id.0).collect::<Vec<_>>(), [1, 5]);
}

/// Events that fit, as many as come at once.
async fn found(subject: &impl Subject, find: &Find) -> Vec<i64> {
    let page = subject.store().find(find, None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.events.iter().map(|past| past.event.id.0).collect()
}

async fn a_search_finds_what_fits_newest_first<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let two = enroll(&subject, "two").await;
    append(&subject, tag(1, 71, 1), one).await;
    append(&subject, tag_event(2, 72, 2, Action::Created), two).await;
    append(&subject, tag(3, 73, 3), one).await;
    let skipped = vec![routed(one, Outcome::SkippedDisabled), wanted(two)];
    subject.store().append(vec![arrival(tag(4, 74, 4), skipped)]).await.unwrap();
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Failed).await;
    let again = why(&subject, 4).await.seq;
    let replayed = subject.store().replay(vec![(again, wanted(one))], at(9)).await.unwrap();
    let lease = claim(&subject, one, Take::Only(replayed[0])).await.remove(0);
    settle(&subject, lease, Outcome::Delivered).await;
    let subject = subject.reopen().await;

    let all = Find::default;
    let table = [
        (all(), vec![4, 3, 2, 1]),
        (Find { action: Some(Action::Created), ..all() }, vec![2]),
        (Find { entity: Some(Entity::Client), ..all() }, vec![]),
        (Find { since: Some(at(2)), until: Some(at(4)), ..all() }, vec![3, 2]),
        (Find { subscription: Some(one), ..all() }, vec![4, 3, 1]),
        (Find { outcome: Some(Outcome::Failed), ..all() }, vec![1]),
        (Find { outcome: Some(Outcome::Pending), ..all() }, vec![4, 3, 2]),
        (Find { outcome: Some(Outcome::Pending), subscription: Some(one), ..all() }, vec![3]),
        // Its replay counts, not what came before.
        (Find { outcome: Some(Outcome::SkippedDisabled), ..all() }, vec![]),
        (Find { outcome: Some(Outcome::Delivered), ..all() }, vec![4]),
        (Find { text: Some(r#""id":73"#.to_owned()), ..all() }, vec![3]),
        (Find { text: Some("\u{e4}".to_owned()), ..all() }, vec![]),
    ];
    for (find, wanted) in table {
        assert_eq!(found(&subject, &find).await, wanted, "{find:?}");
    }
}

/// What is sought stands behind more than one search looks at.
async fn a_search_looks_at_a_part_and_says_where_to_go_on<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    let padding = "x".repeat(900 << 10);
    for id in 2..=125 {
        let received =
            format!(r#"{{"metadata":{{"action":"updated","model":"tag"}},"payload":{{"a":"{padding}"}}}}"#);
        let event = read::restore(EventId(id), "2026-01-02T03:04:05Z", 5, Bytes::from(received)).unwrap();
        subject.store().append(vec![arrival(event, vec![])]).await.unwrap();
    }
    let find = Find { text: Some(r#""tag_id":70"#.to_owned()), ..Find::default() };
    let (mut before, mut pages, mut found) = (None, 0, Vec::new());
    loop {
        let page = subject.store().find(&find, before, 10).await.unwrap();
        pages += 1;
        found.extend(page.events.iter().map(|past| past.event.id.0));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (vec![1], 2));
    let page = subject.store().find(&Find::default(), None, 100).await.unwrap();
    assert_eq!((page.events.len(), page.next.is_some()), (10, true), "an answer has a size");
}

async fn what_was_queued_for_one_is_found_newest_first<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let other = enroll(&subject, "other").await;
    append(&subject, tag(1, 70, 1), one).await;
    append(&subject, tag(2, 70, 2), other).await;
    append(&subject, tag(3, 70, 3), one).await;
    let skipped = vec![routed(one, Outcome::SkippedDisabled)];
    subject.store().append(vec![arrival(tag(4, 70, 4), skipped.clone())]).await.unwrap();
    subject.store().append(vec![arrival(tag(5, 70, 5), skipped)]).await.unwrap();
    drain(&subject, one).await;
    append(&subject, tag(6, 70, 6), one).await;
    let missed = subject.store().past(&Past::Missed(one), None, 1).await.unwrap();
    subject.store().replay(vec![(missed[0], wanted(one))], at(9)).await.unwrap();
    let subject = subject.reopen().await;

    let queued = async |id, since, part| {
        let queued = subject.store().queued(id, at(since), part).await.unwrap();
        (queued.total, queued.events.iter().map(|past| past.event.id.0).collect::<Vec<_>>())
    };
    assert_eq!(queued(one, 0, 0..9).await, (4, vec![6, 4, 3, 1]));
    assert_eq!(queued(one, 0, 1..3).await, (4, vec![4, 3]));
    assert_eq!(queued(one, 3, 0..9).await, (3, vec![6, 4, 3]));
    assert_eq!(queued(one, 0, 7..9).await, (4, vec![]));
    assert_eq!(queued(other, 0, 0..9).await, (1, vec![2]));
}

/// The events a replay of these would take up.
async fn past(subject: &impl Subject, which: &Past) -> Vec<i64> {
    let seqs = subject.store().past(which, None, 100).await.unwrap();
    let events = subject.store().events(&seqs).await.unwrap();
    events.iter().map(|past| past.event.id.0).collect()
}

async fn the_past_is_found_by_what_became_of_it<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let outcomes = [Outcome::SkippedDisabled, Outcome::SkippedNotValidated, Outcome::SkippedRights];
    for (event, outcome) in (1..).zip(outcomes) {
        let arrivals = vec![arrival(tag(event, event, event), vec![routed(one, outcome)])];
        subject.store().append(arrivals).await.unwrap();
    }
    append(&subject, tag(4, 70, 4), one).await;
    append(&subject, tag(5, 71, 5), one).await;
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Failed).await;
    let subject = subject.reopen().await;

    assert_eq!(past(&subject, &Past::Missed(one)).await, [1, 2]);
    assert_eq!(past(&subject, &Past::Failed(one)).await, [4]);
    assert_eq!(past(&subject, &Past::Since(at(3))).await, [3, 4, 5]);
    let first = subject.store().past(&Past::Missed(one), None, 1).await.unwrap();
    let rest = subject.store().past(&Past::Missed(one), Some(first[0]), 100).await.unwrap();
    assert_eq!((first.len(), rest.len()), (1, 1));
    let other = enroll(&subject, "other").await;
    assert_eq!(past(&subject, &Past::Missed(other)).await, [0; 0]);

    let missed = subject.store().past(&Past::Missed(one), None, 1).await.unwrap();
    subject.store().replay(vec![(missed[0], wanted(one))], at(9)).await.unwrap();
    assert_eq!(past(&subject, &Past::Missed(one)).await, [2], "its latest decision is the replay");
}

async fn a_replay_is_a_new_delivery<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    append(&subject, tag(1, 70, 1), one).await;
    assert_eq!(drain(&subject, one).await, [1]);
    let seq = why(&subject, 1).await.seq;
    let orders = vec![(seq, wanted(one)), (Seq(i64::MAX), wanted(one)), (seq, wanted(one))];
    let made = subject.store().replay(orders, at(9)).await.unwrap();
    assert_eq!(made.len(), 2, "twice is twice; an unknown one is left out");
    assert_eq!(subject.store().waiting(one).pending, 2);

    let first = claim(&subject, one, Take::Heads(9)).await.remove(0);
    assert_eq!((first.delivery, first.replay, first.event.id.0), (made[0], true, 1));
    settle(&subject, first, Outcome::Failed).await;
    let expected = [(Outcome::Delivered, 1, false), (Outcome::Failed, 1, true), (Outcome::Pending, 0, true)];
    assert_eq!(outcomes(&subject, 1).await, expected);
    assert_eq!(past(&subject, &Past::Failed(one)).await, [0; 0], "a later replay waits");
    let second = claim(&subject, one, Take::Only(made[1])).await.remove(0);
    settle(&subject, second, Outcome::Failed).await;
    assert_eq!(past(&subject, &Past::Failed(one)).await, [1]);
}

async fn a_replay_survives_a_restart<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for event in 1..=20 {
        append(&subject, tag(event, event, event), one).await;
    }
    drain(&subject, one).await;
    let seqs = subject.store().past(&Past::Since(at(0)), None, 100).await.unwrap();
    let orders = seqs.into_iter().map(|seq| (seq, wanted(one))).collect();
    let made = subject.store().replay(orders, at(30)).await.unwrap();
    let subject = subject.reopen().await;
    let last = claim(&subject, one, Take::Only(made[19])).await.remove(0);
    assert_eq!((last.event.id.0, last.replay, last.arrived_at), (20, true, at(20)));
    settle(&subject, last, Outcome::Delivered).await;
    assert_eq!(drain(&subject, one).await, (1..=19).collect::<Vec<i64>>());
    let late = append(&subject, tag(21, 1, 21), one).await;
    assert!(!late.duplicate);
    let delivery = why(&subject, 21).await.decisions[0].delivery;
    assert!(delivery > made[19], "ids of deliveries are not given twice");
}

async fn old_events_end_with_what_waits_of_them<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let two = enroll(&subject, "two").await;
    for event in 1..=10 {
        let routes = vec![wanted(one), routed(two, Outcome::SkippedDisabled)];
        subject.store().append(vec![arrival(tag(event, 70, event), routes)]).await.unwrap();
    }
    let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, lease, Outcome::Failed).await;
    let held = claim(&subject, one, Take::Heads(1)).await.remove(0);
    settle(&subject, held, Outcome::Held).await;
    assert_eq!(subject.store().prune(at(6)).await.unwrap(), [(one, 4)]);
    assert_eq!(subject.store().waiting(one), Waiting { pending: 5, held: 0, unreadable: 0 });
    assert_eq!(past(&subject, &Past::Failed(one)).await, [0; 0]);
    assert_eq!(past(&subject, &Past::Missed(two)).await, [6, 7, 8, 9, 10]);
    assert!(subject.store().why(EventId(5)).await.unwrap().is_none());
    assert_eq!(subject.store().prune(at(6)).await.unwrap(), []);
    assert_eq!(drain(&subject, one).await, [6, 7, 8, 9, 10], "the lane of the held one goes on");

    subject.store().prune(at(1000)).await.unwrap();
    let subject = subject.reopen().await;
    assert_eq!(subject.store().page(None, 9).await.unwrap().events.len(), 0);
    append(&subject, tag(11, 70, 11), one).await;
    assert!(why(&subject, 11).await.seq > Seq(10), "positions are never used again");
}

async fn plans_are_remembered<S: Subject>() {
    let (subject, _) = with_one::<S>().await;
    assert_eq!(subject.store().last_plan(), 0);
    subject.store().keep_plan(1, "first".into()).await.unwrap();
    subject.store().keep_plan(2, "second".into()).await.unwrap();
    let subject = subject.reopen().await;
    assert_eq!(subject.store().last_plan(), 2);
    assert_eq!(subject.store().plan(1).await.unwrap().as_deref(), Some("first"));
    assert_eq!(subject.store().plan(3).await.unwrap(), None);
}
