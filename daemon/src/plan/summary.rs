//! What a plan's routes looked like, kept with the events it routed, so that `why` can say
//! later which filter, in which line, did not match.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Planned;
use crate::config::EventFilter;
use crate::delivery::SubscriptionId;
use crate::event::{Action, Entity};

/// Stored as JSON: a new field needs a serde default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteSummary {
    pub subscriptions: Vec<Route>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub id: SubscriptionId,
    pub name: String,
    /// `entity.action`, `*` in either place.
    pub event_filters: Vec<String>,
    pub file: PathBuf,
    pub line: usize,
}

impl RouteSummary {
    pub fn name(&self, id: SubscriptionId) -> Option<String> {
        self.subscriptions.iter().find(|route| route.id == id).map(|route| route.name.clone())
    }
}

impl Route {
    pub(super) fn of(planned: &Planned) -> Route {
        let meant = &planned.meant;
        Route {
            id: planned.id,
            name: meant.name.clone(),
            event_filters: meant.event_filters.iter().map(EventFilter::to_string).collect(),
            file: meant.place.file.clone(),
            line: meant.place.line,
        }
    }

    /// Why an event of this kind does not match, where it does not.
    pub fn mismatch(&self, kind: impl std::fmt::Display) -> String {
        let filters = self.event_filters.join("\", \"");
        format!("event_filters [\"{filters}\"] ({}:{}) do not match {kind}", self.file.display(), self.line)
    }

    /// The first of its event filters that matches.
    pub fn matching(&self, entity: Entity, action: Action) -> Option<&str> {
        let fits = |wanted: &str, word: &str| wanted == "*" || wanted == word;
        let matches = |filter: &&str| {
            let (wanted, what) = filter.split_once('.').unwrap_or((filter, "*"));
            fits(wanted, entity.as_str()) && fits(what, action.as_str())
        };
        self.event_filters.iter().map(String::as_str).find(matches)
    }
}
