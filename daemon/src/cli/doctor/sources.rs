//! Whether Track gets through to the sources: what a running daemon says of each.

use jiff::Timestamp;

use super::checks::{Finding, Ground, State};
use crate::cli::output;
use crate::cli::reply::Source;
use crate::clock;

/// Nothing without a daemon, which is said beside this.
pub(super) fn sources(ground: &Ground<'_>) -> Vec<Finding> {
    let Some(tcp) = ground.running().map(|runtime| runtime.tcp.to_string()) else { return Vec::new() };
    match ground.status() {
        None => Vec::new(),
        Some(Ok(status)) => status.sources.iter().map(|source| finding(source, &tcp, clock::now())).collect(),
        Some(Err(failure)) => vec![Finding::problem("sources", failure.clone(), None)],
    }
}

fn finding(source: &Source, tcp: &str, now: Timestamp) -> Finding {
    let Source { name, path, last_event_at, last_ping_at, last_refusal, .. } = source;
    let taken = last_event_at.max(last_ping_at);
    let ago = |at: &Timestamp| output::since(*at, now);
    let (state, text, help) = match (taken, last_refusal) {
        (taken, Some(refused)) if taken.is_none_or(|taken| taken <= refused.at) => (
            State::Warning,
            format!("`{name}` refused what came last, {} ago: {}", ago(&refused.at), refused.said),
            None,
        ),
        (Some(taken), _) => (State::Ok, format!("`{name}` took what came last, {} ago", ago(taken)), None),
        (None, _) => (
            State::Ok,
            format!("nothing has come to `{name}` since the daemon started"),
            Some(format!("the tunnel must lead to `http://{tcp}{path}`")),
        ),
    };
    Finding { check: "sources", state, text, help }
}

#[cfg(test)]
mod tests {
    use crate::cli::reply::LastRefusal;

    use super::*;

    #[test]
    fn what_came_last_decides() {
        let at = |minute: i64| Timestamp::from_second(1_757_498_400 + 60 * minute).unwrap();
        for (event, ping, refused, state, wanted) in [
            (None, None, None, State::Ok, "nothing has come to `track` since the daemon started"),
            (Some(2), Some(1), None, State::Ok, "`track` took what came last, 8m ago"),
            (Some(2), Some(5), Some(3), State::Ok, "`track` took what came last, 5m ago"),
            (Some(2), None, Some(3), State::Warning, "`track` refused what came last, 7m ago: no match"),
            (None, None, Some(3), State::Warning, "`track` refused what came last, 7m ago: no match"),
        ] {
            let source = Source {
                name: "track".into(),
                path: "/track/track".into(),
                events: 0,
                last_event_at: event.map(at),
                last_ping_at: ping.map(at),
                refused: 0,
                last_refusal: refused.map(|minute| LastRefusal { at: at(minute), said: "no match".into() }),
            };
            let found = finding(&source, "127.0.0.1:7717", at(10));
            assert_eq!((found.state, found.text.as_str()), (state, wanted));
            let help = found.help.as_deref();
            assert!(help.is_none_or(|help| help.contains("http://127.0.0.1:7717/track/track")), "{help:?}");
        }
    }
}
