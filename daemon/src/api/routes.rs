//! Which calls there are under `/api`, as data: by this table they are answered (`api.rs`)
//! and described (`api/openapi.rs`). A further call is a variant, a line here and an arm there.

use hyper::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::openapi::shapes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Status,
    Reload,
    Why,
    WhyNot,
    Events,
    Event,
    Stream,
    Replay,
    Add,
    Test,
    Validate,
    Enable,
    Disable,
    Edit,
    Remove,
    Secret,
    Rotate,
    Save,
    OpenApi,
}

#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// With at most one step in braces.
    pub(super) path: &'static str,
    pub(super) call: Call,
    pub(super) summary: &'static str,
    /// Keys of the query and what they are.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) body: Option<SchemaOf>,
    pub(super) reply: SchemaOf,
    /// Refusals beside those that any call may meet.
    pub(super) refusals: &'static [u16],
}

pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn get(path: &'static str, call: Call, reply: SchemaOf, summary: &'static str) -> Route {
    Route { method: "GET", path, call, summary, query: &[], body: None, reply, refusals: &[] }
}

const fn post(path: &'static str, call: Call, reply: SchemaOf, summary: &'static str) -> Route {
    Route { method: "POST", ..get(path, call, reply, summary) }
}

impl Route {
    const fn body(self, body: SchemaOf) -> Route {
        Route { body: Some(body), ..self }
    }

    const fn query(self, query: &'static [(&'static str, &'static str)]) -> Route {
        Route { query, ..self }
    }

    const fn refusals(self, refusals: &'static [u16]) -> Route {
        Route { refusals, ..self }
    }

    /// The step in braces, if these steps of a path are those of this route.
    fn matches<'a>(&self, steps: &[&'a str]) -> Option<&'a str> {
        let own = self.path.split('/').skip(1);
        if own.clone().count() != steps.len() {
            return None;
        }
        let mut taken = "";
        for (own, step) in own.zip(steps) {
            match own.starts_with('{') {
                true => taken = step,
                false if own == *step => {}
                false => return None,
            }
        }
        Some(taken)
    }
}

/// A callback may refuse a PING in any way, and a file may have been saved meanwhile.
const OF_CALLBACK: &[u16] = &[404, 409];
const OF_FILE: &[u16] = &[404, 409];

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    get("/api/status", Call::Status, of::<shapes::Status>, "How daemon, config, subscriptions and sources stand"),
    post("/api/reload", Call::Reload, of::<shapes::Reload>, "Read the config again, and answer when it is in force or refused"),
    get("/api/why/{event_id}", Call::Why, of::<shapes::Why>, "What became of an event, per subscription")
        .query(&[("subscription", "Only this subscription"), ("bodies", "Anything: with bodies as the transforms made them")])
        .refusals(&[404]),
    get("/api/why-not/{name}", Call::WhyNot, of::<shapes::WhyNot>, "Why the last events did not go to a subscription, by reason")
        .query(&[("last", "Of so many events, at most 2000"), ("before", "Older than `next` of the answer before")])
        .refusals(&[404]),
    get("/api/events", Call::Events, of::<shapes::Events>, "History, newest first, as far as it fits")
        .query(&[
            ("limit", "Events at most, 1 to 1000; 50 if nothing is said"),
            ("before", "Older than `next` of the answer before"),
            ("since", "That arrived so long ago or less, or since a time in RFC 3339"),
            ("until", "That arrived before, in the same forms"),
            ("entity", "About this entity"),
            ("action", "Of this action"),
            ("subscription", "With a decision for this subscription"),
            ("outcome", "Whose latest decision is this"),
            ("text", "Whose bytes hold this text"),
            ("bodies", "1: with the events as they came in"),
        ])
        .refusals(&[404]),
    get("/api/events/{event_id}", Call::Event, of::<shapes::Event>, "One event, with its body").refusals(&[404]),
    get("/api/stream", Call::Stream, of::<String>, "What happens, as it happens: Server-Sent Events without an end")
        .query(&[
            ("subscription", "Only about this subscription; repeatable, as all of these"),
            ("entity", "Only about this entity"),
            ("action", "Only of this action"),
            ("outcome", "Only what came to this"),
        ]),
    post("/api/replay", Call::Replay, of::<shapes::Replay>, "Make new deliveries of past events")
        .body(of::<super::replay::Ask>).refusals(&[404]),
    post("/api/subscriptions", Call::Add, of::<shapes::Subscription>, "Write a new subscription into the config")
        .body(of::<super::edit::Add>).refusals(&[409]),
    post("/api/subscriptions/{name}/test", Call::Test, of::<shapes::Tested>, "Send a PING").refusals(OF_CALLBACK),
    post("/api/subscriptions/{name}/validate", Call::Validate, of::<shapes::Validated>, "Send a PING that asks for the validation code")
        .refusals(OF_CALLBACK),
    post("/api/subscriptions/{name}/enable", Call::Enable, of::<shapes::Subscription>, "Send a PING, enable, and deliver what waited")
        .body(of::<super::subscriptions::Enable>).refusals(OF_CALLBACK),
    post("/api/subscriptions/{name}/disable", Call::Disable, of::<shapes::Subscription>, "Write `enabled = false`").refusals(OF_FILE),
    post("/api/subscriptions/{name}/edit", Call::Edit, of::<shapes::Subscription>, "Change keys or the name of a subscription")
        .body(of::<super::edit::Change>).refusals(OF_FILE),
    post("/api/subscriptions/{name}/remove", Call::Remove, of::<shapes::Removed>, "End a subscription and what waits for it")
        .refusals(OF_FILE),
    get("/api/subscriptions/{name}/secret", Call::Secret, of::<shapes::Secret>, "The secret itself").refusals(&[404]),
    post("/api/subscriptions/{name}/rotate", Call::Rotate, of::<shapes::Rotated>, "Make a new secret, where the old one is kept")
        .refusals(OF_FILE),
    post("/api/files", Call::Save, of::<shapes::Saved>, "Write a whole file of the config").body(of::<super::edit::Save>).refusals(&[409]),
    get("/api/openapi.json", Call::OpenApi, of::<shapes::Anything>, "This description"),
];

/// What a method and the steps of a path lead to.
pub(super) enum Found<'a> {
    Call(Call, &'a str),
    /// The path is one of ours; these methods work there.
    OtherMethod(String),
    Nothing,
}

pub(super) fn find<'a>(method: &Method, steps: &[&'a str]) -> Found<'a> {
    let here: Vec<_> = ROUTES.iter().filter_map(|route| Some((route, route.matches(steps)?))).collect();
    match here.iter().find(|(route, _)| route.method == method.as_str()) {
        Some((route, step)) => Found::Call(route.call, step),
        None if here.is_empty() => Found::Nothing,
        None => Found::OtherMethod(here.iter().map(|(route, _)| route.method).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_one_call_each() {
        for (at, route) in ROUTES.iter().enumerate() {
            let steps: Vec<&str> = route.path.split('/').skip(1).collect();
            assert!(
                matches!(find(&route.method.parse().unwrap(), &steps), Found::Call(call, _) if call == route.call),
                "{}",
                route.path
            );
            assert!(ROUTES[at + 1..].iter().all(|other| other.call != route.call), "{:?} twice", route.call);
            assert!(matches!(find(&Method::PATCH, &steps), Found::OtherMethod(_)), "{}", route.path);
        }
        assert!(matches!(find(&Method::GET, &["api", "why", "7"]), Found::Call(Call::Why, "7")));
        assert!(matches!(find(&Method::GET, &["api", "why"]), Found::Nothing));
    }
}
