//! `trackrelay send`: hands events to the daemon and tells what became of them.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::args;
use crate::cli::client::{Client, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output;
use crate::cli::reply::Why;
use crate::cli::send::events::{Events, Input};
use crate::cli::send::post::Sent;
use crate::cli::send::set::Change;
use crate::clock;

pub mod events;
pub mod fate;
pub mod gen2023;
pub mod post;
pub mod set;

/// From so many events on, or if it takes so long, a bar shows how far it is.
const LONG_COUNT: u64 = 5000;
const LONG_SECONDS: f64 = 2.0;

/// Send a sample event, or events of a file, and tell what becomes of them
///
/// Knows a sample for each of Track's entities (client, project, project_group, project_user,
/// tag, task, time_entry, workspace, workspace_user) and actions (created, updated, deleted).
/// Every sample is about a new entity and happens now, in the workspace of the config.
///
/// A file holds one event, a JSON array of events, or one event after the other; its bytes are
/// sent as they are, unless `--set` changes them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay send time_entry.created
  trackrelay send time_entry.updated --set payload.description=call --set payload.billable=true
  trackrelay send project.deleted --set payload.id=201000053
  trackrelay send time_entry.created --as gen2023
  trackrelay send tag.created --count 1000 --rate 50
  trackrelay send events.ndjson
  curl -s https://example.com/event.json | trackrelay send - --json | jq .decisions")]
pub struct Args {
    /// ENTITY.ACTION, a file, or - for stdin
    #[arg(value_name = "ENTITY.ACTION|FILE|-", add = args::pairs_or_file())]
    what: String,

    /// Change a value, such as payload.description=lunch. VALUE is JSON, or else text; missing
    /// keys are made. In samples other names of the same id follow (wid with workspace_id,
    /// metadata.entity_id with payload.id). Repeatable
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Change>,

    /// Send samples in an older shape: gen2023 has the metadata of 2023, with the id as
    /// metadata.time_entry_id and the like, and the request that caused the event
    #[arg(long = "as", value_name = "SHAPE")]
    shape: Option<Shape>,

    /// Send this many samples
    #[arg(long, value_name = "N", value_parser = args::count)]
    count: Option<u64>,

    /// Send no more than this many a second
    #[arg(long, value_name = "N", value_parser = args::rate)]
    rate: Option<f64>,

    /// Wait so long for the outcome of a single event
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = args::duration)]
    timeout: Duration,

    /// Do not wait for the outcome
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,

    /// Print one JSON document: accepted, duplicates, ms, queued (events by subscription),
    /// event_ids (the first 1000) and, of a single event, decisions as `why --json` has them
    #[arg(long)]
    json: bool,
}

/// Shapes of `metadata` that Track had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    Gen2023,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let input = Input::read(&args.what)?;
    if args.count.is_some() && !matches!(input, Input::Sample(..)) {
        return Err(Failure::Usage("`--count` is for samples; what a file holds is sent once".to_owned()));
    }
    if args.shape.is_some() && !matches!(input, Input::Sample(..)) {
        return Err(Failure::Usage("`--as` is for samples; what a file holds is sent as it is".to_owned()));
    }
    let client = here.daemon()?;
    let (started, mut sent) = (Instant::now(), Sent::default());
    let result = post(&args, &input, &client, &mut sent).await;
    let took = started.elapsed();
    if let Err(failure) = result {
        if sent.accepted > 0 {
            output::say(&format!("{} before this:", summary(&sent, took)));
        }
        return Err(failure);
    }
    report(&args, &client, here, &sent, took).await
}

async fn post(args: &Args, input: &Input, client: &Client, sent: &mut Sent) -> Result<(), Failure> {
    let (total, events): (u64, Events) = match input {
        Input::Sample(entity, action) => {
            let workspace_id = events::workspace_id(client).await?;
            let samples = events::samples((*entity, *action), workspace_id, args.set.clone(), args.shape);
            let count = args.count.unwrap_or(1);
            (count, Box::new(samples.take(usize::try_from(count).unwrap_or(usize::MAX))))
        }
        recorded => {
            let events = events::recorded(recorded, &args.set)?;
            (events.len() as u64, Box::new(events.into_iter().map(Ok)))
        }
    };
    let bar = bar(total, args.rate);
    let result = post::post_all(client, events, args.rate, &bar, sent).await;
    bar.finish_and_clear();
    result
}

async fn report(
    args: &Args,
    client: &Client,
    here: &Invocation,
    sent: &Sent,
    took: Duration,
) -> Result<(), Failure> {
    let mut document = json!({
        "accepted": sent.accepted,
        "duplicates": sent.duplicates,
        "ms": took.as_millis() as u64,
        "queued": sent.queued,
        "event_ids": sent.event_ids,
    });
    let fate = match sent.event_ids[..] {
        [event_id] if !args.no_wait => Some(fate::follow(client, event_id, args.timeout).await),
        _ => None,
    };
    if args.json {
        if let Some(Ok((reply, _))) = &fate {
            document["decisions"] = reply.json::<Value>()?["decisions"].take();
        }
        return output::document(&document);
    }
    output::say(&summary(sent, took));
    let told = match fate {
        Some(Ok((_, why))) => tell(client, here, &why).await,
        Some(Err(failure)) => Err(failure),
        None => totals(client, here, sent).await,
    };
    match told {
        Ok(text) if text.is_empty() => Ok(()),
        told => told.and_then(|text| output::facts(&text)).or_else(shrug),
    }
}

/// The events are accepted, which is what the exit code tells.
fn shrug(failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Unread => Err(failure),
        failure => {
            output::failure(&failure);
            Ok(())
        }
    }
}

async fn tell(client: &Client, here: &Invocation, why: &Why) -> Result<String, Failure> {
    let status = client.get(&Target::new(&["api", "status"])).await?.json()?;
    Ok(fate::render(why, &status, here, clock::now()))
}

/// Who got how many; and of those who got none, why the first event was not for them. What
/// became of duplicates is no news of this call.
async fn totals(client: &Client, here: &Invocation, sent: &Sent) -> Result<String, Failure> {
    let queued = |(name, n): (&String, &u64)| format!("{}: {n} queued\n", output::clean(name));
    let mut text: String = sent.queued.iter().map(queued).collect();
    if let Some(first) = sent.first_new {
        let (_, mut why) = fate::follow(client, first, Duration::ZERO).await?;
        why.decisions.retain(|decision| !sent.queued.contains_key(&decision.subscription));
        if !why.decisions.is_empty() || sent.queued.is_empty() {
            text += &tell(client, here, &why).await?;
        }
    }
    Ok(text)
}

fn summary(sent: &Sent, took: Duration) -> String {
    let what = match sent.event_ids[..] {
        [event_id] => format!("event {event_id} accepted"),
        _ => format!("{} accepted in {}", output::count(sent.accepted, "event"), seconds(took)),
    };
    match (sent.duplicates, &sent.event_ids[..]) {
        (0, _) => what,
        (_, [event_id]) => format!(
            "{what}, a duplicate: what became of the first one stands below; `trackrelay replay {event_id}` sends it again"
        ),
        (n, _) if n == sent.accepted => format!(
            "{what}, all of them duplicates, which are not sent again; `trackrelay replay EVENT_ID` sends one"
        ),
        (1, _) => format!("{what}, 1 duplicate among them, which is not sent again"),
        (n, _) => format!("{what}, {n} duplicates among them, which are not sent again"),
    }
}

fn seconds(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        return format!("{} ms", took.as_millis());
    }
    format!("{:.1} s", took.as_secs_f64())
}

/// Shown on a terminal only; indicatif sees to that.
fn bar(total: u64, rate: Option<f64>) -> ProgressBar {
    let long = total >= LONG_COUNT || rate.is_some_and(|rate| total as f64 / rate >= LONG_SECONDS);
    if !long {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} events, {speed}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style.with_key("speed", |state: &ProgressState, line: &mut dyn fmt::Write| {
        // A line that cannot be written is drawn again at the next tick.
        line.write_str(&per_second(state.per_sec())).ok();
    });
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
    bar.with_style(style)
}

/// As many digits as somebody reads while it changes.
fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }
}

#[cfg(test)]
mod tests;
