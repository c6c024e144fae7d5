//! Room for instances: many entries get by with few, and nobody waits for ever.

use std::thread;

use super::*;
use crate::plugin::seats::SEATS;

#[test]
fn many_entries_share_few_seats_and_keep_what_they_can() {
    let bench = Bench::new();
    let plugin = bench.load(&guest::filter("(call $counted)")).unwrap();
    let entries: Vec<_> = (0..3 * SEATS).map(|_| filter(&plugin)).collect();
    for round in 0..3 {
        for entry in &entries {
            // Each was given up for another since it was last asked.
            assert_eq!(count(entry), 1, "round {round}");
        }
    }
    // One that is asked again and again keeps its instance, whoever else comes by.
    let busy = &entries[0];
    assert_eq!(count(busy), 1);
    for (at, entry) in entries[1..].iter().enumerate() {
        assert_eq!(count(entry), 1);
        assert_eq!(count(busy), at + 2);
    }
}

#[test]
fn whoever_waits_for_a_seat_gets_one() {
    let bench = Bench::new();
    let plugin = bench.load(&guest::filter("(call $previous (i32.const 32)) (call $counted)")).unwrap();
    let entries: Vec<_> = (0..2 * SEATS).map(|_| filter(&plugin)).collect();
    // All at once: half of them must wait until the others are done.
    thread::scope(|scope| {
        for entry in &entries {
            scope.spawn(move || {
                let previous = Arc::new(|| {
                    thread::sleep(Duration::from_millis(2));
                    None
                });
                for _ in 0..5 {
                    let input = Input { previous: Arc::clone(&previous) as _, ..input() };
                    block_on(entry.check(input)).answer.unwrap();
                }
            });
        }
    });
}

#[test]
fn entries_that_are_gone_give_their_seats_back() {
    let bench = Bench::new();
    let plugin = bench.load(&guest::filter("(call $counted)")).unwrap();
    for _ in 0..10 * SEATS {
        assert_eq!(count(&filter(&plugin)), 1);
    }
    assert_eq!((0..SEATS).map_while(|_| plugin.seats().try_take()).collect::<Vec<_>>().len(), SEATS);
}
