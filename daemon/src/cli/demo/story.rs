//! What the demo tells, step by step.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::stage::{SECRET, Stage, sample};
use crate::cli::output::{self, GOOD, QUIET, STRONG};
use crate::event::{Action, Entity};

pub(super) const WORKSPACE: i64 = 4_200_017;

/// How long the receiver may take to see what it should.
const PATIENCE: Duration = Duration::from_secs(5);

fn config() -> String {
    format!(
        r##"[listen]
tcp  = "127.0.0.1:0"
unix = "off"

[store]
path = "store"

[workspace]
id = {WORKSPACE}

[plugin.match]
path = "plugins/match.wasm"

[plugin.slack]
path = "plugins/slack.wasm"

[subscription.everything]
url_callback  = "http://RECEIVER/everything"
event_filters = [{{ entity = "*", action = "*" }}]
secret        = "{SECRET}"

[subscription.billable]
url_callback  = "http://RECEIVER/billable"
event_filters = ["time_entry.*"]
secret        = "{SECRET}"
filter        = [{{ plugin = "match", config = {{ "payload.billable" = true }} }}]
transform     = [{{ plugin = "slack", config = {{ channel = "#time", template = "billed: {{payload.description}}" }} }}]
retry         = ["20ms", "20ms"]
disable_after = 3
"##
    )
}

/// Tells the story. An error is a step that did not hold.
pub(super) async fn tell() -> anyhow::Result<()> {
    let started = Instant::now();
    // Caught from before there is anything to clear away.
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for signals")?;
    let stage = Stage::set(&config()).await?;
    let outcome = tokio::select! {
        outcome = acts(&stage) => outcome,
        _ = interrupt.recv() => Err(anyhow!("interrupted; nothing is left behind")),
    };
    let book = stage.receiver.book();
    stage.clear().await?;
    let sent = outcome?;
    ensure!(book.bad_signatures == 0, "{} deliveries had a wrong signature", book.bad_signatures);
    let delivered: usize = book.events.values().map(Vec::len).sum();
    output::facts(&format!(
        "{GOOD}ok{GOOD:#}: {sent} events in, {delivered} deliveries and {} pings out, \
         {} of {} signatures verified by the receiver, in {:.1} s",
        book.pings,
        book.good_signatures,
        book.good_signatures + book.bad_signatures,
        started.elapsed().as_secs_f64()
    ))
    .context("failed to print the summary")
}

async fn acts(stage: &Stage) -> anyhow::Result<usize> {
    say(1, "a daemon, and a receiver that checks every signature");
    note(&format!("daemon    http://{}", stage.tcp));
    note(&format!("receiver  http://{}", stage.receiver.address));
    note(&format!("config    {}", stage.folder.join("config.toml").display()));
    for name in ["everything", "billable"] {
        stage.until(name, |status| !status["validated_at"].is_null()).await?;
    }
    note("validated by a signed PING whose code the receiver echoed");
    let mut sent = through_filter_and_transform(stage).await?;
    sent += edit_under_its_feet(stage).await?;
    sent += fails_and_recovers(stage).await?;
    Ok(sent)
}

async fn through_filter_and_transform(stage: &Stage) -> anyhow::Result<usize> {
    say(2, "events through a filter and a transform");
    let time_entry = |n, billable: bool, description: &str| {
        sample(
            Entity::TimeEntry,
            Action::Created,
            n,
            json!({ "billable": billable, "description": description }),
        )
    };
    let events = [
        time_entry(0, true, "client call"),
        time_entry(1, false, "lunch"),
        time_entry(2, true, "write the report"),
        sample(Entity::Project, Action::Updated, 3, json!({})),
        sample(Entity::Tag, Action::Deleted, 4, json!({})),
    ];
    let sent = stage.send(&events).await?;
    let book = wait(stage, "the first events", |book| {
        book.at("/everything").len() == 5 && book.at("/billable").len() == 2
    })
    .await?;
    note(&format!(
        "{sent} events sent: 5 delivered to `everything`, 2 to `billable`, 3 kept from it by its filters"
    ));
    let mut texts: Vec<String> = book.at("/billable").iter().map(|body| text(body)).collect();
    texts.sort();
    ensure!(texts == ["billed: client call", "billed: write the report"], "the transform made {texts:?}");
    note(&format!("what `slack` made of one: {}", String::from_utf8_lossy(&book.at("/billable")[0])));
    Ok(sent)
}

async fn edit_under_its_feet(stage: &Stage) -> anyhow::Result<usize> {
    say(3, "the config edited while it runs");
    let everything = stage.receiver.book().at("/everything").len();
    let saved = Instant::now();
    stage.edit("billed: {payload.description}", "now: {payload.description}")?;
    let mut sent = 0;
    loop {
        // The save takes effect on its own; events tell when it has.
        let description = json!({ "billable": true, "description": "after the edit" });
        let event = sample(Entity::TimeEntry, Action::Updated, sent as u64, description);
        let before = stage.receiver.book().at("/billable").len();
        sent += stage.send(&[event]).await?;
        let book = wait(stage, "an event after the edit", |book| book.at("/billable").len() > before).await?;
        let newest = book.at("/billable").last().map(|body| text(body)).unwrap_or_default();
        if newest.starts_with("now: ") {
            break;
        }
        ensure!(saved.elapsed() < PATIENCE, "the edit had no effect");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    note(&format!("template saved, in force {} ms later, nothing restarted", saved.elapsed().as_millis()));
    // The next act breaks the endpoint; what was sent in this one has to be through by then.
    wait(stage, "the rest of them", |book| book.at("/everything").len() == everything + sent).await?;
    Ok(sent)
}

async fn fails_and_recovers(stage: &Stage) -> anyhow::Result<usize> {
    say(4, "an endpoint that fails");
    let before = stage.receiver.book();
    stage.receiver.set_broken(true);
    stage.edit("[\"time_entry.*\"]", "[\"time_entry.*\", \"client.*\"]")?;
    stage
        .until("billable", |status| status["event_filters"].as_array().is_some_and(|list| list.len() == 2))
        .await?;
    let event = sample(
        Entity::TimeEntry,
        Action::Updated,
        0,
        json!({ "billable": true, "description": "sent while it was broken" }),
    );
    let sent = stage.send(&[event]).await?;
    let disabled = stage.until("billable", |status| status["status"] == "disabled").await?;
    note(&format!("pending, tried again, then disabled: {}", words(&disabled["disabled_reason"])));
    ensure!(disabled["pending"] == 1, "one event should wait, but the status says {disabled}");
    stage.receiver.set_broken(false);
    stage.act("billable", "enable").await?;
    let waited = before.at("/billable").len() + 1;
    let book = wait(stage, "what waited", |book| book.at("/billable").len() == waited).await?;
    let newest = book.at("/billable").last().map(|body| text(body)).unwrap_or_default();
    ensure!(newest == "now: sent while it was broken", "what waited became `{newest}`");
    stage.until("billable", |status| status["status"] == "enabled" && status["pending"] == 0).await?;
    note("mended, enabled again, and what waited was delivered");
    // `everything` met the broken receiver too and finds its own way back.
    stage.act("everything", "enable").await?;
    let all = before.at("/everything").len() + sent;
    wait(stage, "the other subscription", |book| book.at("/everything").len() == all).await?;
    Ok(sent)
}

async fn wait(
    stage: &Stage,
    what: &str,
    is: impl Fn(&super::receiver::Book) -> bool,
) -> anyhow::Result<super::receiver::Book> {
    let arrived = tokio::time::timeout(PATIENCE, stage.receiver.until(is)).await;
    arrived.with_context(|| format!("{what} did not arrive within {PATIENCE:?}"))
}

/// The `text` of a Slack message.
fn text(body: &[u8]) -> String {
    serde_json::from_slice::<Value>(body).map(|body| words(&body["text"])).unwrap_or_default()
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn say(step: u32, what: &str) {
    output::say(&format!("{STRONG}{step}. {what}{STRONG:#}"));
}

fn note(what: &str) {
    output::say(&format!("   {QUIET}{}{QUIET:#}", output::clean(what)));
}
