//! `trackrelay events`: the history, newest first, and what became of each event. The
//! filters are shared with commands that take events of the history up.

use anstyle::Style;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::args;
use crate::cli::client::{Client, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, Align, QUIET, Table};
use crate::cli::why::outcome_style;
use crate::delivery::Outcome;

/// Events that are listed when nothing says how many.
const USUAL: u64 = 20;

/// Events of one answer: as many as the daemon gives.
const PAGE: u64 = 1000;

/// Subscriptions that a line names; of more it says how many.
const NAMED: usize = 4;

/// List and search past events
///
/// The last 20 unless `--last` says otherwise, newest first, with the latest outcome for every
/// subscription whose event filters matched. Those that did not match are told by
/// `trackrelay why EVENT_ID`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay events
  trackrelay events --outcome failed --subscription slack
  trackrelay events --since 1h --entity time_entry --search 'lunch'
  trackrelay events --last 1000 --json | jq -r .event_id
  trackrelay events --last 100 --bodies --json | jq -c .event | trackrelay send -")]
pub struct Args {
    #[command(flatten)]
    filters: Filters,

    /// Print one object a line
    #[arg(long)]
    json: bool,

    /// With `--json`: add each event as it was received, as `event`
    #[arg(long, requires = "json")]
    bodies: bool,
}

/// Which events of the history.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct Filters {
    /// So many at most, the newest
    #[arg(long, value_name = "N", value_parser = args::count)]
    pub last: Option<u64>,

    /// Those that arrived so long ago or less, such as 90s, 1h or 2d, or since a time
    #[arg(long, value_name = "WHEN", value_parser = args::past)]
    pub since: Option<String>,

    /// Those that arrived before so long ago, or before a time
    #[arg(long, value_name = "WHEN", value_parser = args::past)]
    pub until: Option<String>,

    /// Those about this kind of entity, such as time_entry
    #[arg(long, value_name = "ENTITY", add = args::entities())]
    pub entity: Option<String>,

    /// created, updated or deleted
    #[arg(long, value_name = "ACTION", add = args::actions())]
    pub action: Option<String>,

    /// Those that something was decided about for this subscription
    #[arg(long, value_name = "NAME", value_parser = args::name, add = args::subscriptions())]
    pub subscription: Option<String>,

    /// Those that came to this, such as failed, pending or skipped_plugin
    #[arg(long, value_name = "OUTCOME", add = args::outcomes())]
    pub outcome: Option<String>,

    /// Those that hold this text as they were received, letter for letter
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
}

impl Filters {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Filters::default()
    }

    fn target(&self, limit: u64, before: Option<i64>, bodies: bool) -> Target {
        let mut target = Target::new(&["api", "events"]).query("limit", &limit.to_string());
        if let Some(before) = before {
            target = target.query("before", &before.to_string());
        }
        if bodies {
            target = target.query("bodies", "1");
        }
        let said = [
            ("since", &self.since),
            ("until", &self.until),
            ("entity", &self.entity),
            ("action", &self.action),
            ("subscription", &self.subscription),
            ("outcome", &self.outcome),
            ("text", &self.search),
        ];
        let said = said.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        said.fold(target, |target, (key, value)| target.query(key, value))
    }
}

/// `GET /api/events`.
#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    next: Option<i64>,
}

/// The history, page by page.
pub struct History<'a> {
    client: &'a Client,
    filters: &'a Filters,
    bodies: bool,
    left: u64,
    before: Option<i64>,
    ended: bool,
}

impl<'a> History<'a> {
    pub fn new(client: &'a Client, filters: &'a Filters, most: u64, bodies: bool) -> History<'a> {
        History { client, filters, bodies, left: most, before: None, ended: false }
    }

    /// Newest first. A page may be empty before the end: the daemon looks at a part at a time.
    pub async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
        if self.ended || self.left == 0 {
            return Ok(None);
        }
        let target = self.filters.target(self.left.min(PAGE), self.before, self.bodies);
        let page: Page = self.client.get(&target).await?.json()?;
        self.left -= (page.events.len() as u64).min(self.left);
        (self.before, self.ended) = (page.next, page.next.is_none());
        Ok(Some(page.events))
    }

    /// Whether there may be more than was asked for.
    pub fn has_more(&self) -> bool {
        !self.ended
    }
}

/// What a line is made of.
#[derive(Deserialize)]
struct Entry {
    event_id: i64,
    entity: String,
    action: String,
    arrived_at: Timestamp,
    made_from: Option<i64>,
    decisions: Vec<Decision>,
}

#[derive(Deserialize)]
struct Decision {
    subscription: String,
    outcome: Outcome,
    #[serde(default)]
    replay: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let client = here.daemon()?;
    let most = args.filters.last.unwrap_or(USUAL);
    let mut history = History::new(&client, &args.filters, most, args.bodies);
    let mut listed = 0;
    while let Some(page) = history.next().await? {
        listed += page.len();
        match (page.is_empty(), args.json) {
            (true, _) => {}
            (false, true) => output::facts(&page.iter().map(|event| line(event)).collect::<String>())?,
            (false, false) => output::facts(&table(&page)?)?,
        }
    }
    match (listed, history.has_more(), args.filters.last) {
        (0, ..) => output::say("no events"),
        (_, true, None) => output::say("these are the newest; `--last N` lists more"),
        _ => {}
    }
    Ok(())
}

/// The object on one line. JSON has breaks of lines only between its words, so the event in it
/// stays what it is.
fn line(event: &RawValue) -> String {
    let mut line = event.get().replace(['\n', '\r'], " ");
    line.push('\n');
    line
}

fn table(page: &[Box<RawValue>]) -> Result<String, Failure> {
    let columns = ["EVENT ID", "ARRIVED", "EVENT", "SUBSCRIPTIONS"].map(|title| (title, Align::Left));
    let mut table = Table::new(&columns);
    for event in page {
        let entry: Entry = serde_json::from_str(event.get()).map_err(anyhow::Error::from)?;
        let plain = |text: String| (text, Style::new());
        table.row(
            vec![
                plain(entry.event_id.to_string()),
                (output::moment(entry.arrived_at), QUIET),
                plain(format!("{}.{}", entry.entity, entry.action)),
                fates(&entry.decisions),
            ],
            entry
                .made_from
                .map(|from| format!("made from event {from} by a replay with edits"))
                .into_iter()
                .collect(),
        );
    }
    Ok(table.render())
}

/// `plain delivered, slack failed (replay)`, in the colour of the gravest.
fn fates(decisions: &[Decision]) -> (String, Style) {
    let of = |outcome: Outcome| decisions.iter().filter(|decision| decision.outcome == outcome).count();
    let grave = [Outcome::Failed, Outcome::Dropped, Outcome::Held, Outcome::Pending, Outcome::Delivered];
    let gravest = grave.into_iter().find(|outcome| of(*outcome) > 0);
    let style = gravest.map_or(QUIET, outcome_style);
    let text = match decisions.len() {
        0 => "-".to_owned(),
        1..=NAMED => decisions.iter().map(fate).collect::<Vec<_>>().join(", "),
        _ => {
            let there = Outcome::ALL.into_iter().filter(|outcome| of(*outcome) > 0);
            there
                .map(|outcome| format!("{} {}", of(outcome), outcome.as_str()))
                .collect::<Vec<_>>()
                .join(", ")
        }
    };
    (text, style)
}

fn fate(decision: &Decision) -> String {
    let replay = if decision.replay { " (replay)" } else { "" };
    format!("{} {}{replay}", decision.subscription, decision.outcome.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::fake::fake;

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    fn entry(id: i64, decisions: &[(&str, &str, bool)]) -> Value {
        let decisions = decisions.iter().map(|(subscription, outcome, replay)| {
            json!({ "subscription": subscription, "outcome": outcome, "replay": replay })
        });
        json!({
            "event_id": id, "entity": "tag", "action": "created", "arrived_at": "2025-09-10T08:00:01Z",
            "decisions": decisions.collect::<Vec<_>>(),
        })
    }

    #[test]
    fn a_line_has_a_word_per_subscription() {
        let many = ["a", "b", "c", "d", "e"].map(|name| (name, "delivered", false));
        let events = [
            entry(12, &[("plain", "delivered", false), ("slack", "failed", true)]),
            entry(11, &[]),
            entry(10, &[&many[..], &[("f", "skipped_plugin", false)]].concat()),
        ];
        let wanted = "\
EVENT ID  ARRIVED               EVENT        SUBSCRIPTIONS
12        2025-09-10 08:00:01Z  tag.created  plain delivered, slack failed (replay)
11        2025-09-10 08:00:01Z  tag.created  -
10        2025-09-10 08:00:01Z  tag.created  5 delivered, 1 skipped_plugin
";
        let page: Vec<_> = events.iter().map(raw).collect();
        assert_eq!(output::plain(&table(&page).unwrap()), wanted);
    }

    #[test]
    fn an_event_of_several_lines_is_printed_on_one() {
        let event = RawValue::from_string("{\"event\":{\r\n \"a\": \"x\\ny\"\n}}".to_owned()).unwrap();
        assert_eq!(line(&event), "{\"event\":{   \"a\": \"x\\ny\" }}\n");
    }

    /// The daemon looks at a part of history at a time; its first answers may hold nothing.
    #[tokio::test]
    async fn goes_on_until_it_has_enough() {
        let fake = fake(|_, path, _| {
            let before = path.rsplit_once("before=").map(|(_, rest)| rest.split('&').next().unwrap_or(""));
            let (events, next) = match before {
                None => (vec![], json!(90)),
                Some("90") => (vec![entry(89, &[])], json!(80)),
                Some(_) => (vec![entry(70, &[]), entry(69, &[])], json!(69)),
            };
            (200, json!({ "events": events, "next": next }))
        });
        let filters = Filters { search: Some("a b".to_owned()), ..Filters::default() };
        let mut history = History::new(&fake.client, &filters, 3, true);
        let mut seen = Vec::new();
        while let Some(page) = history.next().await.unwrap() {
            seen.push(page.len());
        }
        assert_eq!((seen, history.has_more()), (vec![0, 1, 2], true));
        let asked = [
            "GET /api/events?limit=3&bodies=1&text=a+b",
            "GET /api/events?limit=3&before=90&bodies=1&text=a+b",
            "GET /api/events?limit=2&before=80&bodies=1&text=a+b",
        ];
        assert_eq!(fake.asked(), asked);
    }
}
