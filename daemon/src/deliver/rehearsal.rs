//! A delivery without the sending: what `carry` would send, made by the same rooms. For
//! commands that compare what is sent with what was.

use std::sync::Arc;

use jiff::Timestamp;

use super::client::Outgoing;
use super::envelope;
use super::outgoing::outgoing;
use super::stages::{Guests, Stop};
use crate::delivery::trace::Trace;
use crate::plan::Planned;
use crate::store::{Lease, Store};

/// The request as it would go out at `now`, or why none would.
pub async fn rehearse(
    store: &Arc<dyn Store>,
    planned: &Planned,
    lease: &Lease,
    now: Timestamp,
) -> Result<Outgoing, Stop> {
    let envelope = envelope::build(&lease.event, planned.id, &planned.meant.url_text, now);
    let mut trace = Trace::default();
    let mut guests = Guests::again(store, planned, (&lease.event, lease.seq), &mut trace);
    guests.filter(&envelope).await?;
    let message = guests.transform(envelope).await?;
    Ok(outgoing(planned, message, &lease.event.id.to_string(), now))
}
