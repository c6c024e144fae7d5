//! What a message says when the config has no template: a line that reads well for every
//! entity and action of Track.

use trackrelay_plugin::json::{Json, Kind};
use trackrelay_plugin::path::Path;

use super::template::write;

/// "Time entry updated: Writing docs (1:30:00)".
pub(super) fn of(event: Json<'_>) -> String {
    let model = text(event, "metadata.model").replace('_', " ");
    let mut out = capitalised(if model.is_empty() { "event" } else { &model });
    let action = text(event, "metadata.action");
    if !action.is_empty() {
        out.push(' ');
        out.push_str(&action);
    }
    let about = match model.as_str() {
        "time entry" => time_entry(event),
        "project user" => membership(event, "user", "payload.user_id"),
        "project group" => membership(event, "group", "payload.group_id"),
        _ => named(event),
    };
    if !about.is_empty() {
        out.push_str(": ");
        out.push_str(&about);
    }
    out
}

fn time_entry(event: Json<'_>) -> String {
    let mut out = text(event, "payload.description");
    if out.is_empty() {
        out.push_str("(no description)");
    }
    if let Some(time) = duration(event) {
        out.push_str(&format!(" ({time})"));
    }
    out
}

/// A running entry has a negative duration.
fn duration(event: Json<'_>) -> Option<String> {
    let seconds = at(event, "payload.duration")?.as_number()?.as_integer()?;
    if seconds < 0 {
        return Some("running".into());
    }
    Some(format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60))
}

fn membership(event: Json<'_>, what: &str, who: &str) -> String {
    let who = text(event, who);
    let project = first(event, &["payload.project_id", "payload.pid"]);
    match (who.as_str(), project.as_str()) {
        ("", "") => named(event),
        ("", project) => format!("in project {project}"),
        (who, "") => format!("{what} {who}"),
        (who, project) => format!("{what} {who} in project {project}"),
    }
}

/// A name or, lacking one, the number.
fn named(event: Json<'_>) -> String {
    let name = first(event, &["payload.name", "payload.email"]);
    if !name.is_empty() {
        return name;
    }
    match first(event, &["payload.id", "metadata.entity_id"]).as_str() {
        "" => String::new(),
        id => format!("number {id}"),
    }
}

fn first(event: Json<'_>, paths: &[&str]) -> String {
    paths.iter().map(|path| text(event, path)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn text(event: Json<'_>, path: &str) -> String {
    let mut out = String::new();
    let scalar = at(event, path).filter(|value| !matches!(value.kind(), Kind::Array | Kind::Object));
    write(scalar, &mut out);
    out
}

fn at<'a>(event: Json<'a>, path: &str) -> Option<Json<'a>> {
    event.at(&Path::parse(path).ok()?)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
