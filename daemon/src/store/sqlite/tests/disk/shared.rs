//! What the connections of one file share beside it: the index of its log, and the locks
//! on that. The engine wants shared memory here; each connection works on a copy instead,
//! and hands over the words it changed when it lets go of a lock.

use std::collections::{BTreeMap, HashMap};
use std::io::Result;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlite_vfs::wip::{self, WalIndexLock};

const REGION: usize = 32_768;
const WORD: usize = 4;

#[derive(Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    regions: BTreeMap<u32, Box<[u8; REGION]>>,
    /// By slot and owner: whether it is exclusive.
    locks: HashMap<(u8, u64), bool>,
}

pub(in super::super) struct WalIndex {
    shared: Arc<Shared>,
    owner: u64,
    /// What this connection saw last.
    seen: HashMap<u32, Box<[u8; REGION]>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn region(&mut self, region: u32) -> &mut [u8; REGION] {
        self.regions.entry(region).or_insert_with(|| Box::new([0; REGION]))
    }
}

impl WalIndex {
    pub(super) fn new(shared: Arc<Shared>, owner: u64) -> WalIndex {
        WalIndex { shared, owner, seen: HashMap::new() }
    }
}

impl wip::WalIndex for WalIndex {
    fn map(&mut self, region: u32) -> Result<[u8; REGION]> {
        let mut data = [0; REGION];
        self.pull(region, &mut data)?;
        Ok(data)
    }

    fn lock(&mut self, slots: Range<u8>, lock: WalIndexLock) -> Result<bool> {
        let mut state = self.shared.lock();
        let others =
            state.locks.iter().filter(|((slot, owner), _)| slots.contains(slot) && *owner != self.owner);
        let free = match lock {
            WalIndexLock::None => true,
            WalIndexLock::Shared => others.into_iter().all(|(_, exclusive)| !exclusive),
            WalIndexLock::Exclusive => others.count() == 0,
        };
        for slot in slots.filter(|_| free) {
            match lock {
                WalIndexLock::None => drop(state.locks.remove(&(slot, self.owner))),
                _ => drop(state.locks.insert((slot, self.owner), lock == WalIndexLock::Exclusive)),
            }
        }
        Ok(free)
    }

    fn delete(self) -> Result<()> {
        self.shared.lock().regions.clear();
        Ok(())
    }

    fn pull(&mut self, region: u32, data: &mut [u8; REGION]) -> Result<()> {
        *data = *self.shared.lock().region(region);
        self.seen.insert(region, Box::new(*data));
        Ok(())
    }

    fn push(&mut self, region: u32, data: &[u8; REGION]) -> Result<()> {
        let mut state = self.shared.lock();
        let shared = state.region(region);
        let seen = self.seen.entry(region).or_insert_with(|| Box::new([0; REGION]));
        let words = shared.chunks_exact_mut(WORD).zip(seen.chunks_exact(WORD)).zip(data.chunks_exact(WORD));
        for ((shared, _), new) in words.filter(|((_, seen), new)| seen != new) {
            shared.copy_from_slice(new);
        }
        **seen = *data;
        Ok(())
    }
}

impl Drop for WalIndex {
    fn drop(&mut self) {
        let owner = self.owner;
        self.shared.lock().locks.retain(|(_, other), _| *other != owner);
    }
}
