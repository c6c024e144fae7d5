//! How what `top` knows looks on a screen of any size. Pure.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::model::{Model, Sort};
use crate::cli::output::{self, on_a_line};
use crate::cli::reply::{Source, State, StatusReply, StoreState, Subscription};
use crate::delivery::Status;

/// Lines above the table, the empty one included, and the table's own head.
const ABOVE: u16 = 3;
const HEAD: u16 = 1;

/// Sources shown; `status` shows all.
const SOURCES: usize = 4;

/// From so many columns on there is room for everything; on less, p50 and the ends of long names
/// make way for the reason.
const ROOMY: u16 = 100;

/// Columns of a name. Longer ones are cut.
const NAME: usize = 28;
const SHORT_NAME: usize = 16;

/// Lines that show everything.
pub(super) fn height(model: &Model) -> u16 {
    let all = model.status.as_ref().map_or(0, |status| status.subscriptions.len());
    ABOVE + HEAD + u16::try_from(all).unwrap_or(u16::MAX / 2).min(10_000) + below(model, false)
}

/// Subscriptions that there is room for.
pub(super) fn rows(area: Rect, model: &Model) -> usize {
    usize::from(area.height.saturating_sub(ABOVE + HEAD + below(model, true)))
}

fn below(model: &Model, keys: bool) -> u16 {
    let sources = model.status.as_ref().map_or(0, |status| status.sources.len().min(SOURCES));
    let gap = usize::from(sources > 0);
    (sources + gap) as u16 + u16::from(keys)
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, now: Timestamp, keys: bool) {
    let parts = [
        Constraint::Length(ABOVE),
        Constraint::Min(HEAD),
        Constraint::Length(below(model, false)),
        Constraint::Length(u16::from(keys)),
    ];
    let [above, middle, sources, foot] = Layout::vertical(parts).areas(frame.area());
    let Some(status) = &model.status else { return };
    frame.render_widget(Paragraph::new(vec![daemon(status, model, now), totals(model, now)]), above);
    frame.render_widget(table(model, middle, now), middle);
    frame.render_widget(Paragraph::new(source_lines(status, now)), sources);
    frame.render_widget(Paragraph::new(help(model)).dim(), foot);
}

fn daemon<'a>(status: &StatusReply, model: &Model, now: Timestamp) -> Line<'a> {
    if model.gone {
        return Line::from(
            "the daemon is not there; waiting for it to come back, what stands here is old".red().bold(),
        );
    }
    let mut spans = vec![
        Span::from(format!("trackrelay {}", on_a_line(&status.version))).bold(),
        Span::from(format!(
            "  up {}  {}  config ",
            output::since(status.started_at, now),
            on_a_line(&status.listen.tcp)
        )),
        match status.config.state {
            State::Ok | State::Unchanged => "ok".green(),
            State::Stale => {
                format!("refused, {}", output::count(status.config.errors.len() as u64, "error")).red()
            }
        },
        Span::from("  store "),
    ];
    spans.push(match status.store {
        StoreState::Ok => "ok".green(),
        StoreState::Failing => "failing".red(),
        StoreState::Unreadable => "unreadable".red(),
    });
    Line::from(spans)
}

fn totals<'a>(model: &Model, now: Timestamp) -> Line<'a> {
    let rate = |rate: &super::rate::Rate| per_second(rate.per_second(now));
    let failing = model.failures.per_second(now) > 0.0;
    let failed = Span::from(format!("failed {}/s", rate(&model.failures)));
    let mut spans = vec![
        Span::from(format!("events {}/s  attempts {}/s  ", rate(&model.events), rate(&model.attempts))),
        if failing { failed.red() } else { failed },
    ];
    if model.missed > 0 {
        spans.push(format!("  missed {}: too much to follow", model.missed).yellow());
    }
    Line::from(spans)
}

fn table<'a>(model: &Model, area: Rect, now: Timestamp) -> Table<'a> {
    let all = model.ordered(now);
    let longest = all.iter().map(|one| output::columns(&on_a_line(&one.name))).max().unwrap_or(0);
    let roomy = area.width >= ROOMY;
    let name = longest.clamp(8, if roomy { NAME } else { SHORT_NAME }) as u16;
    let room = usize::from(area.height.saturating_sub(HEAD));
    let shown = all.into_iter().skip(model.first).take(room);
    let rows = shown.map(|one| row(one, model, now));
    let widths = [
        Constraint::Length(name),
        Constraint::Length(13),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(if roomy { 6 } else { 0 }),
        Constraint::Length(6),
        Constraint::Min(8),
    ];
    Table::new(rows, widths).header(head(model)).column_spacing(1)
}

fn head<'a>(model: &Model) -> Row<'a> {
    let (by, turned) = model.sort();
    let title = |text: &str, sort: Sort| match (by == sort, turned) {
        (false, _) => text.to_owned(),
        (true, false) => format!("{text}▼"),
        (true, true) => format!("{text}▲"),
    };
    Row::new([
        Cell::from(title("NAME", Sort::Name)),
        Cell::from(title("STATUS", Sort::Status)),
        right(title("PER S", Sort::Rate)),
        right(title("WAITING", Sort::Waiting)),
        right("P50".to_owned()),
        right(title("P99", Sort::Latency)),
        Cell::from("WHY"),
    ])
    .bold()
}

fn row<'a>(one: &Subscription, model: &Model, now: Timestamp) -> Row<'a> {
    let activity = model.activity(&one.name);
    let rate = activity.map_or(0.0, |activity| activity.attempts.per_second(now));
    let latency =
        |of| activity.and_then(|activity| activity.latencies.percentile(of)).map_or("-".to_owned(), duration);
    let waiting = Line::from(one.pending.to_string()).right_aligned();
    let waiting = if one.pending > 0 { waiting.yellow() } else { waiting };
    Row::new([
        Cell::from(on_a_line(&one.name)),
        Cell::from(one.status.as_str()).style(status_style(one.status)),
        right(per_second(rate)),
        Cell::from(waiting),
        right(latency(50)),
        right(latency(99)),
        Cell::from(reason(one, now)),
    ])
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::from(Line::from(text).right_aligned())
}

fn status_style(status: Status) -> Style {
    Style::new().fg(match status {
        Status::Enabled => Color::Green,
        Status::Pending | Status::NotValidated => Color::Yellow,
        Status::Disabled => Color::Red,
    })
}

/// Why it is not simply enabled, or why something waits although it is.
fn reason(one: &Subscription, now: Timestamp) -> String {
    let said = match one.status {
        Status::Enabled if one.unreadable > 0 => format!("{} cannot be read", one.unreadable),
        Status::Enabled if one.held > 0 => format!("{} held by a plugin", one.held),
        Status::Enabled => String::new(),
        Status::Disabled => one.disabled_reason.clone().unwrap_or_default(),
        Status::NotValidated => {
            one.last_error.clone().unwrap_or_else(|| "not answered with the validation code yet".to_owned())
        }
        Status::Pending => {
            let next = one.retry_at.map(|at| match at.duration_since(now).as_secs() {
                ..=0 => "tried now: ".to_owned(),
                _ => format!("next try in {}: ", output::since(now, at)),
            });
            next.unwrap_or_default() + one.last_error.as_deref().unwrap_or_default()
        }
    };
    on_a_line(&said)
}

fn source_lines<'a>(status: &StatusReply, now: Timestamp) -> Vec<Line<'a>> {
    let mut lines: Vec<_> =
        status.sources.iter().take(SOURCES).map(|source| source_line(source, now)).collect();
    if !lines.is_empty() {
        lines.insert(0, Line::default());
    }
    lines
}

fn source_line<'a>(source: &Source, now: Timestamp) -> Line<'a> {
    let last = source.last_event_at.map(|at| format!(", the last {} ago", output::since(at, now)));
    let events = output::count(source.events, "event");
    let mut spans =
        vec![Span::from(format!("source {}: {events}{}", on_a_line(&source.name), last.unwrap_or_default()))];
    if let Some(refusal) = &source.last_refusal {
        let ago = output::since(refusal.at, now);
        spans.push(
            format!("; {} refused, the last {ago} ago: {}", source.refused, on_a_line(&refusal.said))
                .yellow(),
        );
    }
    Line::from(spans)
}

fn help<'a>(model: &Model) -> Line<'a> {
    let more = if model.first > 0 { "↑↓ scroll (more above)" } else { "↑↓ scroll" };
    Line::from(format!("q quit  sort: n name  s status  r rate  w waiting  l latency  {more}"))
}

fn per_second(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..100_000 => format!("{:.1}s", ms as f64 / 1000.0),
        _ => format!("{}s", ms / 1000),
    }
}
