//! Memory is bounded, whatever waits.

use super::*;

every_store! {
    a_long_queue_takes_little_memory
    many_queues_take_little_memory
    large_bodies_are_read_back_when_claimed
}

async fn a_long_queue_takes_little_memory<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    for batch in 0..100 {
        let events =
            (1..=1000).map(|n| arrival(tag(batch * 1000 + n, n, batch * 1000 + n), vec![wanted(one)]));
        subject.store().append(events.collect()).await.unwrap();
        assert!(subject.in_memory().0 <= SMALL.end);
    }
    assert_eq!(subject.store().waiting(one).pending, 100_000);
    let subject = subject.reopen().await;
    assert_eq!(subject.store().waiting(one).pending, 100_000);
    for expected in 1..=2000 {
        let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
        assert_eq!(lease.event.id.0, expected);
        settle(&subject, lease, Outcome::Delivered).await;
        assert!(subject.in_memory().0 <= SMALL.end);
    }
}

async fn many_queues_take_little_memory<S: Subject>() {
    let subject = S::new(Budget::new(4..1024, 64 << 10));
    let names: Vec<String> = (0..50).map(|n| format!("number {n}")).collect();
    let all = subject.store().enroll(&names, at(0)).await.unwrap();
    for n in 1..=200 {
        let routes = all.iter().map(|it| wanted(it.id)).collect();
        subject.store().append(vec![arrival(tag(n, n, n), routes)]).await.unwrap();
    }
    let (entries, bytes) = subject.in_memory();
    assert!(entries <= 512 + 50 * 16, "{entries} entries");
    assert!(bytes <= 64 << 10, "{bytes} bytes");
    for it in &all {
        assert_eq!(drain(&subject, it.id).await, (1..=200).collect::<Vec<i64>>());
    }
    assert_eq!(subject.in_memory(), (0, 0));
}

async fn large_bodies_are_read_back_when_claimed<S: Subject>() {
    let (subject, one) = with_one::<S>().await;
    let large = |id: i64| {
        let filler = "x".repeat(40 << 10);
        let text = format!(
            r#"{{"metadata":{{"action":"created","model":"tag","tag_id":{id}}},"payload":{{"name":"{filler}"}}}}"#
        );
        read::restore(EventId(id), &at(id).to_string(), 5, Bytes::from(text)).unwrap()
    };
    for id in 1..=5 {
        append(&subject, large(id), one).await;
        assert!(subject.in_memory().1 <= 64 << 10);
    }
    for id in 1..=5 {
        let lease = claim(&subject, one, Take::Heads(1)).await.remove(0);
        assert_eq!(*lease.event, large(id));
        settle(&subject, lease, Outcome::Delivered).await;
    }
}
