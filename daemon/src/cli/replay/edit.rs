//! `trackrelay replay … --set`: makes a new event from each past one and sends that. The
//! daemon keeps the new one beside the old; which is which stands in both.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Args;
use crate::cli::client::{Client, Target};
use crate::cli::difference;
use crate::cli::failure::Failure;
use crate::cli::output::{self, QUIET, styled};
use crate::cli::reply::Replay;
use crate::cli::send::set;

/// `GET /api/events/{event_id}`.
#[derive(Deserialize)]
struct Known {
    event: Box<RawValue>,
}

/// The document that a replay without edits answers with. `chosen` says which events.
pub(super) async fn run(args: &Args, chosen: Map<String, Value>, client: &Client) -> Result<Value, Failure> {
    let ids = events(chosen, client).await?;
    // All of them can be edited before the first is sent.
    let told = all(args, &ids, true, client).await?;
    if args.dry_run { Ok(told) } else { all(args, &ids, false, client).await }
}

/// The events that the same replay without edits would send, in its order.
async fn events(mut chosen: Map<String, Value>, client: &Client) -> Result<Vec<i64>, Failure> {
    chosen.insert("dry_run".to_owned(), true.into());
    let replay: Replay = client.post(&Target::new(&["api", "replay"]), &chosen.into()).await?.json()?;
    if replay.truncated {
        let listed = replay.replayed.len();
        return Err(Failure::failed(format!("more than {listed} deliveries; edit fewer events at once")));
    }
    let mut ids: Vec<i64> = Vec::new();
    for line in replay.replayed {
        if ids.last() != Some(&line.event_id) {
            ids.push(line.event_id);
        }
    }
    Ok(ids)
}

async fn all(args: &Args, ids: &[i64], dry_run: bool, client: &Client) -> Result<Value, Failure> {
    let mut lines = Vec::new();
    for id in ids {
        let known: Known = client.get(&Target::new(&["api", "events", &id.to_string()])).await?.json()?;
        let before: Value = serde_json::from_str(known.event.get()).map_err(anyhow::Error::from)?;
        let mut after = before.clone();
        set::apply(&mut after, &args.set).map_err(|wrong| Failure::Usage(format!("event {id}: {wrong}")))?;
        if dry_run && args.dry_run {
            show(*id, &before, &after);
        }
        let request = request(args, *id, after, dry_run);
        let mut told: Value = client.post(&Target::new(&["api", "replay"]), &request).await?.json()?;
        lines.append(told["replayed"].as_array_mut().unwrap_or(&mut Vec::new()));
    }
    Ok(json!({ "dry_run": dry_run, "total": lines.len(), "truncated": false, "replayed": lines }))
}

/// What one subscription missed, or failed at, goes to that one only.
fn request(args: &Args, id: i64, event: Value, dry_run: bool) -> Value {
    let mut request = json!({ "edited": { "from": id, "event": event }, "dry_run": dry_run });
    if let Some(to) = &args.to {
        request["to"] = json!(to);
    }
    if let Some(only) = args.missed.as_ref().or(args.failed.as_ref()) {
        request["only"] = json!(only);
    }
    request
}

/// On stderr: what is sent where stays alone on stdout.
fn show(id: i64, before: &Value, after: &Value) {
    let differences = difference::of_values(before, after);
    let lines: String = differences.iter().map(|line| format!("  {}\n", styled(QUIET, line))).collect();
    let lines = if lines.is_empty() { "  nothing changes\n".to_owned() } else { lines };
    output::say(&format!("event {id}:\n{lines}"));
}
