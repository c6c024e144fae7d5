//! One event shown to a plugin twice: to an instance that has served other events, and to one
//! made for it alone. Where the two answers differ, the plugin keeps something between events,
//! and what it answers depends on what came before.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::plugin::spec;
use crate::config::Isolation;
use crate::delivery::trace::Verdict;
use crate::plugin::{Call, Entry, Host, Input, Keep, Message, Plugin, Reshape, Stage};

/// In place of a subscription's name: where a config that is refused came from, or would have to.
const SUBSCRIPTION: &str = "--with";

/// A plugin in one of its stages, twice over.
pub struct Trial {
    pub stage: Stage,
    reused: Arc<Entry>,
    fresh: Arc<Entry>,
}

/// What came of one event.
pub struct Shown {
    pub reused: Call<Reshape>,
    pub fresh: Call<Reshape>,
}

impl Trial {
    /// One for each stage that the plugin offers, all with the same config.
    pub fn all(host: &Host, file: &Path, config: &Value) -> Result<Vec<Trial>, Failure> {
        let load = |isolation| host.load(&spec(file, isolation)).map_err(anyhow::Error::from);
        let (reused, fresh) = (load(Isolation::Reuse)?, load(Isolation::Event)?);
        let entry = |plugin: &Arc<Plugin>, stage| {
            plugin.entry(SUBSCRIPTION, stage, config).map_err(anyhow::Error::from)
        };
        let trial = |stage| Ok(Trial { stage, reused: entry(&reused, stage)?, fresh: entry(&fresh, stage)? });
        [Stage::Filter, Stage::Transform]
            .into_iter()
            .filter(|stage| offers(&reused, *stage))
            .map(trial)
            .collect()
    }

    /// The reused instance sees the event twice and its second answer counts, so that hidden
    /// state shows with a single event as well.
    pub async fn show(&self, input: &Input) -> Shown {
        self.reused(input).await;
        Shown { reused: self.reused(input).await, fresh: self.fresh(input).await }
    }

    pub async fn reused(&self, input: &Input) -> Call<Reshape> {
        ask(&self.reused, self.stage, input.clone()).await
    }

    pub async fn fresh(&self, input: &Input) -> Call<Reshape> {
        ask(&self.fresh, self.stage, input.clone()).await
    }
}

impl Shown {
    /// Whether both answered the same, log included.
    pub fn agrees(&self) -> bool {
        self.reused.answer == self.fresh.answer && self.reused.lines == self.fresh.lines
    }
}

fn offers(plugin: &Plugin, stage: Stage) -> bool {
    match stage {
        Stage::Filter => plugin.has_filter(),
        Stage::Transform => plugin.has_transform(),
    }
}

async fn ask(entry: &Arc<Entry>, stage: Stage, input: Input) -> Call<Reshape> {
    if stage == Stage::Transform {
        return entry.apply(input).await;
    }
    let Call { answer, lines, took, memory } = entry.check(input).await;
    let answer = answer.map(|keep| match keep {
        Keep::Deliver => Reshape::Unchanged,
        Keep::Skip(reason) => Reshape::Skip(reason),
    });
    Call { answer, lines, took, memory }
}

/// An answer without what differs from run to run: what snapshots are made of.
pub fn answer(stage: Stage, call: &Call<Reshape>) -> Value {
    let mut told = match &call.answer {
        Ok(Reshape::Unchanged) => json!({ "verdict": verdict(stage, call).as_str() }),
        Ok(Reshape::Skip(reason)) => json!({ "verdict": Verdict::Skip.as_str(), "reason": reason }),
        Ok(Reshape::Replace(message)) => replaced(message),
        Err(failure) => json!({ "verdict": Verdict::Failed.as_str(), "reason": failure.0 }),
    };
    if !call.lines.is_empty() {
        told["log"] =
            call.lines.iter().map(|line| format!("{}: {}", line.level.as_str(), line.text)).collect();
    }
    told
}

pub fn verdict(stage: Stage, call: &Call<Reshape>) -> Verdict {
    match (&call.answer, stage) {
        (Ok(Reshape::Unchanged), Stage::Filter) => Verdict::Deliver,
        (Ok(Reshape::Unchanged), Stage::Transform) => Verdict::Unchanged,
        (Ok(Reshape::Replace(_)), _) => Verdict::Replaced,
        (Ok(Reshape::Skip(_)), _) => Verdict::Skip,
        (Err(_), _) => Verdict::Failed,
    }
}

fn replaced(Message { body, content_type, headers }: &Message) -> Value {
    let mut told = json!({ "verdict": Verdict::Replaced.as_str(), "content_type": content_type });
    if !headers.is_empty() {
        told["headers"] = headers.iter().map(|(name, value)| json!([name, value])).collect();
    }
    told["body"] = text(body).into();
    told
}

/// A body as text. Bytes that are none are told by their number and digest, by which two of
/// them can be told apart.
pub fn text(body: &Bytes) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            format!("{} bytes that are not UTF-8, {}", body.len(), crate::deliver::record::digest(body))
        }
    }
}
