//! Track's own deliveries: one event or a PING, proven by the signature over the very bytes
//! of the body. Nothing of a delivery is looked at, let alone kept, before it is proven.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;
use tracing::{debug, info, warn};

use super::body::{self, Intake, Limits};
use super::recent::{LastRefusal, Recent, Seen};
use super::seldom::{Seldom, and_more};
use super::{Refused, Source};
use crate::answer::{self, Answer};
use crate::clock;
use crate::config::problem::did_you_mean;
use crate::event::read::{Ping, ReadError, Wrong, ping, read_one};
use crate::event::{Event, EventId};
use crate::plan::Plan;
use crate::sign;

/// The longest name of a source that no config has, as the log shows it.
const SHOWN: usize = 80;

/// What the signed way in has of its own.
pub(super) struct Signed {
    /// Room apart from that of local programs: strangers reach this door through a tunnel,
    /// and however much they send, events of this machine still come in.
    pub(super) intake: Intake,
    recent: Recent,
    lost: Mutex<Seldom>,
}

/// Why it is not proven that Track sent this. Says nothing that its sender could not know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error(
        "`X-Webhook-Signature-256` is missing: Track signs every delivery, so something else sent this or took it away"
    )]
    Missing,
    #[error("`X-Webhook-Signature-256` must stand there once, as `sha256=` and 64 hex digits in lower case")]
    Malformed,
    #[error(
        "the signature does not match: `[source.{0}] secret` must be the secret of the subscription at Track, \
         and nothing in between may change the body"
    )]
    Wrong(String),
}

/// What a delivery holds.
enum Delivery {
    Event(Box<Event>),
    Ping(Ping),
}

impl Signed {
    pub(super) fn new(limits: Limits) -> Signed {
        Signed { intake: Intake::new(limits), recent: Recent::default(), lost: Mutex::default() }
    }
}

impl Source {
    /// `POST /track/{name}`: a delivery of Track itself.
    pub async fn track<B>(&self, name: &str, headers: HeaderMap, body: B) -> Answer
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        match self.take_signed(name, headers, body).await {
            Ok(answer) => answer,
            Err(refused) => {
                self.note_refused(name, &refused);
                refused.answer()
            }
        }
    }

    /// Every source of the config, and what came to it of late.
    pub fn seen(&self) -> Vec<Seen> {
        self.signed.recent.of(&self.plan.borrow())
    }

    async fn take_signed<B>(&self, name: &str, headers: HeaderMap, body: B) -> Result<Answer, Refused>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        self.plan.borrow().source(name).ok_or(Refused::NoSource)?;
        // Track says only that it sends JSON, and the signature covers no header; so none of
        // them says what the body is.
        if body::is_encoded(&headers) {
            return Err(Refused::ContentEncoding);
        }
        let claimed = claimed(&headers);
        drop(headers);
        let body = self.signed.intake.collect(body).await?;
        let plan = Arc::clone(&self.plan.borrow());
        let key = plan.source(name).ok_or(Refused::NoSource)?;
        if !key.verify(body.bytes(), &claimed?) {
            return Err(Unproven::Wrong(name.to_owned()).into());
        }
        match self.read_delivery(body.bytes(), &plan)? {
            Delivery::Ping(ping) => Ok(self.answer_ping(name, ping)),
            Delivery::Event(event) => self.keep_event(name, *event, &plan).await,
        }
    }

    fn read_delivery(&self, body: &Bytes, plan: &Plan) -> Result<Delivery, ReadError> {
        match self.read(plan, |fill| read_one(body, fill)) {
            Err(ReadError { wrong: Wrong::Ping, .. }) => ping(body).map(Delivery::Ping),
            event => Ok(Delivery::Event(Box::new(event?))),
        }
    }

    /// 200 once it is durable. Who gets it here is nothing that Track, or who listens in
    /// between, needs to know.
    async fn keep_event(&self, name: &str, event: Event, plan: &Plan) -> Result<Answer, Refused> {
        #[derive(Serialize)]
        struct Taken {
            event_id: EventId,
            duplicate: bool,
        }
        let event_id = event.id;
        let receipts = self.keep(name, vec![event], plan).await?;
        self.signed.recent.event(name, clock::now());
        let duplicate = receipts.iter().any(|receipt| receipt.duplicate);
        Ok(answer::json(StatusCode::OK, &Taken { event_id, duplicate }))
    }

    /// The code that a PING carries is what Track wants to see, to know that we want its events.
    fn answer_ping(&self, name: &str, ping: Ping) -> Answer {
        self.signed.recent.ping(name, clock::now());
        match ping.validation_code {
            Some(code) => {
                info!(source = name, "answered a PING of Track with its validation code");
                answer::json(StatusCode::OK, &json!({ "validation_code": code }))
            }
            None => {
                info!(source = name, "answered a PING of Track");
                answer::json(StatusCode::OK, &json!({}))
            }
        }
    }

    fn note_refused(&self, name: &str, refused: &Refused) {
        if matches!(refused, Refused::NoSource) {
            return self.note_lost(name);
        }
        self.metrics.source_refused(name, refused.reason());
        let proven = matches!(refused, Refused::Read(_) | Refused::Store(_));
        let (at, reason, said) = (clock::now(), refused.reason(), refused.to_string());
        let unsaid = self.signed.recent.refused(name, LastRefusal { at, reason, said }, proven);
        let Some(unsaid) = unsaid else {
            return debug!(source = name, reason, "delivery refused: {refused}");
        };
        let way = match refused {
            Refused::Unproven(_) => {
                "; with its body in a file, `trackrelay verify FILE --secret … --signature …` tells which \
                 mistake would explain it"
            }
            _ => "",
        };
        warn!(source = name, reason, "delivery refused: {refused}{way}{}", and_more(unsaid));
    }

    /// Somebody delivers to a source that is not there: a mistyped URL, or a stranger.
    fn note_lost(&self, name: &str) {
        self.metrics.request_refused(Refused::NoSource.reason());
        let unsaid = self.signed.lost.lock().unwrap_or_else(PoisonError::into_inner).again(Instant::now());
        let Some(unsaid) = unsaid else { return };
        let plan = self.plan.borrow();
        let name = &name[..name.floor_char_boundary(SHOWN)];
        let near = match did_you_mean(name, plan.config.sources.iter().map(|source| source.name.as_str())) {
            Some(near) => format!("; should the URL end in `/track/{near}`?"),
            None => String::new(),
        };
        warn!(
            "refused a delivery to `/track/{}`: no `[source.*]` has this name{near}{}",
            name.escape_debug(),
            and_more(unsaid)
        );
    }
}

/// The signature that the headers claim, right or wrong.
fn claimed(headers: &HeaderMap) -> Result<String, Unproven> {
    let mut values = headers.get_all(sign::HEADER).iter();
    let value = values.next().ok_or(Unproven::Missing)?.to_str().ok();
    let value = value.filter(|value| values.next().is_none() && sign::is_formed(value));
    value.map(str::to_owned).ok_or(Unproven::Malformed)
}
