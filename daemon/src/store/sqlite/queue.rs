//! What waits for the writer, and the one lock around it and the board. Everything that
//! changes goes through here; the writer takes all there is and commits it at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::grant::Grant;
use super::tx::{Settlement, Tx};
use crate::delivery::{DeliveryId, Standing, SubscriptionId};
use crate::store::board::Board;
use crate::store::{Error, Result};
use crate::telemetry::Complaint;

/// Bytes of requests that may wait for the writer: what it writes in a tenth of a second.
const MOST_BYTES: usize = 16 << 20;

/// Requests that may wait, whatever their size.
const MOST_WORKS: usize = 4096;

/// Bytes of one commit. Who comes behind it waits for the next one.
const COMMIT_BYTES: usize = 4 << 20;

/// How long outcomes wait for an append to ride with.
const LINGER: Duration = Duration::from_millis(100);

/// How long to leave a disk alone that has refused outcomes.
const LINGER_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Outcomes in memory from which on the writer does not linger, and from which on (if
/// the disk takes none) nothing more is handed out.
const MANY_UNWRITTEN: usize = 4096;
const TOO_MANY_UNWRITTEN: usize = 65_536;

/// What a caller is told to wait if there is no room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request that is written in a transaction with others.
pub(super) trait Work: Send {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    /// The transaction has been committed: brings the memory up to date.
    fn apply(&mut self, _state: &mut State) {}
    fn answer(self: Box<Self>, result: Result<()>);
}

/// Asks for a delivery outside of the window.
pub(super) struct Find {
    pub(super) subscription: SubscriptionId,
    pub(super) delivery: DeliveryId,
    pub(super) answer: oneshot::Sender<Result<Grant>>,
}

type Waker = oneshot::Sender<Result<()>>;

/// All that the writer does in one go.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) works: Vec<Box<dyn Work>>,
    pub(super) settlements: Vec<Settlement>,
    pub(super) standings: Vec<(SubscriptionId, Arc<Standing>)>,
    pub(super) pages: HashMap<SubscriptionId, Vec<Waker>>,
    pub(super) finds: Vec<Find>,
}

#[derive(Clone, Copy, PartialEq)]
enum Writer {
    Works,
    /// Wakes by itself soon, since outcomes are or will be there to write.
    Lingers,
    Sleeps,
}

pub(super) struct State {
    pub(super) board: Board,
    pub(super) last_plan: i64,
    works: VecDeque<(usize, Box<dyn Work>)>,
    bytes: usize,
    settlements: Vec<Settlement>,
    /// Subscriptions whose standing is newer than what is written.
    restood: HashSet<SubscriptionId>,
    pages: HashMap<SubscriptionId, Vec<Waker>>,
    finds: Vec<Find>,
    /// Subscriptions of which nothing could be read the last time.
    unread: HashMap<SubscriptionId, Error>,
    /// What the last delivery that was set aside came to.
    damage: Option<Error>,
    complaint: Complaint,
    writer: Writer,
    failed: bool,
    closed: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
}

impl State {
    pub(super) fn push_settlement(&mut self, settlement: Settlement) {
        self.restood.insert(settlement.subscription);
        self.settlements.push(settlement);
    }

    pub(super) fn restood(&mut self, subscription: SubscriptionId) {
        self.restood.insert(subscription);
    }

    /// Outcomes that are not yet written, in order.
    pub(super) fn unwritten(&self) -> &[Settlement] {
        &self.settlements
    }

    /// More outcomes wait for a disk that takes none than memory should hold.
    pub(super) fn check_unwritten(&self) -> Result<()> {
        if self.settlements.len() < TOO_MANY_UNWRITTEN { Ok(()) } else { Err(Error::Busy(RETRY_AFTER)) }
    }

    /// Asks for the next page; `waker` hears when it has been read.
    pub(super) fn want_page(&mut self, subscription: SubscriptionId, waker: Option<Waker>) {
        if !self.closed {
            self.pages.entry(subscription).or_default().extend(waker);
        }
    }

    /// A delivery has been set aside. Says whether that is worth a line, and how many had none.
    pub(super) fn damaged(&mut self, error: Error, now: Instant) -> Option<u64> {
        self.damage = Some(error);
        self.complaint.happened(now)
    }

    /// Remembers whether what waits of a subscription could be read.
    pub(super) fn was_read(&mut self, subscription: SubscriptionId, result: std::result::Result<(), &Error>) {
        match result {
            Err(error) => drop(self.unread.insert(subscription, error.clone())),
            Ok(()) => drop(self.unread.remove(&subscription)),
        }
    }

    /// Why something that waits cannot be read.
    pub(super) fn unreadable(&self) -> Option<&Error> {
        let unread = self.unread.iter().find(|(subscription, _)| self.board.knows(**subscription));
        unread.map(|(_, error)| error).or_else(|| self.damage.as_ref().filter(|_| self.board.lacks_some()))
    }

    /// All outcomes are on disk, and the writer is not about to write any.
    pub(super) fn is_clean(&self) -> bool {
        self.settlements.is_empty() && self.writer != Writer::Works
    }

    /// Outcomes that could not be written are tried again with the next commit.
    pub(super) fn keep_unwritten(
        &mut self,
        mut settlements: Vec<Settlement>,
        standings: impl Iterator<Item = SubscriptionId>,
    ) {
        settlements.append(&mut self.settlements);
        self.settlements = settlements;
        self.restood.extend(standings);
        self.failed = true;
    }

    fn anything_to_do(&self) -> bool {
        !self.works.is_empty()
            || !self.pages.is_empty()
            || !self.finds.is_empty()
            || (self.settlements.len() >= MANY_UNWRITTEN && !self.failed)
    }

    fn anything_unwritten(&self) -> bool {
        !self.settlements.is_empty() || !self.restood.is_empty()
    }

    fn take(&mut self) -> Batch {
        let mut works = Vec::with_capacity(self.works.len());
        let mut bytes = 0;
        while bytes < COMMIT_BYTES
            && let Some((size, work)) = self.works.pop_front()
        {
            bytes += size;
            works.push(work);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.failed = false;
        let restood = self.restood.drain();
        let standings = restood.filter_map(|id| Some((id, self.board.standing(id)?))).collect();
        Batch {
            works,
            standings,
            settlements: std::mem::take(&mut self.settlements),
            pages: std::mem::take(&mut self.pages),
            finds: std::mem::take(&mut self.finds),
        }
    }
}

impl Queue {
    pub(super) fn new(board: Board, last_plan: i64) -> Queue {
        let state = State {
            board,
            last_plan,
            works: VecDeque::new(),
            bytes: 0,
            settlements: Vec::new(),
            restood: HashSet::new(),
            pages: HashMap::new(),
            finds: Vec::new(),
            unread: HashMap::new(),
            damage: None,
            complaint: Complaint::default(),
            writer: Writer::Works,
            failed: false,
            closed: false,
        };
        Queue { state: Mutex::new(state), bell: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the writer something to do, unless it has too much already.
    pub(super) fn submit(&self, bytes: usize, work: Box<dyn Work>) -> Result<()> {
        let mut state = self.lock();
        let no_room = state.bytes + bytes > MOST_BYTES && !state.works.is_empty();
        if no_room || state.works.len() >= MOST_WORKS {
            return Err(Error::Busy(RETRY_AFTER));
        }
        if !state.closed {
            state.bytes += bytes;
            state.works.push_back((bytes, work));
            self.nudge(state);
        }
        Ok(())
    }

    pub(super) fn find(&self, find: Find) {
        let mut state = self.lock();
        if !state.closed {
            state.finds.push(find);
            self.nudge(state);
        }
    }

    /// Wakes the writer if it has something to do and does not know.
    pub(super) fn nudge(&self, state: MutexGuard<'_, State>) {
        let wake = match state.writer {
            Writer::Works => false,
            Writer::Lingers => state.anything_to_do(),
            Writer::Sleeps => state.anything_to_do() || state.anything_unwritten(),
        };
        drop(state);
        if wake {
            self.bell.notify_one();
        }
    }

    /// No more work is taken; what is there is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    /// The writer is gone. Whoever still waits for an answer hears so.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let works = std::mem::take(&mut state.works);
        let Batch { pages, finds, .. } = state.take();
        drop(state);
        drop((works, pages, finds));
    }

    /// Waits for something to do. None when all is done and the queue is closed.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        // After a commit its outcomes come soon. Lingering once even without any spares
        // each of them the wake-up.
        let mut lingered = false;
        while !state.anything_to_do() && !state.closed {
            let unwritten = state.anything_unwritten();
            if lingered && unwritten {
                break;
            }
            if lingered {
                state.writer = Writer::Sleeps;
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                lingered = !state.anything_unwritten();
            } else {
                state.writer = Writer::Lingers;
                let linger = if state.failed { LINGER_AFTER_FAILURE } else { LINGER };
                let waited = self.bell.wait_timeout(state, linger);
                let timeout;
                (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                lingered = timeout.timed_out();
            }
        }
        state.writer = Writer::Works;
        let done = state.closed && !state.anything_to_do() && (state.failed || !state.anything_unwritten());
        (!done).then(|| state.take())
    }
}
