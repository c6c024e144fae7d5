use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

use super::fake::{Rig, SECRET};
use super::*;
use crate::config::Secret;
use crate::sign::{self, Key};

const TAG: &str = r#"{"event_id":7,"metadata":{"action":"created","model":"tag"},"payload":{}}"#;

fn typed(content_type: &str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())])
}

async fn told(answer: Answer) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn post(rig: &Rig, content_type: &str, body: impl Into<Bytes>) -> (u16, Value) {
    told(rig.source.events(typed(content_type), Full::new(body.into())).await).await
}

async fn post_json(rig: &Rig, body: impl Into<Bytes>) -> (u16, Value) {
    post(rig, "application/json", body).await
}

/// A body that gives its frames and then never ends.
struct Stalling(VecDeque<&'static str>);

impl HttpBody for Stalling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn an_accepted_event_names_who_it_waits_for() {
    let rig = Rig::new();
    let (status, body) = post_json(&rig, TAG).await;
    assert_eq!(status, 202);
    assert_eq!(body, json!({"events": [{"event_id": 7, "duplicate": false, "subscriptions": ["all"]}]}));
    let arrivals = rig.store.arrivals.lock().unwrap();
    let [arrival] = arrivals.as_slice() else { panic!("one arrival, found {}", arrivals.len()) };
    assert_eq!(arrival.plan, 1);
    assert_eq!(arrival.event.creator_id, 77, "the only admin");
    let outcomes: Vec<_> = arrival.routed.iter().map(|routed| routed.outcome.as_str()).collect();
    assert_eq!(outcomes, ["pending", "skipped_disabled"]);
}

#[tokio::test]
async fn the_second_of_the_same_id_is_a_duplicate() {
    let rig = Rig::new();
    post_json(&rig, TAG).await;
    let (status, body) = post_json(&rig, TAG).await;
    assert_eq!((status, &body["events"][0]["duplicate"]), (202, &json!(true)));
    assert_eq!(rig.store.kept().len(), 1);
    assert_eq!(rig.metric("trackrelay_events_received_total{source=\"events\"}"), 2);
    assert_eq!(rig.metric("trackrelay_events_duplicate_total{source=\"events\"}"), 1);
}

#[tokio::test]
async fn batches_are_arrays_or_lines() {
    let rig = Rig::new();
    let other = TAG.replace('7', "8");
    let (status, body) = post_json(&rig, format!("[{TAG},{other}]")).await;
    assert_eq!((status, body["events"].as_array().unwrap().len()), (202, 2));
    let third = TAG.replace('7', "9");
    let (status, _) = post(&rig, "application/x-ndjson", format!("{third}\n{TAG}\n")).await;
    assert_eq!(status, 202);
    assert_eq!(rig.store.kept(), [7, 8, 9].map(EventId));
    assert_eq!(post_json(&rig, "[]").await, (202, json!({"events": []})));
}

#[tokio::test]
async fn one_bad_event_refuses_the_whole_batch() {
    let rig = Rig::new();
    let bad = TAG.replace("tag", "tagg");
    let (status, body) = post_json(&rig, format!("[{TAG},{bad}]")).await;
    assert_eq!(status, 400);
    assert_eq!(body, json!("`[1].metadata.model`: unknown model `tagg`, did you mean `tag`?"));
    assert!(rig.store.kept().is_empty());
    assert_eq!(rig.metric("trackrelay_requests_refused_total{reason=\"unknown_word\"}"), 1);
}

#[tokio::test]
async fn a_wrong_content_type_is_refused() {
    let rig = Rig::new();
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let (status, body) = post(&rig, wrong, TAG).await;
        assert_eq!(status, 415, "{wrong}");
        assert!(body.as_str().unwrap().contains("application/json"), "{body}");
    }
    assert!(rig.store.kept().is_empty());
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_name() {
    let rig = Rig::new();
    let mut headers = typed("application/json");
    headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    let (status, body) = told(rig.source.events(headers.clone(), Full::new(TAG.into())).await).await;
    assert_eq!(status, 415);
    assert!(body.as_str().unwrap().starts_with("`content-encoding` must be"), "{body}");
    assert_eq!(rig.metric("trackrelay_requests_refused_total{reason=\"content_encoding\"}"), 1);
    assert!(rig.store.kept().is_empty());
    headers.insert(CONTENT_ENCODING, "identity".parse().unwrap());
    assert_eq!(told(rig.source.events(headers.clone(), Full::new(TAG.into())).await).await.0, 202);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let rig = Rig::new();
    let large = Bytes::from(vec![b' '; (64 << 10) + 1]);
    let (status, body) = post_json(&rig, large.clone()).await;
    assert_eq!(status, 413);
    assert!(body.as_str().unwrap().contains("65536 bytes"), "{body}");
    let frames: Vec<Result<_, Infallible>> =
        large.chunks(1000).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
    let chunked = Frames(frames.into());
    assert_eq!(told(rig.source.events(typed("application/json"), chunked).await).await.0, 413);
    let most = [TAG.as_bytes(), &vec![b' '; (64 << 10) - TAG.len()]].concat();
    assert_eq!(post_json(&rig, most).await.0, 202);
}

/// A stream of frames that are all there.
struct Frames(VecDeque<Result<Frame<Bytes>, Infallible>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let rig = Rig::with(Limits { stall: Duration::from_millis(20), ..Limits::new(1 << 20) });
    let body = Stalling(["{\"meta", "data\""].into());
    let told = told(rig.source.events(typed("application/json"), body).await).await;
    assert_eq!(told, (408, json!("the body stalled: nothing came for 20ms")));
    assert_eq!(rig.metric("trackrelay_requests_refused_total{reason=\"stalled\"}"), 1);
}

#[tokio::test]
async fn a_body_that_takes_forever_is_given_up() {
    let rig = Rig::with(Limits { whole: Duration::from_millis(20), ..Limits::new(1 << 20) });
    let told = told(rig.source.events(typed("application/json"), Stalling([" "].into())).await).await;
    assert_eq!(told, (408, json!("the body took longer than 20ms")));
}

#[tokio::test]
async fn more_bytes_than_fit_at_once_are_put_off() {
    let rig = Rig::with(Limits { in_flight: TAG.len() + 10, ..Limits::new(64 << 10) });
    let held = rig.source.intake().collect(Full::new(Bytes::from_static(&[b' '; 11]))).await.unwrap();
    let answer = rig.source.events(typed("application/json"), Full::new(TAG.into())).await;
    assert_eq!(answer.headers()[RETRY_AFTER], "1");
    assert_eq!(told(answer).await.0, 503);
    drop(held);
    assert_eq!(post_json(&rig, TAG).await.0, 202);
    assert_eq!(post_json(&rig, TAG).await.0, 202, "room is given back");
}

/// What strangers send through a tunnel takes no room from programs on this machine.
#[tokio::test]
async fn signed_bodies_have_room_of_their_own() {
    let rig = Rig::with(Limits { in_flight: TAG.len() + 10, ..Limits::new(64 << 10) });
    let eleven = || Full::new(Bytes::from_static(&[b' '; 11]));
    let held = rig.source.signed.intake.collect(eleven()).await.unwrap();
    assert_eq!(post_json(&rig, TAG).await.0, 202);
    let value = Key::new(&Secret::new(SECRET.into())).sign(TAG.as_bytes());
    let headers = HeaderMap::from_iter([(sign::HEADER.parse().unwrap(), value.parse().unwrap())]);
    let deliver = || rig.source.track("track", headers.clone(), Full::new(TAG.into()));
    let answer = deliver().await;
    assert_eq!(answer.headers()[RETRY_AFTER], "1");
    assert_eq!(told(answer).await.0, 503);
    drop(held);
    assert_eq!(told(deliver().await).await, (200, json!({"event_id": 7, "duplicate": true})));

    let held = rig.source.intake().collect(eleven()).await.unwrap();
    assert_eq!(told(deliver().await).await.0, 200);
    drop(held);
    let full = store::Error::Failed { path: "/var/store".into(), reason: "no space left".into() };
    *rig.store.refuse.lock().unwrap() = Some(full);
    let answer = deliver().await;
    assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &"5".parse().unwrap()));
    assert_eq!(rig.source.seen()[0].last_refusal.as_ref().unwrap().reason, "store");
}

#[tokio::test]
async fn a_store_that_says_no_is_passed_on() {
    let rig = Rig::new();
    *rig.store.refuse.lock().unwrap() = Some(store::Error::Busy(Duration::from_millis(2_500)));
    let answer = rig.source.events(typed("application/json"), Full::new(TAG.into())).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &"3".parse().unwrap()));
    assert!(!rig.source.store_failing(), "busy is not failing");

    let full = store::Error::Failed { path: "/var/store".into(), reason: "no space left".into() };
    *rig.store.refuse.lock().unwrap() = Some(full);
    let (status, body) = post_json(&rig, TAG).await;
    assert_eq!((status, body), (503, json!("the store at `/var/store` failed: no space left")));
    assert!(rig.source.store_failing());
    assert_eq!(rig.metric("trackrelay_store_errors_total{reason=\"failed\"}"), 1);

    *rig.store.refuse.lock().unwrap() = None;
    assert_eq!(post_json(&rig, TAG).await.0, 202);
    assert!(!rig.source.store_failing());
}

#[tokio::test]
async fn a_foreign_workspace_is_accepted_and_noticed_once() {
    let rig = Rig::new();
    let foreign = r#"{"metadata":{"action":"created","model":"tag","workspace_id":"5"},"payload":{}}"#;
    for _ in 0..2 {
        assert_eq!(post_json(&rig, foreign).await.0, 202);
    }
    assert_eq!(*rig.source.foreign.lock().unwrap(), HashSet::from([5]));
    let own = foreign.replace("\"5\"", "4200017");
    post_json(&rig, own).await;
    assert_eq!(rig.source.foreign.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn events_keep_none_of_a_larger_buffer() {
    let rig = Rig::new();
    let buffer = Bytes::from([TAG.as_bytes(), &[b'x'; 8000]].concat());
    post_json(&rig, buffer.slice(..TAG.len())).await;
    let arrivals = rig.store.arrivals.lock().unwrap();
    assert!(!buffer.as_ptr_range().contains(&arrivals[0].event.received.as_ptr()));
}
