//! Track's Webhooks API v1 under `/webhooks/api/v1`: the same paths, bodies, statuses and texts,
//! so that a client changes only its base URL. Which of this is Track's and which our decision
//! is written down in `docs/webhooks-api.md`.
//!
//! Who asks is settled in `track/caller.rs`, what they want is read in `track/input.rs`, changes
//! are made in `track/change.rs`; the texts themselves are in `crate::track`.

use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Api, Refusal};
use crate::answer::{self, Answer};
use crate::config::Config;
use crate::delivery::SubscriptionId;
use crate::event::{Action, Entity};
use crate::plan::{Plan, Planned};
use crate::server::Question;
use crate::store;
use crate::track::{Refused, Wanted};
use crate::validate;
use caller::Caller;
use output::Subscription;

mod caller;
mod change;
mod events;
mod input;
mod output;

pub use change::Claims;

/// What `/limits` says where there is no limit: as many as nobody needs, and still a number.
const UNLIMITED: usize = 10_000;

/// After which a client that is told to come back may do so: the store has caught up by then.
const WAIT: Duration = Duration::from_secs(1);

/// What a call answers with: JSON text, with its keys in Track's order.
type Reply = Result<Vec<u8>, Refusal>;

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        Refusal::new(refused.status(), refused.to_string())
    }
}

impl Api {
    /// `path` is what follows `/webhooks/api/v1`, in steps.
    pub(super) async fn webhooks(&self, path: &[&str], question: &Question<'_>) -> Answer {
        match self.answer_of(path, question).await {
            Ok(json) => answer::with_type(StatusCode::OK, "application/json", json),
            Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, text)) => answer::unavailable(WAIT, text),
            Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, allowed)) => answer::other_method(&allowed),
            Err(Refusal(status, text)) => answer::refusal(status, text),
        }
    }

    async fn answer_of(&self, path: &[&str], question: &Question<'_>) -> Reply {
        let plan = self.plan();
        let Question { method, query, body, .. } = question;
        match (method, path) {
            (&Method::GET, ["status"]) => Ok(to_json(&json!({ "status": "OK" }))),
            (&Method::GET, ["event_filters"]) => Ok(to_json(&event_filters())),
            (&Method::GET, ["limits", workspace]) => limits(&plan.config, workspace),
            (&Method::GET, ["validate", workspace, subscription, code]) => {
                self.confirm(workspace, subscription, code).await
            }
            (&Method::GET, ["subscriptions", workspace]) => {
                let caller = self.caller(question, &plan, workspace)?;
                refuse_body(body)?;
                Ok(self.list(&plan, &caller))
            }
            (&Method::POST, ["subscriptions", workspace]) => {
                let caller = self.caller(question, &plan, workspace)?;
                self.create(&plan, &caller, body).await
            }
            (&Method::PUT, ["subscriptions", workspace, subscription]) => {
                let caller = self.caller(question, &plan, workspace)?;
                self.replace(&plan, theirs(&plan, &caller, workspace, subscription)?, body).await
            }
            (&Method::PATCH, ["subscriptions", workspace, subscription]) => {
                let caller = self.caller(question, &plan, workspace)?;
                self.switch(&plan, theirs(&plan, &caller, workspace, subscription)?, body).await
            }
            (&Method::DELETE, ["subscriptions", workspace, subscription]) => {
                let caller = self.caller(question, &plan, workspace)?;
                self.delete(&plan, theirs(&plan, &caller, workspace, subscription)?).await
            }
            (&Method::GET, ["subscriptions", workspace, subscription, "events"]) => {
                let caller = self.caller(question, &plan, workspace)?;
                let planned = theirs(&plan, &caller, workspace, subscription)?;
                self.events_of(planned, *query).await
            }
            (&Method::POST, ["ping", workspace, subscription]) => {
                let caller = self.caller(question, &plan, workspace)?;
                let planned = theirs(&plan, &caller, workspace, subscription)?;
                self.send_ping(planned).await
            }
            _ => Err(match methods(path) {
                Some(allowed) => Refusal::new(StatusCode::METHOD_NOT_ALLOWED, allowed),
                None => {
                    let path = question.path;
                    Refusal::new(StatusCode::NOT_FOUND, format!("nothing answers `{method} {path}`"))
                }
            }),
        }
    }

    fn caller(&self, question: &Question<'_>, plan: &Plan, workspace: &str) -> Result<Caller, Refused> {
        let caller = Caller::of(question.peer, question.authorization, &plan.config, &self.admin);
        caller.filter(|_| is_ours(&plan.config, workspace)).ok_or(Refused::NoAccess)
    }

    fn list(&self, plan: &Plan, caller: &Caller) -> Vec<u8> {
        let theirs = plan.subscriptions.iter().filter(|planned| caller.may_see(&planned.meant));
        to_json(&theirs.map(|planned| self.shown(planned)).collect::<Vec<_>>())
    }

    fn shown<'a>(&self, planned: &'a Planned) -> Subscription<'a> {
        let standing = self.store.standing(planned.id).unwrap_or_default();
        Subscription::of(planned, &standing, self.store.waiting(planned.id))
    }

    async fn send_ping(&self, planned: &Planned) -> Reply {
        let pinged = self.pinger.ping(planned).await.map_err(internal)?;
        match pinged.refusal(&planned.meant.url_text, Wanted::Any2xx) {
            Some(refused) => Err(refused.into()),
            None => Ok(to_json(&json!({ "status": "OK" }))),
        }
    }

    /// `GET …/validate/{workspace_id}/{subscription_id}/{validation_code}`
    async fn confirm(&self, workspace: &str, subscription: &str, code: &str) -> Reply {
        let plan = self.plan();
        let not_found = || Refused::NoCode {
            subscription: subscription.to_owned(),
            workspace: workspace.to_owned(),
            code: code.to_owned(),
        };
        let ours = is_ours(&plan.config, workspace);
        let id = subscription.parse().ok().filter(|_| ours).map(SubscriptionId).ok_or_else(not_found)?;
        let planned = plan.get(id).map(Arc::as_ref);
        match validate::confirm(&*self.store, &self.feed, id, planned, code).await.map_err(internal)? {
            Some(true) => Ok(to_json(&"OK")),
            Some(false) => Err(Refused::ValidatedBefore(subscription.to_owned()).into()),
            None => Err(not_found().into()),
        }
    }
}

/// What works on a path, as `Allow` says it; none if there is no such path.
fn methods(path: &[&str]) -> Option<&'static str> {
    match path {
        ["status" | "event_filters"] | ["limits", _] => Some("GET"),
        ["validate", _, _, _] | ["subscriptions", _, _, "events"] => Some("GET"),
        ["subscriptions", _] => Some("GET, POST"),
        ["subscriptions", _, _] => Some("PUT, PATCH, DELETE"),
        ["ping", _, _] => Some("POST"),
        _ => None,
    }
}

fn is_ours(config: &Config, workspace: &str) -> bool {
    workspace.parse() == Ok(config.workspace.id)
}

/// The subscription of a path. One that is not theirs to see is not there for them.
fn theirs<'a>(
    plan: &'a Plan,
    caller: &Caller,
    workspace: &str,
    subscription: &str,
) -> Result<&'a Arc<Planned>, Refused> {
    let id = subscription.parse().ok().map(SubscriptionId);
    let planned = id.and_then(|id| plan.get(id)).filter(|planned| caller.may_see(&planned.meant));
    planned.ok_or_else(|| Refused::NoSubscription {
        subscription: subscription.to_owned(),
        workspace: workspace.to_owned(),
    })
}

/// Whoever sends one most likely meant POST.
fn refuse_body(body: &[u8]) -> Result<(), Refusal> {
    match body.is_empty() {
        true => Ok(()),
        false => Err(Refusal::bad("GET takes no body; POST creates a subscription")),
    }
}

fn event_filters() -> Map<String, Value> {
    let actions = json!(Action::ALL.map(Action::as_str));
    Entity::ALL.into_iter().map(|entity| (entity.to_string(), actions.clone())).collect()
}

fn limits(config: &Config, workspace: &str) -> Reply {
    if !is_ours(config, workspace) {
        return Err(Refused::NoAccess.into());
    }
    let limit = config.workspace.limit;
    Ok(to_json(&json!({
        "max_events_per_webhook": limit.event_filters().unwrap_or(UNLIMITED),
        "max_webhooks": limit.subscriptions().unwrap_or(UNLIMITED),
    })))
}

/// The store's own words are for the log: a client gets Track's.
fn internal(error: store::Error) -> Refusal {
    match error {
        store::Error::Busy(_) => error.into(),
        error => {
            tracing::error!(%error, "a call of the Webhooks API failed");
            Refused::Internal.into()
        }
    }
}

/// The text of an answer.
fn to_json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own answers have text keys and finite numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_fails_is_an_internal_error_and_a_busy_one_is_not() {
        let failed = store::Error::Failed { path: "/home/ana/store".into(), reason: "disk full".into() };
        let Refusal(status, text) = internal(failed);
        assert_eq!((status.as_u16(), text.as_str()), (500, "Internal Server Error"));
        let Refusal(status, text) = internal(store::Error::Busy(WAIT));
        assert_eq!(status, 503, "{text}");
    }
}
