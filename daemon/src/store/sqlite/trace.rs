//! How an attempt's trace stands in its row: JSON of tuples, a version first. It is written
//! for every delivery, so it has no names, and 0 or "" for what there is not.

use serde::{Deserialize, Serialize};

use crate::delivery::trace::{Called, Exchange, Http, Level, Line, Stage, Trace, Verdict};

/// A reader takes another version for no trace: nothing is decided by one.
const VERSION: u8 = 1;

/// Version, exchange, calls, calls cut, digest of the body.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored(u8, Option<StoredExchange>, Vec<StoredCall>, usize, String);

/// Address, reused, HTTP, DNS, connect, TLS, first byte, total, excerpt.
type StoredExchange = (String, u8, u8, u64, u64, u64, u64, u64, String);

/// Plugin, stage, verdict, reason, time, memory, lines, lines cut.
type StoredCall = (String, u8, u8, Option<String>, u64, u64, Vec<(u8, String)>, usize);

pub(super) fn stored(trace: &Trace) -> Stored {
    let calls = trace.plugins.iter().map(call_to_row).collect();
    let exchange = trace.exchange.as_ref().map(exchange_to_row);
    Stored(VERSION, exchange, calls, trace.plugins_cut, trace.body.clone().unwrap_or_default())
}

pub(super) fn trace(Stored(version, exchange, calls, plugins_cut, body): Stored) -> Option<Trace> {
    let plugins = calls.into_iter().map(call).collect::<Option<_>>()?;
    let (exchange, body) = (exchange.map(self::exchange), some(body));
    (version == VERSION).then_some(Trace { plugins, plugins_cut, exchange, body })
}

fn exchange_to_row(exchange: &Exchange) -> StoredExchange {
    let us = |time: Option<u64>| time.unwrap_or_default();
    (
        exchange.address.map(|address| address.to_string()).unwrap_or_default(),
        exchange.reused.into(),
        exchange.http.map_or(0, |http| http as u8),
        us(exchange.dns_us),
        us(exchange.connect_us),
        us(exchange.tls_us),
        us(exchange.first_byte_us),
        exchange.total_us,
        exchange.excerpt.clone().unwrap_or_default(),
    )
}

fn exchange(stored: StoredExchange) -> Exchange {
    let (address, reused, http, dns, connect, tls, first_byte, total_us, excerpt) = stored;
    let us = |time: u64| (time > 0).then_some(time);
    Exchange {
        address: address.parse().ok(),
        reused: reused > 0,
        http: Http::from_code(http),
        dns_us: us(dns),
        connect_us: us(connect),
        tls_us: us(tls),
        first_byte_us: us(first_byte),
        total_us,
        excerpt: some(excerpt),
    }
}

fn call_to_row(call: &Called) -> StoredCall {
    let lines = call.lines.iter().map(|line| (line.level as u8, line.text.clone())).collect();
    let Called { plugin, stage, verdict, reason, took_us, memory, lines_cut, .. } = call;
    (plugin.clone(), *stage as u8, *verdict as u8, reason.clone(), *took_us, *memory, lines, *lines_cut)
}

fn call(stored: StoredCall) -> Option<Called> {
    let (plugin, stage, verdict, reason, took_us, memory, lines, lines_cut) = stored;
    let line = |(level, text)| Some(Line { level: Level::from_code(level)?, text });
    let (stage, verdict) = (Stage::from_code(stage)?, Verdict::from_code(verdict)?);
    let lines = lines.into_iter().map(line).collect::<Option<_>>()?;
    Some(Called { plugin, stage, verdict, reason, took_us, memory, lines, lines_cut })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::record::to_json;

    fn size(trace: &Trace) -> usize {
        to_json(&stored(trace)).len()
    }

    #[test]
    fn a_plain_delivery_leaves_a_few_dozen_bytes_and_the_worst_a_few_kibibytes() {
        let mut exchange = Exchange {
            address: "127.0.0.1:3000".parse().ok(),
            reused: true,
            http: Some(Http::V11),
            first_byte_us: Some(812),
            total_us: 840,
            ..Exchange::default()
        };
        let plain = Trace { exchange: Some(exchange.clone()), ..Trace::default() };
        assert_eq!(to_json(&stored(&plain)), r#"[1,["127.0.0.1:3000",1,11,0,0,0,812,840,""],[],0,""]"#);

        exchange.excerpt = Some("\u{1f40e}".repeat(200));
        let line = |at: usize| Line { level: Level::Error, text: format!("{at}\"\\").repeat(99) };
        let (plugin, reason) = ("\"".repeat(64), Some("\\".repeat(500)));
        let (stage, verdict, lines) = (Stage::Transform, Verdict::Failed, (0..100).map(line).collect());
        let (took_us, memory) = (u64::MAX, u64::MAX);
        let called = Called { plugin, stage, verdict, reason, took_us, memory, lines, lines_cut: 0 };
        let (plugins, exchange) = (vec![called; 100], Some(exchange));
        let mut worst = Trace { plugins, exchange, body: Some("x".repeat(16)), plugins_cut: 0 };
        worst.cut();
        assert!(size(&worst) < 4 << 10, "{}", size(&worst));
    }

    #[test]
    fn a_trace_of_another_version_is_none() {
        let Stored(_, exchange, calls, cut, body) = stored(&Trace::default());
        assert_eq!(trace(Stored(VERSION + 1, exchange, calls, cut, body)), None);
    }
}
