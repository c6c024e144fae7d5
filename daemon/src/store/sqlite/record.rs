//! How things stand in columns: times as nanoseconds, lists as JSON of tuples.

use jiff::Timestamp;
use rusqlite::types::Type;
use serde::{Deserialize, Serialize};

use super::trace::{self, Stored};
use crate::delivery::{Attempt, Order, Outcome, SubscriptionId};
use crate::store::Routed;

/// Version of an event's record. A reader knows every version up to its own.
pub(super) const VERSION: i64 = 1;

/// `mendable.kind`.
pub(super) const MISSED: i64 = 0;
pub(super) const FAILED: i64 = 1;

pub(super) fn moment(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).expect("the years 1678 to 2262 are within jiff's range")
}

/// None for none, so that an event nobody wants takes no room for it.
pub(super) fn routes_to_text(routes: &[Routed]) -> Option<String> {
    (!routes.is_empty()).then(|| to_json(&routes.iter().map(stored_route).collect::<Vec<_>>()))
}

fn stored_route(route: &Routed) -> (i64, i64, u8, Option<&str>) {
    (route.subscription.0, order_code(route.order), route.outcome as u8, route.reason.as_deref())
}

pub(super) fn routes(text: Option<String>) -> rusqlite::Result<Vec<Routed>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let stored: Vec<(i64, i64, u8, Option<String>)> = from_json(&text)?;
    let route = |(id, order, code, reason)| {
        let subscription = SubscriptionId(id);
        Ok(Routed { subscription, order: order_of(order)?, outcome: outcome(code)?, reason })
    };
    stored.into_iter().map(route).collect()
}

/// Number, time, status, error, milliseconds, and since format 2 the trace.
#[derive(Serialize, Deserialize)]
struct StoredAttempt(
    u32,
    i64,
    Option<u16>,
    Option<String>,
    u64,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<Stored>,
);

pub(super) fn attempts_to_text(attempts: &[Attempt]) -> Option<String> {
    let stored = |attempt: &Attempt| -> StoredAttempt {
        let at = super::nanoseconds(attempt.at);
        let trace = attempt.trace.as_ref().map(trace::stored);
        StoredAttempt(attempt.n, at, attempt.status, attempt.error.clone(), attempt.ms, trace)
    };
    (!attempts.is_empty()).then(|| to_json(&attempts.iter().map(stored).collect::<Vec<_>>()))
}

pub(super) fn attempts(text: Option<String>) -> rusqlite::Result<Vec<Attempt>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let stored: Vec<StoredAttempt> = from_json(&text)?;
    let attempt = |StoredAttempt(n, at, status, error, ms, trace)| {
        let trace = trace.and_then(trace::trace);
        Attempt { n, at: moment(at), status, error, ms, trace }
    };
    Ok(stored.into_iter().map(attempt).collect())
}

pub(super) fn order_code(order: Order) -> i64 {
    match order {
        Order::Entity => 0,
        Order::Subscription => 1,
        Order::None => 2,
    }
}

pub(super) fn order_of(code: i64) -> rusqlite::Result<Order> {
    match code {
        0 => Ok(Order::Entity),
        1 => Ok(Order::Subscription),
        2 => Ok(Order::None),
        _ => Err(unreadable("an order this version does not know")),
    }
}

pub(super) fn outcome(code: u8) -> rusqlite::Result<Outcome> {
    Outcome::from_code(code).ok_or_else(|| unreadable("an outcome this version does not know"))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data without maps of odd keys is JSON")
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(unreadable)
}

/// The file is not as it was written, and reading it again would not help.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) => true,
        other => matches!(other.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
    }
}

/// A column holds what nobody wrote there.
pub(super) fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why.into())
}
