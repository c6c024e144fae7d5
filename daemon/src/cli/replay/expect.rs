//! `trackrelay replay DIR --expect`: what is sent now for recorded events, held against what
//! was. Needs no daemon and no network, and disturbs none.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::cli::difference;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, BAD, QUIET, clean, count, styled};
use crate::cli::recording::rehearsal::Rehearsal;
use crate::cli::recording::{self, Delivered, Index};
use crate::event::EventId;

/// One thing that is not as it was.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    file: String,
    event_id: EventId,
    subscription: String,
    /// What differs, in a sentence.
    what: String,
    /// In what, line by line.
    details: Vec<String>,
}

/// `update`: what is sent now is what is expected from now on.
pub(super) async fn run(folder: &Path, update: bool, json: bool, here: &Invocation) -> Result<(), Failure> {
    let mut index = recording::read_index(folder)?;
    let mut rehearsal = Rehearsal::load(here, &index.subscription_ids)?;
    let mut differences = Vec::new();
    for recorded in &mut index.events {
        let event = recording::read_event(folder, recorded)?;
        let now = rehearsal.next(event, recorded.arrived_at).await?;
        for (subscription, what, details) in compare(&recorded.deliveries, &now) {
            let (file, event_id) = (recorded.file.clone(), recorded.event_id);
            differences.push(Difference { file, event_id, subscription, what, details });
        }
        recorded.deliveries = now;
    }
    let events = index.events.len() as u64;
    if update {
        // Ids of those that have gone are kept: one that comes back is the same.
        index.subscription_ids.extend(rehearsal.ids());
        recording::write_index(folder, &index)?;
    }
    tell(folder, &index, &differences, json)?;
    match differences.len() as u64 {
        0 => Ok(()),
        _ if update => {
            output::say("what is sent now is what is expected from now on");
            Ok(())
        }
        n => {
            let update = here.command(&["replay", &folder.to_string_lossy(), "--expect", "--update"]);
            Err(Failure::failed(format!(
                "{} in {}; if that is meant, `{update}` takes it over",
                count(n, "difference"),
                count(events, "event"),
            )))
        }
    }
}

fn tell(folder: &Path, index: &Index, differences: &[Difference], json: bool) -> Result<(), Failure> {
    let (events, deliveries) = (index.events.len() as u64, index.deliveries());
    if json {
        return output::document(&json!({
            "folder": folder,
            "events": events,
            "deliveries": deliveries,
            "differences": differences,
        }));
    }
    let lines: String = differences.iter().map(render).collect();
    match lines.is_empty() {
        true => output::facts(&format!(
            "{}, {deliveries} of them sent somewhere: all as recorded",
            count(events, "event")
        )),
        false => output::facts(&lines),
    }
}

fn render(difference: &Difference) -> String {
    let Difference { file, subscription, what, details, .. } = difference;
    let head = format!("{} {}: {}\n", clean(file), clean(subscription), styled(BAD, what));
    details.iter().fold(head, |text, line| text + &format!("  {}\n", styled(QUIET, line)))
}

/// Subscription, what differs, and in what. A subscription has one delivery of an event.
fn compare(before: &[Delivered], now: &[Delivered]) -> Vec<(String, String, Vec<String>)> {
    let by_name = |all: &'_ [Delivered]| -> BTreeMap<String, Delivered> {
        all.iter().map(|one| (one.subscription.clone(), one.clone())).collect()
    };
    let (before, mut now) = (by_name(before), by_name(now));
    let mut differences = Vec::new();
    for (name, was) in before {
        let (what, details) = match now.remove(&name) {
            Some(is) if is == was => continue,
            Some(is) => difference(&was, &is),
            None => (
                format!("was {}, now its event filters do not match, or it is gone", was.outcome),
                Vec::new(),
            ),
        };
        differences.push((name, what, details));
    }
    let new =
        now.into_iter().map(|(name, is)| (name, format!("was not for it, now {}", is.outcome), Vec::new()));
    differences.extend(new);
    differences
}

fn difference(was: &Delivered, is: &Delivered) -> (String, Vec<String>) {
    let reason =
        |one: &Delivered| one.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let (Some(before), Some(now)) = (&was.request, &is.request) else {
        return (format!("was {}{}, now {}{}", was.outcome, reason(was), is.outcome, reason(is)), Vec::new());
    };
    let mut details = Vec::new();
    for (what, before, now) in [("method", &before.method, &now.method), ("url", &before.url, &now.url)] {
        if before != now {
            details.push(format!("{what}: {before} → {now}"));
        }
    }
    let headers = |headers: &BTreeMap<String, String>| json!({ "header": headers });
    details.extend(difference::of_values(&headers(&before.headers), &headers(&now.headers)));
    let body = difference::of_bodies(before.body.text().as_bytes(), now.body.text().as_bytes());
    details.extend(body.into_iter().map(|line| format!("body: {line}")));
    ("something else is sent".to_owned(), details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::recording::{Body, Sent};

    fn sent(subscription: &str, body: &str) -> Delivered {
        let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
        let (method, url) = ("POST".to_owned(), "http://127.0.0.1:3000/".to_owned());
        let request = Some(Sent { method, url, headers, body: Body::of(body.as_bytes()) });
        Delivered { subscription: subscription.to_owned(), outcome: "sent".to_owned(), reason: None, request }
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let skipped = Delivered {
            outcome: "skipped_plugin".to_owned(),
            reason: Some("plugin `match`: not billable".to_owned()),
            request: None,
            ..sent("b", "")
        };
        let mut elsewhere = sent("a", r#"{"x":1}"#);
        if let Some(request) = &mut elsewhere.request {
            request.url = "http://127.0.0.1:4000/".to_owned();
            request.headers.insert("x-env".to_owned(), "dev".to_owned());
        }
        let table: [(&[Delivered], &[Delivered], &[&str]); 5] = [
            (&[sent("a", "1"), skipped.clone()], &[skipped.clone(), sent("a", "1")], &[]),
            (
                &[sent("a", r#"{"x":1}"#)],
                &[sent("a", r#"{"x":2}"#)],
                &["a something else is sent [\"body: x: 1 → 2\"]"],
            ),
            (
                &[sent("a", r#"{"x":1}"#)],
                &[elsewhere],
                &["a something else is sent [\"url: http://127.0.0.1:3000/ → http://127.0.0.1:4000/\", \
                     \"header.x-env: new, \\\"dev\\\"\"]"],
            ),
            (
                &[sent("b", "1")],
                &[skipped],
                &["b was sent, now skipped_plugin (plugin `match`: not billable) []"],
            ),
            (
                &[sent("a", "1")],
                &[sent("c", "1")],
                &[
                    "a was sent, now its event filters do not match, or it is gone []",
                    "c was not for it, now sent []",
                ],
            ),
        ];
        for (before, now, wanted) in table {
            let told = compare(before, now);
            let told: Vec<_> =
                told.iter().map(|(name, what, details)| format!("{name} {what} {details:?}")).collect();
            assert_eq!(told, wanted);
        }
    }
}
