//! What the promises are told with: a relay (the real binary in a folder of its own), a
//! receiver (the endpoint, independent of the daemon's code), a sender, and events.
//!
//! Nothing here sleeps for a while and hopes: everything waits for something to happen,
//! and gives up loudly after `DEADLINE`.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub mod answer;
pub mod authority;
pub mod crowd;
pub mod curl;
pub mod dice;
pub mod endpoint;
pub mod event;
pub mod frames;
pub mod guest;
pub mod load;
pub mod model;
pub mod receiver;
pub mod relay;
pub mod schema;
pub mod script;
pub mod sender;
pub mod tls;
pub mod vectors;
pub mod wire;
pub mod witness;

pub use answer::{Answer, Gate};
pub use curl::Curl;
pub use endpoint::Endpoint;
pub use event::{Event, event};
pub use receiver::{Receiver, Request};
pub use relay::Relay;
pub use sender::{Reply, Sender};

/// Long enough for a debug build on a busy machine, short enough to wait for a failure.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How often something is looked at that cannot wake us.
const GLANCE: Duration = Duration::from_millis(4);

/// The keys of Track's envelope, in Track's order.
pub const ENVELOPE_KEYS: [&str; 8] = [
    "event_id",
    "created_at",
    "creator_id",
    "metadata",
    "payload",
    "subscription_id",
    "timestamp",
    "url_callback",
];

/// The secret of every subscription that does not say otherwise. It must never show in a log.
pub const SECRET: &str = "local-Test_Secret 01";

/// Looks until there is an answer, and returns it.
#[track_caller]
pub fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_at_most(DEADLINE, look).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain: {what}"))
}

/// The same for those who know better what to say in the end.
pub fn wait_at_most<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() > deadline {
            return None;
        }
        std::thread::sleep(GLANCE);
    }
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A panic of another thread is told by that thread.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
