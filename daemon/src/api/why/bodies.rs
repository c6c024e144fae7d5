//! The body before and after the transforms. Bodies that were sent are not stored: the
//! transforms of today run again over the event as it came, with the attempt's own time, and
//! a stored digest tells whether that is what was sent.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::Api;
use crate::deliver::stages::Guests;
use crate::deliver::{envelope, record};
use crate::delivery::trace::Trace;
use crate::delivery::{Attempt, Decision};
use crate::plan::{Plan, Planned};
use crate::store::PastEvent;

/// Bytes of all bodies of one answer. Each is shown whole or not at all, since half of a
/// document cannot be compared.
pub(super) const MOST: usize = 1 << 20;

impl Api {
    /// Adds the bodies of the last try that a transform had a hand in.
    pub(super) async fn add_bodies(
        &self,
        line: &mut Value,
        decision: &Decision,
        past: &PastEvent,
        plan: &Plan,
        room: &mut usize,
    ) {
        let made = |tried: &&Attempt| tried.trace.as_ref().is_some_and(|trace| trace.body.is_some());
        if *room == 0 {
            return;
        }
        let Some(tried) = decision.tries.iter().rfind(made) else { return };
        line["bodies"] = match plan.get(decision.subscription) {
            Some(planned) => self.bodies(tried, past, planned, room).await,
            None => without("its subscription is not in the config any longer"),
        };
    }

    async fn bodies(&self, tried: &Attempt, past: &PastEvent, planned: &Planned, room: &mut usize) -> Value {
        let before = envelope::build(&past.event, planned.id, &planned.meant.url_text, tried.at);
        let mut trace = Trace::default();
        let mut guests = Guests::again(&self.store, planned, (&past.event, past.seq), &mut trace);
        let Ok(message) = guests.transform(before.clone()).await else {
            return without("its transforms make no body of it today");
        };
        let sent = tried.trace.as_ref().and_then(|trace| trace.body.as_deref());
        let exact = sent == Some(record::digest(&message.body).as_str());
        let size = before.len() + message.body.len();
        if size > *room {
            return without(&format!("{size} bytes are too much to show"));
        }
        let Some((before, after)) = text(before).zip(text(message.body)) else {
            return without("what the transforms make is not text");
        };
        *room -= size;
        json!({
            "attempt": tried.n,
            "exact": exact,
            "note": (!exact).then_some(
                "a plugin, its config or `url_callback` has changed since: this is what would be sent today"
            ),
            "before": before,
            "after": after,
        })
    }
}

fn without(note: &str) -> Value {
    json!({ "attempt": null, "exact": false, "note": note, "before": null, "after": null })
}

fn text(body: Bytes) -> Option<String> {
    String::from_utf8(body.into()).ok()
}
