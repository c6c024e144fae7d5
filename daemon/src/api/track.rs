//! Track's Webhooks API, the part that callbacks themselves use: the validation URL.

use hyper::StatusCode;
use serde_json::json;

use super::{Api, Refusal, Reply};
use crate::delivery::SubscriptionId;
use crate::validate;

impl Api {
    /// `GET /webhooks/api/v1/validate/{workspace_id}/{subscription_id}/{validation_code}`,
    /// with Track's texts.
    pub(super) async fn confirm(&self, workspace: &str, subscription: &str, code: &str) -> Reply {
        let plan = self.plan();
        let not_found = || {
            Refusal::bad(format!(
                "subscription {subscription} for workspace {workspace} and validation code '{code}' was not found"
            ))
        };
        let ours = workspace.parse() == Ok(plan.config.workspace.id);
        let id = subscription.parse().ok().filter(|_| ours).map(SubscriptionId);
        let planned = id.and_then(|id| plan.get(id)).ok_or_else(not_found)?;
        match validate::confirm(&*self.store, planned, code).await? {
            Some(true) => Ok(json!("OK")),
            Some(false) => {
                let text = format!("subscription {subscription} has already been validated");
                Err(Refusal::new(StatusCode::BAD_REQUEST, text))
            }
            None => Err(not_found()),
        }
    }
}
