//! POST, PUT, PATCH and DELETE. Each is checked as far as that needs no network, then the
//! callback is contacted, then files and store are changed as one step, and the answer is given
//! when that is live. Whatever is refused leaves everything as it was.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;

use super::super::{Api, NotEdited, Refusal, Wish};
use super::caller::Caller;
use super::input::{self, Desired};
use super::{Reply, internal, to_json};
use crate::clock;
use crate::config::edit::{Edit, Field};
use crate::config::{EventFilter, Secret, SignatureScheme, Subscription};
use crate::delivery::{MadeSecret, SubscriptionId};
use crate::plan::{Plan, Planned};
use crate::store;
use crate::track::{Refused, Wanted};

/// Descriptions that calls under way are about to give: of two that want the same one, the
/// second is refused before it contacts anybody.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<HashSet<String>>>);

/// A claimed description, until the call is over.
struct Claim {
    claims: Claims,
    description: String,
}

impl Claims {
    fn take(&self, description: &str) -> Option<Claim> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = taken.insert(description.to_owned());
        new.then(|| Claim { claims: self.clone(), description: description.to_owned() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.description);
    }
}

impl Api {
    pub(super) async fn create(&self, plan: &Plan, caller: &Caller, body: &[u8]) -> Reply {
        let desired = Desired::read(body, plan.config.workspace.limit)?;
        let name = desired.description.clone();
        let _claim = self.claim(plan, &name)?;
        let enabled = desired.enabled.unwrap_or(true);
        if enabled {
            room_for(plan, caller.id, None)?;
        }
        let fields = new_fields(&desired, enabled, caller);
        let edit = Edit::Add { name: name.clone(), fields };
        let meant = self.meant(edit.clone(), None).await.map_err(|error| refusal(error, plan))?;
        let id = self.enrolled(&name).await.map_err(internal)?;
        let secret = desired.secret.unwrap_or_else(|| self.made_secret(id));
        let proposed = Planned::proposed(id, meant, secret.clone(), plan.config.workspace.id);
        let made = async {
            self.contact(&proposed, Wanted::Exactly200).await?;
            self.edit(Wish::Edit { edit, secret: Some(secret) }).await.map_err(|error| refusal(error, plan))
        };
        if let Err(refusal) = made.await {
            self.forget(id).await;
            return Err(refusal);
        }
        self.answer_with(id)
    }

    pub(super) async fn replace(&self, plan: &Plan, planned: &Planned, body: &[u8]) -> Reply {
        let desired = Desired::read(body, plan.config.workspace.limit)?;
        let name = planned.name().to_owned();
        let rename = Some(desired.description.clone()).filter(|new| *new != name);
        let _claim = rename.as_ref().map(|new| self.claim(plan, new)).transpose()?;
        let enabled = desired.enabled.unwrap_or(planned.meant.enabled);
        if enabled {
            room_for(plan, planned.meant.creator.user_id, Some(planned.id))?;
        }
        let fields = changed_fields(&desired, enabled, &planned.meant);
        let secret = desired.secret.filter(|new| *new != planned.secret);
        let changes = rename.is_some() || secret.is_some() || !fields.is_empty();
        let edit = Edit::Change { name, rename, fields };
        let refusal = |error| self.overtaken(error, plan, planned.id);
        let meant = self.meant(edit.clone(), secret.clone()).await.map_err(refusal)?;
        if let Some(secret) = &secret {
            sound(secret, &meant)?;
        }
        if enabled || meant.url_text != planned.meant.url_text {
            let key = secret.clone().unwrap_or_else(|| planned.secret.clone());
            let proposed = Planned::proposed(planned.id, meant, key, planned.workspace_id);
            self.contact(&proposed, Wanted::Any2xx).await?;
        }
        if changes && let Err(refused) = self.edit(Wish::Edit { edit, secret }).await {
            self.withdraw(planned.id).await;
            return Err(refusal(refused));
        }
        if desired.enabled == Some(true) {
            self.open(planned.id).await.map_err(internal)?;
        }
        self.answer_with(planned.id)
    }

    pub(super) async fn switch(&self, plan: &Plan, planned: &Planned, body: &[u8]) -> Reply {
        let enabled = input::enabled(body)?;
        if enabled {
            room_for(plan, planned.meant.creator.user_id, Some(planned.id))?;
            self.contact(planned, Wanted::Exactly200).await?;
        }
        if enabled != planned.meant.enabled {
            let written = self.write_enabled(planned, enabled).await;
            written.map_err(|error| self.overtaken(error, plan, planned.id))?;
        }
        if enabled {
            self.open(planned.id).await.map_err(internal)?;
        }
        self.answer_with(planned.id)
    }

    pub(super) async fn delete(&self, plan: &Plan, planned: &Planned) -> Reply {
        let mut removed = self.shown(planned);
        let edit = Edit::Remove { name: planned.name().to_owned() };
        let ended = self.edit(Wish::Edit { edit, secret: None }).await;
        ended.map_err(|error| self.overtaken(error, plan, planned.id))?;
        removed.deleted_at = Some(super::output::micros(clock::now()));
        Ok(to_json(&removed))
    }

    fn claim(&self, plan: &Plan, description: &str) -> Result<Claim, Refused> {
        let free = plan.named(description).is_none();
        let claim = free.then(|| self.claims.take(description)).flatten();
        claim.ok_or_else(|| taken(description, plan))
    }

    /// The subscription as the config would have it after an edit, which is checked thereby.
    async fn meant(&self, edit: Edit, secret: Option<Secret>) -> Result<Subscription, NotEdited> {
        let name = match &edit {
            Edit::Change { rename: Some(new), .. } => new.clone(),
            edit => edit.name().to_owned(),
        };
        let config = self.rehearse(Wish::Edit { edit, secret }).await?;
        let meant = config.subscriptions.iter().find(|meant| meant.name == name).cloned();
        meant.ok_or(NotEdited::Unknown(name))
    }

    /// Files know a subscription by its name: one that is not there any more was deleted or
    /// renamed by a call or a save at the same moment.
    fn overtaken(&self, error: NotEdited, plan: &Plan, id: SubscriptionId) -> Refusal {
        match error {
            NotEdited::Unknown(_) if self.plan().get(id).is_none() => gone(id, plan).into(),
            NotEdited::Unknown(name) => {
                let said =
                    format!("`{name}` was renamed at the same moment, so nothing was changed; try again");
                Refusal::new(StatusCode::CONFLICT, said)
            }
            error => refusal(error, plan),
        }
    }

    /// An id, so that there is something to validate. A name that has stood in the config
    /// before comes back with what it was, unless it was deleted and a crash cut that short.
    async fn enrolled(&self, name: &str) -> Result<SubscriptionId, store::Error> {
        if let Some(ending) = self.store.named(name).filter(|known| known.standing.ending) {
            self.store.remove(ending.id, clock::now()).await?;
        }
        let enrolled = self.store.enroll(&[name.to_owned()], clock::now()).await?;
        let failed = || store::Error::NameTaken(name.to_owned());
        enrolled.first().map(|enrolled| enrolled.id).ok_or_else(failed)
    }

    fn made_secret(&self, id: SubscriptionId) -> Secret {
        let standing = self.store.standing(id).unwrap_or_default();
        standing.made_secret.as_ref().map_or_else(Secret::make, |MadeSecret(text)| Secret::new(text.clone()))
    }

    /// PINGs it as it is about to be. One PING is both the probe and the validation.
    async fn contact(&self, proposed: &Planned, wanted: Wanted) -> Result<(), Refusal> {
        let unknown = |error| match error {
            // It was deleted while it was asked.
            store::Error::UnknownSubscription(_) => gone(proposed.id, &self.plan()).into(),
            error => internal(error),
        };
        let pinged = self.pinger.probe(proposed).await.map_err(unknown)?;
        match pinged.refusal(&proposed.meant.url_text, wanted) {
            None => Ok(()),
            Some(refused) => {
                self.withdraw(proposed.id).await;
                Err(refused.into())
            }
        }
    }

    async fn withdraw(&self, id: SubscriptionId) {
        if let Err(error) = self.pinger.withdraw(id).await {
            tracing::error!(%error, "failed to forget a URL that is not used after all");
        }
    }

    /// Nothing stays of a subscription that was not made. One that has been in the config
    /// before is left to wait for its return.
    async fn forget(&self, id: SubscriptionId) {
        let new = self.store.standing(id).is_some_and(|standing| standing.table_digest.is_none());
        if !new {
            return self.withdraw(id).await;
        }
        if let Err(error) = self.store.remove(id, clock::now()).await {
            tracing::error!(%error, "failed to forget a subscription that was not made");
        }
    }

    fn answer_with(&self, id: SubscriptionId) -> Reply {
        let plan = self.plan();
        let planned = plan.get(id).ok_or_else(|| gone(id, &plan))?;
        Ok(to_json(&self.shown(planned)))
    }
}

/// What the config refuses in a file, wherever else the secret is kept.
fn sound(secret: &Secret, meant: &Subscription) -> Result<(), Refusal> {
    let garbled = meant.signatures.contains(&SignatureScheme::StandardWebhooks) && secret.is_garbled();
    let said = "`secret` begins with `whsec_`, and what follows is not base64";
    if garbled { Err(Refusal::bad(said)) } else { Ok(()) }
}

fn gone(id: SubscriptionId, plan: &Plan) -> Refused {
    Refused::NoSubscription { subscription: id.to_string(), workspace: plan.config.workspace.id.to_string() }
}

fn taken(description: &str, plan: &Plan) -> Refused {
    let (description, workspace) = (description.to_owned(), plan.config.workspace.id);
    Refused::DescriptionTaken { description, workspace }
}

/// In Track's words where it has some.
fn refusal(error: NotEdited, plan: &Plan) -> Refusal {
    match error {
        NotEdited::Store(error) => internal(error),
        NotEdited::Exists(name) => taken(&name, plan).into(),
        error => error.into(),
    }
}

/// Whether one more may be enabled for this user, apart from the one that is changed.
fn room_for(plan: &Plan, user: i64, apart: Option<SubscriptionId>) -> Result<(), Refused> {
    let (workspace, limit) = (plan.config.workspace.id, plan.config.workspace.limit);
    let Some(most) = limit.subscriptions() else { return Ok(()) };
    let counts = |planned: &&Arc<Planned>| {
        let owner = planned.meant.creator.user_id;
        let theirs = limit.counts_apart(owner) == limit.counts_apart(user);
        planned.meant.enabled && theirs && Some(planned.id) != apart
    };
    match plan.subscriptions.iter().filter(counts).count() < most {
        true => Ok(()),
        false => Err(Refused::TooManySubscriptions { user, limit: most, workspace }),
    }
}

fn new_fields(desired: &Desired, enabled: bool, caller: &Caller) -> Vec<Field> {
    let mut fields = vec![
        Field::new("url_callback", desired.url_text.as_str()),
        Field::new("event_filters", filters(&desired.event_filters)),
    ];
    // What holds without it is left out.
    fields.extend((!enabled).then(|| Field::new("enabled", false)));
    fields.extend(caller.user.as_deref().map(|user| Field::new("user", user)));
    fields
}

/// The keys that say something else than they did.
fn changed_fields(desired: &Desired, enabled: bool, meant: &Subscription) -> Vec<Field> {
    let mut fields = Vec::new();
    if desired.url_text != meant.url_text {
        fields.push(Field::new("url_callback", desired.url_text.as_str()));
    }
    if desired.event_filters != meant.event_filters {
        fields.push(Field::new("event_filters", filters(&desired.event_filters)));
    }
    if enabled != meant.enabled {
        fields.push(Field::new("enabled", enabled));
    }
    fields
}

fn filters(filters: &[EventFilter]) -> toml::Value {
    toml::Value::Array(filters.iter().map(|filter| filter.to_string().into()).collect())
}
