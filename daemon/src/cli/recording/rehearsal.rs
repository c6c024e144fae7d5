//! What the config as it is sends for an event: routing, rights, plugins, envelope and
//! headers by the very rooms that a daemon uses, in this process, without a network and
//! without the daemon's store.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::{HeaderMap, Request};
use jiff::Timestamp;

use super::{Body, Delivered, Sent};
use crate::cli::check;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::config::Config;
use crate::config::load::load;
use crate::deliver::client::Outgoing;
use crate::deliver::rehearsal::rehearse;
use crate::delivery::{DeliveryId, MadeSecret, Outcome, Standing, SubscriptionId, Validation};
use crate::event::Event;
use crate::plan::{Guests, Plan, Planned};
use crate::route;
use crate::sign;
use crate::store::memory::MemoryStore;
use crate::store::{Arrival, Enrolled, Lease, Seq, Store};

/// Headers that say nothing of what is sent: our version, the connection, and signatures,
/// which depend on the time and on a secret that a test need not have.
const LEFT_OUT: [&str; 6] = [
    "user-agent",
    "host",
    "content-length",
    sign::HEADER,
    sign::standard::TIMESTAMP,
    sign::standard::SIGNATURE,
];

/// Parts of names of headers whose values do not belong into a repository.
const PRIVATE: [&str; 5] = ["authorization", "cookie", "token", "key", "secret"];

/// The config, ready to be asked.
pub struct Rehearsal {
    plan: Plan,
    /// Remembers the events before, for plugins that ask what an entity was.
    store: Arc<dyn Store>,
    last: i64,
}

impl Rehearsal {
    /// Loads the config as `check` does. Subscriptions keep the ids they are known by; new
    /// ones count on from the highest.
    pub fn load(here: &Invocation, ids: &BTreeMap<String, i64>) -> Result<Rehearsal, Failure> {
        let path = here.config_file()?;
        let mut loaded = load(&path, here.env());
        if let Ok(config) = &loaded.result {
            let host = check::host(&loaded)?;
            match Guests::load(config, &host, None) {
                Ok(guests) => return Ok(Rehearsal::of(config, guests, ids)),
                Err(problems) => loaded.refuse(problems),
            }
        }
        check::tell(&loaded);
        Err(check::refused(&path, loaded.problems()))
    }

    fn of(config: &Config, guests: Guests, ids: &BTreeMap<String, i64>) -> Rehearsal {
        let mut highest = ids.values().copied().max().unwrap_or(0);
        let enrolled = config.subscriptions.iter().map(|meant| {
            let id = ids.get(&meant.name).copied().unwrap_or_else(|| {
                highest += 1;
                highest
            });
            Enrolled {
                id: SubscriptionId(id),
                name: meant.name.clone(),
                standing: Arc::new(standing(&meant.url_text)),
            }
        });
        let enrolled = enrolled.collect();
        let plan = Plan::new(1, Arc::new(config.clone()), guests, enrolled);
        Rehearsal { plan, store: Arc::new(MemoryStore::new()), last: 0 }
    }

    /// By which ids the subscriptions are known here.
    pub fn ids(&self) -> BTreeMap<String, i64> {
        self.plan.subscriptions.iter().map(|planned| (planned.name().to_owned(), planned.id.0)).collect()
    }

    /// What becomes of the next event. Its arrival stands for the time of sending.
    pub async fn next(&mut self, event: Event, arrived_at: Timestamp) -> Result<Vec<Delivered>, Failure> {
        let (id, event) = (event.id, Arc::new(event));
        let arrival = Arrival { event: Arc::clone(&event), arrived_at, plan: 1, routed: Vec::new() };
        let receipts = self.store.append(vec![arrival]).await.map_err(anyhow::Error::from)?;
        if receipts.iter().any(|receipt| receipt.duplicate) {
            return Err(Failure::failed(format!("event {id} stands twice in this recording")));
        }
        let past = self.store.why(id).await.map_err(anyhow::Error::from)?;
        let seq = past.ok_or_else(|| Failure::failed(format!("event {id} was not kept")))?.seq;
        let mut delivered = Vec::new();
        for planned in self.plan.matching(event.entity, event.action) {
            self.last += 1;
            let delivery = DeliveryId(self.last);
            let lease = lease(planned, delivery, seq, &event, arrived_at);
            delivered.push(self.delivered(planned, &lease).await);
        }
        Ok(delivered)
    }

    async fn delivered(&self, planned: &Planned, lease: &Lease) -> Delivered {
        let subscription = planned.name().to_owned();
        let (outcome, reason) = route::decide(&lease.event, planned, &standing(&planned.meant.url_text));
        if outcome != Outcome::Pending {
            return Delivered { subscription, outcome: outcome.as_str().to_owned(), reason, request: None };
        }
        let now = lease.arrived_at;
        match rehearse(&self.store, planned, lease, now).await {
            Ok(request) => {
                let request = Some(sent(request, now).await);
                Delivered { subscription, outcome: "sent".to_owned(), reason: None, request }
            }
            Err(stop) => {
                let next = stop.next();
                let outcome = next.outcome.as_str().to_owned();
                Delivered { subscription, outcome, reason: next.reason, request: None }
            }
        }
    }
}

/// As one stands whose endpoint has proved itself. The secret is nobody's: signatures are not
/// compared.
fn standing(url_text: &str) -> Standing {
    let validation = Validation {
        url_callback: Some(url_text.to_owned()),
        validated_at: Some(Timestamp::UNIX_EPOCH),
        ..Validation::default()
    };
    Standing { validation, made_secret: Some(MadeSecret("not compared".to_owned())), ..Standing::default() }
}

fn lease(
    planned: &Planned,
    delivery: DeliveryId,
    seq: Seq,
    event: &Arc<Event>,
    arrived_at: Timestamp,
) -> Lease {
    let (subscription, event) = (planned.id, Arc::clone(event));
    Lease { delivery, subscription, seq, event, arrived_at, replay: false, attempts: 0 }
}

async fn sent(request: Outgoing, now: Timestamp) -> Sent {
    let (parts, body) = Request::into_parts(request);
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Sent {
        method: parts.method.to_string(),
        url: parts.uri.to_string(),
        headers: headers(&parts.headers),
        body: Body::of(&without_timestamp(&body, now)),
    }
}

fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let told = headers.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let told = told.map(|(name, value)| {
        let private = PRIVATE.iter().any(|part| name.as_str().contains(part));
        let value =
            if private { "…".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        (name.to_string(), value)
    });
    told.collect()
}

/// Takes out the key that the envelope has and nothing else; what a transform made of it stays.
fn without_timestamp(body: &[u8], now: Timestamp) -> Vec<u8> {
    let key = format!(",\"timestamp\":\"{now}\"").into_bytes();
    match body.windows(key.len()).rposition(|part| part == key) {
        Some(at) => [&body[..at], &body[at + key.len()..]].concat(),
        None => body.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_envelopes_own_timestamp_is_left_out() {
        let now: Timestamp = "2025-09-10T08:15:30.5Z".parse().unwrap();
        let body = br#"{"payload":{"a":1,"timestamp":"x"},"subscription_id":1,"timestamp":"2025-09-10T08:15:30.5Z","url_callback":"u"}"#;
        let left = br#"{"payload":{"a":1,"timestamp":"x"},"subscription_id":1,"url_callback":"u"}"#;
        assert_eq!(without_timestamp(body, now), left);
        assert_eq!(without_timestamp(b"text", now), b"text");
    }

    #[test]
    fn what_is_another_each_time_and_what_is_private_is_not_written_down() {
        let mut given = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-env", "dev"),
            ("authorization", "Bearer x"),
            ("x-api-key", "k"),
            ("user-agent", "trackrelay/9"),
            ("x-webhook-signature-256", "sha256=ab"),
            ("webhook-id", "7"),
            ("webhook-timestamp", "1"),
            ("webhook-signature", "v1,x"),
        ] {
            given.insert(name, value.parse().unwrap());
        }
        let told = headers(&given);
        let told: Vec<_> = told.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            told,
            [
                "authorization: …",
                "content-type: application/json",
                "webhook-id: 7",
                "x-api-key: …",
                "x-env: dev"
            ]
        );
    }
}
