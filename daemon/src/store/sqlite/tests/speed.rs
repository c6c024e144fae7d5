//! How fast it is. Prints; asserts nothing. `cargo test --release -- --ignored speed --nocapture`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Instant;

use super::*;

/// CPU time of this process so far, in microseconds, to a hundredth of a second.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).map(|it| it.parse().unwrap()).collect();
    (fields[0] + fields[1]) * 10_000.0
}

fn measured<T>(what: &str, events: i64, run: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), cpu());
    let result = run();
    let (seconds, used) = (start.elapsed().as_secs_f64(), cpu() - before);
    println!(
        "{what:40} {:>9.0} /s   {:>7.2} µs CPU each   {:>7.1} ms in all",
        events as f64 / seconds,
        used / events as f64,
        seconds * 1000.0
    );
    result
}

fn batch(first: i64, size: i64, routed: &[Routed]) -> Vec<Arrival> {
    let created_at = |n| Timestamp::from_millisecond(1_700_000_000_000 + n).unwrap();
    (first..first + size).map(|n| arrival_at(mixed(n), created_at(n), routed.to_vec())).collect()
}

/// Ids in no order.
fn mixed(n: i64) -> i64 {
    n.wrapping_mul(0x5851_f42d_4c95_7f2d) & (i64::MAX >> 1)
}

/// Appends, claims and settles, one batch after the other.
fn round_trips(runtime: &tokio::runtime::Runtime, store: &SqliteStore, size: i64, batches: i64, first: i64) {
    let one = runtime.block_on(enroll(store));
    let prepared: Vec<_> = (0..batches).map(|n| batch(first + n * size, size, &wanted(one))).collect();
    measured(&format!("append, claim, settle by {size}"), batches * size, || {
        runtime.block_on(async {
            for arrivals in prepared {
                store.append(arrivals).await.unwrap();
                loop {
                    let leases = store.claim(one, Take::Heads(64)).await.unwrap();
                    if leases.is_empty() {
                        break;
                    }
                    for lease in leases {
                        deliver(store, lease).await;
                    }
                }
            }
        });
    });
}

/// The least that SQLite can be asked for: the same bytes into one table, one sync a batch.
fn floor(size: i64, batches: i64) {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let mut connection = super::super::schema::Folder::take(folder.path()).unwrap().open_writer().unwrap();
    connection.execute_batch("CREATE TABLE bare (seq INTEGER PRIMARY KEY, received BLOB)").unwrap();
    let prepared: Vec<_> = (0..batches).map(|n| batch(n * size, size, &[])).collect();
    measured(&format!("bare inserts by {size}"), batches * size, || {
        for arrivals in &prepared {
            let tx = connection.transaction().unwrap();
            let mut insert = tx.prepare_cached("INSERT INTO bare (received) VALUES (?1)").unwrap();
            for arrival in arrivals {
                insert.execute([&arrival.event.received[..]]).unwrap();
            }
            drop(insert);
            tx.commit().unwrap();
        }
    });
}

#[test]
#[ignore = "measures"]
fn speed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let sizes = [(1, 5_000, 0), (16, 5_000, 1 << 20), (128, 1_500, 2 << 20), (1024, 200, 3 << 20)];
    // For a profiler: one size, as often as it likes.
    let given = |name: &str| std::env::var(name).ok().map(|number| number.parse::<i64>().unwrap());
    for (size, batches, first) in sizes {
        if given("BATCH").is_none_or(|only| only == size) {
            floor(size, given("COUNT").unwrap_or(batches));
            round_trips(&runtime, &store, size, given("COUNT").unwrap_or(batches), first);
        }
    }
    if given("BATCH").is_some() {
        return;
    }
    let prepared: Vec<_> = (0..1500).map(|n| batch((5 << 20) + n * 128, 128, &[])).collect();
    measured("append alone by 128", 1500 * 128, || {
        runtime.block_on(async {
            for arrivals in prepared {
                store.append(arrivals).await.unwrap();
            }
        });
    });
}

#[test]
#[ignore = "measures, and writes some gigabytes"]
fn size() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let one = runtime.block_on(enroll(&store));
    let million = 1_000_000;
    for round in 0..3 {
        let what = format!("append {round} million more");
        measured(&what, million, || {
            runtime.block_on(async {
                for n in 0..million / 1000 {
                    store.append(batch(round * million + n * 1000, 1000, &wanted(one))).await.unwrap();
                }
            });
        });
        measured("close", 1, || runtime.block_on(store.close()).unwrap());
        drop(store);
        store = measured("open", 1, || SqliteStore::open(folder.path()).unwrap());
        let lease = measured("first claim", 1, || runtime.block_on(store.claim(one, Take::Oldest)).unwrap());
        runtime.block_on(deliver(&store, lease.into_iter().next().unwrap()));
        round_trips_beside(&runtime, &store, round);
    }
    measured("deliver waiting ones", 200_000, || {
        runtime.block_on(async {
            for _ in 0..200_000 / 8 {
                for lease in store.claim(one, Take::Heads(8)).await.unwrap() {
                    deliver(&store, lease).await;
                }
            }
        });
    });
    measured("why", 1000, || {
        runtime.block_on(async {
            for n in 0..1000 {
                store.why(EventId(mixed(n * 2971))).await.unwrap().unwrap();
            }
        });
    });
}

/// The same work for another subscription, with a long queue beside it.
fn round_trips_beside(runtime: &tokio::runtime::Runtime, store: &SqliteStore, round: i64) {
    let other = runtime.block_on(store.enroll(&["other".to_owned()], at(0))).unwrap()[0].id;
    let prepared: Vec<_> =
        (0..2000).map(|n| batch((100 + round) * 1_000_000 + n * 16, 16, &wanted(other))).collect();
    measured("append, claim, settle by 16 beside", 2000 * 16, || {
        runtime.block_on(async {
            for arrivals in prepared {
                store.append(arrivals).await.unwrap();
                for lease in store.claim(other, Take::Heads(16)).await.unwrap() {
                    deliver(store, lease).await;
                }
            }
        });
    });
}

#[test]
#[ignore = "measures for ten seconds"]
fn latency() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
    let one = runtime.block_on(enroll(&store));
    let before = cpu();
    let mut waits: Vec<Duration> = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        for n in 0..10_000 {
            tick.tick().await;
            let store = store.clone();
            tasks.spawn(async move {
                let start = Instant::now();
                store.append(batch(n, 1, &wanted(one))).await.unwrap();
                let waited = start.elapsed();
                for lease in store.claim(one, Take::Heads(8)).await.unwrap() {
                    deliver(&store, lease).await;
                }
                waited
            });
        }
        tasks.join_all().await
    });
    waits.sort_unstable();
    let at = |part: f64| waits[(waits.len() as f64 * part) as usize].as_secs_f64() * 1000.0;
    let used = (cpu() - before) / 10_000.0;
    println!(
        "append at 1000/s: p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}; {used:.0} µs CPU each",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    );
}
