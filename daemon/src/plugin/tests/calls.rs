//! Calls: what plugins are shown and say, and which instance serves whom.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;

use super::*;
use crate::plugin::{Level, Line, Message};

/// Runs in the test's own thread once a filter has proved to be quick.
fn make_quick(entry: &Arc<Entry>) {
    for _ in 0..20 {
        ask(entry).unwrap();
    }
}

#[test]
fn an_instance_serves_256_events_and_is_replaced() {
    let bench = Bench::new();
    let entry = bench.filter(&guest::filter("(call $counted)"));
    for expected in (1..=256).chain(1..=256).chain(1..=3) {
        assert_eq!(count(&entry), expected);
    }
}

#[test]
fn isolation_by_event_gives_every_event_a_fresh_one() {
    let bench = Bench::new();
    let spec = bench.spec(&guest::filter("(call $counted)"));
    let entry = filter(&bench.host.load(&PluginSpec { isolation: Isolation::Event, ..spec }).unwrap());
    for _ in 0..20 {
        assert_eq!(count(&entry), 1);
    }
}

#[test]
fn a_trapped_instance_is_replaced_and_one_that_returned_an_error_is_not() {
    let bench = Bench::new();
    // Traps at the third event, errs at the second.
    let entry = bench.filter(&guest::filter(
        "(drop (call $counted))
         (if (i32.eq (global.get $count) (i32.const 2)) (then (return (call $err (i32.const 3)))))
         (if (i32.eq (global.get $count) (i32.const 3)) (then unreachable))
         (call $skip (global.get $count))",
    ));
    for _ in 0..3 {
        assert_eq!(count(&entry), 1);
        assert_eq!(ask(&entry), Err(Failure("plugin `p` failed: xxx".into())));
        let gave_up = "plugin `p` gave up (it reached `unreachable`, as a panic does)";
        assert_eq!(ask(&entry), Err(Failure(gave_up.into())));
    }
}

#[test]
fn entries_never_share_an_instance() {
    let bench = Bench::new();
    let plugin = bench.load(&guest::filter("(call $counted)")).unwrap();
    let (one, two) = (filter(&plugin), filter(&plugin));
    let again = filter(&bench.load(&guest::filter("(call $counted)")).unwrap());
    for expected in 1..=20 {
        assert_eq!(count(&one), expected);
        assert_eq!(count(&two), expected);
        assert_eq!(count(&again), expected);
    }
}

#[test]
fn the_route_is_what_the_event_says() {
    let bench = Bench::new();
    // Sums up what it is shown: lengths of the texts, the ids if they are there.
    let entry = bench.filter(&guest::filter(
        "(call $skip (i32.add
            (i32.add (i32.add (local.get 1) (local.get 3)) (i32.add (local.get 5) (local.get 13)))
            (i32.add
                (i32.mul (i32.const 100) (i32.add (local.get 6) (i32.add (local.get 8) (local.get 10))))
                (i64.eq (local.get 7) (i64.const 4200017)))))",
    ));
    // 16 digits, time_entry, updated, the time; of the ids only the workspace's, which is right.
    assert_eq!(count(&entry), 16 + 10 + 7 + 20 + 100 + 1);
}

#[test]
fn previous_is_asked_for_at_most_once_and_only_on_request() {
    let bench = Bench::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let previous: Arc<dyn Fn() -> Option<Bytes> + Send + Sync> = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Some(Bytes::from_static(b"{\"id\":1}"))
    });
    let shown = |entry: &Arc<Entry>| {
        let input = Input { previous: Arc::clone(&previous), ..input() };
        block_on(entry.check(input)).answer
    };
    let entry = bench.filter(&guest::filter("(call $counted)"));
    shown(&entry).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0);

    // The answer is at 32: whether there is one, its address, its length.
    let entry = bench.filter(&guest::filter_with(
        "(call $previous (i32.const 32)) (if (i32.load (i32.const 32)) (then unreachable)) (call $deliver)",
        "(call $previous (i32.const 32)) (call $previous (i32.const 32))
         (call $answer (i32.const 1) (i32.load (i32.const 36)) (i32.load (i32.const 40)))",
        "",
    ));
    for expected in 1..=10 {
        assert_eq!(shown(&entry), Ok(Keep::Skip("{\"id\":1}".into())));
        assert_eq!(asked.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn a_reason_is_made_fit_for_the_history() {
    let bench = Bench::new();
    let entry = bench.filter(&guest::filter(
        "(i32.store (i32.const 64) (i32.const 0x5b1b0a61)) (call $answer (i32.const 1) (i32.const 64) (i32.const 4))",
    ));
    assert_eq!(ask(&entry), Ok(Keep::Skip(r"a\n\u{1b}[".into())));
    let entry = bench.filter(&guest::filter("(call $skip (i32.const 9000))"));
    assert_eq!(ask(&entry), Ok(Keep::Skip("x".repeat(500) + "…")));
}

#[test]
fn a_transform_replaces_skips_or_leaves_alone() {
    let bench = Bench::new();
    let apply = |body: &str| {
        let plugin = bench.load(&guest::transform(body)).unwrap();
        let entry = plugin.entry("s", Stage::Transform, &json!({})).unwrap();
        block_on(entry.apply(input())).answer
    };
    assert_eq!(apply("(call $deliver)"), Ok(Reshape::Unchanged));
    assert_eq!(
        apply("(call $answer (i32.const 2) (i32.const 64) (i32.const 0))"),
        Ok(Reshape::Skip("".into()))
    );

    // The event as bytes, with a content type and a header.
    let replace = "
        (i64.store (i32.const 64) (i64.const 0x0079782d78622f61)) ;; a/bx-xy
        (i32.store (i32.const 80) (i32.const 67)) (i32.store (i32.const 84) (i32.const 4))
        (i32.store (i32.const 88) (i32.const 64)) (i32.store (i32.const 92) (i32.const 1))
        (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 1))
        (i32.store (i32.const 8) (i32.const 1))
        (i32.store (i32.const 12) (local.get 14)) (i32.store (i32.const 16) (local.get 15))
        (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 3))
        (i32.store (i32.const 28) (i32.const 80)) (i32.store (i32.const 32) (i32.const 1))
        (i32.const 0)";
    let message = Message {
        body: Bytes::from_static(b"{\"payload\":1}"),
        content_type: "a/b".into(),
        headers: vec![("x-xy".into(), "a".into())],
    };
    assert_eq!(apply(replace), Ok(Reshape::Replace(message)));

    let reserved = replace.replace("0x0079782d78622f61", "0x74736f68622f61");
    assert_eq!(
        apply(&reserved),
        Err(Failure("plugin `p` asked for the header `host`, which only trackrelay sets".into()))
    );
}

#[test]
fn a_call_leaves_its_own_lines_time_and_memory() {
    let bench = Bench::new();
    // Logs at the level of its number, and grows by a page each time.
    let entry = bench.filter(&guest::filter_with(
        "(call $log (i32.const 3) (i32.const 64) (i32.const 1)) (call $deliver)",
        "(i32.store (i32.const 64) (i32.const 0x0a61))
         (call $log (global.get $count) (i32.const 64) (i32.const 2))
         (drop (memory.grow (i32.const 1)))
         (global.set $count (i32.add (global.get $count) (i32.const 1))) (call $deliver)",
        "",
    ));
    for (at, level) in [Level::Debug, Level::Info, Level::Warn, Level::Error].into_iter().enumerate() {
        let call = block_on(entry.check(input()));
        assert_eq!(call.lines, [Line { level, text: r"a\n".into() }], "what was logged before is not in it");
        assert_eq!(call.memory, (2 + at + 1) << 16);
        assert!(call.took > Duration::ZERO);
    }

    let silent = block_on(bench.filter(&guest::filter("(call $counted)")).check(input()));
    assert_eq!((silent.lines.capacity(), silent.memory), (0, 2 << 16));
    let broken = "(call $log (i32.const 3) (i32.const 64) (i32.const 4)) unreachable";
    let broken = block_on(bench.filter(&guest::filter(broken)).check(input()));
    assert_eq!(broken.lines.len(), 1, "a call that fails keeps what it logged");
}

#[test]
fn text_that_is_not_utf_8_is_a_failure_in_both_directions() {
    let bench = Bench::new();
    let entry = bench.filter(&guest::filter(
        "(i32.store (i32.const 64) (i32.const 0xff)) (call $answer (i32.const 1) (i32.const 64) (i32.const 1))",
    ));
    let Err(Failure(failure)) = ask(&entry) else { panic!() };
    assert!(failure.starts_with("plugin `p` stopped: invalid utf-8"), "{failure}");

    let input = Input { json: Bytes::from_static(b"\xff"), ..input() };
    let Err(Failure(failure)) = block_on(entry.check(input)).answer else { panic!() };
    assert_eq!(
        failure,
        "plugin `p` takes text, but an earlier transform of this subscription made other bytes; put `p` before it"
    );
}

#[test]
fn quick_calls_run_where_they_are_asked_for_and_slow_ones_do_not() {
    let bench = Bench::new();
    let entry = bench.filter(&guest::filter("(call $previous (i32.const 32)) (call $deliver)"));
    let ran_here = |pause: Duration| {
        let ran = Arc::new(Mutex::new(None));
        let note = Arc::clone(&ran);
        let previous = Arc::new(move || {
            thread::sleep(pause);
            *note.lock().unwrap() = Some(thread::current().id());
            None
        });
        block_on(entry.check(Input { previous, ..input() })).answer.unwrap();
        let id = ran.lock().unwrap().unwrap();
        id == thread::current().id()
    };
    assert!(!ran_here(Duration::ZERO), "nothing is known of it yet");
    // A busy machine may make some of them slow.
    assert!((0..10_000).any(|_| ran_here(Duration::ZERO)), "it proved to be quick");
    ran_here(Duration::from_millis(5));
    assert!(!ran_here(Duration::ZERO), "it was slow just now");
}

#[test]
fn one_entry_runs_four_calls_at_once_and_no_more() {
    let bench = Bench::new();
    let entry = bench.filter(&guest::filter("(call $previous (i32.const 32)) (call $deliver)"));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let previous: Arc<dyn Fn() -> Option<Bytes> + Send + Sync> = {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        Arc::new(move || {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            running.fetch_sub(1, Ordering::SeqCst);
            None
        })
    };
    block_on(async {
        let calls = (0..16).map(|_| entry.check(Input { previous: Arc::clone(&previous), ..input() }));
        let calls: Vec<_> = calls.map(Box::pin).collect();
        for answer in join_all(calls).await {
            answer.answer.unwrap();
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[test]
fn nothing_is_lost_when_the_asker_goes_away() {
    let bench = Bench::new();
    let entry = bench.filter(&guest::filter("(call $previous (i32.const 32)) (call $counted)"));
    let previous = Arc::new(|| {
        thread::sleep(Duration::from_millis(20));
        None
    });
    block_on(async {
        let call = entry.check(Input { previous, ..input() });
        tokio::select! {
            biased;
            _ = call => panic!("it takes longer"),
            () = tokio::task::yield_now() => {}
        }
    });
    // Dropping the runtime waited for the call, which put its instance back.
    assert_eq!(count(&entry), 2);
}

#[test]
fn a_shipped_filter_works_from_many_threads() {
    let host = Host::new(None).unwrap();
    let config = config(json!({ "payload.billable": true }));
    let entry = shipped(&host, "match").entry("s", Stage::Filter, &config).unwrap();
    make_quick(&entry);
    thread::scope(|scope| {
        for billable in [true, false, true, false] {
            let entry = &entry;
            scope.spawn(move || {
                let expected = match billable {
                    true => Keep::Deliver,
                    false => Keep::Skip("payload.billable is false, wanted true".into()),
                };
                let json = format!(r#"{{"payload":{{"billable":{billable}}}}}"#);
                for _ in 0..500 {
                    assert_eq!(block_on(entry.check(input_of(&json))).answer, Ok(expected.clone()));
                }
            });
        }
    });
}

/// Drives all of them, each whenever it can go on.
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<_> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(context)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            return std::task::Poll::Ready(done.drain(..).flatten().collect());
        }
        std::task::Poll::Pending
    })
    .await
}
