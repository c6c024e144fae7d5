//! A try at a delivery as spans: itself, each call of a plugin, and the exchange with the
//! callback under the names that OpenTelemetry has for such things. Pure.

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use url::Url;

use super::{Drawing, Span, any_id, counted, later, of_delivery, of_event, root_id, text};
use crate::delivery::Outcome;
use crate::delivery::trace::{Called, Exchange, Http, Verdict};
use crate::feed::close::Tried;
use crate::feed::{About, Attempted, Decided, News};

/// A segment of a URL's path that is as long as this is rather a key than a word: those in the
/// URLs that Slack, Discord and others give out are longer, and ids of theirs are shorter.
const KEY: usize = 20;

/// What is written in the place of one.
const HIDDEN: &str = "***";

/// What a try came to, told as an attempt or as a plugin's decision.
struct Ended<'a> {
    subscription: &'a str,
    outcome: Outcome,
    replay: bool,
    n: Option<u32>,
    status: Option<u16>,
    error: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> Ended<'a> {
    fn of(news: &'a News) -> Option<Ended<'a>> {
        match news {
            News::Attempt(Attempted { subscription, outcome, replay, n, status, error, .. }) => Some(Ended {
                subscription,
                outcome: *outcome,
                replay: *replay,
                n: Some(*n),
                status: *status,
                error: error.as_deref(),
                reason: None,
            }),
            News::Decision(Decided { subscription, outcome, reason, replay, .. }) => Some(Ended {
                subscription,
                outcome: *outcome,
                replay: *replay,
                n: None,
                status: None,
                // What a plugin skips has gone well; what it holds or drops has not.
                error: reason.as_deref().filter(|_| *outcome != Outcome::SkippedPlugin),
                reason: reason.as_deref(),
            }),
            _ => None,
        }
    }

    fn attributes(&self, about: &About, plugins_cut: usize) -> Vec<KeyValue> {
        let mut attributes = of_event(about);
        attributes.extend(of_delivery(self.subscription, self.outcome, self.replay));
        attributes.extend(self.n.map(|n| KeyValue::new("trackrelay.attempt", i64::from(n))));
        attributes.extend(self.status.map(|status| KeyValue::new("trackrelay.status", i64::from(status))));
        attributes.extend(self.reason.map(|reason| KeyValue::new("trackrelay.reason", text(reason))));
        attributes.extend(counted("trackrelay.plugins.more", plugins_cut));
        attributes
    }
}

impl Drawing {
    /// Plugins stand one after the other from the beginning on, and the exchange at the end:
    /// of each it is known how long it took.
    pub(super) fn attempt(&self, about: &About, news: &News, tried: &Tried) -> Vec<SpanData> {
        let Some(ended) = Ended::of(news) else { return Vec::new() };
        let Tried { at, ms, url, trace } = tried;
        let (event, id) = (about.event_id, any_id());
        let mut children = Vec::new();
        let mut now = *at;
        for call in &trace.plugins {
            let ended = later(now, call.took_us);
            children.push(self.span(event, any_id(), id, called(call, now, ended)));
            now = ended;
        }
        let took = trace.exchange.as_ref().map_or(0, |exchange| exchange.total_us);
        let end = later(*at, 1000 * ms).max(later(now, took));
        if let Some(exchange) = &trace.exchange {
            let began = later(*at, micros_between(*at, end).saturating_sub(took));
            let span = exchanged(exchange, &ended, url, began, end);
            children.push(self.span(event, any_id(), id, span));
        }
        let span = Span {
            name: format!("deliver to {}", ended.subscription).into(),
            kind: SpanKind::Internal,
            began: *at,
            ended: end,
            attributes: ended.attributes(about, trace.plugins_cut),
            status: status_of(ended.error),
        };
        let own: SpanId = root_id(event);
        let mut spans = vec![self.span(event, id, own, span)];
        spans.append(&mut children);
        spans
    }
}

fn called(call: &Called, began: Timestamp, ended: Timestamp) -> Span {
    let mut attributes = vec![
        KeyValue::new("trackrelay.plugin.name", text(&call.plugin)),
        KeyValue::new("trackrelay.plugin.stage", call.stage.as_str()),
        KeyValue::new("trackrelay.plugin.verdict", call.verdict.as_str()),
        KeyValue::new("trackrelay.plugin.memory", i64::try_from(call.memory).unwrap_or(i64::MAX)),
    ];
    let reason = call.reason.as_deref();
    attributes.extend(reason.map(|reason| KeyValue::new("trackrelay.plugin.reason", text(reason))));
    let failed = call.verdict == Verdict::Failed;
    Span {
        name: format!("{} {}", call.stage.as_str(), call.plugin).into(),
        kind: SpanKind::Internal,
        began,
        ended,
        attributes,
        status: status_of(failed.then(|| reason.unwrap_or("failed"))),
    }
}

fn exchanged(exchange: &Exchange, of: &Ended<'_>, url: &Url, began: Timestamp, ended: Timestamp) -> Span {
    let mut attributes = vec![
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("url.full", text(&without_keys(url))),
        KeyValue::new("server.address", text(url.host_str().unwrap_or_default())),
        KeyValue::new("trackrelay.http.reused", exchange.reused),
    ];
    attributes.extend(url.port_or_known_default().map(|port| KeyValue::new("server.port", i64::from(port))));
    if let Some(address) = exchange.address {
        attributes.push(KeyValue::new("network.peer.address", address.ip().to_string()));
        attributes.push(KeyValue::new("network.peer.port", i64::from(address.port())));
    }
    let version = exchange.http.map(|http| match http {
        Http::V10 => "1.0",
        Http::V11 => "1.1",
        Http::V2 => "2",
    });
    attributes.extend(version.map(|version| KeyValue::new("network.protocol.version", version)));
    attributes.extend(of.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
    if of.error.is_some() {
        let kind = of.status.map_or_else(|| "_OTHER".to_owned(), |status| status.to_string());
        attributes.push(KeyValue::new("error.type", kind));
    }
    let times = [
        ("trackrelay.http.dns_us", exchange.dns_us),
        ("trackrelay.http.connect_us", exchange.connect_us),
        ("trackrelay.http.tls_us", exchange.tls_us),
        ("trackrelay.http.first_byte_us", exchange.first_byte_us),
    ];
    let known = |(name, time): (&'static str, Option<u64>)| {
        Some(KeyValue::new(name, i64::try_from(time?).unwrap_or(i64::MAX)))
    };
    attributes.extend(times.into_iter().filter_map(known));
    let status = status_of(of.error);
    Span { name: "POST".into(), kind: SpanKind::Client, began, ended, attributes, status }
}

fn status_of(error: Option<&str>) -> Status {
    error.map_or(Status::Unset, |error| Status::error(text(error)))
}

fn micros_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_micros()).unwrap_or(0)
}

/// Where it went, without what may be a secret: query, user and password, and in the path what
/// looks like a key.
fn without_keys(url: &Url) -> String {
    let hide = |segment: &str| if segment.len() < KEY { segment.to_owned() } else { HIDDEN.to_owned() };
    let path: Vec<_> = url.path().split('/').map(hide).collect();
    format!("{}{}", url.origin().ascii_serialization(), path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_a_url_gets_out() {
        let table = [
            ("http://127.0.0.1:3000/hook?token=s3cret#x", "http://127.0.0.1:3000/hook"),
            ("https://ana:s3cret@example.com/", "https://example.com/"),
            (
                "https://hooks.slack.com/services/T0000000000/B0000000000/s3cretS3cretS3cretS3cre",
                "https://hooks.slack.com/services/T0000000000/B0000000000/***",
            ),
            ("http://[::1]:80/a%20b/", "http://[::1]/a%20b/"),
        ];
        for (url, wanted) in table {
            assert_eq!(without_keys(&Url::parse(url).unwrap()), wanted);
        }
    }
}
