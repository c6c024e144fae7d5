//! The sources in `trackrelay status`: whether Track gets through, and if not, why.

use anstyle::Style;
use jiff::Timestamp;

use crate::cli::output::{self, Align, Table, WARN};
use crate::cli::reply::Source;

/// A table of them, set apart from what stands above; nothing if there are none.
pub(super) fn render(sources: &[Source], now: Timestamp) -> String {
    if sources.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("SOURCE", Align::Left),
        ("PATH", Align::Left),
        ("EVENTS", Align::Right),
        ("LAST EVENT", Align::Left),
        ("LAST PING", Align::Left),
        ("REFUSED", Align::Right),
    ]);
    for source in sources {
        let cell = |text: String| (text, Style::new());
        let refused = if source.refused > 0 { WARN } else { Style::new() };
        table.row(
            vec![
                cell(source.name.clone()),
                cell(source.path.clone()),
                cell(source.events.to_string()),
                cell(ago(source.last_event_at, now)),
                cell(ago(source.last_ping_at, now)),
                (source.refused.to_string(), refused),
            ],
            last_refusal(source, now).into_iter().collect(),
        );
    }
    format!("\n{}", table.render())
}

fn last_refusal(source: &Source, now: Timestamp) -> Option<String> {
    let last = source.last_refusal.as_ref()?;
    Some(format!("last refused {}: {}", ago(Some(last.at), now), last.said))
}

/// The daemon remembers only what came since it started.
fn ago(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", output::since(at, now)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_what_came_and_why_something_was_refused() {
        let sources: Vec<Source> = serde_json::from_value(json!([
            {
                "name": "track", "path": "/track/track", "events": 12,
                "last_event_at": "2025-09-10T10:00:00Z", "last_ping_at": null, "refused": 2,
                "last_refusal": { "at": "2025-09-10T10:03:00Z", "reason": "signature", "said": "no match" },
            },
            {
                "name": "new", "path": "/track/new", "events": 0,
                "last_event_at": null, "last_ping_at": "2025-09-10T09:03:04Z", "refused": 0,
                "last_refusal": null,
            },
        ]))
        .unwrap();
        let wanted = "
SOURCE  PATH          EVENTS  LAST EVENT  LAST PING  REFUSED
track   /track/track      12  3m 4s ago   -                2
  last refused 4s ago: no match
new     /track/new         0  -           1h ago           0
";
        let now = "2025-09-10T10:03:04Z".parse().unwrap();
        assert_eq!(output::plain(&render(&sources, now)), wanted);
        assert_eq!(render(&[], now), "");
    }
}
