//! The plan: config, plugins and routes as one immutable, numbered value. A reload makes a
//! new one and swaps one pointer; a unit of work keeps the plan it began with.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::faults::Fault;
use crate::config::{Config, Faults, Secret, Subscription, ValidationMode};
use crate::delivery::{MadeSecret, Order, Standing, Status, SubscriptionId};
use crate::event::{Action, Entity, EventId};
use crate::feed::Stands;
use crate::plugin::Plugin;
use crate::sign::{Key, Signer};
use crate::store::Enrolled;

mod guests;
mod index;
mod reload;
mod summary;

pub use guests::{Entries, Guests};
use index::Index;
pub use reload::{Reload, ReloadState};
pub use summary::{Route, RouteSummary};

/// What is to be done with events, from one load of the config until the next.
pub struct Plan {
    /// Ascends with every load, restarts included.
    pub number: i64,
    pub config: Arc<Config>,
    /// In the order of the files.
    pub subscriptions: Vec<Arc<Planned>>,
    by_id: HashMap<SubscriptionId, Arc<Planned>>,
    by_name: HashMap<String, Arc<Planned>>,
    index: Index,
    guests: HashMap<String, Arc<Plugin>>,
    /// The secret of each source, ready for checking.
    sources: HashMap<String, Key>,
}

/// A subscription with everything needed to serve it.
pub struct Planned {
    pub id: SubscriptionId,
    pub meant: Subscription,
    /// The secret in force: the config's, or the one the store made.
    pub secret: Secret,
    /// Signs with it.
    pub signer: Signer,
    /// Its plugins, loaded.
    pub entries: Entries,
    pub workspace_id: i64,
}

impl Planned {
    pub fn name(&self) -> &str {
        &self.meant.name
    }

    /// As it is about to be, to be PINGed and no more: its plugins are not loaded.
    pub fn proposed(id: SubscriptionId, meant: Subscription, secret: Secret, workspace_id: i64) -> Planned {
        let signer = Signer::new(&meant.signatures, &secret);
        Planned { id, meant, secret, signer, entries: Entries::default(), workspace_id }
    }

    /// What its delivery of an event must stay in order with. One that an injected fault will have
    /// overtaken stands in a lane of its own, so that others can pass.
    pub fn order_of(&self, event: EventId) -> Order {
        let overtaken = |faults: &Faults| faults.strikes(Fault::Reorder, event, 1);
        match self.meant.faults.as_ref().is_some_and(overtaken) {
            true => Order::None,
            false => self.meant.order,
        }
    }

    /// Whether its callback has proved itself, or need not.
    pub fn validated(&self, standing: &Standing) -> bool {
        let validation = &standing.validation;
        let same_url = validation.url_callback.as_deref() == Some(&self.meant.url_text);
        self.meant.validation == ValidationMode::Off || (same_url && validation.validated_at.is_some())
    }

    /// Whether what `other` holds would be held here too: the plugins are the very same,
    /// instances included, and so is what happens when they fail.
    pub fn holds_like(&self, other: &Planned) -> bool {
        self.entries == other.entries && self.meant.on_plugin_error == other.meant.on_plugin_error
    }

    pub fn status(&self, standing: &Standing) -> Status {
        Status::of(self.meant.enabled, self.validated(standing), standing)
    }

    /// One word for why the status is not enabled; empty if it is.
    pub fn cause(&self, standing: &Standing) -> &'static str {
        match self.status(standing) {
            Status::Disabled if self.meant.enabled => "failures",
            Status::Disabled => "config",
            Status::NotValidated => "no_code",
            Status::Pending => "failed_attempt",
            Status::Enabled => "",
        }
    }

    /// Why its status is not simply enabled, for people.
    pub fn status_reason(&self, standing: &Standing) -> Option<String> {
        match self.status(standing) {
            Status::Enabled => None,
            Status::Pending => standing.pending.as_ref().map(|probe| probe.said.clone()),
            Status::Disabled => self.disabled_reason(standing).map(str::to_owned),
            Status::NotValidated => Some(standing.validation.refusal(&self.meant.url_text)),
        }
    }

    pub fn disabled_reason<'a>(&self, standing: &'a Standing) -> Option<&'a str> {
        match &standing.disabled {
            _ if !self.meant.enabled => Some("disabled in the config file (`enabled = false`)"),
            disabled => disabled.as_ref().map(|disabled| disabled.reason.as_str()),
        }
    }

    /// How it stands, as news.
    pub fn stands(&self, standing: &Standing) -> Stands {
        Stands {
            subscription: self.name().to_owned(),
            status: self.status(standing),
            cause: self.cause(standing).into(),
            reason: self.status_reason(standing),
        }
    }
}

impl Plan {
    /// `guests` and `enrolled` hold one entry for each subscription of the config, in its order.
    pub fn new(number: i64, config: Arc<Config>, guests: Guests, enrolled: Vec<Enrolled>) -> Plan {
        let parts = config.subscriptions.iter().zip(guests.entries).zip(enrolled);
        let workspace_id = config.workspace.id;
        let planned = |((meant, entries), enrolled)| planned(meant, entries, enrolled, workspace_id);
        let subscriptions: Vec<_> = parts.map(planned).collect();
        let by_id = subscriptions.iter().map(|planned| (planned.id, Arc::clone(planned))).collect();
        let by_name =
            subscriptions.iter().map(|planned| (planned.meant.name.clone(), Arc::clone(planned))).collect();
        let index = Index::new(&subscriptions);
        let sources = config.sources.iter().map(|source| (source.name.clone(), Key::new(&source.secret)));
        let (sources, guests) = (sources.collect(), guests.plugins);
        Plan { number, config, subscriptions, by_id, by_name, index, guests, sources }
    }

    /// The subscriptions one of whose event filters matches. Costs what matches, not what exists.
    pub fn matching(&self, entity: Entity, action: Action) -> &[Arc<Planned>] {
        self.index.matching(entity, action)
    }

    pub fn get(&self, id: SubscriptionId) -> Option<&Arc<Planned>> {
        self.by_id.get(&id)
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Planned>> {
        self.by_name.get(name)
    }

    /// What deliveries of Track to this source must be signed with.
    pub fn source(&self, name: &str) -> Option<&Key> {
        self.sources.get(name)
    }

    /// Names of plugins that are in both but not the same.
    pub fn changed_plugins(&self, guests: &Guests) -> Vec<String> {
        let changed = |(name, plugin): &(&String, &Arc<Plugin>)| {
            guests.plugins.get(*name).is_some_and(|new| !Arc::ptr_eq(new, plugin))
        };
        let mut names: Vec<_> = self.guests.iter().filter(changed).map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// What its routes look like, to be kept beside the events it routes.
    pub fn summary(&self) -> RouteSummary {
        RouteSummary { subscriptions: self.subscriptions.iter().map(|planned| Route::of(planned)).collect() }
    }
}

fn planned(meant: &Subscription, entries: Entries, enrolled: Enrolled, workspace_id: i64) -> Arc<Planned> {
    let made = enrolled.standing.made_secret.clone().map(|MadeSecret(text)| Secret::new(text));
    // One is made before a plan is: an empty secret is what no config may hold.
    let secret = meant.secret.clone().or(made).unwrap_or_else(|| Secret::new(String::new()));
    let signer = Signer::new(&meant.signatures, &secret);
    Arc::new(Planned { id: enrolled.id, meant: meant.clone(), secret, signer, entries, workspace_id })
}
