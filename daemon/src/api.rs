//! Our API under `/api`: what commands and scripts ask the daemon. Who may ask has been
//! settled in `server/guard.rs`; here questions become answers in JSON. Track's own API, which
//! has users, is `api/track.rs`.
//!
//! An error is a JSON string, as in Track's own API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::{self, Answer};
use crate::clock::Now;
use crate::config::Config;
use crate::config::problem::did_you_mean;
use crate::delivery::{Standing, Status};
use crate::plan::{Plan, Planned, Reload};
use crate::server::{Handler, Question, Token};
use crate::source::Seen;
use crate::store::{self, Store};
use crate::telemetry::shell::quoted;
use crate::validate::Pinger;

mod edit;
mod replay;
mod status;
mod subscriptions;
mod track;
mod why;

pub use edit::{Edited, NotEdited, Wish};
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
        let reply = match (&method, steps.as_slice()) {
            (&Method::GET, ["api", "status"]) => Ok(self.status()),
            (&Method::POST, ["api", "reload"]) => self.reload().await,
            (&Method::GET, ["api", "why", event]) => self.why(event, query).await,
            (&Method::GET, ["api", "why-not", name]) => self.why_not(name, query).await,
            (&Method::POST, ["api", "replay"]) => self.replay(&body).await,
            (&Method::POST, ["api", "subscriptions", name, "test"]) => self.test(name).await,
            (&Method::POST, ["api", "subscriptions", name, "validate"]) => self.validate(name).await,
            (&Method::POST, ["api", "subscriptions", name, "enable"]) => self.enable(name, &body).await,
            (&Method::POST, ["api", "subscriptions", name, "disable"]) => self.disable(name).await,
            (&Method::GET, ["api", "subscriptions", name, "secret"]) => self.secret(name),
            (&Method::POST, ["api", "subscriptions"]) => self.add(&body).await,
            (&Method::POST, ["api", "subscriptions", name, "edit"]) => self.change(name, &body).await,
            (&Method::POST, ["api", "subscriptions", name, "remove"]) => self.remove(name).await,
            (&Method::POST, ["api", "subscriptions", name, "rotate"]) => self.rotate(name).await,
            (&Method::POST, ["api", "files"]) => self.save(&body).await,
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, format!("nothing answers `{method} {path}`"))),
        };
        match reply {
            Ok(value) => answer::json(StatusCode::OK, &value),
            Err(Refusal(status, text)) => answer::refusal(status, text),
        }
    }
}

impl Api {
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
        let (name, standing) = (quoted(planned.name()), self.store.standing(planned.id)?);
        match (planned.status(&standing), &standing.pending) {
            (Status::Disabled, _) => Some(format!("waits until `trackrelay enable {name}`")),
            (Status::NotValidated, _) => {
                Some(format!("waits until the callback is validated, `trackrelay validate {name}`"))
            }
            (Status::Pending, Some(probe)) => Some(format!(
                "waits while the subscription is pending; next try at {:.0}: {}",
                probe.due.on_the_wall(&Now::read()),
                probe.said
            )),
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
