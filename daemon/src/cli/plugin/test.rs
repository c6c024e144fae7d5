//! `trackrelay plugin test`: shows recorded events to a plugin and tells what it makes of each.
//! How an event is shown is `cli/plugin/trial.rs`, how answers are kept `cli/plugin/snapshot.rs`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::diff::{diff, laid_out};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::{self, BAD, GOOD, QUIET, WARN, clean, count, styled};
use crate::cli::plugin::inputs::Given;
use crate::cli::plugin::snapshot::{self, Snapshot};
use crate::cli::plugin::trial::{self, Shown, Trial};
use crate::cli::plugin::{milliseconds, watch};
use crate::delivery::trace::Verdict;
use crate::plugin::{Call, Host, Input, Reshape, Stage};

/// Show events to a plugin: what it makes of each, in what time and memory
///
/// Each event is shown to an instance that has seen others and to a fresh one. If the two answer
/// differently, the plugin keeps something between events: that is an error, since nobody knows
/// which events an instance of the daemon has seen.
///
/// `previous()` answers what the same entity was in an earlier one of these events.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay plugin test long_only.wasm --events events.ndjson --with '{\"seconds\":3600}'
  trackrelay plugin test plugins/slack.wasm --last 100
  trackrelay plugin test long_only.wasm --events events.ndjson --expect answers.json --update
  trackrelay plugin test long_only.wasm --events events.ndjson --expect answers.json      in a CI
  trackrelay plugin test target/wasm32-unknown-unknown/release/long_only.wasm --last 9 --watch

Exit codes: 0 as expected, 1 a failure, hidden state, or another answer than expected")]
pub struct Args {
    #[command(flatten)]
    given: Given,

    /// Compare the answers with those in this file
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Write the answers to the file of `--expect` instead
    #[arg(long, requires = "expect")]
    update: bool,

    /// Go on, and do all that again on every save. A FILE in the folder `target` of its project is
    /// built first
    #[arg(long, conflicts_with = "update")]
    watch: bool,

    /// Print an object for each event, on a line of its own
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    let Given { file, events, .. } = &args.given;
    match args.watch {
        false => round(&args, here).await,
        true if events.as_deref() == Some(Path::new("-")) => {
            Err(Failure::Usage("`--watch` needs events in a file: stdin can be read only once".to_owned()))
        }
        true => {
            let others: Vec<PathBuf> =
                [events.as_ref(), args.expect.as_ref()].into_iter().flatten().cloned().collect();
            watch::on_every_save(file, &others, async || round(&args, here).await).await
        }
    }
}

async fn round(args: &Args, here: &Invocation) -> Result<(), Failure> {
    let snapshot = args.expect.clone().filter(|_| !args.update).map(Snapshot::read).transpose()?;
    let events = args.given.inputs(here).await?;
    let host = Host::new(None)?;
    let trials = Trial::all(&host, &args.given.file, &args.given.with)?;
    let mut tally = Tally::default();
    for (input, at) in events.iter().zip(1..) {
        for trial in &trials {
            let shown = trial.show(input).await;
            let told = Told::new(
                at,
                input,
                trial.stage,
                &shown,
                snapshot.as_ref().map(|it| it.wanted(tally.answers.len())),
            );
            output::facts(&if args.json { told.record().to_string() } else { told.text() })?;
            tally.count(told);
        }
    }
    output::say(&tally.conclude(args, snapshot.as_ref(), events.len())?);
    Ok(())
}

/// What all events came to.
#[derive(Default)]
struct Tally {
    answers: Vec<Value>,
    failed: u64,
    /// Other than in the snapshot.
    other: u64,
    /// How many show hidden state, and what the first of them does.
    moody: u64,
    first_moody: Option<String>,
}

impl Tally {
    fn count(&mut self, told: Told<'_>) {
        self.failed += u64::from(told.shown.reused.answer.is_err());
        self.other += u64::from(!told.is_expected());
        if !told.shown.agrees() {
            self.moody += 1;
            self.first_moody.get_or_insert_with(|| told.mood());
        }
        self.answers.push(told.answer);
    }

    fn conclude(self, args: &Args, snapshot: Option<&Snapshot>, events: usize) -> Result<String, Failure> {
        if let Some(first) = self.first_moody {
            return Err(Failure::failed(format!(
                "{first}; {} of {} so, so the plugin keeps something between events: an answer must depend on the \
                 event and the config alone",
                self.moody,
                count(self.answers.len() as u64, "answer")
            )));
        }
        let agree = format!("{}, reused and fresh instances agree", count(events as u64, "event"));
        match (&args.expect, snapshot) {
            (Some(file), None) => {
                snapshot::write(file, &self.answers)?;
                Ok(format!("{agree}; written to `{}`", file.display()))
            }
            (_, Some(snapshot)) => {
                Ok(format!("{agree}; {}", snapshot.conclude(self.answers.len(), self.other)?))
            }
            _ if self.failed > 0 => {
                Err(Failure::failed(format!("the plugin failed at {}", count(self.failed, "event"))))
            }
            _ => Ok(agree),
        }
    }
}

/// One event in one stage, as it is told.
struct Told<'a> {
    input: &'a Input,
    stage: Stage,
    shown: &'a Shown,
    /// As in snapshots: nothing of it differs from run to run.
    answer: Value,
    wanted: Option<&'a Value>,
}

impl<'a> Told<'a> {
    fn new(at: u64, input: &'a Input, stage: Stage, shown: &'a Shown, wanted: Option<&'a Value>) -> Told<'a> {
        let mut answer = json!({ "event": at, "event_id": input.event.id, "stage": stage.as_str() });
        let own = trial::answer(stage, &shown.reused);
        own.as_object().into_iter().flatten().for_each(|(key, value)| answer[key] = value.clone());
        Told { input, stage, shown, answer, wanted }
    }

    fn is_expected(&self) -> bool {
        self.wanted.is_none_or(|wanted| *wanted == self.answer)
    }

    fn record(&self) -> Value {
        let Shown { reused, fresh } = self.shown;
        let mut record = self.answer.clone();
        record["ms"] = milliseconds(reused.took).into();
        record["fresh_ms"] = milliseconds(fresh.took).into();
        record["memory"] = reused.memory.into();
        record["agrees"] = self.shown.agrees().into();
        if !self.shown.agrees() {
            record["fresh"] = trial::answer(self.stage, fresh);
        }
        if let Some(wanted) = self.wanted {
            record["expected"] = self.is_expected().into();
            record["wanted"] = if self.is_expected() { Value::Null } else { wanted.clone() };
        }
        record
    }

    fn text(&self) -> String {
        let Shown { reused, fresh } = self.shown;
        let mut text = self.head() + &self.measures();
        for line in &reused.lines {
            text += &format!("    {}: {}\n", line.level.as_str(), clean(&line.text));
        }
        if let Ok(Reshape::Replace(message)) = &reused.answer {
            text += &diff(&laid_out(&trial::text(&self.input.json)), &laid_out(&trial::text(&message.body)));
        }
        if !self.shown.agrees() {
            text += &format!("  {}\n", styled(BAD, "a fresh instance answers differently"));
            text += &snapshot::compare(&trial::answer(self.stage, reused), &trial::answer(self.stage, fresh));
        }
        if let Some(wanted) = self.wanted.filter(|_| !self.is_expected()) {
            text += &format!("  {}\n", styled(BAD, "not as expected"));
            text += &snapshot::compare(wanted, &self.answer);
        }
        text
    }

    fn head(&self) -> String {
        let event = &self.input.event;
        let said = said(self.stage, &self.shown.reused);
        let style = match trial::verdict(self.stage, &self.shown.reused) {
            Verdict::Failed => BAD,
            Verdict::Skip => WARN,
            _ => GOOD,
        };
        let stage = self.stage.as_str();
        let at = &self.answer["event"];
        format!("{at}  {} {}.{}  {stage}: {}\n", event.id, event.entity, event.action, styled(style, &said))
    }

    fn measures(&self) -> String {
        let Shown { reused, fresh } = self.shown;
        let (ms, fresh_ms) = (milliseconds(reused.took), milliseconds(fresh.took));
        format!("    {QUIET}{ms} ms, fresh instance {fresh_ms} ms, {} KiB{QUIET:#}\n", reused.memory >> 10)
    }

    /// Both answers in one sentence.
    fn mood(&self) -> String {
        let (at, id) = (&self.answer["event"], self.input.event.id);
        let [reused, fresh] = [&self.shown.reused, &self.shown.fresh].map(|call| said(self.stage, call));
        match reused == fresh {
            true => format!(
                "event {at} ({id}): a reused instance answers `{reused}`, a fresh one too, but with another body or log"
            ),
            false => {
                format!("event {at} ({id}): a reused instance answers `{reused}`, a fresh one `{fresh}`")
            }
        }
    }
}

/// The verdict, and why.
fn said(stage: Stage, call: &Call<Reshape>) -> String {
    let verdict = trial::verdict(stage, call).as_str();
    match &call.answer {
        Ok(Reshape::Skip(reason)) => format!("{verdict}, {reason}"),
        Err(failure) => format!("{verdict}, {failure}"),
        Ok(_) => verdict.to_owned(),
    }
}
