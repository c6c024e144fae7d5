//! Track's envelope and entities as serde types: `event.payload::<TimeEntry>()?.duration`.
//!
//! A key that is absent and one that is null are both `None`, keys that are not listed are
//! passed over, ids are whole numbers of 64 bits. Types of your own work just as well: they
//! need only the fields that you look at, and may borrow from the event.
//!
//! This module is the feature `track`, which is on unless you turn default features off;
//! [`json`](crate::json) does without it.

use serde::Deserialize;

use crate::Event;

mod entity;
mod id;

pub use entity::{
    Client, Project, ProjectGroup, ProjectUser, Tag, Task, TimeEntry, TimeEntryConstraints, Workspace,
    WorkspaceUser,
};

/// Track's envelope around the payload `P`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Envelope<P> {
    /// Above 2^53 in practice: a receiver that reads numbers as floats gets another one.
    #[serde(deserialize_with = "id::sure")]
    pub event_id: i64,
    /// When the change happened.
    pub created_at: String,
    #[serde(default, deserialize_with = "id::perhaps")]
    pub creator_id: Option<i64>,
    pub metadata: Metadata,
    pub payload: P,
    pub subscription_id: Option<i64>,
    /// When this attempt at delivering it began.
    pub timestamp: Option<String>,
    pub url_callback: Option<String>,
    /// Of a PING alone, which plugins are never shown; so is the next.
    pub validation_code: Option<String>,
    pub validation_code_url: Option<String>,
}

/// What happened to what. Track writes ids as text here; they are read from numbers too.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// `created`, `updated` or `deleted`.
    pub action: Option<String>,
    /// The kind of entity: `time_entry`, `project`, …
    pub model: Option<String>,
    /// Who did it.
    #[serde(deserialize_with = "id::perhaps")]
    pub event_user_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub workspace_id: Option<i64>,
    /// The entity, as Track names it today; see [`Metadata::entity`].
    #[serde(deserialize_with = "id::perhaps")]
    pub entity_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub model_owner_id: Option<i64>,
    /// The request that caused the event, as Track told in 2023.
    pub path: Option<String>,
    pub request_body: Option<String>,
    pub request_type: Option<String>,
    /// Of a project the id of 2023, of a time entry that of its project.
    #[serde(deserialize_with = "id::perhaps")]
    pub project_id: Option<i64>,
    /// `true` or `false`, as text.
    pub project_is_private: Option<String>,
    #[serde(deserialize_with = "id::perhaps")]
    pub client_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub project_group_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub project_user_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub tag_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub task_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub time_entry_id: Option<i64>,
    #[serde(deserialize_with = "id::perhaps")]
    pub workspace_user_id: Option<i64>,
}

impl Metadata {
    /// The entity's id, under whichever name it is told.
    pub fn entity(&self) -> Option<i64> {
        self.entity_id.or_else(|| match self.model.as_deref()? {
            "client" => self.client_id,
            "project" => self.project_id,
            "project_group" => self.project_group_id,
            "project_user" => self.project_user_id,
            "tag" => self.tag_id,
            "task" => self.task_id,
            "time_entry" => self.time_entry_id,
            "workspace" => self.workspace_id,
            "workspace_user" => self.workspace_user_id,
            _ => None,
        })
    }
}

impl Event {
    /// The entity after the change. Which type fits tells `event.route.model`.
    pub fn payload<'a, P: Deserialize<'a>>(&'a self) -> Result<P, String> {
        #[derive(Deserialize)]
        struct Only<P> {
            payload: P,
        }
        read::<Only<P>>(&self.json, "payload").map(|only| only.payload)
    }

    /// The whole event.
    pub fn envelope<'a, P: Deserialize<'a>>(&'a self) -> Result<Envelope<P>, String> {
        read(&self.json, "event")
    }
}

/// The `config` of this entry, as `configure` gets it.
pub fn config<'a, C: Deserialize<'a>>(text: &'a str) -> Result<C, String> {
    read(text, "config")
}

/// The same entity as it was before this event, where that is known: see
/// [`host::previous`](crate::host::previous).
pub fn previous<P: serde::de::DeserializeOwned>() -> Result<Option<P>, String> {
    crate::host::previous().map(|text| read(&text, "previous payload")).transpose()
}

fn read<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("cannot read the {what}: {error}"))
}

#[cfg(test)]
mod tests;
