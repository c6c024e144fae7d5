//! Hands events to the daemon: in batches, at a pace, waiting when it has more than it
//! can take.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::time::Duration;

use bytes::Bytes;
use indicatif::ProgressBar;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cli::client::{Client, JSON, NDJSON, Reply, Target};
use crate::cli::failure::Failure;
use crate::cli::reply::Accepted;
use crate::cli::send::events::Piece;
use crate::event::read::Place;

/// Half of the daemon's default body limit, so that a batch fits below a lower one too.
const BATCH_BYTES: usize = 512 << 10;

/// Keeps the answer to a batch small.
const BATCH_EVENTS: u64 = 500;

/// Ids that are kept for `--json`.
const MAX_IDS: usize = 1000;

/// How long a daemon may stay busy before giving up.
const BUSY_FOR: Duration = Duration::from_secs(30);

/// The longest pause between two tries while it is busy.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// What became of the events that were handed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub accepted: u64,
    pub duplicates: u64,
    /// Events queued, by subscription.
    pub queued: BTreeMap<String, u64>,
    /// The first of them.
    pub event_ids: Vec<i64>,
    /// The first that the daemon did not know before.
    pub first_new: Option<i64>,
}

impl Sent {
    fn add(&mut self, reply: Accepted) {
        for event in reply.events {
            self.accepted += 1;
            self.duplicates += u64::from(event.duplicate);
            if self.event_ids.len() < MAX_IDS {
                self.event_ids.push(event.event_id);
            }
            if event.duplicate {
                continue;
            }
            self.first_new.get_or_insert(event.event_id);
            for name in event.subscriptions {
                *self.queued.entry(name).or_default() += 1;
            }
        }
    }
}

/// Posts all events. What was accepted before a failure is in `sent` all the same.
pub async fn post_all(
    client: &Client,
    events: impl Iterator<Item = Result<Piece, Failure>>,
    rate: Option<f64>,
    bar: &ProgressBar,
    sent: &mut Sent,
) -> Result<(), Failure> {
    let (start, mut events) = (Instant::now(), events.peekable());
    while events.peek().is_some() {
        if let Some(rate) = rate {
            sleep_until(start + Duration::from_secs_f64(sent.accepted as f64 / rate)).await;
        }
        let batch = batch(&mut events, due(rate, start.elapsed(), sent.accepted))?;
        let (content_type, body) = body(&batch);
        let reply = post(client, content_type, body).await?;
        if reply.status.is_client_error() {
            return Err(Failure::failed(in_the_users_input(&reply.text(), &batch)));
        }
        sent.add(reply.accepted()?.json()?);
        bar.set_position(sent.accepted);
    }
    Ok(())
}

/// How many events may go now. Never more than a second's worth behind: a stall is not
/// made up for by a burst.
fn due(rate: Option<f64>, elapsed: Duration, sent: u64) -> u64 {
    let Some(rate) = rate else { return BATCH_EVENTS };
    let behind = (elapsed.as_secs_f64() * rate).floor() - sent as f64 + 1.0;
    (behind.clamp(1.0, rate.max(1.0)) as u64).min(BATCH_EVENTS)
}

/// Takes up to `most` events. One that spans lines goes alone, since a line is an event.
fn batch(
    events: &mut Peekable<impl Iterator<Item = Result<Piece, Failure>>>,
    most: u64,
) -> Result<Vec<Piece>, Failure> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while (batch.len() as u64) < most {
        let fits = |event: &Result<Piece, Failure>| match event {
            Ok(event) => {
                let json = &event.json;
                batch.is_empty() || (bytes + json.get().len() < BATCH_BYTES && !spans_lines(json))
            }
            Err(_) => true,
        };
        let Some(event) = events.next_if(fits).transpose()? else { break };
        bytes += event.json.get().len() + 1;
        let alone = spans_lines(&event.json);
        batch.push(event);
        if alone {
            break;
        }
    }
    Ok(batch)
}

fn body(batch: &[Piece]) -> (&'static str, Bytes) {
    match batch {
        [event] => (JSON, event.json.get().to_owned().into()),
        events => {
            let lines: Vec<&str> = events.iter().map(|event| event.json.get()).collect();
            (NDJSON, lines.join("\n").into())
        }
    }
}

/// The daemon's words about a batch, with the place where the event stands in the user's
/// own input instead of its line in the batch.
fn in_the_users_input(text: &str, batch: &[Piece]) -> String {
    let numbered = text.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    let (event, rest) = match (numbered, batch) {
        (Some((line, rest)), _) => {
            (line.parse::<usize>().ok().and_then(|line| batch.get(line.checked_sub(1)?)), rest)
        }
        (None, [only]) => (Some(only), text),
        (None, _) => (None, text),
    };
    let rest = rest.strip_prefix("`event`: ").unwrap_or(rest);
    match event.map(|event| event.place) {
        Some(Place::Line(line)) => format!("line {line}: {rest}"),
        Some(Place::Index(index)) => match rest.strip_prefix('`') {
            Some(field) => format!("`[{index}].{field}"),
            None => format!("`[{index}]`: {rest}"),
        },
        Some(Place::Whole) if numbered.is_some() => rest.to_owned(),
        _ => text.to_owned(),
    }
}

fn spans_lines(event: &RawValue) -> bool {
    event.get().contains(['\n', '\r'])
}

/// A busy daemon answers 503 and has kept nothing, so the same batch may come again.
async fn post(client: &Client, content_type: &str, body: Bytes) -> Result<Reply, Failure> {
    let give_up = Instant::now() + BUSY_FOR;
    loop {
        let reply = client.submit(&Target::new(&["events"]), content_type, body.clone()).await?;
        let Some(pause) = reply.retry_after.filter(|_| reply.status.as_u16() == 503) else {
            return Ok(reply);
        };
        let pause = Duration::from_secs(pause).min(BUSY_PAUSE);
        if Instant::now() + pause > give_up {
            return Ok(reply);
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;
    use crate::cli::fake::fake;

    fn event(text: &str) -> Result<Piece, Failure> {
        Ok(piece(text, Place::Whole))
    }

    fn piece(text: &str, place: Place) -> Piece {
        Piece { json: RawValue::from_string(text.to_owned()).unwrap(), place }
    }

    fn batches(texts: &[&str], most: u64) -> Vec<String> {
        let mut events = texts.iter().map(|text| event(text)).peekable();
        let mut bodies = Vec::new();
        while events.peek().is_some() {
            let (content_type, body) = body(&batch(&mut events, most).unwrap());
            bodies.push(format!("{content_type} {}", String::from_utf8_lossy(&body)));
        }
        bodies
    }

    #[test]
    fn events_share_a_body_unless_one_spans_lines() {
        assert_eq!(batches(&["1"], 9), ["application/json 1"]);
        assert_eq!(batches(&["1", "2", "3"], 2), ["application/x-ndjson 1\n2", "application/json 3"]);
        assert_eq!(
            batches(&["1", "[\n2]", "3", "4"], 9),
            ["application/json 1", "application/json [\n2]", "application/x-ndjson 3\n4"]
        );
    }

    #[test]
    fn a_body_stays_below_its_limit() {
        let large = format!("\"{}\"", "x".repeat(200 << 10));
        let texts = [large.as_str(); 5];
        let lines: Vec<usize> = batches(&texts, 500).iter().map(|body| body.lines().count()).collect();
        assert_eq!(lines, [2, 2, 1]);
    }

    #[test]
    fn the_pace_is_kept_without_bursts() {
        let second = Duration::from_secs(1);
        assert_eq!(due(None, second, 0), 500);
        assert_eq!(due(Some(10.0), Duration::ZERO, 0), 1);
        assert_eq!(due(Some(10.0), second, 8), 3);
        assert_eq!(due(Some(10.0), second * 60, 8), 10);
        assert_eq!(due(Some(0.5), second * 60, 8), 1);
        assert_eq!(due(Some(1e9), second, 0), 500);
    }

    #[tokio::test]
    async fn counts_what_was_queued_and_waits_while_busy() {
        let calls = AtomicU32::new(0);
        let daemon = fake(move |_, _, body| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => (503, json!("the store is busy")),
            _ => {
                let events = body
                    .lines()
                    .enumerate()
                    .map(|(n, _)| json!({ "event_id": n, "duplicate": n == 1, "subscriptions": ["plain"] }));
                (202, json!({ "events": events.collect::<Vec<_>>() }))
            }
        });
        let mut sent = Sent::default();
        let events = ["{}", "{}", "{}"].map(event).into_iter();
        post_all(&daemon.client, events, None, &ProgressBar::hidden(), &mut sent).await.unwrap();
        assert_eq!(
            sent,
            Sent {
                accepted: 3,
                duplicates: 1,
                queued: BTreeMap::from([("plain".to_owned(), 2)]),
                event_ids: vec![0, 1, 2],
                first_new: Some(0),
            }
        );
        assert_eq!(daemon.asked(), ["POST /events", "POST /events"]);
    }

    #[tokio::test]
    async fn a_refused_event_is_told_with_the_daemons_words() {
        let daemon = fake(|_, _, _| (400, json!("`metadata.model`: unknown model `x`")));
        let mut sent = Sent::default();
        let events = [event("{}")].into_iter();
        let failure =
            post_all(&daemon.client, events, None, &ProgressBar::hidden(), &mut sent).await.unwrap_err();
        assert_eq!(failure.to_string(), "`metadata.model`: unknown model `x`");
        assert_eq!(sent, Sent::default());
    }

    #[tokio::test]
    async fn a_later_batch_is_told_by_the_lines_of_the_file() {
        let calls = AtomicU32::new(0);
        let daemon = fake(move |_, _, body| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let receipt = json!({ "event_id": 1, "duplicate": false, "subscriptions": [] });
                (202, json!({ "events": vec![receipt; body.lines().count()] }))
            }
            _ => (400, json!("line 2: `payload`: missing")),
        });
        let events = (0..502).map(|n| Ok(piece("{}", Place::Line(2 * n + 1))));
        let mut sent = Sent::default();
        let posted = post_all(&daemon.client, events, None, &ProgressBar::hidden(), &mut sent).await;
        assert_eq!(posted.unwrap_err().to_string(), "line 1003: `payload`: missing");
        assert_eq!(sent.accepted, 500);
    }

    #[test]
    fn refusals_point_into_what_the_user_gave() {
        let lines = [piece("1", Place::Line(4)), piece("2", Place::Line(9))];
        let elements = [piece("1", Place::Index(0)), piece("2", Place::Index(1))];
        let samples = [piece("1", Place::Whole), piece("2", Place::Whole)];
        let table: [(&str, &[Piece], &str); 10] = [
            ("line 2: `payload`: missing", &lines, "line 9: `payload`: missing"),
            ("`payload`: missing", &lines[1..], "line 9: `payload`: missing"),
            ("`event`: must be an object", &lines[1..], "line 9: must be an object"),
            ("line 2: `payload`: missing", &elements, "`[1].payload`: missing"),
            ("line 1: must be an object", &elements, "`[0]`: must be an object"),
            ("`event`: must be an object", &elements[..1], "`[0]`: must be an object"),
            ("line 2: `payload`: missing", &samples, "`payload`: missing"),
            ("`event`: must be an object", &samples[..1], "`event`: must be an object"),
            ("the body is larger than 9 bytes", &lines, "the body is larger than 9 bytes"),
            ("line 7: no such line", &lines, "line 7: no such line"),
        ];
        for (text, batch, wanted) in table {
            assert_eq!(in_the_users_input(text, batch), wanted);
        }
    }
}
