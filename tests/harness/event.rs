//! Events to send in: Track's envelope as short as it may be, with a payload to tell them
//! apart by. The realistic bodies are in `tests/vectors`.

use serde_json::{Map, Value, json};

/// When events happened that do not say; they are told apart by `event_id`.
const CREATED_AT: &str = "2025-09-10T08:15:30.991Z";

/// Track's entities and actions, in its order.
pub const ENTITIES: [&str; 9] = [
    "client",
    "project",
    "project_group",
    "project_user",
    "tag",
    "task",
    "time_entry",
    "workspace",
    "workspace_user",
];
pub const ACTIONS: [&str; 3] = ["created", "updated", "deleted"];

/// An event under construction.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: i64,
    entity: String,
    action: String,
    of: i64,
    user: i64,
    created_at: Option<String>,
    payload: Map<String, Value>,
}

/// `event("time_entry.created", 7)`: event 7, about entity 1 until it is told otherwise.
pub fn event(kind: &str, id: i64) -> Event {
    let (entity, action) = kind.split_once('.').expect("an entity and an action");
    Event {
        id,
        entity: entity.to_owned(),
        action: action.to_owned(),
        of: 1,
        user: 5_300_029,
        created_at: Some(CREATED_AT.to_owned()),
        payload: Map::new(),
    }
}

impl Event {
    /// About this entity.
    pub fn of(mut self, entity_id: i64) -> Event {
        self.of = entity_id;
        self
    }

    /// Of this user's.
    pub fn by(mut self, user: i64) -> Event {
        self.user = user;
        self
    }

    pub fn at(mut self, created_at: &str) -> Event {
        self.created_at = Some(created_at.to_owned());
        self
    }

    /// Without a word on when it happened.
    pub fn undated(mut self) -> Event {
        self.created_at = None;
        self
    }

    /// With this in its payload.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Event {
        self.payload.insert(key.to_owned(), value.into());
        self
    }

    /// One line.
    pub fn json(&self) -> String {
        let mut payload = self.payload.clone();
        payload.insert("id".to_owned(), self.of.into());
        payload.insert("user_id".to_owned(), self.user.into());
        let mut event = json!({
            "event_id": self.id,
            "creator_id": self.user,
            "metadata": {
                "action": self.action,
                "entity_id": self.of.to_string(),
                "event_user_id": self.user.to_string(),
                "model": self.entity,
                "workspace_id": "4200017",
            },
            "payload": payload,
        });
        if let Some(created_at) = &self.created_at {
            event["created_at"] = created_at.as_str().into();
        }
        event.to_string()
    }
}

/// A batch as newline-delimited JSON.
pub fn ndjson(events: &[Event]) -> String {
    events.iter().map(|event| event.json() + "\n").collect()
}
