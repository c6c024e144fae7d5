//! Whole lives of a store, at random, beside a model that says what must come out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Lane and time of creation of each event.
    Append(Vec<(i64, i64)>),
    Claim(usize),
    ClaimOne(usize),
    Settle(usize, Outcome),
    Release,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let ends = prop_oneof![
        4 => Just(Outcome::Delivered),
        2 => Just(Outcome::Pending),
        1 => Just(Outcome::Held),
        1 => Just(Outcome::Failed),
    ];
    prop_oneof![
        4 => prop::collection::vec((0..6i64, 0..50i64), 1..12).prop_map(Step::Append),
        4 => (1..5usize).prop_map(Step::Claim),
        1 => (0..1000usize).prop_map(Step::ClaimOne),
        8 => (0..8usize, ends).prop_map(|(n, outcome)| Step::Settle(n, outcome)),
        1 => Just(Step::Release),
        1 => Just(Step::Restart),
    ]
}

/// By time of creation and id, as a lane is ordered.
type Key = (i64, i64);

struct Life<S> {
    subject: S,
    id: SubscriptionId,
    waiting: BTreeMap<Key, Waiter>,
    flying: Vec<(Key, Lease)>,
    next: i64,
    ended: u64,
}

struct Waiter {
    lane: i64,
    attempts: u32,
    held: bool,
}

impl<S: Subject> Life<S> {
    async fn run(&mut self, step: Step) {
        match step {
            Step::Append(events) => self.append(events).await,
            Step::Claim(most) => self.claim(most).await,
            Step::ClaimOne(n) => self.claim_one(n).await,
            Step::Settle(n, outcome) => self.settle(n, outcome).await,
            Step::Release => {
                let held = self.waiting.values_mut().filter(|it| it.held);
                let count = held.map(|it| it.held = false).count() as u64;
                assert_eq!(self.subject.store().release_held(self.id).await.unwrap(), count);
            }
            Step::Restart => {}
        }
        let pending = self.waiting.len() as u64;
        let held = self.waiting.values().filter(|it| it.held).count() as u64;
        assert_eq!(self.subject.store().waiting(self.id), Waiting { pending, held, unreadable: 0 });
    }

    async fn append(&mut self, events: Vec<(i64, i64)>) {
        let mut arrivals = Vec::new();
        for (lane, created) in events {
            self.next += 1;
            self.waiting.insert((created, self.next), Waiter { lane, attempts: 0, held: false });
            arrivals.push(arrival(tag(self.next, lane, created), vec![wanted(self.id)]));
        }
        self.subject.store().append(arrivals).await.unwrap();
    }

    async fn claim(&mut self, most: usize) {
        let leases = claim(&self.subject, self.id, Take::Heads(most)).await;
        let keys: Vec<Key> = leases.iter().map(key).collect();
        let heads: Vec<Key> = self.heads().into_iter().take(keys.len()).collect();
        assert_eq!(keys, heads);
        for (key, lease) in keys.into_iter().zip(leases) {
            assert_eq!(lease.attempts, self.waiting[&key].attempts);
            self.flying.push((key, lease));
        }
    }

    async fn claim_one(&mut self, n: usize) {
        let Some(key) = self.waiting.keys().nth(n % self.waiting.len().max(1)).copied() else { return };
        let delivery = why(&self.subject, key.1).await.decisions[0].delivery;
        let lease = claim(&self.subject, self.id, Take::Only(delivery)).await.pop();
        assert_eq!(lease.is_some(), self.is_free(self.waiting[&key].lane));
        self.flying.extend(lease.map(|lease| (key, lease)));
    }

    async fn settle(&mut self, n: usize, outcome: Outcome) {
        if self.flying.is_empty() {
            return;
        }
        let (key, lease) = self.flying.remove(n % self.flying.len());
        settle(&self.subject, lease, outcome).await;
        match outcome {
            Outcome::Pending | Outcome::Held => {
                let waiter = self.waiting.get_mut(&key).unwrap();
                waiter.attempts += 1;
                waiter.held = outcome == Outcome::Held;
            }
            _ => {
                self.waiting.remove(&key);
                self.ended += 1;
            }
        }
    }

    async fn restart(self) -> Life<S> {
        let Life { subject, id, mut waiting, flying, next, ended } = self;
        let subject = subject.reopen().await;
        if !S::DURABLE {
            return Life { subject, id, waiting, flying, next, ended };
        }
        waiting.values_mut().for_each(|it| it.held = false);
        Life { subject, id, waiting, flying: Vec::new(), next, ended }
    }

    fn is_free(&self, lane: i64) -> bool {
        let held = self.waiting.values().any(|it| it.lane == lane && it.held);
        !held && !self.flying.iter().any(|(key, _)| self.waiting[key].lane == lane)
    }

    /// The first of every lane that is free.
    fn heads(&self) -> Vec<Key> {
        let mut lanes = Vec::new();
        let mut heads = Vec::new();
        for (key, waiter) in &self.waiting {
            if !lanes.contains(&waiter.lane) && self.is_free(waiter.lane) {
                lanes.push(waiter.lane);
                heads.push(*key);
            }
        }
        heads
    }

    /// Delivers all that is left: every event comes to its end exactly once.
    async fn finish(mut self) {
        while !self.flying.is_empty() {
            self.settle(0, Outcome::Delivered).await;
        }
        self.run(Step::Release).await;
        while !self.waiting.is_empty() {
            let before = self.waiting.len();
            self.run(Step::Claim(4)).await;
            while !self.flying.is_empty() {
                self.run(Step::Settle(0, Outcome::Delivered)).await;
            }
            assert!(self.waiting.len() < before, "nothing moves any more");
        }
        assert_eq!(self.ended, self.next as u64);
        assert!(claim(&self.subject, self.id, Take::Heads(9)).await.is_empty());
    }
}

fn key(lease: &Lease) -> Key {
    (lease.event.created_at.duration_since(at(0)).as_secs(), lease.event.id.0)
}

fn live<S: Subject>(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (subject, id) = with_one::<S>().await;
        let mut life = Life { subject, id, waiting: BTreeMap::new(), flying: Vec::new(), next: 0, ended: 0 };
        for step in steps {
            if matches!(step, Step::Restart) {
                life = life.restart().await;
            }
            life.run(step).await;
        }
        life.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(steps in prop::collection::vec(step(), 1..60)) {
        live::<Memory>(steps);
    }
}

proptest! {
    // Each restart syncs a file several times.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_sqlite(steps in prop::collection::vec(step(), 1..60)) {
        live::<Sqlite>(steps);
    }
}
