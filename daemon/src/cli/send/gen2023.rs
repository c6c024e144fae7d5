//! `--as gen2023`: `metadata` as Track sent it in 2023, for receivers that were written
//! then. The id stands under a name per model, and the request that caused the event is
//! there: its path, verb and body. Everything else of an event is the same in both.
//!
//! Keys, their order and that every value is text follow the captures of 2023. Of other
//! entities than time entries none was ever seen: their requests are those of Track's API v9.

use serde_json::{Map, Value};

/// The one that samples of workspaces name, for those that name none.
const ORGANIZATION: i64 = 4_100_003;

/// Gives a sample the older metadata. What was set by hand stays.
pub fn reshape(event: &mut Value) {
    let payload = event["payload"].clone();
    let Some(metadata) = event["metadata"].as_object_mut() else { return };
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (model, action) = (text("model"), text("action"));
    let (verb, path) = request(&model, &action, &text("workspace_id"), &text("entity_id"), &payload);
    let body = if verb == "DELETE" { String::new() } else { payload.to_string() };
    let owner = ["user_id", "uid", "creator_id"].iter().find_map(|key| payload[key].as_i64());
    let owner = owner.map_or_else(|| text("event_user_id"), |id| id.to_string());
    let id = metadata.shift_remove("entity_id").unwrap_or_default();
    set(metadata, &format!("{model}_id"), id);
    set(metadata, "model_owner_id", owner);
    set(metadata, "path", path);
    set(metadata, "request_body", body);
    set(metadata, "request_type", verb);
    if let (Some(project), "time_entry") = (payload["project_id"].as_i64(), model.as_str()) {
        set(metadata, "project_id", project.to_string());
        set(metadata, "project_is_private", "false");
    }
    metadata.sort_keys();
}

fn set(metadata: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    metadata.entry(key).or_insert(value.into());
}

/// The call of API v9 that has this effect. Two have none: a project group is never updated,
/// a workspace never deleted; theirs are made up in the manner of the others.
fn request(model: &str, action: &str, workspace: &str, id: &str, payload: &Value) -> (&'static str, String) {
    let verb = match action {
        "created" => "POST",
        "deleted" => "DELETE",
        _ => "PUT",
    };
    let organization = payload["organization_id"].as_i64().unwrap_or(ORGANIZATION);
    let within = format!("/api/v9/workspaces/{workspace}");
    let all = match (model, action) {
        ("workspace", "created") => format!("/api/v9/organizations/{organization}/workspaces"),
        ("workspace", _) => return (verb, within),
        ("workspace_user", "created") => format!("/api/v9/organizations/{organization}/invitations"),
        ("task", _) => {
            format!("{within}/projects/{}/tasks", payload["project_id"].as_i64().unwrap_or_default())
        }
        ("time_entry", _) => format!("{within}/time_entries"),
        _ => format!("{within}/{model}s"),
    };
    let path = if action == "created" { all } else { format!("{all}/{id}") };
    (verb, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::samples::Sample;
    use crate::cli::send::set::{Change, apply_with_twins};
    use crate::event::{Action, Entity};

    fn reshaped(entity: Entity, action: Action, changes: &[&str]) -> Value {
        let mut event = Sample::new(entity, action, 7).event(0, "2026-03-04T05:06:07Z".parse().unwrap());
        let changes: Vec<Change> = changes.iter().map(|change| change.parse().unwrap()).collect();
        apply_with_twins(&mut event, &changes).unwrap();
        reshape(&mut event);
        event
    }

    fn keys(metadata: &Value) -> Vec<&str> {
        metadata.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn time_entries_have_the_keys_of_the_captures() {
        let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
        let vector = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(vectors.join(name)).unwrap()).unwrap()
        };
        let (created, updated) = (Action::Created, Action::Updated);
        for (name, action, changes) in [
            ("time_entry-created.gen2023.json", created, &["payload.project_id=null"][..]),
            ("time_entry-updated.gen2023.json", updated, &["payload.project_id=null"]),
            ("time_entry-updated.gen2023-project.json", updated, &[]),
        ] {
            let (event, vector) = (reshaped(Entity::TimeEntry, action, changes), vector(name));
            assert_eq!(keys(&event["metadata"]), keys(&vector["metadata"]), "{name}");
            let of_our_workspace = |path: &str| path.replace("/4200017/", "/7/");
            let path = of_our_workspace(vector["metadata"]["path"].as_str().unwrap());
            let ours = event["metadata"]["path"].as_str().unwrap();
            assert_eq!(
                ours.split('/').take(6).collect::<Vec<_>>(),
                path.split('/').take(6).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn all_27_are_sorted_texts_with_the_id_under_the_models_name() {
        for (entity, action) in
            Entity::ALL.into_iter().flat_map(|entity| Action::ALL.map(|action| (entity, action)))
        {
            let event = reshaped(entity, action, &[]);
            let metadata = event["metadata"].as_object().unwrap();
            assert!(metadata.keys().is_sorted() && metadata.values().all(Value::is_string), "{metadata:?}");
            assert!(!metadata.contains_key("entity_id"), "{metadata:?}");
            assert_eq!(metadata[&format!("{entity}_id")], event["payload"]["id"].to_string());
            let (path, body) =
                (metadata["path"].as_str().unwrap(), metadata["request_body"].as_str().unwrap());
            assert!(path.starts_with("/api/v9/") && !path.contains("null"), "{path}");
            assert_eq!(body.is_empty(), action == Action::Deleted);
        }
    }

    #[test]
    fn what_is_set_by_hand_stays() {
        let set = ["metadata.path=/api/v9/me", "payload.user_id=12", "payload.id=99"];
        let event = reshaped(Entity::TimeEntry, Action::Updated, &set);
        let metadata = &event["metadata"];
        assert_eq!(metadata["path"], "/api/v9/me");
        assert_eq!((&metadata["model_owner_id"], &metadata["time_entry_id"]), (&json!("12"), &json!("99")));
    }
}
