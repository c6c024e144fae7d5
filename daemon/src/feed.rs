//! What happens, told as it happens to whoever listens just now: the live stream, and by it
//! `tail` and `top`. Values only, shaped once where they are told; who sees which of them is
//! `feed/interest.rs`, how they leave the process is `api/stream.rs`.
//!
//! Nothing is kept for later: history is the store's. While nobody listens nothing is even
//! built.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::delivery::{Outcome, Status};
use crate::event::{Event, EventId};

pub mod close;
mod interest;

use close::{Seen, Tried};
pub use interest::Interest;

/// News that a listener may be behind by: a burst of a full batch with its decisions, and in
/// memory about 2 MiB, with the longest texts 8 MiB, and three times that with what a close
/// listener gets. Whoever is further behind misses some.
const BEHIND: usize = 4096;

/// Bytes of one text in the news. The words of plugins and callbacks are bounded where they
/// come in; this is what memory is counted with.
const LONGEST: usize = 2048;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum News {
    Event(Arrived),
    Decision(Decided),
    Attempt(Attempted),
    Ended(Ended),
    Standing(Stands),
    Reload(Loaded),
    Log(Logged),
}

/// Which event it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub event_id: EventId,
    pub entity: Cow<'static, str>,
    pub action: Cow<'static, str>,
}

impl About {
    pub fn of(event: &Event) -> About {
        let (entity, action) = (event.entity.as_str().into(), event.action.as_str().into());
        About { event_id: event.id, entity, action }
    }
}

/// An event is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrived {
    #[serde(flatten)]
    pub about: About,
    pub source: String,
    pub duplicate: bool,
    /// Those it waits for; of a duplicate, those it waited for at first.
    pub subscriptions: Vec<String>,
    /// Number of the plan it met.
    #[serde(skip)]
    pub plan: i64,
    #[serde(skip)]
    pub seen: Option<Box<Seen>>,
}

/// An outcome that no attempt led to: at arrival, by a plugin, by a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    #[serde(flatten)]
    pub about: About,
    pub subscription: String,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub replay: bool,
    /// The try at which a plugin decided it.
    #[serde(skip)]
    pub tried: Option<Box<Tried>>,
    /// The making of the event, where this is its first replay.
    #[serde(skip)]
    pub made: Option<Box<Seen>>,
}

/// An attempt, and the outcome it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempted {
    #[serde(flatten)]
    pub about: About,
    pub subscription: String,
    pub outcome: Outcome,
    pub replay: bool,
    pub n: u32,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub ms: u64,
    /// When its subscription is tried again, if that is pending.
    pub next_try: Option<Timestamp>,
    #[serde(skip)]
    pub tried: Option<Box<Tried>>,
}

/// Deliveries that ended together without a further try: what waited when its subscription was
/// removed, or had waited longer than `keep`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub subscription: String,
    pub outcome: Outcome,
    pub count: u64,
}

/// How a subscription stands from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stands {
    pub subscription: String,
    pub status: Status,
    /// One word for why it is not enabled; empty if it is.
    pub cause: Cow<'static, str>,
    pub reason: Option<String>,
}

/// A load of the config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// `ok`, `unchanged`, or `stale`: refused.
    pub state: Cow<'static, str>,
    pub changes: Vec<String>,
    pub restart_needed: Vec<String>,
    pub problems: Vec<String>,
}

/// A line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    #[serde(flatten)]
    pub about: About,
    pub subscription: String,
    pub plugin: String,
    pub level: Cow<'static, str>,
    pub text: String,
}

/// News with its place in the order of telling, which begins anew with every daemon.
#[derive(Debug)]
pub struct Told {
    pub number: u64,
    pub at: Timestamp,
    pub news: News,
}

/// Where news is told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listeners: broadcast::Sender<Arc<Told>>,
    /// Held while telling, so that numbers ascend for every listener.
    number: Mutex<u64>,
    /// Whether somebody listens closely, or did.
    closely: AtomicBool,
    over: CancellationToken,
}

impl Default for Feed {
    fn default() -> Feed {
        let (listeners, number, over) =
            (broadcast::Sender::new(BEHIND), Mutex::default(), CancellationToken::new());
        Feed(Arc::new(Inner { listeners, number, closely: AtomicBool::new(false), over }))
    }
}

impl Feed {
    /// Whether it is worth building news at all.
    pub fn is_heard(&self) -> bool {
        self.0.listeners.receiver_count() > 0
    }

    /// Tells what `news` makes, if anybody listens. Never waits for listeners.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        if !self.is_heard() {
            return;
        }
        let (at, news) = (clock::now(), news().shortened());
        let mut number = self.0.number.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        // The last listener may just have gone.
        drop(self.0.listeners.send(Arc::new(Told { number: *number, at, news })));
    }

    pub fn listen(&self) -> Listener {
        Listener { news: self.0.listeners.subscribe(), over: self.0.over.clone() }
    }

    /// Hears also what is in `feed/close.rs`, and hears to its own end: it is told what is
    /// settled while the daemon stops.
    pub fn listen_closely(&self, over: CancellationToken) -> Listener {
        self.0.closely.store(true, Ordering::Relaxed);
        Listener { news: self.0.listeners.subscribe(), over }
    }

    /// What `close` makes, if somebody gets to hear it.
    pub fn closely<T>(&self, close: impl FnOnce() -> T) -> Option<Box<T>> {
        (self.0.closely.load(Ordering::Relaxed) && self.is_heard()).then(|| Box::new(close()))
    }

    /// Has every listener end once it has heard what was told so far.
    pub async fn end_with(self, cancel: CancellationToken) -> anyhow::Result<()> {
        cancel.cancelled().await;
        self.0.over.cancel();
        Ok(())
    }
}

/// What a listener gets to know.
#[derive(Debug)]
pub enum Heard {
    Told(Arc<Told>),
    /// It was too slow for so many.
    Missed(u64),
    /// The daemon stops.
    Over,
}

/// Hears what is told from its making on.
#[derive(Debug)]
pub struct Listener {
    news: broadcast::Receiver<Arc<Told>>,
    over: CancellationToken,
}

impl Listener {
    /// Waits for the next news. Nothing is lost if it is not waited for to the end.
    pub async fn next(&mut self) -> Heard {
        // In this order: what was told before the end is still heard.
        tokio::select! { biased;
            heard = self.news.recv() => match heard {
                Ok(told) => Heard::Told(told),
                Err(RecvError::Lagged(missed)) => Heard::Missed(missed),
                Err(RecvError::Closed) => Heard::Over,
            },
            () = self.over.cancelled() => Heard::Over,
        }
    }

    /// What is there already.
    pub fn ready(&mut self) -> Option<Heard> {
        match self.news.try_recv() {
            Ok(told) => Some(Heard::Told(told)),
            Err(TryRecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

impl News {
    pub fn about(&self) -> Option<&About> {
        match self {
            News::Event(Arrived { about, .. })
            | News::Decision(Decided { about, .. })
            | News::Attempt(Attempted { about, .. })
            | News::Log(Logged { about, .. }) => Some(about),
            News::Ended(_) | News::Standing(_) | News::Reload(_) => None,
        }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            News::Decision(Decided { outcome, .. })
            | News::Attempt(Attempted { outcome, .. })
            | News::Ended(Ended { outcome, .. }) => Some(*outcome),
            _ => None,
        }
    }

    /// Names of the subscriptions it concerns.
    pub fn subscriptions(&self) -> &[String] {
        match self {
            News::Event(arrived) => &arrived.subscriptions,
            News::Decision(Decided { subscription, .. })
            | News::Attempt(Attempted { subscription, .. })
            | News::Ended(Ended { subscription, .. })
            | News::Standing(Stands { subscription, .. })
            | News::Log(Logged { subscription, .. }) => std::slice::from_ref(subscription),
            News::Reload(_) => &[],
        }
    }

    /// The word in its `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            News::Event(_) => "event",
            News::Decision(_) => "decision",
            News::Attempt(_) => "attempt",
            News::Ended(_) => "ended",
            News::Standing(_) => "standing",
            News::Reload(_) => "reload",
            News::Log(_) => "log",
        }
    }

    fn shortened(mut self) -> News {
        match &mut self {
            News::Decision(Decided { reason, .. }) | News::Standing(Stands { reason, .. }) => {
                reason.iter_mut().for_each(shorten);
            }
            News::Attempt(Attempted { error, .. }) => error.iter_mut().for_each(shorten),
            News::Log(Logged { text, .. }) => shorten(text),
            News::Reload(Loaded { changes, problems, .. }) => {
                changes.iter_mut().chain(problems).for_each(shorten);
            }
            News::Event(_) | News::Ended(_) => {}
        }
        self
    }
}

fn shorten(text: &mut String) {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> News {
        let about = About { event_id: EventId(1), entity: "tag".into(), action: "created".into() };
        let (subscription, plugin, text) = ("a".to_owned(), "p".to_owned(), text.to_owned());
        News::Log(Logged { about, subscription, plugin, level: "info".into(), text })
    }

    #[tokio::test]
    async fn nothing_is_built_for_nobody_and_numbers_ascend() {
        let feed = Feed::default();
        feed.tell(|| panic!("nobody listens"));
        let mut listener = feed.listen();
        for text in ["one", "two"] {
            feed.tell(|| log(text));
        }
        for (number, text) in [(1, "one"), (2, "two")] {
            let Heard::Told(told) = listener.next().await else { panic!("{text}") };
            assert_eq!((told.number, &told.news), (number, &log(text)));
        }
        assert!(listener.ready().is_none());
        drop(listener);
        feed.tell(|| panic!("nobody listens any more"));
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_was_missed_and_goes_on() {
        let feed = Feed::default();
        let mut listener = feed.listen();
        for _ in 0..BEHIND + 7 {
            feed.tell(|| log("x"));
        }
        assert!(matches!(listener.next().await, Heard::Missed(7)));
        assert!(matches!(listener.ready(), Some(Heard::Told(told)) if told.number == 8));
    }

    #[tokio::test]
    async fn the_end_comes_after_what_was_told() {
        let feed = Feed::default();
        let mut listener = feed.listen();
        feed.tell(|| log("last"));
        let cancel = CancellationToken::new();
        cancel.cancel();
        feed.end_with(cancel).await.unwrap();
        assert!(matches!(listener.next().await, Heard::Told(_)));
        assert!(matches!(listener.next().await, Heard::Over));
    }

    #[test]
    fn texts_are_bounded_and_letters_stay_whole() {
        let News::Log(logged) = log(&"é".repeat(LONGEST)).shortened() else { panic!("a log") };
        assert!(logged.text.len() <= LONGEST + '…'.len_utf8() && logged.text.ends_with("é…"));
    }
}
