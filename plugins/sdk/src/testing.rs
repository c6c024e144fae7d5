//! For the unit tests of plugins, which run on your machine: events made from their JSON.

use std::borrow::Cow;

use crate::json::Json;
use crate::{Event, Route};

/// The event that trackrelay would show a plugin for this envelope. What the envelope does
/// not say stays empty.
pub fn event(envelope: &str) -> Event {
    let json = Json::trust(envelope);
    let metadata = |key| json.get("metadata").and_then(|metadata| metadata.get(key));
    // Track writes ids in metadata as text and elsewhere as numbers.
    let plain = |value: Option<Json<'_>>| {
        value.map(|value| value.as_str().map_or_else(|| value.text().to_owned(), Cow::into_owned))
    };
    let id = |key| plain(metadata(key))?.parse().ok();
    let route = Route {
        event_id: plain(json.get("event_id")).unwrap_or_default(),
        model: plain(metadata("model")).unwrap_or_default(),
        action: plain(metadata("action")).unwrap_or_default(),
        workspace_id: id("workspace_id"),
        project_id: id("project_id").or_else(|| json.get("payload")?.get("project_id")?.text().parse().ok()),
        user_id: id("event_user_id"),
        created_at: plain(json.get("created_at")).unwrap_or_default(),
    };
    Event { route, json: envelope.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_is_read_from_the_envelope() {
        let envelope = r#"{"event_id":9007199254740993,"created_at":"2026-03-01T10:00:00Z","metadata":{"action":"created","event_user_id":"5","model":"tag","workspace_id":"7"},"payload":{"project_id":9}}"#;
        let Event { route, json } = event(envelope);
        assert_eq!(json, envelope);
        assert_eq!((route.event_id.as_str(), route.model.as_str()), ("9007199254740993", "tag"));
        assert_eq!((route.action.as_str(), route.created_at.as_str()), ("created", "2026-03-01T10:00:00Z"));
        assert_eq!((route.workspace_id, route.project_id, route.user_id), (Some(7), Some(9), Some(5)));
    }

    #[test]
    fn what_is_missing_stays_empty() {
        let Event { route, .. } = event("{}");
        assert_eq!((route.event_id.as_str(), route.workspace_id), ("", None));
    }
}
