//! `send` from its arguments to what it tells, against a small daemon of our own.

use std::sync::{Arc, Mutex};

use clap::Parser;

use super::*;
use crate::cli::fake::{Fake, fake};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &str) -> Args {
    Line::parse_from(std::iter::once("send").chain(line.split_whitespace())).args
}

/// A daemon with two subscriptions, of which `plain` wants every event, and what it was sent.
fn daemon() -> (Fake, Arc<Mutex<Vec<Value>>>) {
    let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&bodies);
    let subscription = |name: &str| {
        json!({ "name": name, "status": "enabled", "pending": 0, "delivered": 0, "failed_attempts": 0,
                "url_callback": "http://127.0.0.1:3000/", "event_filters": ["project.*"] })
    };
    let status = json!({
        "version": "0.1.0", "pid": 1, "workspace_id": 99, "started_at": "2025-09-10T08:00:00Z",
        "listen": { "tcp": "127.0.0.1:7717", "unix": null },
        "config": { "state": "ok", "loaded_at": "2025-09-10T08:00:00Z" },
        "subscriptions": [subscription("plain"), subscription("slack")],
    });
    let fake = fake(move |_, path, body| match path {
        "/events" => {
            let mut kept = kept.lock().unwrap();
            let events: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let ids = kept.len()..kept.len() + events.len();
            kept.extend(events);
            let receipts =
                ids.map(|id| json!({ "event_id": id, "duplicate": false, "subscriptions": ["plain"] }));
            (202, json!({ "events": receipts.collect::<Vec<_>>() }))
        }
        "/api/status" => (200, status.clone()),
        _ => (
            200,
            json!({ "event_id": 0, "entity": "tag", "action": "created", "decisions": [
                { "subscription": "plain", "outcome": "delivered" },
                { "subscription": "slack", "outcome": "skipped_filter" },
            ] }),
        ),
    });
    (fake, bodies)
}

async fn sent(line: &str) -> (Fake, Arc<Mutex<Vec<Value>>>, Result<Sent, Failure>) {
    let (daemon, bodies) = daemon();
    let (args, mut sent) = (args(line), Sent::default());
    let result = match Input::read(&args.what) {
        Ok(input) => post(&args, &input, &daemon.client, &mut sent).await,
        Err(failure) => Err(failure),
    };
    (daemon, bodies, result.map(|()| sent))
}

#[tokio::test]
async fn every_pair_is_a_sample() {
    for entity in crate::event::Entity::ALL {
        for action in crate::event::Action::ALL {
            let (_daemon, bodies, result) = sent(&format!("{entity}.{action}")).await;
            assert_eq!(result.unwrap().accepted, 1);
            let bodies = bodies.lock().unwrap();
            assert_eq!(bodies[0]["metadata"]["model"], entity.as_str());
            assert_eq!(bodies[0]["metadata"]["action"], action.as_str());
            let keys: Vec<&String> = bodies[0].as_object().unwrap().keys().collect();
            assert_eq!(keys, ["created_at", "metadata", "payload"]);
        }
    }
}

#[tokio::test]
async fn samples_are_changed_and_counted() {
    let (daemon, bodies, result) = sent("tag.created --set payload.name=lunch --count 501").await;
    let sent = result.unwrap();
    assert_eq!((sent.accepted, sent.queued["plain"]), (501, 501));
    let bodies = bodies.lock().unwrap();
    assert!(bodies.iter().all(|event| event["payload"]["name"] == "lunch"));
    let ids: std::collections::BTreeSet<i64> =
        bodies.iter().map(|event| event["payload"]["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 501);
    assert_eq!(daemon.asked(), ["GET /api/status", "POST /events", "POST /events"]);
    assert!(bodies.iter().all(|event| event["metadata"]["workspace_id"] == "99"));
}

#[tokio::test]
async fn a_change_that_cannot_be_made_sends_nothing() {
    let (daemon, _, result) = sent("tag.created --set payload.name.first=x").await;
    assert_eq!(result.unwrap_err().exit_code(), 2);
    assert_eq!(daemon.asked(), ["GET /api/status"]);
}

#[tokio::test]
async fn many_events_are_told_by_subscription() {
    let (daemon, _, result) = sent("tag.created --count 3").await;
    let here = Invocation::with_env(None, |_| None);
    let text = totals(&daemon.client, &here, &result.unwrap()).await.unwrap();
    let wanted = "\
plain: 3 queued
slack: skipped_filter, its event_filters are [\"project.*\"]; add \"tag.created\" to its event_filters: `trackrelay edit slack`
";
    assert_eq!(output::plain(&text), wanted);
}

#[tokio::test]
async fn of_duplicates_nothing_is_told_that_is_no_news() {
    let (daemon, _, _) = sent("tag.created --count 3").await;
    let here = Invocation::with_env(None, |_| None);
    let known = Sent { accepted: 3, duplicates: 3, event_ids: vec![1, 2, 3], ..Sent::default() };
    assert_eq!(totals(&daemon.client, &here, &known).await.unwrap(), "");
    let mixed = Sent { first_new: Some(2), duplicates: 2, ..known };
    totals(&daemon.client, &here, &mixed).await.unwrap();
    assert!(daemon.asked().contains(&"GET /api/why/2".to_owned()), "{:?}", daemon.asked());
}

#[test]
fn a_summary_fits_what_was_sent() {
    let sent = |accepted: u64, duplicates: u64| Sent {
        accepted,
        duplicates,
        event_ids: (1..=accepted as i64).collect(),
        ..Sent::default()
    };
    let took = Duration::from_millis(1540);
    assert_eq!(summary(&sent(1, 0), took), "event 1 accepted");
    assert_eq!(summary(&sent(3, 0), took), "3 events accepted in 1.5 s");
    assert_eq!(summary(&sent(3, 0), took / 10), "3 events accepted in 154 ms");
    assert_eq!(
        summary(&sent(3, 1), took),
        "3 events accepted in 1.5 s, 1 duplicate among them, which is not sent again"
    );
    assert_eq!(
        summary(&sent(3, 3), took),
        "3 events accepted in 1.5 s, all of them duplicates, which are not sent again; \
         `trackrelay replay EVENT_ID` sends one"
    );
}

#[test]
fn a_speed_has_few_digits() {
    assert_eq!(per_second(0.512_345), "0.5/s");
    assert_eq!(per_second(49.951_234), "50/s");
    assert_eq!(per_second(12_345.678), "12346/s");
}
