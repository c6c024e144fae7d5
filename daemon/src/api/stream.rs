//! `GET /api/stream`: what happens, as it happens, as Server-Sent Events. A stream begins with
//! `hello`, is told when it was too slow, and ends with the daemon.
//!
//! What is told at all is `feed`; here it is narrowed to what was asked for and written down.
//! A stream is pulled by its connection: a reader that is slow slows nobody but itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::{Api, Refusal, unknown};
use crate::answer::{self, Answer, Body};
use crate::config::problem::did_you_mean;
use crate::delivery::Outcome;
use crate::event::{Action, Entity};
use crate::feed::{Arrived, Decided, Heard, Interest, Listener, News, Told};
use crate::plan::{Plan, RouteSummary};
use crate::store::Store;

/// Streams at once. Each is a person or a script; a leak in one must not eat the connections
/// that everybody else needs.
const STREAMS: usize = 32;

/// How long to stay away when all are taken: they last, so there is no hurry.
const WAIT_FOR_A_PLACE: Duration = Duration::from_secs(10);

/// What is in between may close a connection that is quiet for a minute, or half of one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// News written at once; the connection takes some 10 KiB of it in one go.
const AT_ONCE: usize = 64;

const KINDS: [&str; 4] = ["subscription", "entity", "action", "outcome"];

/// Places for streams.
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Places {
        Places(Arc::new(Semaphore::new(STREAMS)))
    }
}

/// One stream.
struct Stream {
    heard: Listener,
    interest: Interest,
    /// Tells this daemon's numbers from those of the one before.
    started_at: Timestamp,
    plan: watch::Receiver<Arc<Plan>>,
    store: Arc<dyn Store>,
    /// The routes that the last event met, for those who want to know what did not match.
    met: Option<(i64, RouteSummary)>,
    /// Not yet said.
    hello: bool,
    _place: OwnedSemaphorePermit,
}

impl Api {
    pub(super) fn stream(&self, query: Option<&str>) -> Result<Answer, Refusal> {
        let interest = self.interest(query)?;
        let Ok(place) = Arc::clone(&self.places.0).try_acquire_owned() else {
            let said = format!("{STREAMS} streams are open already, and there are no more; close one");
            return Ok(answer::unavailable(WAIT_FOR_A_PLACE, said));
        };
        let stream = Stream {
            heard: self.feed.listen(),
            interest,
            started_at: self.about.started_at,
            plan: self.plan.clone(),
            store: Arc::clone(&self.store),
            met: None,
            hello: true,
            _place: place,
        };
        let frames = stream::unfold(stream, async |mut stream| Some((stream.next().await?, stream)));
        let mut answer = Response::new(Body::stream(StreamBody::new(frames)));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(answer)
    }

    fn interest(&self, query: Option<&str>) -> Result<Interest, Refusal> {
        let mut interest = Interest::default();
        for (kind, word) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !KINDS.contains(&&*kind) {
                let said = match did_you_mean(&kind, KINDS) {
                    Some(near) => format!("no filter `{kind}`, did you mean `{near}`?"),
                    None => format!("no filter `{kind}`; there are {}", KINDS.join(", ")),
                };
                return Err(Refusal::bad(said));
            }
            interest.add(&kind, &word).map_err(Refusal::bad)?;
        }
        let plan = self.plan();
        match interest.subscriptions.iter().find(|name| plan.named(name).is_none()) {
            Some(name) => Err(Refusal::new(StatusCode::NOT_FOUND, unknown(&plan, name))),
            None => Ok(interest),
        }
    }
}

impl Stream {
    /// What is to be written next; none at the end.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Infallible>> {
        let mut text = BytesMut::new();
        if std::mem::take(&mut self.hello) {
            self.say_hello(&mut text);
        }
        let quiet_until = Instant::now() + KEEP_ALIVE;
        while text.is_empty() {
            let heard = tokio::select! {
                heard = self.heard.next() => heard,
                () = sleep_until(quiet_until) => {
                    text.put_slice(b": still here\n\n");
                    break;
                }
            };
            if matches!(heard, Heard::Over) {
                return None;
            }
            self.write(heard, &mut text).await;
            for _ in 1..AT_ONCE {
                let Some(heard) = self.heard.ready() else { break };
                self.write(heard, &mut text).await;
            }
        }
        Some(Ok(Frame::data(text.freeze())))
    }

    async fn write(&mut self, heard: Heard, to: &mut BytesMut) {
        match heard {
            Heard::Told(told) => {
                self.write_news(&told, &told.news, to);
                if let News::Event(arrived) = &told.news
                    && self.interest.wants_unmatched()
                {
                    for decided in self.unmatched(arrived).await {
                        self.write_news(&told, &News::Decision(decided), to);
                    }
                }
            }
            Heard::Missed(count) => {
                write(to, "missed", None, &json!({ "type": "missed", "count": count }));
            }
            Heard::Over => {}
        }
    }

    fn write_news(&self, told: &Told, news: &News, to: &mut BytesMut) {
        #[derive(Serialize)]
        struct Line<'a> {
            at: Timestamp,
            #[serde(flatten)]
            news: &'a News,
        }
        if self.interest.wants(news) {
            let id = format!("{}-{}", self.started_at.as_millisecond(), told.number);
            write(to, news.kind(), Some(&id), &Line { at: told.at, news });
        }
    }

    fn say_hello(&self, to: &mut BytesMut) {
        let hello = json!({
            "type": "hello",
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": self.started_at,
        });
        write(to, "hello", None, &hello);
    }

    /// Decisions of the event filters that did not match, as the plan said that the event met.
    async fn unmatched(&mut self, arrived: &Arrived) -> Vec<Decided> {
        let kind: Option<(Entity, Action)> =
            arrived.about.entity.parse().ok().zip(arrived.about.action.parse().ok());
        let Some((entity, action)) = kind.filter(|_| !arrived.duplicate) else { return Vec::new() };
        let apart = |route: &&crate::plan::Route| route.matching(entity, action).is_none();
        let decided = |route: &crate::plan::Route| Decided {
            about: arrived.about.clone(),
            subscription: route.name.clone(),
            outcome: Outcome::SkippedFilter,
            reason: Some(route.mismatch(format_args!("{entity}.{action}"))),
            replay: false,
            tried: None,
            made: None,
        };
        let met = self.met(arrived.plan).await;
        met.subscriptions.iter().filter(apart).map(decided).collect()
    }

    /// The routes of a plan, mostly of the one in force and of the last event's.
    async fn met(&mut self, plan: i64) -> &RouteSummary {
        if self.met.as_ref().is_none_or(|(number, _)| *number != plan) {
            let now = Arc::clone(&self.plan.borrow());
            let met = match now.number == plan {
                true => now.summary(),
                false => {
                    let kept = self.store.plan(plan).await.ok().flatten();
                    kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
                }
            };
            self.met = Some((plan, met));
        }
        &self.met.as_ref().expect("it has just been put there").1
    }
}

/// One event of the stream. JSON on one line needs no further framing.
fn write(to: &mut BytesMut, kind: &str, id: Option<&str>, data: &impl Serialize) {
    let data = serde_json::to_string(data).expect("our own answers have text keys and finite numbers");
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    to.put_slice(format!("event: {kind}\n{id}data: {data}\n\n").as_bytes());
}
