//! What can be done to one subscription: test, validate, enable, disable, show its secret.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Api, NotEdited, Refusal, Reply, Wish};
use crate::config::ValidationMode;
use crate::config::edit::{Edit, Field};
use crate::deliver::rule;
use crate::delivery::{Standing, SubscriptionId};
use crate::feed::News;
use crate::plan::Planned;
use crate::sign::standard;
use crate::store;
use crate::track::Wanted;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Enable {
    /// Skip the PING.
    force: bool,
}

impl Api {
    /// PINGs, whatever the status.
    pub(super) async fn test(&self, name: &str) -> Reply {
        let planned = self.named(name)?;
        let pinged = self.pinger.ping(&planned).await?;
        if let Some(refused) = pinged.refusal(&planned.meant.url_text, Wanted::Any2xx) {
            return Err(refused.into());
        }
        let http_status = pinged.answered.ok().map(|status| status.as_u16());
        Ok(
            json!({ "status": "OK", "http_status": http_status, "ms": pinged.ms, "validated": pinged.validated }),
        )
    }

    /// PINGs with the code and says how to validate by hand when no echo comes.
    pub(super) async fn validate(&self, name: &str) -> Reply {
        let planned = self.named(name)?;
        let pinged = self.pinger.ping(&planned).await?;
        let standing = self.store.standing(planned.id).unwrap_or_default();
        let url = self.pinger.url_to_open(&planned, &standing).filter(|_| !pinged.validated);
        let message = match pinged.refusal(&planned.meant.url_text, Wanted::Any2xx) {
            _ if planned.meant.validation == ValidationMode::Off => {
                "not asked for: `validation = \"off\"`, so it gets events as it is".to_owned()
            }
            _ if pinged.validated => "validated".to_owned(),
            Some(refused) => refused.to_string(),
            None => "the callback answered, but without the validation code".to_owned(),
        };
        let answered = pinged.answered.is_ok_and(|status| status.is_success());
        Ok(json!({
            "validated": pinged.validated,
            "answered": answered,
            "validation_code_url": url,
            "message": message,
        }))
    }

    pub(super) async fn enable(&self, name: &str, body: &Bytes) -> Reply {
        let planned = self.named(name)?;
        let enable: Enable = if body.is_empty() {
            Enable::default()
        } else {
            serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?
        };
        // Whatever keeps the file from being changed, a limit above all, is told before anybody is asked.
        if !planned.meant.enabled {
            self.rehearse(enabled_in_file(&planned, true)).await?;
        }
        if !enable.force {
            let pinged = self.pinger.ping(&planned).await?;
            if let Some(refused) = pinged.refusal(&planned.meant.url_text, Wanted::Any2xx) {
                return Err(refused.into());
            }
        }
        if !planned.meant.enabled {
            self.write_enabled(&planned, true).await?;
        }
        self.open(planned.id).await?;
        self.after_edit(&planned)
    }

    /// Sends what waited: whatever failed before no longer counts.
    pub(super) async fn open(&self, id: SubscriptionId) -> Result<(), store::Error> {
        let before = self.store.standing(id).unwrap_or_default();
        let after =
            self.store.set_standing(id, &|standing: &mut Standing| rule::open_lanes(standing)).await?;
        self.store.release_held(id).await?;
        if let Some(planned) = self.plan().get(id)
            && planned.status(&before) != planned.status(&after)
        {
            self.feed.tell(|| News::Standing(planned.stands(&after)));
        }
        Ok(())
    }

    pub(super) async fn disable(&self, name: &str) -> Reply {
        let planned = self.named(name)?;
        if planned.meant.enabled {
            self.write_enabled(&planned, false).await?;
        }
        self.after_edit(&planned)
    }

    pub(super) fn secret(&self, name: &str) -> Reply {
        let secret = &self.named(name)?.secret;
        Ok(json!({ "secret": secret.reveal(), "standard_webhooks": standard::encoded(secret) }))
    }

    /// Writes `enabled` into the file and waits until that is live.
    pub(super) async fn write_enabled(&self, planned: &Planned, enabled: bool) -> Result<(), NotEdited> {
        self.edit(enabled_in_file(planned, enabled)).await?;
        Ok(())
    }

    fn after_edit(&self, planned: &Planned) -> Reply {
        let now: Option<Arc<Planned>> = self.plan().get(planned.id).cloned();
        Ok(self.subscription(now.as_deref().unwrap_or(planned)))
    }
}

fn enabled_in_file(planned: &Planned, enabled: bool) -> Wish {
    let (name, fields) = (planned.name().to_owned(), vec![Field::new("enabled", enabled)]);
    Wish::Edit { edit: Edit::Change { name, rename: None, fields }, secret: None }
}
