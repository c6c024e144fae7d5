//! Lives of a store on a simulated disk, beside a store in memory that goes through the
//! same and says what must be found on the disk at every moment.

use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::Mounted;
use super::view::View;
use super::*;
use crate::store::event_ids;
use crate::store::memory::MemoryStore;

/// Small windows, so that pages are read and rows written early.
pub(super) fn small() -> Budget {
    Budget::new(4..8, 64 << 10)
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Enroll(&'static str),
    /// So many events in one batch.
    Append(usize),
    /// Deliveries of the n-th subscription meet this end, up to so many.
    Deliver(usize, usize, Outcome),
    Stand(usize),
    Release(usize),
    /// An event of the past, counted from the oldest, for the first subscription.
    Replay(usize),
    /// Gives up the events before the n-th that ever came.
    Prune(i64),
    Plan,
    Rename(usize, &'static str),
    Remove(usize),
    Restart,
}

/// A life that goes through everything once.
pub(super) fn whole_life() -> Vec<Step> {
    use Outcome::{Delivered, Failed, Held, Pending};
    vec![
        Step::Enroll("one"),
        Step::Enroll("two"),
        Step::Plan,
        Step::Append(3),
        Step::Deliver(0, 2, Delivered),
        Step::Append(5),
        Step::Deliver(0, 2, Pending),
        Step::Deliver(1, 1, Held),
        Step::Stand(0),
        Step::Append(6),
        Step::Deliver(0, 3, Failed),
        Step::Release(1),
        Step::Replay(0),
        Step::Restart,
        Step::Append(2),
        Step::Deliver(0, 4, Delivered),
        Step::Prune(6),
        Step::Enroll("three"),
        Step::Rename(2, "third"),
        Step::Append(4),
        Step::Deliver(1, 2, Delivered),
        Step::Remove(1),
        Step::Stand(2),
        Step::Append(3),
        Step::Deliver(0, 9, Delivered),
        Step::Restart,
        Step::Append(1),
    ]
}

/// Some life.
pub(super) fn random_life(seed: u64, steps: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut life = vec![Step::Enroll("one"), Step::Enroll("two"), Step::Append(2)];
    for _ in 0..steps {
        let sub = random.random_range(0..2);
        let ends = [Outcome::Delivered, Outcome::Delivered, Outcome::Pending, Outcome::Failed, Outcome::Held];
        let end = ends[random.random_range(0..ends.len())];
        life.push(match random.random_range(0..20) {
            0..6 => Step::Append(random.random_range(1..8)),
            6..13 => Step::Deliver(sub, random.random_range(1..6), end),
            13 => Step::Stand(sub),
            14 => Step::Release(sub),
            15 => Step::Replay(random.random_range(0..4)),
            16 => Step::Prune(random.random_range(0..20)),
            17 => Step::Plan,
            18 => Step::Enroll(["two", "three", "four"][random.random_range(0..3)]),
            _ => Step::Restart,
        });
    }
    life
}

/// A store and the model of it. After every change the model's view is noted.
pub(super) struct Life {
    pub(super) mounted: Mounted,
    store: Option<SqliteStore>,
    model: MemoryStore,
    subscriptions: Vec<SubscriptionId>,
    next: i64,
    plan: i64,
    pub(super) views: Vec<View>,
    /// The last view that is durable by promise.
    pub(super) certain: Vec<usize>,
    pub(super) errors: Vec<Error>,
}

/// The life cannot go on in step: a close that failed lost outcomes, as it may.
pub(super) struct Apart;

impl Life {
    pub(super) async fn begin(mounted: Mounted) -> Life {
        let mut life = Life {
            mounted,
            store: None,
            model: MemoryStore::with_budget(small()),
            subscriptions: Vec::new(),
            next: 1,
            plan: 0,
            views: Vec::new(),
            certain: Vec::new(),
            errors: Vec::new(),
        };
        life.note(true).await;
        life.open().await;
        life
    }

    pub(super) async fn live(&mut self, steps: &[Step]) -> std::result::Result<(), Apart> {
        for step in steps {
            self.step(step).await?;
        }
        Ok(())
    }

    pub(super) async fn close(&mut self) {
        if let Some(store) = self.store.take()
            && let Err(error) = store.close().await
        {
            self.errors.push(error);
        }
    }

    /// Closes, opens again, and finds what it should.
    pub(super) async fn restart(&mut self) -> std::result::Result<(), Apart> {
        self.close().await;
        self.open().await;
        // Claims are void.
        for id in self.subscriptions.clone() {
            let _unknown_if_removed = self.model.release_held(id).await;
        }
        let found = self.found().await;
        let allowed = &self.views[self.certain[self.views.len() - 1]..];
        assert!(allowed.contains(&found), "found {found:?}\nexpected {:?}", allowed.last());
        if Some(&found) == allowed.last() { Ok(()) } else { Err(Apart) }
    }

    /// What the durable store shows.
    pub(super) async fn found(&mut self) -> View {
        loop {
            match View::of(self.store(), self.subscriptions.len()).await {
                Ok(view) => return view,
                Err(error) => self.failed(error),
            }
        }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().expect("the store is open")
    }

    /// A second failure in a row ends the trouble; after that nothing may fail any more.
    fn failed(&mut self, error: Error) {
        self.errors.push(error);
        assert!(self.errors.len() < 40, "it does not recover: {:?}", self.errors.last());
        if self.errors.len().is_multiple_of(2) {
            self.mounted.heal();
        }
    }

    async fn open(&mut self) {
        loop {
            match SqliteStore::open_with(self.mounted.path(), small()) {
                Ok(store) => {
                    self.store = Some(store);
                    break;
                }
                Err(error) => self.failed(error),
            }
        }
        // So that what was written goes back into the file every few steps.
        let often = "PRAGMA wal_autocheckpoint = 24".to_owned();
        if let Err(error) = self.store().write(0, |answer| Box::new(Run(often, answer))).await {
            self.failed(error);
        }
    }

    async fn note(&mut self, certain: bool) {
        let view = View::of(&self.model, self.subscriptions.len()).await.unwrap();
        let last_certain = if certain { self.views.len() } else { self.certain.last().copied().unwrap_or(0) };
        self.views.push(view);
        self.certain.push(last_certain);
        self.mounted.answered(self.views.len());
    }

    async fn step(&mut self, step: &Step) -> std::result::Result<(), Apart> {
        match step {
            Step::Enroll(name) => self.enroll(name).await,
            Step::Append(count) => self.append(*count).await,
            Step::Deliver(n, most, outcome) => self.deliver(*n, *most, *outcome).await,
            Step::Stand(n) => self.stand(*n).await,
            Step::Release(n) => {
                let id = self.subscriptions[*n];
                assert_eq!(self.store().release_held(id).await.ok(), self.model.release_held(id).await.ok());
            }
            Step::Replay(n) => self.replay(*n).await,
            Step::Prune(before) => self.prune(at(*before)).await,
            Step::Plan => self.keep_plan().await,
            Step::Rename(n, name) => self.rename(self.subscriptions[*n], name).await,
            Step::Remove(n) => self.remove(self.subscriptions[*n]).await,
            Step::Restart => self.restart().await?,
        }
        Ok(())
    }

    async fn enroll(&mut self, name: &str) {
        let names = [name.to_owned()];
        let id = loop {
            match self.store().enroll(&names, at(0)).await {
                Ok(enrolled) => break enrolled[0].id,
                Err(error) => self.failed(error),
            }
        };
        assert_eq!(self.model.enroll(&names, at(0)).await.unwrap()[0].id, id);
        let new = !self.subscriptions.contains(&id);
        if new {
            self.subscriptions.push(id);
        }
        // Nothing is written for a known one.
        self.note(new).await;
    }

    async fn append(&mut self, count: usize) {
        let numbers = self.next..self.next + count as i64;
        self.next = numbers.end;
        let arrivals: Vec<Arrival> = numbers.map(|n| self.arrival(n)).collect();
        let receipts = loop {
            match self.store().append(arrivals.clone()).await {
                Ok(receipts) => break receipts,
                Err(error) => self.failed(error),
            }
        };
        assert_eq!(receipts, self.model.append(arrivals).await.unwrap());
        self.note(true).await;
    }

    fn arrival(&self, n: i64) -> Arrival {
        let known = |index: usize| self.subscriptions.get(index).copied();
        let route =
            |subscription, outcome| Routed { subscription, order: Order::Entity, outcome, reason: None };
        let second = if n % 3 == 0 { Outcome::SkippedDisabled } else { Outcome::Pending };
        let routed = known(0).map(|id| route(id, Outcome::Pending)).into_iter();
        let routed = routed.chain(known(1).filter(|_| n % 2 == 0).map(|id| route(id, second)));
        // Some were made here, some are long, some share a lane.
        let id = if n % 4 == 0 { event_ids::FIRST + n } else { n };
        let filler = "x".repeat(if n % 7 == 0 { 9000 } else { 60 });
        let text = format!(
            r#"{{"metadata":{{"action":"updated","model":"tag","tag_id":{}}},"payload":{{"n":{n},"filler":"{filler}"}}}}"#,
            n % 5
        );
        let event = restore(EventId(id), &at(n).to_string(), 5, Bytes::from(text)).unwrap();
        Arrival { event: Arc::new(event), arrived_at: at(n), plan: self.plan, routed: routed.collect() }
    }

    async fn deliver(&mut self, n: usize, most: usize, outcome: Outcome) {
        let id = self.subscriptions[n];
        if self.model.standing(id).is_none() {
            return;
        }
        let leases = loop {
            match self.store().claim(id, Take::Heads(most)).await {
                Ok(leases) => break leases,
                Err(error) => self.failed(error),
            }
        };
        let same = self.model.claim(id, Take::Heads(leases.len())).await.unwrap();
        let events =
            |leases: &[Lease]| leases.iter().map(|it| (it.event.id, it.attempts)).collect::<Vec<_>>();
        assert_eq!(events(&leases), events(&same));
        for (lease, same) in leases.into_iter().zip(same) {
            let attempt = Attempt {
                n: lease.attempts + 1,
                at: at(0),
                status: Some(200),
                error: None,
                ms: 1,
                trace: None,
            };
            let verdict = |standing: &mut Standing| {
                standing.delivered += u64::from(outcome == Outcome::Delivered);
                standing.failed_attempts += u32::from(outcome != Outcome::Delivered);
                Next { outcome, reason: None }
            };
            self.store().settle(lease, Some(attempt.clone()), at(0), &verdict).await.unwrap();
            self.model.settle(same, Some(attempt), at(0), &verdict).await.unwrap();
            self.note(false).await;
        }
    }

    async fn stand(&mut self, n: usize) {
        let id = self.subscriptions[n];
        let change = |standing: &mut Standing| standing.failed_attempts += 100;
        if self.model.set_standing(id, &change).await.is_err() {
            return;
        }
        let written = self.store().set_standing(id, &change).await;
        let certain = written.is_ok();
        written.err().into_iter().for_each(|error| self.failed(error));
        self.note(certain).await;
    }

    async fn replay(&mut self, n: usize) {
        let nth = |page: Page| page.events.iter().rev().nth(n).map(|past| past.seq);
        let Some(same) = nth(self.model.page(None, 100).await.unwrap()) else { return };
        let route = Routed {
            subscription: self.subscriptions[0],
            order: Order::Entity,
            outcome: Outcome::Pending,
            reason: None,
        };
        let past = loop {
            match self.store().page(None, 100).await {
                Ok(page) => break nth(page).unwrap(),
                Err(error) => self.failed(error),
            }
        };
        loop {
            match self.store().replay(vec![(past, route.clone())], at(0)).await {
                Ok(made) => break assert_eq!(made.len(), 1),
                Err(error) => self.failed(error),
            }
        }
        self.model.replay(vec![(same, route)], at(0)).await.unwrap();
        self.note(true).await;
    }

    async fn prune(&mut self, before: Timestamp) {
        while let Err(error) = self.store().prune(before).await {
            self.failed(error);
        }
        self.model.prune(before).await.unwrap();
        self.note(true).await;
    }

    async fn keep_plan(&mut self) {
        self.plan += 1;
        while let Err(error) = self.store().keep_plan(self.plan, "{}".to_owned()).await {
            self.failed(error);
        }
        self.model.keep_plan(self.plan, "{}".to_owned()).await.unwrap();
        self.note(true).await;
    }

    async fn rename(&mut self, id: SubscriptionId, name: &str) {
        while let Err(error) = self.store().rename(id, name).await {
            self.failed(error);
        }
        self.model.rename(id, name).await.unwrap();
        self.note(true).await;
    }

    async fn remove(&mut self, id: SubscriptionId) {
        loop {
            match self.store().remove(id, at(0)).await {
                // It was removed before the disk refused to cancel what waited.
                Ok(_) | Err(Error::UnknownSubscription(_)) => break,
                Err(error) => self.failed(error),
            }
        }
        self.model.remove(id, at(0)).await.unwrap();
        self.note(true).await;
    }
}

fn at(seconds: i64) -> Timestamp {
    super::at(0) + SignedDuration::from_secs(seconds)
}
