//! What `trackrelay upstream plan` prints: the filters, the plans of Track they fit, and a
//! command line to be pasted into a shell, in which secrets stand as variables.

use std::fmt::Display;

use anstyle::Style;
use serde_json::{Value, json};

use super::{Fit, Upstream, Wanted};
use crate::cli::output::{self, Align, GOOD, Table, WARN};
use crate::config::EventFilter;

/// Where subscriptions are created, up to the workspace.
const SUBSCRIPTIONS: &str = "https://api.track.toggl.com/webhooks/api/v1/subscriptions";

/// What the subscription is called at Track, where it can be renamed.
const DESCRIPTION: &str = "trackrelay";

pub(super) fn facts(upstream: &Upstream) -> String {
    if upstream.filters.is_empty() {
        return "no subscription here wants events, so there is nothing to ask Track for\n".to_owned();
    }
    let subscriptions = output::count(upstream.subscriptions as u64, "subscription");
    let filters = output::count(upstream.filters.len() as u64, "event filter");
    let verb = if upstream.subscriptions == 1 { "wants" } else { "want" };
    format!(
        "What {subscriptions} here {verb}, one at Track brings with {filters}:\n\n{}\n{}\n{}\n",
        wanted(&upstream.filters),
        fits(&upstream.fits),
        curl(upstream)
    )
}

/// What has to be done before the command line works.
pub(super) fn remarks(upstream: &Upstream) -> Vec<String> {
    let mut remarks = Vec::new();
    if upstream.filters.is_empty() {
        return remarks;
    }
    let Upstream { source, source_exists, workspace_id, .. } = upstream;
    if !source_exists {
        remarks.push(format!(
            "the config has no source yet; add\n  [source.{source}]\n  secret = {{ env = \"TRACK_SECRET\" }}"
        ));
    }
    if workspace_id.is_none() {
        remarks.push("`[workspace] id` is not set; `$TRACK_WORKSPACE_ID` stands in its place".to_owned());
    }
    remarks.push(
        "put the host of your tunnel in, and letters and digits as TRACK_SECRET: they stand in JSON"
            .to_owned(),
    );
    remarks
}

pub(super) fn document(upstream: &Upstream) -> Value {
    let wanted = |wanted: &Wanted| {
        json!({
            "filter": wanted.filter.to_string(),
            "subscriptions": wanted.by,
            "extra": texts(&wanted.extra),
        })
    };
    let fit = |fit: &Fit| {
        let fits = if fit.exact { "exact" } else { "with_wildcards" };
        let document = json!({
            "max_subscriptions": fit.plan.subscriptions(),
            "max_event_filters": fit.plan.filters(),
            "fits": fits,
            "event_filters": texts(&fit.filters),
            "extra": texts(&fit.extra),
        });
        (fit.plan.name().to_owned(), document)
    };
    json!({
        "workspace_id": upstream.workspace_id,
        "source": upstream.source,
        "event_filters": upstream.filters.iter().map(wanted).collect::<Vec<_>>(),
        "plans": upstream.fits.iter().map(fit).collect::<serde_json::Map<_, _>>(),
        "curl": (!upstream.filters.is_empty()).then(|| curl(upstream)),
    })
}

fn wanted(filters: &[Wanted]) -> String {
    let mut table = Table::new(&[("EVENT FILTER", Align::Left), ("FOR", Align::Left)]);
    for Wanted { filter, by, extra } in filters {
        let cells = vec![(filter.to_string(), Style::new()), (by.join(", "), Style::new())];
        table.row(cells, brings_also(extra).into_iter().collect());
    }
    table.render()
}

fn fits(fits: &[Fit]) -> String {
    let mut table = Table::new(&[
        ("TRACK'S PLAN", Align::Left),
        ("SUBSCRIPTIONS", Align::Right),
        ("FILTERS EACH", Align::Right),
        ("FITS", Align::Left),
    ]);
    for fit in fits {
        let (word, style) = match fit.exact {
            true => ("exactly".to_owned(), GOOD),
            false => (format!("with wildcards: {}", texts(&fit.filters).join(" ")), WARN),
        };
        let cell = |text: String| (text, Style::new());
        let (plan, subscriptions) =
            (cell(fit.plan.name().to_owned()), cell(fit.plan.subscriptions().to_string()));
        let filters = cell(fit.plan.filters().to_string());
        let way = (!fit.exact).then(|| format!("`--fit {}` asks for these", fit.plan.name()));
        let notes = brings_also(&fit.extra).into_iter().chain(way).collect();
        table.row(vec![plan, subscriptions, filters, (word, style)], notes);
    }
    table.render()
}

fn brings_also(extra: &[EventFilter]) -> Option<String> {
    (!extra.is_empty()).then(|| format!("brings also {}", texts(extra).join(", ")))
}

/// Creates the subscription at Track. The shell puts token and secret in.
fn curl(upstream: &Upstream) -> String {
    let filter = |Wanted { filter, .. }: &Wanted| {
        let word = |word: Option<&'static str>| word.unwrap_or("*");
        json!({
            "entity": word(filter.entity.map(crate::event::Entity::as_str)),
            "action": word(filter.action.map(crate::event::Action::as_str)),
        })
    };
    let body = json!({
        "description": DESCRIPTION,
        "url_callback": format!("https://YOUR-TUNNEL/track/{}", upstream.source),
        "event_filters": upstream.filters.iter().map(filter).collect::<Vec<_>>(),
        "enabled": true,
        "secret": SECRET,
    });
    // All in it is ours or letters, so single quotes hold it; only the secret stands between
    // double ones, where the shell looks.
    let body = body.to_string().replace(SECRET, "'\"$TRACK_SECRET\"'");
    let workspace = upstream.workspace_id.map_or("$TRACK_WORKSPACE_ID".to_owned(), |id| id.to_string());
    format!(
        "curl -sS --fail-with-body -X POST -u \"$TRACK_API_TOKEN:api_token\" \\\n  \
         -H 'Content-Type: application/json' \\\n  -d '{body}' \\\n  \"{SUBSCRIPTIONS}/{workspace}\""
    )
}

/// Where the secret goes; no filter and no name of a source looks like it.
const SECRET: &str = "<secret>";

fn texts(filters: &[impl Display]) -> Vec<String> {
    filters.iter().map(ToString::to_string).collect()
}
