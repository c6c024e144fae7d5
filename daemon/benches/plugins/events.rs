//! The events that are shown: the yardstick's, in the form in which plugins get them.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use trackrelay::deliver::envelope;
use trackrelay::delivery::SubscriptionId;
use trackrelay::event::read::{Fill, read};
use trackrelay::plugin::Input;

use super::event::{Action, FIRST_ID, write};

/// Shown in turn.
const EVENTS: i64 = 64;

/// What the envelope names as its callback; nothing is sent there.
const CALLBACK: &str = "http://127.0.0.1:3000/";

pub fn inputs() -> anyhow::Result<Vec<Input>> {
    (FIRST_ID..FIRST_ID + EVENTS).map(input).collect()
}

fn input(id: i64) -> anyhow::Result<Input> {
    let mut received = Vec::new();
    write(id, Action::Updated, &mut received);
    let next_id = || trackrelay::event::EventId(id);
    let fill = Fill { now: Timestamp::UNIX_EPOCH, next_id: &next_id, only_admin: None };
    let event = read(Bytes::from(received), &fill)?;
    let json = envelope::build(&event, SubscriptionId(1), CALLBACK, event.created_at);
    Ok(Input { event: Arc::new(event), json, previous: Arc::new(|| None) })
}
