//! Senders as different as the world has them: one event, an array, NDJSON, a signed delivery,
//! an event again, whatever the dice say. They go on through every crash, and a witness hears of all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::dice::Dice;
use super::event::{Event, event, ndjson};
use super::sender::Sender;
use super::witness::Witness;
use super::{Reply, SECRET};

/// Entities per sender: several lanes, and events enough in each for order to matter.
const ENTITIES: i64 = 3;

/// Apart from each other by this, so that no two senders share an entity or an id.
const IDS_PER_SENDER: i64 = 1_000_000;

/// Senders at work, over the Unix socket.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    witness: Witness,
    senders: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Each rests for up to so many milliseconds between two requests. `source` is one whose
    /// secret is `SECRET`, for deliveries as Track makes them.
    pub fn start(
        socket: PathBuf,
        witness: &Witness,
        seed: &Dice,
        senders: i64,
        rest: u64,
        source: Option<&'static str>,
    ) -> Crowd {
        let stop = Arc::new(AtomicBool::new(false));
        let senders = (1..=senders).map(|number| {
            let mut seed = seed.clone();
            let dice = Dice::of((seed.below(u64::MAX), number));
            let (socket, stop, witness) = (socket.clone(), Arc::clone(&stop), witness.clone());
            let (next, sender) = (number * IDS_PER_SENDER, None);
            let one = One { next, dice, rest, source, socket, stop, witness, sender };
            thread::spawn(move || one.work())
        });
        let senders = senders.collect();
        Crowd { stop, witness: witness.clone(), senders }
    }

    /// Waits until so many more new events are acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, count: usize) {
        let wanted = self.witness.acknowledged() + count;
        super::wait_until("events are acknowledged", || {
            (self.witness.acknowledged() >= wanted).then_some(())
        });
    }

    /// Ends the senders, each after its request.
    pub fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.senders).into_iter().for_each(|sender| sender.join().unwrap());
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct One {
    /// The id of the next new event.
    next: i64,
    dice: Dice,
    rest: u64,
    source: Option<&'static str>,
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    witness: Witness,
    sender: Option<Sender>,
}

impl One {
    fn work(mut self) {
        let first = self.next;
        while !self.stops() {
            let ids = self.some(first);
            // Who gets no answer may try again at once, or let it go.
            if self.post(&ids).is_none() && self.dice.one_in(2) {
                self.post(&ids);
            }
            thread::sleep(Duration::from_millis(self.dice.below(self.rest)));
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ids of a request: mostly new ones, sometimes one of before or the same one twice.
    fn some(&mut self, first: i64) -> Vec<i64> {
        let count = [1, 1, 2, 5][self.dice.below(4) as usize];
        let mut ids: Vec<i64> = (self.next..self.next + count).collect();
        self.next += count;
        if self.dice.one_in(6) && first < ids[0] {
            ids.push(first + self.dice.below((ids[0] - first) as u64) as i64);
        }
        if self.dice.one_in(8) {
            ids.push(ids[0]);
        }
        ids
    }

    /// None without an answer.
    fn post(&mut self, ids: &[i64]) -> Option<()> {
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => knock(&self.socket, &self.stop)?,
        };
        let events: Vec<Event> = ids.iter().map(|id| of(*id)).collect();
        let begun = self.witness.tick();
        let reply = self.hand_over(&mut sender, &events);
        if let Ok(reply) = &reply {
            // The daemon may have too much to do, or be going.
            assert!([200, 202, 503].contains(&reply.status), "{}", reply.text());
        }
        let taken = reply.as_ref().ok().filter(|reply| reply.status < 300);
        self.witness.posted(begun, ids, taken);
        if reply.is_ok() {
            self.sender = Some(sender);
        }
        taken.map(|_| ())
    }

    fn hand_over(&mut self, sender: &mut Sender, events: &[Event]) -> io::Result<Reply> {
        if let ([event], Some(source)) = (events, self.source)
            && self.dice.one_in(2)
        {
            return sender.try_deliver(source, SECRET, event.json().as_bytes());
        }
        let (content_type, body) = self.body(events);
        sender.try_request("POST", "/events", &[("content-type", content_type)], body.as_bytes())
    }

    fn body(&mut self, events: &[Event]) -> (&'static str, String) {
        match events {
            [event] if self.dice.one_in(2) => ("application/json", event.json()),
            events if self.dice.one_in(2) => {
                let events: Vec<String> = events.iter().map(Event::json).collect();
                ("application/json", format!("[{}]", events.join(",")))
            }
            events => ("application/x-ndjson", ndjson(events)),
        }
    }
}

/// The event of this id, each time the same.
fn of(id: i64) -> Event {
    let entity = id / IDS_PER_SENDER * 10 + id % ENTITIES;
    event("time_entry.updated", id).of(entity).with("billable", is_billable(id))
}

/// What the filter of a test can ask for.
pub fn is_billable(id: i64) -> bool {
    id % 2 == 0
}

/// Knocks until the daemon is there again, or is no longer wanted.
fn knock(socket: &Path, stop: &AtomicBool) -> Option<Sender> {
    let open = || match Sender::at(socket) {
        Ok(sender) => Some(Some(sender)),
        Err(_) => stop.load(Ordering::Relaxed).then_some(None),
    };
    super::wait_until("the Unix socket answers", open)
}
