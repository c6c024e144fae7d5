//! Concurrent senders that go on through everything and remember what was promised:
//! which events were answered 202, in which order per entity.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::event::{Event, event};
use super::relay::Relay;
use super::sender::Sender;

/// Entities per sender: enough for several lanes, few enough for order to matter.
const ENTITIES: i64 = 3;

/// Apart from each other by this, so that an id tells its sender.
const IDS_PER_SENDER: i64 = 1_000_000;

/// Senders at work. Over the Unix socket, whose path a restart does not change.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Vec<i64>>>,
}

impl Load {
    pub fn start(relay: &Relay, senders: i64) -> Load {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let senders = (1..=senders).map(|number| {
            let (socket, stop, acknowledged) = (relay.unix(), Arc::clone(&stop), Arc::clone(&acknowledged));
            thread::spawn(move || send(number, &socket, &stop, &acknowledged))
        });
        let senders = senders.collect();
        Load { stop, acknowledged, senders }
    }

    /// How many events were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more are acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        super::wait_until("events are acknowledged", || (self.acknowledged() >= wanted).then_some(()));
    }

    /// Ends the senders; returns the ids that were answered 202, sender by sender in order.
    pub fn finish(mut self) -> Vec<i64> {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.senders).into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The entity that the load's event of this id is about.
pub fn entity_of(id: i64) -> i64 {
    id / IDS_PER_SENDER * 10 + id % ENTITIES
}

fn load_event(id: i64) -> Event {
    event("time_entry.updated", id).of(entity_of(id))
}

/// Sends one event after the other. One that gets no answer is let go: it may have been
/// taken or not, and is not promised.
fn send(number: i64, socket: &Path, stop: &AtomicBool, acknowledged: &AtomicUsize) -> Vec<i64> {
    let mut taken = Vec::new();
    let mut sender = None;
    for id in number * IDS_PER_SENDER.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if sender.is_none() {
            sender = connect(socket, stop);
        }
        let Some(open) = &mut sender else { break };
        let body = load_event(id).json();
        let headers = [("content-type", "application/json")];
        match open.try_request("POST", "/events", &headers, body.as_bytes()) {
            Ok(reply) if reply.status == 202 => {
                taken.push(id);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // The daemon says that it has too much to do, or that it is going.
            Ok(reply) => assert_eq!(reply.status, 503, "{}", reply.text()),
            Err(_) => sender = None,
        }
    }
    taken
}

/// Knocks until the daemon is there again, or is no longer wanted.
fn connect(socket: &Path, stop: &AtomicBool) -> Option<Sender> {
    let knock = || match Sender::at(socket) {
        Ok(sender) => Some(Some(sender)),
        Err(_) => stop.load(Ordering::Relaxed).then_some(None),
    };
    super::wait_until("the Unix socket answers", knock)
}
