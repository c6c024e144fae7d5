//! Track's event: the routing fields parsed, the received bytes kept.
//!
//! How bytes become an `Event` is in `event/read.rs`; what goes out is built in
//! `deliver/envelope.rs`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub mod read;

/// Track's `event_id`: positive, unique, above 2^53 in practice and therefore never a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub i64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of thing an event is about: `metadata.model`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    Client,
    Project,
    ProjectGroup,
    ProjectUser,
    Tag,
    Task,
    TimeEntry,
    Workspace,
    WorkspaceUser,
}

impl Entity {
    pub const ALL: [Entity; 9] = [
        Entity::Client,
        Entity::Project,
        Entity::ProjectGroup,
        Entity::ProjectUser,
        Entity::Tag,
        Entity::Task,
        Entity::TimeEntry,
        Entity::Workspace,
        Entity::WorkspaceUser,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Entity::Client => "client",
            Entity::Project => "project",
            Entity::ProjectGroup => "project_group",
            Entity::ProjectUser => "project_user",
            Entity::Tag => "tag",
            Entity::Task => "task",
            Entity::TimeEntry => "time_entry",
            Entity::Workspace => "workspace",
            Entity::WorkspaceUser => "workspace_user",
        }
    }
}

/// What happened to the entity: `metadata.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    pub const ALL: [Action; 3] = [Action::Created, Action::Updated, Action::Deleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Deleted => "deleted",
        }
    }
}

/// A word that is not one of Track's entities or actions.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownWord;

impl FromStr for Entity {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Entity::ALL.into_iter().find(|entity| entity.as_str() == text).ok_or(UnknownWord)
    }
}

impl FromStr for Action {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Action::ALL.into_iter().find(|action| action.as_str() == text).ok_or(UnknownWord)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event as it arrived. Cheap to share behind an `Arc`, never changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: EventId,
    pub entity: Entity,
    pub action: Action,
    /// When the change happened. Orders deliveries, together with `id`.
    pub created_at: Timestamp,
    /// The same as text, as received, since that text goes out again.
    pub created_at_text: String,
    pub creator_id: i64,
    pub workspace_id: Option<i64>,
    /// `metadata.entity_id`, `metadata.<model>_id` or `payload.id`, the first that is there.
    pub entity_id: Option<i64>,
    pub project_id: Option<i64>,
    /// `metadata.event_user_id`: who caused the event.
    pub event_user_id: Option<i64>,
    /// Whose event it is, for the rights of a member: payload `user_id` or `uid` of a
    /// time entry, else `event_user_id`, else `creator_id`.
    pub owner_id: i64,
    /// The bytes of this event exactly as they came in.
    pub received: Bytes,
    /// Where `metadata` and `payload` stand in `received`.
    pub metadata: Range<usize>,
    pub payload: Range<usize>,
}

impl Event {
    pub fn metadata_bytes(&self) -> &[u8] {
        &self.received[self.metadata.clone()]
    }

    pub fn payload_bytes(&self) -> &[u8] {
        &self.received[self.payload.clone()]
    }
}
