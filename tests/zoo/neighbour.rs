//! The good subscription beside the hostile ones, and how long its events take.

use std::time::{Duration, Instant};

use crate::harness::{Receiver, Relay, Sender, event};

/// What it gets, and no animal.
pub const KIND: &str = "time_entry.created";

/// Events in peace for each attack: as many as come beside a short one.
const CALM: usize = 4;

/// A machine that is busy with other things may be so at any moment, for the neighbour's
/// events in peace or for the others. An attack that held a thread would hold it for the
/// second that its limit allows.
const NOISE: Duration = Duration::from_millis(400);

/// What it needs: a filter of its own.
pub fn tables(receiver: &Receiver) -> Vec<String> {
    let plugin = "[plugin.good]\npath = \"good.wasm\"\n".to_owned();
    let table = receiver.table_for("good", &format!("[\"{KIND}\"]")) + "filter = [{ plugin = \"good\" }]\n";
    vec![plugin, table]
}

pub struct Neighbour<'a> {
    receiver: &'a Receiver,
    sender: Sender,
    sent: usize,
    calm: Vec<Duration>,
    beside: Vec<Duration>,
}

impl<'a> Neighbour<'a> {
    pub fn new(relay: &Relay, receiver: &'a Receiver) -> Neighbour<'a> {
        let (calm, beside) = (Vec::new(), Vec::new());
        let mut new = Neighbour { receiver, sender: Sender::unix(relay), sent: 0, calm, beside };
        // The first ones pay for connections and probation.
        for _ in 0..10 {
            new.event();
        }
        new
    }

    /// Some events while nobody attacks.
    pub fn in_peace(&mut self) {
        for _ in 0..CALM {
            let took = self.event();
            self.calm.push(took);
        }
    }

    /// One while somebody does.
    pub fn beside_others(&mut self) {
        let took = self.event();
        self.beside.push(took);
    }

    /// From sent to arrived at the endpoint.
    fn event(&mut self) -> Duration {
        self.sent += 1;
        let id = 10_000 + self.sent as i64;
        let begun = Instant::now();
        self.sender.send(&event(KIND, id).of(id));
        let all = self.receiver.wait_for_at("good", self.sent);
        let arrived = all.iter().find(|request| request.event_id() == id).expect("it is among them");
        arrived.at.saturating_duration_since(begun)
    }

    pub fn was_not_hurt(self) {
        let [(calm, calm_p50, calm_p99), (beside, beside_p50, beside_p99)] =
            [self.calm, self.beside].map(|mut took| {
                took.sort();
                (took.len(), took[took.len() / 2], took[took.len() * 99 / 100])
            });
        eprintln!("the neighbour in peace: {calm} events, p50 {calm_p50:?}, p99 {calm_p99:?}");
        eprintln!("the neighbour beside attacks: {beside} events, p50 {beside_p50:?}, p99 {beside_p99:?}");
        assert!(beside_p50 <= 3 * calm_p50 + NOISE / 8, "p50 {calm_p50:?} became {beside_p50:?}");
        assert!(beside_p99 <= 3 * calm_p99 + NOISE, "p99 {calm_p99:?} became {beside_p99:?}");
    }
}
