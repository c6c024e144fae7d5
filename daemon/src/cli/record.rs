//! `trackrelay record`: writes past events into a folder, with what is sent for them, for
//! tests that need no daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::args;
use crate::cli::client::{Client, Target};
use crate::cli::events::{Filters, History};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, clean, count};
use crate::cli::recording::rehearsal::Rehearsal;
use crate::cli::recording::{self, Index, MOST, Recorded};
use crate::cli::reply::StatusReply;
use crate::event::EventId;

/// Bytes of events that are held before they are written.
const MAX_BYTES: usize = 256 << 20;

/// Record past events as files, with what is sent for them
///
/// Each event goes into a file of its own, byte for byte as it was received; `index.json` says
/// which subscription is sent what for it with today's config. `trackrelay replay DIR --expect`
/// compares later, without a daemon and without a network. Filters choose every event that fits
/// them, unless `--last` says how many.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay record tests/webhooks --last 20
  trackrelay record tests/webhooks 4000000000000000017 4000000000000000018
  trackrelay record tests/lunch --since 1h --search lunch
  trackrelay replay tests/webhooks --expect     in your CI: is the same still sent?")]
pub struct Args {
    /// The folder, made if need be
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// These events
    #[arg(value_name = "EVENT_ID", value_parser = args::event_id, add = args::events())]
    events: Vec<i64>,

    #[command(flatten)]
    filters: Filters,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// An event as the daemon tells it.
#[derive(Deserialize)]
struct Known {
    event_id: EventId,
    entity: String,
    action: String,
    created_at: String,
    creator_id: i64,
    arrived_at: Timestamp,
    event: Box<RawValue>,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    if args.events.is_empty() == args.filters.is_empty() {
        return Err(Failure::Usage(
            "say which events: by EVENT_ID, or by `--last N`, `--since 1h` and other filters".to_owned(),
        ));
    }
    if recording::is_there(&args.folder) {
        let folder = args.folder.display().to_string();
        let update = here.command(&["replay", &folder, "--expect", "--update"]);
        return Err(Failure::failed(format!(
            "there is a recording in `{folder}`; name another folder, or renew what is expected with `{update}`"
        )));
    }
    let client = here.daemon()?;
    let events = match args.events.is_empty() {
        true => chosen(&client, &args.filters).await?,
        false => named(&client, &args.events).await?,
    };
    if events.is_empty() {
        return Err(Failure::failed("no event fits; `trackrelay events` lists those there are"));
    }
    let mut rehearsal = Rehearsal::load(here, &ids(&client).await?)?;
    let index = write(&args.folder, events, &mut rehearsal).await?;
    let (events, deliveries) = (index.events.len() as u64, index.deliveries() as u64);
    if args.json {
        return output::document(
            &json!({ "folder": args.folder, "events": events, "deliveries": deliveries }),
        );
    }
    let folder = args.folder.to_string_lossy();
    let compare = here.command(&["replay", &folder, "--expect"]);
    output::facts(&format!(
        "{}, {} in {}\n",
        count(events, "event"),
        if deliveries == 1 { "1 delivery".to_owned() } else { format!("{deliveries} deliveries") },
        clean(&folder)
    ))?;
    output::say(&format!("`{}` says whether the same is still sent", clean(&compare)));
    Ok(())
}

async fn named(client: &Client, ids: &[i64]) -> Result<Vec<Known>, Failure> {
    let mut events: Vec<Known> = Vec::new();
    for id in ids {
        let known: Known = client.get(&Target::new(&["api", "events", &id.to_string()])).await?.json()?;
        if !events.iter().any(|event| event.event_id == known.event_id) {
            events.push(known);
        }
    }
    events.sort_by_key(|event| event.arrived_at);
    Ok(events)
}

/// In order of arrival.
async fn chosen(client: &Client, filters: &Filters) -> Result<Vec<Known>, Failure> {
    let most = filters.last.unwrap_or(MOST as u64 + 1);
    let mut history = History::new(client, filters, most, true);
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(page) = history.next().await? {
        for event in page {
            bytes += event.get().len();
            events.push(serde_json::from_str::<Known>(event.get()).map_err(anyhow::Error::from)?);
        }
        if events.len() > MOST || bytes > MAX_BYTES {
            let most = MAX_BYTES >> 20;
            return Err(Failure::failed(format!(
                "that is more than {MOST} events or {most} MiB; choose fewer, such as `--last 1000`"
            )));
        }
    }
    events.reverse();
    Ok(events)
}

/// By which ids the daemon knows its subscriptions: they stand in what it sends.
async fn ids(client: &Client) -> Result<BTreeMap<String, i64>, Failure> {
    let status: StatusReply = client.get(&Target::new(&["api", "status"])).await?.json()?;
    let id = |one: crate::cli::reply::Subscription| Some((one.name, one.subscription_id?));
    Ok(status.subscriptions.into_iter().filter_map(id).collect())
}

/// The index comes last: without it there is no recording.
async fn write(folder: &Path, events: Vec<Known>, rehearsal: &mut Rehearsal) -> Result<Index, Failure> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let mut index = Index::new(rehearsal.ids());
    for (number, known) in (1..).zip(events) {
        let file = format!("{number:05}-{}.{}-{}.json", known.entity, known.action, known.event_id);
        recording::write_event(folder, &file, known.event.get())?;
        let Known { event_id, created_at, creator_id, arrived_at, .. } = known;
        let deliveries = Vec::new();
        let mut recorded = Recorded { file, event_id, created_at, creator_id, arrived_at, deliveries };
        let event = recording::read_event(folder, &recorded)?;
        recorded.deliveries = rehearsal.next(event, arrived_at).await?;
        index.events.push(recorded);
    }
    recording::write_index(folder, &index)?;
    Ok(index)
}
