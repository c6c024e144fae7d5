//! The event that is sent: a Track time entry of 700 bytes, every one with an id and an
//! entity of its own, so that none waits in another's lane.

use std::io::Write;

/// Bytes of one event, whatever its id.
pub const BYTES: usize = 700;

/// Ids begin here, so that all have as many digits.
pub const FIRST_ID: i64 = 10_000_000_000_000;

/// What stands before the id in every envelope, sent or received.
const OPENING: &[u8] = b"{\"event_id\":";

/// What the event says was done: by it subscriptions can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
        }
    }

    /// What a subscription to these alone says, as TOML.
    pub fn event_filters(self) -> String {
        format!("[\"time_entry.{}\"]", self.word())
    }
}

/// Appends the event of this id.
pub fn write(id: i64, action: Action, into: &mut Vec<u8>) {
    let (start, action) = (into.len(), action.word());
    let written = write!(
        into,
        "{{\"event_id\":{id},\"created_at\":\"2025-09-10T08:15:30.991Z\",\"creator_id\":5300029,\
         \"metadata\":{{\"action\":\"{action}\",\"entity_id\":\"{id}\",\"event_user_id\":\"5300029\",\
         \"model\":\"time_entry\",\"workspace_id\":\"4200017\"}},\
         \"payload\":{{\"at\":\"2025-09-10T08:15:30.123456Z\",\"billable\":true,\"duration\":-1,\
         \"duronly\":true,\"id\":{id},\"pid\":201000053,\"project_id\":201000053,\"server_deleted_at\":null,\
         \"start\":\"2025-09-10T08:15:30Z\",\"stop\":null,\"tag_ids\":[17000071],\"tags\":[\"call\"],\
         \"task_id\":null,\"uid\":5300029,\"user_id\":5300029,\"wid\":4200017,\"workspace_id\":4200017,\
         \"description\":\""
    );
    written.expect("writing to a vector cannot fail");
    const CLOSING: &[u8] = b"\"}}";
    into.resize(start + BYTES - CLOSING.len(), b'.');
    into.extend_from_slice(CLOSING);
}

/// The id in a body that begins as Track's envelope does.
pub fn id(body: &[u8]) -> Option<i64> {
    let digits = body.strip_prefix(OPENING)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
