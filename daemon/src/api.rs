//! Our API under `/api`: what commands and scripts ask the daemon. Who may ask has been
//! settled in `server/guard.rs`; here questions become answers in JSON. Track's own API, which
//! has users, is `api/track.rs`.
//!
//! An error is a JSON string, as in Track's own API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::StatusCode;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::{self, Answer};
use crate::clock::{self, Now};
use crate::config::Config;
use crate::config::problem::did_you_mean;
use crate::delivery::{Standing, Status};
use crate::event::EventId;
use crate::feed::Feed;
use crate::plan::{Plan, Planned, Reload};
use crate::server::{Handler, Question, Token};
use crate::source::Seen;
use crate::store::{self, Store};
use crate::telemetry::shell::quoted;
use crate::validate::Pinger;

mod edit;
mod events;
mod openapi;
mod replay;
mod routes;
mod status;
mod stream;
mod subscriptions;
mod track;
mod why;

use routes::{Call, Found};

pub use edit::{Edited, NotEdited, Wish};
pub use stream::Places;
pub use track::Claims;

/// What is asked of whoever loads the config; answered when it has taken effect or has been
/// refused.
pub enum Asked {
    Reload(oneshot::Sender<Arc<Reload>>),
    Edit(Box<Wish>, oneshot::Sender<Result<Edited, NotEdited>>),
    /// The config as an edit would make it.
    Rehearse(Box<Wish>, oneshot::Sender<Result<Arc<Config>, NotEdited>>),
}

/// Everything the API looks at. All of it belongs to others.
pub struct Api {
    pub store: Arc<dyn Store>,
    pub plan: watch::Receiver<Arc<Plan>>,
    pub reload: watch::Receiver<Arc<Reload>>,
    pub reloads: mpsc::Sender<Asked>,
    pub pinger: Pinger,
    /// Good for the Webhooks API where no users are configured.
    pub admin: Token,
    pub claims: Claims,
    /// What happens, for the streams.
    pub feed: Feed,
    pub places: Places,
    /// How the store is, in one word.
    pub store_state: Box<dyn Fn() -> &'static str + Send + Sync>,
    /// The sources, and what came to them of late.
    pub sources: Box<dyn Fn() -> Vec<Seen> + Send + Sync>,
    pub about: About,
}

/// What does not change while the daemon runs.
pub struct About {
    pub started_at: Timestamp,
    pub tcp: SocketAddr,
    pub unix: Option<PathBuf>,
}

/// An answer that is not 200, as status and text.
#[derive(Debug)]
struct Refusal(StatusCode, String);

type Reply = Result<Value, Refusal>;

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal(status, text.into())
    }

    fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        let status = match error {
            store::Error::UnknownEvent(_) | store::Error::UnknownSubscription(_) => StatusCode::NOT_FOUND,
            store::Error::Busy(_) | store::Error::Failed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            store::Error::NameTaken(_) => StatusCode::CONFLICT,
            store::Error::InUse { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal::new(status, error.to_string())
    }
}

#[async_trait]
impl Handler for Api {
    async fn handle(&self, question: Question<'_>) -> Answer {
        let steps: Vec<&str> = question.path.split('/').filter(|step| !step.is_empty()).collect();
        if let ["webhooks", "api", "v1", steps @ ..] = steps.as_slice() {
            return self.webhooks(steps, &question).await;
        }
        let Question { method, path, query, body, .. } = question;
        let reply = match routes::find(&method, &steps) {
            Found::Call(call, step) => self.reply(call, step, query, &body).await,
            Found::OtherMethod(allowed) => return answer::other_method(&allowed),
            Found::Nothing => {
                Err(Refusal::new(StatusCode::NOT_FOUND, format!("nothing answers `{method} {path}`")))
            }
        };
        reply.unwrap_or_else(|Refusal(status, text)| answer::refusal(status, text))
    }
}

impl Api {
    /// `step` is what stands in the path for what the route has in braces.
    async fn reply(
        &self,
        call: Call,
        step: &str,
        query: Option<&str>,
        body: &Bytes,
    ) -> Result<Answer, Refusal> {
        let value = match call {
            Call::Status => Ok(self.status()),
            Call::Reload => self.reload().await,
            Call::Why => self.why(step, query).await,
            Call::WhyNot => self.why_not(step, query).await,
            Call::Events => return self.events(query).await,
            Call::Event => return self.event(step).await,
            Call::Stream => return self.stream(query),
            Call::Replay => self.replay(body).await,
            Call::Test => self.test(step).await,
            Call::Validate => self.validate(step).await,
            Call::Enable => self.enable(step, body).await,
            Call::Disable => self.disable(step).await,
            Call::Secret => self.secret(step),
            Call::Add => self.add(body).await,
            Call::Edit => self.change(step, body).await,
            Call::Remove => self.remove(step).await,
            Call::Rotate => self.rotate(step).await,
            Call::Save => self.save(body).await,
            Call::OpenApi => self.openapi(),
        };
        Ok(answer::json(StatusCode::OK, &value?))
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    /// The subscription of a step of a path, which is percent-encoded.
    fn named(&self, step: &str) -> Result<Arc<Planned>, Refusal> {
        self.subscription_of(&decode(step))
    }

    fn subscription_of(&self, name: &str) -> Result<Arc<Planned>, Refusal> {
        let plan = self.plan();
        plan.named(name).cloned().ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, unknown(&plan, name)))
    }

    /// Why a delivery to this subscription does not go out right now, if it is not just on
    /// its way.
    fn what_it_waits_for(&self, planned: &Planned) -> Option<String> {
        self.stands_still(planned).or_else(|| {
            let standing = self.store.standing(planned.id)?;
            let probe = standing.pending.as_ref().filter(|_| planned.status(&standing) == Status::Pending)?;
            Some(format!(
                "waits while the subscription is pending; next try at {:.0}: {}",
                probe.due.on_the_wall(&Now::read()),
                probe.said
            ))
        })
    }

    /// What has to be done before anything goes out to it, if something has.
    fn stands_still(&self, planned: &Planned) -> Option<String> {
        let (name, standing) = (quoted(planned.name()), self.store.standing(planned.id)?);
        match planned.status(&standing) {
            Status::Disabled => Some(format!("waits until `trackrelay enable {name}`")),
            Status::NotValidated => {
                Some(format!("waits until the callback is validated, `trackrelay validate {name}`"))
            }
            _ => None,
        }
    }

    /// Has the files read again and waits until that has taken effect.
    async fn load_again(&self) -> Result<Arc<Reload>, Refusal> {
        let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping");
        let (answer, answered) = oneshot::channel();
        self.reloads.send(Asked::Reload(answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }
}

/// A subscription that is not there, with the one that may have been meant.
fn unknown(plan: &Plan, name: &str) -> String {
    match did_you_mean(name, plan.subscriptions.iter().map(|planned| planned.name())) {
        Some(near) => format!("no subscription `{name}`, did you mean `{near}`?"),
        None => format!("no subscription `{name}`; `trackrelay list` shows those there are"),
    }
}

/// The event of a step of a path.
fn event_id(step: &str) -> Result<EventId, Refusal> {
    let text = decode(step);
    text.parse().map(EventId).map_err(|_| Refusal::bad(format!("`{text}` is no event id")))
}

/// A path step without its percent encoding.
fn decode(step: &str) -> String {
    percent_decode_str(step).decode_utf8_lossy().into_owned()
}

/// The value of a key in a query string.
fn query_value(query: Option<&str>, key: &str) -> Option<String> {
    url::form_urlencoded::parse(query?.as_bytes())
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.into_owned())
}

/// A moment of the past: "1h" ago, or a time in RFC 3339.
fn moment_of(key: &str, text: &str) -> Result<Timestamp, Refusal> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = humantime::parse_duration(text).map_err(|_| {
        Refusal::bad(format!(
            "`{key}`: `{text}` is neither a duration like `1h` nor a time like `2025-09-10T08:00:00Z`"
        ))
    })?;
    clock::now().checked_sub(ago).map_err(|_| Refusal::bad(format!("`{key}`: `{text}` is too long ago")))
}

/// When a pending subscription is tried next, if the machine stays awake.
fn next_try(standing: &Standing) -> Option<Timestamp> {
    standing.pending.as_ref().map(|probe| probe.due.on_the_wall(&Now::read()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_path_is_decoded_once_and_whatever_it_holds() {
        let table = [
            ("plain", "plain"),
            ("a%20b", "a b"),
            ("a%2520b", "a%20b"),
            ("%C3%A9", "é"),
            ("50%", "50%"),
            ("%zz", "%zz"),
        ];
        for (step, name) in table {
            assert_eq!(decode(step), name, "{step}");
        }
    }
}
