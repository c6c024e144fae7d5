//! What can be seen of a store from outside, and whether what a disk has left of one shows
//! what it may, is sound and goes on working.

use std::collections::BTreeSet;

use super::disk::{Mounted, Platter};
use super::life::small;
use super::*;
use crate::store::event_ids;

/// For whom, what came of it, attempts, whether it is a replay.
type Decided = (SubscriptionId, Outcome, usize, bool);

/// What can be seen of a store, times and ids of its own aside.
#[derive(Clone, PartialEq)]
pub(super) struct View {
    events: Vec<(EventId, Bytes, Vec<Decided>)>,
    /// Waiting deliveries, those delivered, and failures, of each subscription there is.
    subscriptions: Vec<Option<(u64, u64, u32)>>,
    plan: i64,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "plan {}, subscriptions {:?}", self.plan, self.subscriptions)?;
        self.events.iter().try_for_each(|(id, _, decisions)| writeln!(f, "  {id}: {decisions:?}"))
    }
}

impl View {
    pub(super) async fn of(store: &dyn Store, subscriptions: usize) -> Result<View> {
        let ids = (1..=subscriptions as i64).map(SubscriptionId);
        let standing = |id| {
            let standing = store.standing(id)?;
            Some((store.waiting(id).pending, standing.delivered, standing.failed_attempts))
        };
        let subscriptions: Vec<_> = ids.map(standing).collect();
        let mut events = Vec::new();
        let mut before = None;
        loop {
            let page = store.page(before, 100).await?;
            for past in page.events {
                let decisions = past.decisions.iter().map(|decision| {
                    let removed =
                        subscriptions.get(decision.subscription.0 as usize - 1).is_none_or(Option::is_none);
                    let outcome = match decision.outcome {
                        // What a removed subscription waits for is cancelled step by step.
                        Outcome::Pending | Outcome::Held if removed => Outcome::Cancelled,
                        // A restart releases.
                        Outcome::Held => Outcome::Pending,
                        other => other,
                    };
                    (decision.subscription, outcome, decision.attempts().len(), decision.replay)
                });
                events.push((past.event.id, past.event.received.clone(), decisions.collect()));
            }
            before = page.next;
            if before.is_none() {
                return Ok(View { events, subscriptions, plan: store.last_plan() });
            }
        }
    }

    pub(super) fn newest_made_here(&self) -> Option<EventId> {
        self.events.iter().map(|(id, ..)| *id).filter(|id| id.0 >= event_ids::FIRST).max()
    }

    fn queued(&self) -> u64 {
        self.subscriptions.iter().flatten().map(|(waiting, ..)| waiting).sum()
    }
}

/// Opens what is left of a disk. It must be sound, show one of these views, never give an
/// id twice, and go on working.
pub(super) async fn survives(
    left: &Platter,
    allowed: &[View],
    newest: Option<EventId>,
) -> std::result::Result<(), String> {
    let mounted = Mounted::new(Platter::default());
    mounted.put(left);
    let store = SqliteStore::open_with(mounted.path(), small()).map_err(|error| error.to_string())?;
    let subscriptions = allowed.iter().map(|view| view.subscriptions.len()).max().unwrap_or(0);
    let found = View::of(&store, subscriptions).await.map_err(|error| error.to_string())?;
    if !allowed.iter().any(|view| view.shows(&found)) {
        return Err(format!("found {found:?}\nallowed {allowed:?}"));
    }
    let sound = store.history(|connection, _| audit::audit(connection)).await;
    let problems = sound.map_err(|error| error.to_string())?.problems;
    if !problems.is_empty() {
        return Err(format!("{problems:?}"));
    }
    if let Some(newest) = newest
        && store.next_event_id() <= newest
    {
        return Err(format!("{newest} would be given again"));
    }
    goes_on(&store, &found).await.map_err(|error| error.to_string())?;
    store.close().await.map_err(|error| error.to_string())
}

/// Knows what it has, takes something new, and delivers all of it once.
async fn goes_on(store: &SqliteStore, found: &View) -> Result<()> {
    let ids: Vec<SubscriptionId> = (1..=found.subscriptions.len() as i64).map(SubscriptionId).collect();
    let first = ids.first().copied().filter(|id| store.standing(*id).is_some());
    let again = found.events.iter().map(|(id, received, _)| {
        let event = restore(*id, &at(0).to_string(), 5, received.clone()).unwrap();
        Arrival { event: Arc::new(event), arrived_at: at(0), plan: 0, routed: Vec::new() }
    });
    let fresh = super::arrival(123_456, first.map(wanted).unwrap_or_default());
    let receipts = store.append(again.chain([fresh]).collect()).await?;
    let new = receipts.iter().filter(|receipt| !receipt.duplicate).map(|receipt| receipt.event.0);
    assert_eq!(new.collect::<Vec<_>>(), [123_456]);
    let mut delivered = BTreeSet::new();
    for id in ids.into_iter().filter(|id| store.standing(*id).is_some()) {
        loop {
            let leases = store.claim(id, Take::Heads(9)).await?;
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                assert!(delivered.insert(lease.delivery), "{lease:?} comes twice");
                deliver(store, lease).await;
            }
        }
        assert_eq!(store.waiting(id).pending, 0);
    }
    assert_eq!(delivered.len() as u64, found.queued() + u64::from(first.is_some()));
    Ok(())
}

impl View {
    /// The store knows of no more subscriptions than it shows.
    fn shows(&self, found: &View) -> bool {
        let missing = found.subscriptions.get(self.subscriptions.len()..).unwrap_or_default();
        missing.iter().all(Option::is_none)
            && self.subscriptions[..] == found.subscriptions[..self.subscriptions.len()]
            && self.events == found.events
            && self.plan == found.plan
    }
}
