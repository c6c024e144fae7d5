//! `GET /api/openapi.json`: the calls of `api/routes.rs` as OpenAPI 3.1. What requests hold is
//! taken from the types that read them; what answers hold is `openapi/shapes.rs`, which a test
//! holds against real answers.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::routes::{Call, ROUTES, Route};
use super::{Api, Reply};

pub(super) mod shapes;

/// What any call may be refused with, and why.
const REFUSALS: [(u16, &str); 9] = [
    (400, "The request makes no sense, and the text says where"),
    (401, "The token is missing or wrong; the Unix socket needs none"),
    (403, "The `Host` or the page of a browser is not ours"),
    (404, "There is no such thing"),
    (408, "The body came too slowly"),
    (409, "It cannot be done as things stand, and the text says why"),
    (413, "The body is larger than `[listen] max_body`"),
    (415, "A body must be JSON"),
    (503, "More than the daemon can take just now"),
];

/// Of these only routes that name them.
const SELDOM: [u16; 2] = [404, 409];

impl Api {
    pub(super) fn openapi(&self) -> Reply {
        Ok(document())
    }
}

fn document() -> Value {
    let (mut requests, mut answers) = generators();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut requests, &mut answers);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "trackrelay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What commands and scripts ask the daemon. A refusal is a JSON string that says what is wrong and what helps.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The text in `<store>/api-token`; the Unix socket needs none",
            }},
        },
    })
}

/// One for what is read, which may leave out what has a default, and one for what is written.
fn generators() -> (SchemaGenerator, SchemaGenerator) {
    let settings = SchemaSettings::draft2020_12();
    let requests = settings.clone().with(|settings| settings.inline_subschemas = true);
    let answers =
        settings.for_serialize().with(|settings| settings.definitions_path = "/components/schemas".into());
    (requests.into_generator(), answers.into_generator())
}

fn operation(route: &Route, requests: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({ "description": route.summary, "content": { media(route): { "schema": (route.reply)(answers) } } }),
    );
    let refused =
        REFUSALS.iter().filter(|(status, _)| !SELDOM.contains(status) || route.refusals.contains(status));
    for (status, why) in refused {
        let text = json!({ "description": why, "content": content(json!({ "type": "string" })) });
        responses.insert(status.to_string(), text);
    }
    let mut operation = json!({
        "operationId": format!("{:?}", route.call).to_lowercase(),
        "summary": route.summary,
        "parameters": parameters(route),
    });
    if let Some(body) = route.body {
        // Enabling alone goes without: what it asks for is all by default.
        let required = !matches!(route.call, Call::Enable);
        operation["requestBody"] = json!({ "required": required, "content": content(body(requests)) });
    }
    operation["responses"] = responses.into();
    operation
}

/// What an answer is of.
fn media(route: &Route) -> &'static str {
    match route.call {
        Call::Stream => "text/event-stream",
        _ => "application/json",
    }
}

fn content(schema: impl serde::Serialize) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn parameters(route: &Route) -> Vec<Value> {
    let steps = route.path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
    let in_path = steps.map(|step| {
        let schema = match step {
            "event_id" => json!({ "type": "integer", "format": "int64" }),
            _ => json!({ "type": "string", "minLength": 1 }),
        };
        json!({ "name": step, "in": "path", "required": true, "schema": schema })
    });
    let in_query = route.query.iter().map(|(name, what)| {
        json!({ "name": name, "in": "query", "description": what, "schema": { "type": "string" } })
    });
    in_path.chain(in_query).collect()
}
