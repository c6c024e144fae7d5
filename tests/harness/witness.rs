//! Notices what happens in a round and in which order, and in the end asks the daemon what
//! it knows of it. What has to be true of that is for `harness/model.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Value;

use super::model::{Attempt, Post, Receipt, Seen, Standing, Story, Subscription, Told};
use super::relay::Relay;
use super::sender::{Reply, Sender};
use super::{Request, lock};

/// Shared by all that see something.
#[derive(Clone, Default)]
pub struct Witness(Arc<Noticed>);

#[derive(Default)]
struct Noticed {
    ticks: AtomicU64,
    acknowledged: AtomicUsize,
    posts: Mutex<Vec<Post>>,
    seen: Mutex<Vec<Seen>>,
    deaths: Mutex<Vec<u64>>,
    enabled: Mutex<Vec<(String, i64)>>,
}

impl Witness {
    pub fn tick(&self) -> u64 {
        self.0.ticks.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A request that began at this tick has been answered with success, or not at all.
    pub fn posted(&self, begun: u64, ids: &[i64], reply: Option<&Reply>) {
        let receipts = reply.map(|reply| receipts(&reply.json()));
        let new = receipts.iter().flatten().filter(|receipt| !receipt.duplicate).count();
        lock(&self.0.posts).push(Post { begun, ended: self.tick(), ids: ids.to_vec(), receipts });
        self.0.acknowledged.fetch_add(new, Ordering::SeqCst);
    }

    /// The receiver is about to answer this request.
    pub fn saw(&self, request: &Request, ok: bool) {
        let body = request.json();
        let id = body["event_id"].as_i64().expect("an event id");
        let entity = body["payload"]["id"].as_i64().expect("an entity");
        let subscription = request.path.trim_start_matches('/').to_owned();
        let mut seen = lock(&self.0.seen);
        seen.push(Seen { tick: self.tick(), subscription, id, entity, ok });
    }

    /// The daemon is dead, and what it sent has been seen.
    pub fn died(&self) {
        lock(&self.0.deaths).push(self.tick());
    }

    /// Waits until these subscriptions are there and nothing waits any more, for as long as it
    /// becomes less. Whom failures disabled is enabled again.
    #[track_caller]
    pub fn rest(&self, relay: &Relay, names: &[&str]) {
        let all = |status: &Value| status["subscriptions"].as_array().expect("subscriptions").clone();
        let waits = |all: &[Value]| all.iter().map(|one| one["pending"].as_u64().unwrap()).sum::<u64>();
        let mut least = u64::MAX;
        while least > 0 {
            let status = relay.wait_until("less waits than before", |status| {
                let all = all(status);
                let disabled = all.iter().filter(|one| one["status"] == "disabled");
                let enabled = disabled.map(|one| self.enable(relay, &text(&one["name"]))).count();
                let there = names.iter().all(|name| all.iter().any(|one| one["name"] == *name));
                there && enabled == 0 && waits(&all) < least
            });
            least = waits(&all(&status));
        }
    }

    fn enable(&self, relay: &Relay, name: &str) {
        lock(&self.0.enabled).push((name.to_owned(), trackrelay::clock::now().as_microsecond()));
        let path = format!("/api/subscriptions/{name}/enable");
        let reply = Sender::unix(relay).post(&path, "application/json", b"{\"force\":true}");
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// New events that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.0.acknowledged.load(Ordering::SeqCst)
    }

    /// The whole story, now that nothing happens any more.
    pub fn story(&self, relay: &Relay, subscriptions: Vec<Subscription>) -> Story {
        let posts = lock(&self.0.posts).clone();
        let seen = lock(&self.0.seen).clone();
        let ids: BTreeSet<i64> = posts.iter().flat_map(|post| &post.ids).copied().collect();
        let mut sender = Sender::unix(relay);
        let told = ids.iter().filter_map(|id| Some((*id, why(&mut sender, *id)?))).collect();
        let status = sender.get("/api/status").json();
        let standings = status["subscriptions"].as_array().expect("subscriptions").iter().map(standing);
        Story {
            subscriptions,
            posts,
            seen,
            deaths: lock(&self.0.deaths).clone(),
            told,
            standings: standings.collect::<BTreeMap<_, _>>(),
            enabled: lock(&self.0.enabled).clone(),
        }
    }
}

/// None if the event is not known.
fn why(sender: &mut Sender, id: i64) -> Option<Vec<Told>> {
    let reply = sender.get(&format!("/api/why/{id}"));
    if reply.status == 404 {
        return None;
    }
    let told = |decision: &Value| Told {
        subscription: text(&decision["subscription"]),
        outcome: text(&decision["outcome"]),
        attempts: decision["attempts"].as_array().expect("attempts").iter().map(attempt).collect(),
    };
    Some(reply.json()["decisions"].as_array().expect("decisions").iter().map(told).collect())
}

fn attempt(attempt: &Value) -> Attempt {
    let at: Timestamp = text(&attempt["at"]).parse().unwrap();
    let ok = attempt["status"].as_u64().is_some_and(|status| (200..300).contains(&status));
    Attempt { at: at.as_microsecond(), ok }
}

fn standing(subscription: &Value) -> (String, Standing) {
    let standing = Standing {
        status: text(&subscription["status"]),
        delivered: subscription["delivered"].as_u64().unwrap(),
        failed_attempts: subscription["failed_attempts"].as_u64().unwrap().try_into().unwrap(),
        pending: subscription["pending"].as_u64().unwrap(),
    };
    (text(&subscription["name"]), standing)
}

fn receipts(reply: &Value) -> Vec<Receipt> {
    let receipt = |event: &Value| Receipt {
        id: event["event_id"].as_i64().unwrap(),
        duplicate: event["duplicate"].as_bool().unwrap(),
        queued: event["subscriptions"].as_array().map(|names| names.iter().map(text).collect()),
    };
    match reply["events"].as_array() {
        Some(events) => events.iter().map(receipt).collect(),
        // Track delivers one at a time and hears of nothing else.
        None => vec![receipt(reply)],
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
