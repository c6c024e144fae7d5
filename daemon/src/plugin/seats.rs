//! How many instances live at once, over all plugins and subscriptions. Ten thousand
//! subscriptions do not keep ten thousand instances: who was not asked for longest gives
//! an idle one up when somebody else needs the room.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::entry::Entry;

/// Live instances. A usual one takes some 50 KiB, a Python one 5 MiB.
pub(super) const SEATS: usize = 64;

pub(super) struct Seats {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Counts calls, which is all the time that matters here.
    calls: AtomicU64,
    /// Entries that may have idle instances.
    holders: Mutex<Vec<Weak<Entry>>>,
}

impl Seats {
    pub(super) fn new() -> Seats {
        Seats {
            free: Arc::new(Semaphore::new(SEATS)),
            waiting: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            holders: Mutex::new(Vec::new()),
        }
    }

    /// A seat for a new instance, waiting for one if all are in use.
    pub(super) async fn take(&self) -> OwnedSemaphorePermit {
        if let Some(seat) = self.try_take() {
            return seat;
        }
        // Counted before the search: whoever puts an instance aside afterwards sees that
        // somebody waits, whoever did before is found by the search.
        let _waiting = Waiting::new(&self.waiting);
        self.free_one();
        Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
    }

    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Whether idle instances must be given up rather than kept.
    pub(super) fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// When a call is made, as entries remember it.
    pub(super) fn now(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// The entry has idle instances from now on.
    pub(super) fn list(&self, entry: &Arc<Entry>) {
        let mut holders = self.holders();
        // Entries come and go with reloads; those that are gone must not pile up.
        if holders.len() >= 4 * SEATS {
            holders.retain(|holder| holder.strong_count() > 0);
        }
        holders.push(Arc::downgrade(entry));
    }

    /// Makes the entry that was not asked for longest give up an idle instance.
    fn free_one(&self) {
        let mut holders = self.holders();
        let mut alive: Vec<_> = holders.iter().filter_map(Weak::upgrade).collect();
        // Cached, because calls go on and change it meanwhile.
        alive.sort_by_cached_key(|entry| entry.last_asked());
        let giver = alive.iter().position(|entry| entry.give_up());
        // Who was passed over had nothing to give, and is listed again when it has.
        let emptied = giver.map_or(alive.len(), |giver| giver);
        alive[..emptied].iter().for_each(|entry| entry.delist());
        *holders = alive[emptied..].iter().map(Arc::downgrade).collect();
    }

    fn holders(&self) -> MutexGuard<'_, Vec<Weak<Entry>>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one that waits, for as long as it does, even if it stops waiting early.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Waiting<'a> {
        waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
