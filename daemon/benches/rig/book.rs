//! Who sent what when, and what arrived: the books of the load and of each endpoint, kept
//! by event id without a lock. From them come losses, doubles and latencies.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::event::FIRST_ID;

/// Every event that is handed out for sending, by its place in the order.
pub struct Sends {
    epoch: Instant,
    first_id: i64,
    next: AtomicUsize,
    /// Nanoseconds since `epoch`.
    at: Box<[AtomicU64]>,
    /// Microseconds until it was acknowledged, one more than measured; 0 is not.
    answered: Box<[AtomicU32]>,
    refused: AtomicUsize,
}

impl Sends {
    /// Room for so many events.
    pub fn new(room: usize) -> Arc<Sends> {
        Sends::from(FIRST_ID, room)
    }

    /// A second book for the same system, whose ids begin where this one's end.
    pub fn beyond(&self, room: usize) -> Arc<Sends> {
        Sends::from(self.id(self.at.len()), room)
    }

    fn from(first_id: i64, room: usize) -> Arc<Sends> {
        Arc::new(Sends {
            epoch: Instant::now(),
            first_id,
            next: AtomicUsize::new(0),
            at: zeroed(room),
            answered: zeroed(room),
            refused: AtomicUsize::new(0),
        })
    }

    /// The next places, as many as wanted; none when the book is full.
    pub fn take(&self, count: usize) -> Option<Range<usize>> {
        let first = self.next.fetch_add(count, Relaxed);
        (first + count <= self.at.len()).then_some(first..first + count)
    }

    /// The id of the event at this place.
    pub fn id(&self, place: usize) -> i64 {
        self.first_id + i64::try_from(place).unwrap_or(i64::MAX - self.first_id)
    }

    /// Places handed out so far.
    pub fn taken(&self) -> usize {
        self.next.load(Relaxed).min(self.at.len())
    }

    pub fn sent(&self, place: usize, at: Instant) {
        self.at[place].store(nanos(at - self.epoch), Relaxed);
    }

    pub fn acknowledged(&self, place: usize) {
        let micros = self.age(place) / 1000;
        self.answered[place].store(u32::try_from(micros + 1).unwrap_or(u32::MAX), Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub fn refusals(&self) -> usize {
        self.refused.load(Relaxed)
    }

    pub fn is_acknowledged(&self, place: usize) -> bool {
        self.answered[place].load(Relaxed) > 0
    }

    pub fn count_acknowledged(&self, places: Range<usize>) -> usize {
        places.filter(|place| self.is_acknowledged(*place)).count()
    }

    /// How long acknowledgements took, sorted.
    pub fn answer_times(&self, places: Range<usize>) -> Vec<u32> {
        sorted(&self.answered[places])
    }

    /// Nanoseconds since this event was sent.
    fn age(&self, place: usize) -> u64 {
        self.now().saturating_sub(self.at[place].load(Relaxed))
    }

    fn now(&self) -> u64 {
        nanos(self.epoch.elapsed())
    }
}

/// What one subscription's endpoint was sent.
pub struct Arrivals {
    sends: Arc<Sends>,
    times: Box<[AtomicU8]>,
    /// Microseconds from sending to the first arrival, one more than measured.
    latency: Box<[AtomicU32]>,
    unique: AtomicUsize,
    unsigned: AtomicUsize,
    foreign: AtomicUsize,
    last: AtomicU64,
}

impl Arrivals {
    pub fn new(sends: &Arc<Sends>) -> Arrivals {
        let room = sends.at.len();
        Arrivals {
            sends: Arc::clone(sends),
            times: zeroed(room),
            latency: zeroed(room),
            unique: AtomicUsize::new(0),
            unsigned: AtomicUsize::new(0),
            foreign: AtomicUsize::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// A delivery came in.
    pub fn record(&self, id: Option<i64>, signed: bool) {
        if !signed {
            self.unsigned.fetch_add(1, Relaxed);
        }
        let place = id.and_then(|id| usize::try_from(id - self.sends.first_id).ok());
        let Some(place) = place.filter(|place| *place < self.sends.taken()) else {
            self.foreign.fetch_add(1, Relaxed);
            return;
        };
        self.last.fetch_max(self.sends.now(), Relaxed);
        if self.times[place].fetch_add(1, Relaxed) == 0 {
            let micros = self.sends.age(place) / 1000;
            self.latency[place].store(u32::try_from(micros + 1).unwrap_or(u32::MAX), Relaxed);
            self.unique.fetch_add(1, Relaxed);
        }
    }

    /// Different events that have arrived.
    pub fn unique(&self) -> usize {
        self.unique.load(Relaxed)
    }

    pub fn unsigned(&self) -> usize {
        self.unsigned.load(Relaxed)
    }

    /// Deliveries of events that nobody sent.
    pub fn foreign(&self) -> usize {
        self.foreign.load(Relaxed)
    }

    /// Acknowledged and not here.
    pub fn lost(&self, places: Range<usize>) -> usize {
        let lost =
            |place: &usize| self.sends.is_acknowledged(*place) && self.times[*place].load(Relaxed) == 0;
        places.filter(lost).count()
    }

    /// Deliveries beyond the first of each event.
    pub fn doubled(&self, places: Range<usize>) -> usize {
        places.map(|place| usize::from(self.times[place].load(Relaxed)).saturating_sub(1)).sum()
    }

    pub fn delivered(&self, places: Range<usize>) -> usize {
        places.filter(|place| self.times[*place].load(Relaxed) > 0).count()
    }

    /// How long events took from sending to arrival, sorted.
    pub fn latencies(&self, places: Range<usize>) -> Vec<u32> {
        sorted(&self.latency[places])
    }

    /// When the last one came in.
    pub fn last(&self) -> Instant {
        self.sends.epoch + Duration::from_nanos(self.last.load(Relaxed))
    }
}

/// The value below which this share of a sorted list lies, in milliseconds.
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list, rounded"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |micros| f64::from(*micros) / 1e3)
}

fn sorted(list: &[AtomicU32]) -> Vec<u32> {
    let measured = list.iter().map(|one| one.load(Relaxed)).filter(|one| *one > 0);
    let mut sorted: Vec<u32> = measured.map(|one| one - 1).collect();
    sorted.sort_unstable();
    sorted
}

fn zeroed<T: Default>(room: usize) -> Box<[T]> {
    (0..room).map(|_| T::default()).collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
