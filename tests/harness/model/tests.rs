//! That the model finds what it is there to find: a small story that is right, and what
//! it says when one thing about it is not.

use super::{Attempt, Judgement, Post, Receipt, Seen, Standing, Story, Subscription, Told, judge};

const ALL: &str = "all";

fn subscription(name: &str, wants: fn(i64) -> bool) -> Subscription {
    Subscription {
        name: name.to_owned(),
        serial: false,
        always: true,
        wants,
        attempts: 2,
        disable_after: 3,
        delivered_before: 0,
    }
}

fn post(begun: u64, ended: u64, ids: &[i64]) -> Post {
    let receipt = |id: &i64| Receipt { id: *id, duplicate: false, queued: Some([ALL.to_owned()].into()) };
    Post { begun, ended, ids: ids.to_vec(), receipts: Some(ids.iter().map(receipt).collect()) }
}

fn seen(tick: u64, id: i64, ok: bool) -> Seen {
    Seen { tick, subscription: ALL.to_owned(), id, entity: 7, ok }
}

fn told(outcome: &str, attempts: &[(i64, bool)]) -> Vec<Told> {
    let attempts = attempts.iter().map(|(at, ok)| Attempt { at: *at, ok: *ok }).collect();
    vec![Told { subscription: ALL.to_owned(), outcome: outcome.to_owned(), attempts }]
}

fn standing(status: &str, delivered: u64, failed_attempts: u32) -> Standing {
    Standing { status: status.to_owned(), delivered, failed_attempts, pending: 0 }
}

/// Events 1, 2 and 3 of one entity, posted one after the other, delivered in that order.
fn right() -> Story {
    Story {
        subscriptions: vec![subscription(ALL, |_| true)],
        posts: vec![post(1, 2, &[1]), post(4, 5, &[2]), post(7, 8, &[3])],
        seen: vec![seen(3, 1, true), seen(6, 2, true), seen(9, 3, true)],
        told: (1..=3).map(|id| (id, told("delivered", &[(id, true)]))).collect(),
        standings: [(ALL.to_owned(), standing("enabled", 3, 0))].into(),
        ..Story::default()
    }
}

#[track_caller]
fn finds(story: &Story, what: &str) {
    let wrongs = judge(story).wrongs;
    assert!(wrongs.iter().any(|wrong| wrong.contains(what)), "`{what}` is not among {wrongs:#?}");
}

#[track_caller]
fn finds_nothing(story: &Story) -> Judgement {
    let judgement = judge(story);
    assert!(judgement.wrongs.is_empty(), "{:#?}", judgement.wrongs);
    judgement
}

#[test]
fn a_story_that_is_right_is_right() {
    assert_eq!(finds_nothing(&right()).doubles, 0);
    let mut unanswered = right();
    unanswered.posts[2].receipts = None;
    finds_nothing(&unanswered);
}

#[test]
fn a_lost_event_is_found() {
    let mut unknown = right();
    unknown.told.remove(&2);
    unknown.seen.remove(1);
    finds(&unknown, "lost: event 2 was acknowledged");

    let mut unseen = right();
    unseen.seen.remove(1);
    finds(&unseen, "lost: event 2 never came");

    let mut undecided = right();
    undecided.told.insert(2, Vec::new());
    finds(&undecided, "no decision of `all`");

    let mut waiting = right();
    waiting.told.insert(3, told("pending", &[]));
    finds(&waiting, "event 3 for `all` is `pending`");
}

#[test]
fn half_a_request_is_found() {
    let mut story = right();
    story.posts[2] = Post { ids: vec![3, 4], receipts: None, ..post(7, 8, &[]) };
    finds(&story, "half of a request was kept");
    story.told.remove(&3);
    story.seen.remove(2);
    story.standings.insert(ALL.to_owned(), standing("enabled", 2, 0));
    finds_nothing(&story);
}

#[test]
fn an_event_taken_as_new_twice_is_found() {
    let mut story = right();
    story.posts.push(post(10, 11, &[1]));
    finds(&story, "taken as new twice");
    story.posts[3].receipts.as_mut().unwrap()[0].duplicate = true;
    finds_nothing(&story);
}

#[test]
fn what_the_sender_heard_is_what_was_done() {
    let mut story = right();
    story.posts[0].receipts.as_mut().unwrap()[0].queued.as_mut().unwrap().clear();
    finds(&story, "the sender heard {}");
}

#[test]
fn an_event_for_somebody_else_is_found() {
    let mut story = right();
    story.subscriptions.push(subscription("even", |id| id % 2 == 0));
    story.standings.insert("even".to_owned(), standing("enabled", 0, 0));
    for lines in story.told.values_mut() {
        lines.push(Told { subscription: "even".to_owned(), ..told("skipped_plugin", &[]).remove(0) });
    }
    for receipt in story.posts.iter_mut().flat_map(|post| post.receipts.as_mut().unwrap()) {
        receipt.queued.as_mut().unwrap().insert("even".to_owned());
    }
    finds(&story, "event 2 for `even` is `skipped_plugin`");
    story.seen.push(Seen { subscription: "even".to_owned(), ..seen(12, 1, true) });
    finds(&story, "event 1 came to `even`");
}

#[test]
fn swapped_order_is_found() {
    let mut story = right();
    (story.seen[0].tick, story.seen[1].tick) = (8, 6);
    finds(&story, "overtook event 1");
    // It may while it is not certain that 1 is there.
    story.posts[1].begun = 1;
    finds_nothing(&story);
    story.posts[1].begun = 4;
    // In another lane it may.
    story.seen[0].entity = 8;
    finds_nothing(&story);
    story.subscriptions[0].serial = true;
    finds(&story, "overtook event 1");
}

/// 1 fails for good, 2 is delivered, a crash forgets both, and 1 is tried again.
#[test]
fn what_failed_for_good_and_was_forgotten_may_come_late() {
    let mut story = right();
    story.seen = vec![seen(3, 1, false), seen(5, 1, false), seen(6, 2, true), seen(9, 3, true)];
    story.deaths.push(10);
    story.seen.extend([seen(11, 1, true), seen(12, 2, true), seen(13, 3, true)]);
    story.posts[1].ended = 20;
    story.posts[2].ended = 20;
    finds_nothing(&story);
    story.seen.remove(1);
    finds(&story, "overtook event 1");
}

#[test]
fn a_double_needs_a_crash() {
    let mut story = right();
    story.seen.push(seen(10, 3, true));
    finds(&story, "over-bound double");
    story.deaths.push(10);
    story.seen[3].tick = 11;
    assert_eq!(finds_nothing(&story).doubles, 1);
}

/// The answer for 1 was written down at the latest with event 3: when that was posted, 2 had
/// been sent, which waits for the outcome of 1.
#[test]
fn a_double_of_what_was_written_down_is_found() {
    let mut story = right();
    story.deaths.push(10);
    story.seen.push(seen(11, 1, true));
    finds(&story, "event 1 at `all`");
    // Not if event 3 was never acknowledged.
    story.posts[2].receipts = None;
    assert_eq!(finds_nothing(&story).doubles, 1);
}

#[test]
fn a_delivery_made_again_although_it_is_remembered_is_found() {
    let mut story = right();
    story.deaths.push(10);
    story.seen.push(seen(11, 3, true));
    story.told.insert(3, told("delivered", &[(3, true), (11, true)]));
    finds(&story, "event 3 at `all`");
}

#[test]
fn attempts_that_nobody_saw_and_those_nobody_remembers_are_found() {
    let mut invented = right();
    invented.told.insert(3, told("delivered", &[(3, false), (4, true)]));
    finds(&invented, "event 3 at `all`");

    let mut forgotten = right();
    forgotten.seen.insert(2, seen(8, 3, false));
    finds(&forgotten, "event 3 at `all`");
    // A crash may forget it.
    forgotten.deaths.push(8);
    forgotten.seen[2].tick = 7;
    finds_nothing(&forgotten);
}

#[test]
fn a_wrong_counter_is_found() {
    let mut story = right();
    for wrong in [
        standing("enabled", 2, 0),
        standing("enabled", 3, 1),
        standing("pending", 3, 0),
        Standing { pending: 1, ..standing("enabled", 3, 0) },
    ] {
        story.standings.insert(ALL.to_owned(), wrong);
        finds(&story, "`all` should stand as");
    }
    story.subscriptions[0].delivered_before = 4;
    story.standings.insert(ALL.to_owned(), standing("enabled", 7, 0));
    finds_nothing(&story);
}

/// Two attempts a delivery, three in a row disable.
#[test]
fn failures_count_as_the_rule_has_it() {
    let mut story = right();
    story.subscriptions[0].serial = true;
    let answers = [(3, 1, false), (4, 1, false), (6, 2, false)];
    story.seen = answers.iter().map(|(tick, id, ok)| seen(*tick, *id, *ok)).collect();
    story.told.insert(1, told("failed", &[(3, false), (4, false)]));
    story.told.insert(2, told("delivered", &[(6, false), (9, true)]));
    story.told.insert(3, told("skipped_disabled", &[]));
    story.posts[2].receipts.as_mut().unwrap()[0].queued.as_mut().unwrap().clear();
    story.enabled.push((ALL.to_owned(), 8));
    story.seen.push(seen(10, 2, true));
    story.standings.insert(ALL.to_owned(), standing("enabled", 1, 0));
    finds_nothing(&story);

    let mut patient = story.clone();
    patient.subscriptions[0].disable_after = 4;
    finds(&patient, "`all` was never disabled, and skipped {3}");
    let mut stubborn = story.clone();
    stubborn.subscriptions[0].attempts = 3;
    finds(&stubborn, "{} should have failed for good, {1} did");

    // Without the last success it stays disabled.
    story.enabled.clear();
    story.told.insert(2, told("pending", &[(6, false)]));
    story.seen.pop();
    finds(&story, r#"status: "disabled", delivered: 0, failed_attempts: 3"#);
}
