//! A row of hell: an endpoint, and what is to become of a delivery to it. All rows of a
//! table run side by side in one daemon, so that a table takes as long as its slowest row.

use std::time::Duration;

use serde_json::Value;

use crate::harness::authority::Authority;
use crate::harness::endpoint::Manners;
use crate::harness::script::Step;
use crate::harness::{Endpoint, Relay, SECRET, event};

/// Every row has one wait between attempts, and never enough failures to be disabled.
const KEYS: &str = "validation = \"off\"\nretry = [\"20ms\"]\ndisable_after = 100\n";

/// `timeout` of rows that run into it, and how far an attempt may go beyond it in a debug
/// build on a busy machine.
const SHORT: Duration = Duration::from_millis(2_500);
const LATE: Duration = Duration::from_secs(10);

/// `timeout` of rows that do not.
const LONG: Duration = Duration::from_secs(15);

/// More than the buffers of a connection hold.
const BIG: usize = 900_000;

pub struct Row {
    name: &'static str,
    url: String,
    endpoint: Option<Endpoint>,
    /// Which event it gets: the small one or the big one.
    event: i64,
    outcome: &'static str,
    /// Status of each attempt, and part of what is said about it.
    attempts: Vec<(Option<u16>, &'static str)>,
    requests: Option<usize>,
    timeout: Duration,
}

/// An endpoint that does this, over plain TCP. Until told otherwise, it is delivered to.
pub fn row(name: &'static str, script: impl Into<Vec<Step>>) -> Row {
    row_with(name, Manners::Plain(script.into()))
}

pub fn row_with(name: &'static str, manners: Manners) -> Row {
    let endpoint = Endpoint::start(manners);
    let row = row_at(name, &endpoint.url(name));
    Row { endpoint: Some(endpoint), ..row }
}

/// Whatever is there, or nothing.
pub fn row_at(name: &'static str, url: &str) -> Row {
    let attempts = vec![(Some(200), "")];
    let (url, outcome) = (url.to_owned(), "delivered");
    Row { name, url, endpoint: None, event: 1, outcome, attempts, requests: None, timeout: LONG }
}

impl Row {
    /// It is delivered, with this status.
    pub fn delivers(mut self, status: u16) -> Row {
        self.attempts = vec![(Some(status), "")];
        self
    }

    /// Both attempts fail without an answer, and this is said about it.
    pub fn fails(self, said: &'static str) -> Row {
        self.fails_as(None, said)
    }

    /// Both attempts fail at the `timeout`, and this is said about it.
    pub fn comes_late(mut self, said: &'static str) -> Row {
        self.timeout = SHORT;
        self.fails(said)
    }

    /// Both attempts fail with this status, and this is said about it.
    pub fn fails_with(self, status: u16, said: &'static str) -> Row {
        self.fails_as(Some(status), said)
    }

    fn fails_as(mut self, status: Option<u16>, said: &'static str) -> Row {
        self.outcome = "failed";
        self.attempts = vec![(status, said); 2];
        self
    }

    /// So many requests reach the endpoint, where that is not one for each attempt.
    pub fn requests(mut self, count: usize) -> Row {
        self.requests = Some(count);
        self
    }

    /// Is called over TLS, whatever it speaks; no request comes so far.
    pub fn over_tls(mut self) -> Row {
        self.url = self.url.replace("http://127.0.0.1", "https://localhost");
        self.requests(0)
    }

    /// Gets a body that does not fit into the buffers of a connection.
    pub fn big(mut self) -> Row {
        self.event = 2;
        self
    }

    fn table(&self) -> String {
        let Row { name, url, .. } = self;
        let action = if self.event == 1 { "created" } else { "updated" };
        format!(
            "\n[subscription.{name}]\nurl_callback = \"{url}\"\nevent_filters = [\"tag.{action}\"]\n\
             secret = \"{SECRET}\"\ntimeout = \"{}ms\"\n{KEYS}",
            self.timeout.as_millis()
        )
    }

    #[track_caller]
    fn check(&self, relay: &Relay) {
        let name = self.name;
        let decision = relay.wait_for_outcome(self.event, name, self.outcome);
        let made = decision["attempts"].as_array().unwrap();
        assert_eq!(made.len(), self.attempts.len(), "attempts of `{name}`: {decision:#}");
        for (attempt, (status, said)) in made.iter().zip(&self.attempts) {
            check_attempt(name, attempt, *status, said);
            let took = Duration::from_millis(attempt["ms"].as_u64().unwrap());
            assert!(took < self.timeout + LATE, "`{name}` took {took:?}");
        }
        if let Some(endpoint) = &self.endpoint {
            let wanted = self.requests.unwrap_or(self.attempts.len());
            assert_eq!(endpoint.requests(), wanted, "requests that reached `{name}`");
        }
    }
}

#[track_caller]
fn check_attempt(name: &str, attempt: &Value, status: Option<u16>, said: &str) {
    assert_eq!(attempt["status"], status.map_or(Value::Null, Value::from), "`{name}`: {attempt}");
    let error = attempt["error"].as_str().unwrap_or_default();
    let as_told = error.contains(said) && error.is_empty() == said.is_empty();
    assert!(as_told, "`{name}` should say `{said}`, says `{error}`");
}

/// Delivers one event to each row, all at once, and checks what becomes of it.
#[track_caller]
pub fn check(rows: &[Row]) {
    check_with(rows, &Authority::new("our company"));
}

/// The same with a daemon that trusts this authority.
#[track_caller]
pub fn check_with(rows: &[Row], authority: &Authority) {
    let tables: String = rows.iter().map(Row::table).collect();
    let mut relay = Relay::prepare(&tables);
    let trusted = relay.path("authority.pem");
    authority.write(&trusted);
    relay.set_env("SSL_CERT_FILE", trusted.to_str().unwrap());
    relay.start_again();
    let big = event("tag.updated", 2).with("padding", "x".repeat(BIG));
    relay.send_all(&[event("tag.created", 1), big]);
    for row in rows {
        row.check(&relay);
    }
}
