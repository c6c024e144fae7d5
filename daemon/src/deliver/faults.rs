//! Faults on purpose: what a subscription's `faults` table has an attempt meet, between the
//! signed request and its answer. Which ones strike is decided in `config/faults.rs`, by
//! nothing but seed, event and attempt. Whoever has no such table comes through untouched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::client::{Answered, Outgoing, SendError};
use super::outgoing::{Sent, insert};
use super::rule::Answer;
use super::stages::Stop;
use super::{Deliverer, Work};
use crate::clock;
use crate::config::faults::{Fault, INJECTED};
use crate::config::{Faults, Secret};
use crate::delivery::trace::Exchange;
use crate::delivery::{Lane, SubscriptionId};
use crate::event::EventId;
use crate::sign::Signer;

/// How long one is held back for another to overtake it: enough for whoever tries it by hand
/// with two commands in a line, and less than a usual `timeout`.
const HELD_BACK: Duration = Duration::from_secs(2);

/// Not the subscription's secret, whatever that is: nobody would choose it.
const WRONG_SECRET: &str = "fault injected: bad_signature";

/// What this attempt meets.
fn met(work: &Work) -> Vec<Fault> {
    let Some(faults) = &work.planned.meant.faults else { return Vec::new() };
    which(faults, work.lease.event.id, work.lease.attempts + 1, work.lease.replay)
}

/// What does not send leaves nothing for the others to do. Only a first attempt can be
/// overtaken, and a replay keeps its place in its lane.
fn which(faults: &Faults, event: EventId, attempt: u32, replay: bool) -> Vec<Fault> {
    let strikes = |fault: &Fault| faults.strikes(*fault, event, attempt);
    if let Some(only) = [Fault::Fail, Fault::Drop].into_iter().find(strikes) {
        return vec![only];
    }
    let overtaken = |fault: &Fault| *fault != Fault::Reorder || (attempt == 1 && !replay);
    Fault::ALL.into_iter().filter(strikes).filter(overtaken).collect()
}

/// What came of an attempt, and which faults it met if it failed.
pub(super) fn named(sent: Sent, work: &Work) -> Sent {
    let Some(fault) = said(work) else { return sent };
    let with = |said: String| if said.contains(&fault) { said } else { format!("{said} ({fault})") };
    let answer = match sent.answer {
        Answer::Success => Answer::Success,
        Answer::Failure { said, retry_after } => Answer::Failure { said: with(said), retry_after },
        Answer::Refused { said } => Answer::Refused { said: with(said) },
    };
    Sent { answer, ..sent }
}

/// The faults that an attempt met, for people: also the reason of one that succeeded.
pub(super) fn said(work: &Work) -> Option<String> {
    let met: Vec<_> = met(work).into_iter().map(Fault::as_str).collect();
    (!met.is_empty()).then(|| format!("{INJECTED}: {}", met.join(", ")))
}

/// What came back, and how it went if the callback was asked.
type Exchanged = (Result<Answered, SendError>, Option<Exchange>);

async fn exchange(deliverer: &Deliverer, request: Outgoing, work: &Work) -> Exchanged {
    let (answered, exchange) = deliverer.client.exchange(request, work.planned.meant.timeout).await;
    (answered, Some(exchange))
}

/// Sends a request, in the way that its subscription's faults will have it.
pub(super) async fn send(deliverer: &Deliverer, request: Outgoing, work: &Work) -> Result<Exchanged, Stop> {
    let meant = &work.planned.meant;
    if meant.faults.is_none() {
        return Ok(exchange(deliverer, request, work).await);
    }
    let met = met(work);
    met.iter().for_each(|fault| deliverer.metrics.fault_injected(work.planned.name(), fault.as_str()));
    // Nobody without faults has to keep room for this.
    let sent = Box::pin(through(deliverer, request, work, &met)).await;
    deliverer.held_back.passed(lane(work));
    sent
}

async fn through(
    deliverer: &Deliverer,
    mut request: Outgoing,
    work: &Work,
    met: &[Fault],
) -> Result<Exchanged, Stop> {
    let meant = &work.planned.meant;
    let said = || said(work).unwrap_or_default();
    if met.contains(&Fault::Fail) {
        return Ok((Err(SendError::Failed(said())), None));
    }
    if met.contains(&Fault::Drop) {
        return Err(Stop::Dropped(said()));
    }
    if let Some(faults) = meant.faults.as_ref().filter(|_| met.contains(&Fault::Delay)) {
        wait(deliverer, work, tokio::time::sleep(faults.delay_for)).await;
    }
    if met.contains(&Fault::Reorder) {
        wait(deliverer, work, deliverer.held_back.until_overtaken(lane(work))).await;
    }
    if met.contains(&Fault::BadSignature) {
        spoil(&mut request, work);
    }
    if met.contains(&Fault::Duplicate) {
        drop(exchange(deliverer, request.clone(), work).await);
    }
    Ok(exchange(deliverer, request, work).await)
}

/// Until that is over, the fault has been taken out of the config, or the daemon stops.
async fn wait(deliverer: &Deliverer, work: &Work, over: impl Future<Output = ()>) {
    let (id, faults) = (work.planned.id, &work.planned.meant.faults);
    let mut plan = deliverer.plan.clone();
    let ended = async {
        let gone = plan.wait_for(|plan| plan.get(id).is_none_or(|now| now.meant.faults != *faults)).await;
        drop(gone);
    };
    tokio::select! {
        () = over => {}
        () = ended => {}
        () = deliverer.cancel.cancelled() => {}
    }
}

/// Signs the same bytes anew with another key.
fn spoil(request: &mut Outgoing, work: &Work) {
    let body = request.body().clone().into_inner().unwrap_or_default();
    let signer = Signer::new(&work.planned.meant.signatures, &Secret::new(WRONG_SECRET.to_owned()));
    let (id, headers) = (work.lease.event.id.to_string(), request.headers_mut());
    signer.sign(&body, &id, clock::now(), |name, value| insert(headers, name, value));
}

/// What a delivery would have to stay in order with, if it were not to be overtaken.
fn lane(work: &Work) -> Key {
    let Work { lease, planned, .. } = work;
    (planned.id, Lane::of(planned.meant.order, &lease.event, lease.delivery))
}

type Key = (SubscriptionId, Lane);

/// Deliveries that wait for the next of their lane to go first: one of each lane, and so no
/// more than are under way.
#[derive(Default)]
pub(super) struct HeldBack(Mutex<HashMap<Key, Arc<Notify>>>);

impl HeldBack {
    /// Returns when another of the lane has gone or it has taken too long; at once if one of
    /// the lane is held back already, for then this is the one that overtakes it.
    async fn until_overtaken(&self, key: Key) {
        let bell = Arc::new(Notify::new());
        // Nothing else is in a lane of its own.
        let is_alone = matches!(key.1, Lane::Alone(_));
        if is_alone || self.is_taken(key, &bell) {
            return;
        }
        let _held = Held { all: self, key };
        let _in_time = tokio::time::timeout(HELD_BACK, bell.notified()).await.is_ok();
    }

    /// Takes the lane's one place, unless somebody has it.
    fn is_taken(&self, key: Key, bell: &Arc<Notify>) -> bool {
        match self.lock().entry(key) {
            Entry::Occupied(_) => true,
            Entry::Vacant(place) => {
                place.insert(Arc::clone(bell));
                false
            }
        }
    }

    /// One of this lane has gone.
    fn passed(&self, key: Key) {
        if let Some(bell) = self.lock().get(&key) {
            bell.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the place away again, also if the wait was broken off.
struct Held<'a> {
    all: &'a HeldBack,
    key: Key,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_send_stands_alone_and_only_a_first_attempt_is_overtaken() {
        let all = |fail, drop| Faults {
            fail,
            drop,
            delay: 1.0,
            duplicate: 1.0,
            reorder: 1.0,
            bad_signature: 1.0,
            ..Faults::default()
        };
        let (delay, twice, last, bad) = (Fault::Delay, Fault::Duplicate, Fault::Reorder, Fault::BadSignature);
        let table = [
            (all(1.0, 1.0), 1, false, vec![Fault::Fail]),
            (all(0.0, 1.0), 1, false, vec![Fault::Drop]),
            (all(0.0, 0.0), 1, false, vec![delay, twice, last, bad]),
            (all(0.0, 0.0), 2, false, vec![delay, twice, bad]),
            (all(0.0, 0.0), 1, true, vec![delay, twice, bad]),
            (Faults::default(), 1, false, vec![]),
        ];
        for (faults, attempt, replay, wanted) in table {
            assert_eq!(which(&faults, EventId(7), attempt, replay), wanted, "{faults} {attempt} {replay}");
        }
    }

    #[tokio::test]
    async fn one_is_held_back_until_the_next_of_its_lane_has_gone() {
        let (held, gone) = (HeldBack::default(), Mutex::new(Vec::new()));
        let (key, other) = ((SubscriptionId(1), Lane::Whole), (SubscriptionId(2), Lane::Whole));
        let first = async {
            held.until_overtaken(key).await;
            gone.lock().unwrap().push("first");
        };
        let second = async {
            held.until_overtaken(key).await;
            held.passed(other);
            tokio::task::yield_now().await;
            gone.lock().unwrap().push("second");
            held.passed(key);
        };
        tokio::join!(first, second);
        assert_eq!(*gone.lock().unwrap(), ["second", "first"]);
        assert!(held.lock().is_empty());
        // What goes when nobody is held back is not remembered, and an own lane waits for nobody.
        held.passed(key);
        held.until_overtaken((SubscriptionId(1), Lane::Alone(crate::delivery::DeliveryId(1)))).await;
        assert!(held.lock().is_empty());
    }
}
