//! Routing as tables, and against the plain reading of every filter.

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::config::{Creator, EventFilter, Subscription, ValidationMode, fixture};
use crate::delivery::Disabled;
use crate::event::read::{Fill, read};
use crate::event::{Action, Entity, EventId};
use crate::plan::Guests;
use crate::store::Enrolled;

fn event(entity: Entity, action: Action, user: i64) -> Event {
    let text = format!(
        r#"{{"event_id":1,"created_at":"2025-09-10T08:00:00Z","creator_id":{user},"metadata":{{"action":"{action}","event_user_id":"{user}","model":"{entity}"}},"payload":{{"id":1}}}}"#
    );
    let fill = Fill { now: Timestamp::UNIX_EPOCH, next_id: &|| EventId(1), only_admin: None };
    read(Bytes::from(text), &fill).unwrap()
}

fn plan(subscriptions: Vec<Subscription>) -> Plan {
    let name = |(at, meant): (usize, &Subscription)| Enrolled {
        id: SubscriptionId(at as i64),
        name: meant.name.clone(),
        standing: Arc::default(),
    };
    let enrolled = subscriptions.iter().enumerate().map(name).collect();
    let guests = Guests::none(subscriptions.len());
    Plan::new(1, Arc::new(fixture::config(subscriptions)), guests, enrolled)
}

/// The outcome for the only subscription there is.
fn outcome(meant: Subscription, standing: Standing, user: i64) -> Outcome {
    let plan = plan(vec![meant]);
    let event = event(Entity::TimeEntry, Action::Created, user);
    let standing = Arc::new(standing);
    let routed = route(&event, &plan, |_| Some(Arc::clone(&standing)));
    assert_eq!(routed.len(), 1);
    assert_eq!(routed[0].outcome == Outcome::Pending, routed[0].reason.is_none());
    routed[0].outcome
}

fn failed() -> Standing {
    let disabled = Disabled { reason: "3 attempts in a row failed".into(), at: Timestamp::UNIX_EPOCH };
    Standing { disabled: Some(disabled), ..Standing::default() }
}

fn asked() -> Standing {
    let mut standing = Standing::default();
    standing.validation.asked = true;
    standing
}

#[test]
fn the_first_reason_in_order_of_precedence_is_the_one_recorded() {
    let plain = || fixture::subscription("a");
    let member = || Subscription { creator: Creator { user_id: 7, role: Role::Member }, ..plain() };
    let off = |meant: Subscription| Subscription { enabled: false, ..meant };
    let proving = |meant: Subscription| Subscription { validation: ValidationMode::Required, ..meant };
    let table = [
        (plain(), Standing::default(), Outcome::Pending),
        (member(), Standing::default(), Outcome::SkippedRights),
        (off(member()), failed(), Outcome::SkippedRights),
        (off(plain()), Standing::default(), Outcome::SkippedDisabled),
        (plain(), failed(), Outcome::SkippedDisabled),
        (off(proving(plain())), asked(), Outcome::SkippedDisabled),
        (proving(plain()), asked(), Outcome::SkippedNotValidated),
        // Until the first PING has been answered one way or another, events wait.
        (proving(plain()), Standing::default(), Outcome::Pending),
    ];
    for (at, (meant, standing, wanted)) in table.into_iter().enumerate() {
        assert_eq!(outcome(meant, standing, 8), wanted, "row {at}");
    }
}

#[test]
fn a_member_gets_own_events_and_an_admin_everybodys() {
    let with = |role| Subscription { creator: Creator { user_id: 7, role }, ..fixture::subscription("a") };
    let table = [
        (Role::Member, 7, Outcome::Pending),
        (Role::Member, 8, Outcome::SkippedRights),
        (Role::Admin, 8, Outcome::Pending),
    ];
    for (role, user, wanted) in table {
        assert_eq!(outcome(with(role), Standing::default(), user), wanted, "{role:?}, event of {user}");
    }
}

fn any_filter() -> impl Strategy<Value = EventFilter> {
    let entity = proptest::option::of(proptest::sample::select(Entity::ALL.to_vec()));
    let action = proptest::option::of(proptest::sample::select(Action::ALL.to_vec()));
    (entity, action).prop_map(|(entity, action)| EventFilter { entity, action })
}

proptest! {
    /// The index finds just what reading every filter of every subscription finds, once each
    /// and in the order of the config.
    #[test]
    fn the_index_agrees_with_the_filters(
        filters in proptest::collection::vec(proptest::collection::vec(any_filter(), 1..4), 0..20),
    ) {
        let subscription = |(at, event_filters): (usize, &Vec<EventFilter>)| {
            let event_filters = event_filters.clone();
            Subscription { event_filters, ..fixture::subscription(&format!("s{at}")) }
        };
        let plan = plan(filters.iter().enumerate().map(subscription).collect());
        for entity in Entity::ALL {
            for action in Action::ALL {
                let found: Vec<_> = plan.matching(entity, action).iter().map(|planned| planned.id.0).collect();
                let matches = |filters: &Vec<EventFilter>| filters.iter().any(|one| one.matches(entity, action));
                let wanted: Vec<_> =
                    filters.iter().enumerate().filter(|(_, list)| matches(list)).map(|(at, _)| at as i64).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
