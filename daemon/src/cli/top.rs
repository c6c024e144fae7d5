//! `trackrelay top`: how everything goes, in a terminal, until it is told to end. What is known
//! is `cli/top/model.rs`, how it looks `cli/top/view.rs`; both are pure. Here are the terminal,
//! the keys and the questions to the daemon.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};

use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::live::{Heard, Live};
use crate::cli::output;
use crate::cli::reply::StatusReply;
use crate::clock;
use model::{Goes, Model, Sort};

mod model;
mod rate;
#[cfg(test)]
mod tests;
mod view;

/// Frames are drawn this often: numbers that change faster cannot be read.
const FRAME: Duration = Duration::from_millis(250);

/// How often the daemon is asked for what no news tells, such as how much waits.
const ASK: Duration = Duration::from_secs(1);

/// A daemon with thousands of subscriptions takes its time to say all of that; it is left alone
/// for so many times as long.
const LEAVE_ALONE: u32 = 10;

/// How long `--once` listens: rates are of whole seconds.
const LISTEN: Duration = Duration::from_secs(1);

/// Inputs that wait to be taken; beyond it the stream waits, and the daemon counts what we miss.
const INPUTS: usize = 1024;

/// Columns of the one frame of `--once`, where every reason has room.
const WIDE: u16 = 160;

/// Show rates, latencies and what waits, per subscription, in the terminal
///
/// Rates are those of the last ten seconds, p50 and p99 those of the last 256 attempts, since `top` began.
/// Keys: q ends it; n, s, r, w, l sort by name, status, rate, what waits, latency, again to turn it round;
/// arrows and PageUp/PageDown scroll.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay top
  trackrelay top --sort waiting
  trackrelay top --once              one frame as text, after a second of listening")]
pub struct Args {
    /// Print one frame as text and end
    #[arg(long)]
    once: bool,

    /// What is on top at first
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
}

/// What happens to the screen.
enum Input {
    Heard(Heard),
    /// None if the daemon does not answer.
    Status(Option<Box<StatusReply>>),
    Terminal(Event),
}

pub async fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    if !args.once && !std::io::stdout().is_terminal() {
        let once = here.command(&["top", "--once"]);
        return Err(Failure::Usage(format!(
            "`top` draws on a terminal, and this is none; `{once}` prints a frame"
        )));
    }
    let live = Live::begin(here, Target::new(&["api", "stream"])).await?;
    let mut model = Model::new(args.sort);
    model.know(status(here).await?);
    let (tell, inputs) = mpsc::channel(INPUTS);
    let (hearing, asking) = (hear(live, tell.clone()), ask_on(here, tell.clone()));
    let shown = async {
        match args.once {
            true => once(&mut model, inputs).await,
            false => show(&mut model, inputs, tell).await,
        }
    };
    tokio::select! {
        ended = shown => ended,
        failure = hearing => Err(failure),
        failure = asking => Err(failure),
    }
}

/// One frame, high enough for everything.
async fn once(model: &mut Model, mut inputs: mpsc::Receiver<Input>) -> Result<(), Failure> {
    let listening = async {
        while let Some(input) = inputs.recv().await {
            take(model, input);
        }
    };
    // It goes on until the time is over.
    drop(timeout(LISTEN, listening).await);
    output::facts(&frame(model, WIDE, view::height(model))?)
}

fn frame(model: &Model, width: u16, height: u16) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| view::draw(frame, model, clock::now(), false))?;
    Ok(lines(terminal.backend().buffer()).iter().map(|line| format!("{line}\n")).collect())
}

/// A sign that is two columns wide has the cell behind its own as well.
fn lines(buffer: &Buffer) -> Vec<String> {
    let line = |y| {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line += symbol;
            x += output::columns(symbol).max(1) as u16;
        }
        line.trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}

/// Draws until a key or a signal ends it. However it ends, the terminal is as it was.
async fn show(
    model: &mut Model,
    mut inputs: mpsc::Receiver<Input>,
    tell: mpsc::Sender<Input>,
) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut terminal = Screen(ratatui::try_init().context("cannot take over the terminal")?);
    read_keys(tell)?;
    let mut frames = interval(FRAME);
    loop {
        tokio::select! {
            _ = frames.tick() => {}
            _ = terminated.recv() => return Ok(()),
            input = inputs.recv() => match input.map(|input| take(model, input)) {
                Some(Goes::On) => continue,
                Some(Goes::Anew) => {}
                Some(Goes::Away) | None => return Ok(()),
            },
        }
        let drawn = terminal.0.draw(|frame| {
            model.fit(view::rows(frame.area(), model));
            view::draw(frame, model, clock::now(), true);
        });
        drawn.context("cannot draw on the terminal")?;
    }
}

/// The terminal while it is ours. A panic gives it back too: `try_init` sees to that.
struct Screen(ratatui::DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn take(model: &mut Model, input: Input) -> Goes {
    match input {
        Input::Heard(heard) => model.hear(heard),
        Input::Status(Some(status)) => model.know(*status),
        Input::Status(None) => {}
        Input::Terminal(Event::Key(key)) => return model.press(key),
        Input::Terminal(Event::Resize(..)) => return Goes::Anew,
        Input::Terminal(_) => {}
    }
    Goes::On
}

async fn status(here: &Invocation) -> Result<StatusReply, Failure> {
    here.daemon()?.get(&Target::new(&["api", "status"])).await?.json()
}

async fn ask_on(here: &Invocation, tell: mpsc::Sender<Input>) -> Failure {
    loop {
        let started = Instant::now();
        let input = Input::Status(status(here).await.ok().map(Box::new));
        if tell.send(input).await.is_err() {
            return Failure::Unread;
        }
        sleep(ASK.max(started.elapsed() * LEAVE_ALONE)).await;
    }
}

async fn hear(mut live: Live<'_>, tell: mpsc::Sender<Input>) -> Failure {
    loop {
        match live.next().await {
            Ok(heard) => {
                if tell.send(Input::Heard(heard)).await.is_err() {
                    return Failure::Unread;
                }
            }
            Err(failure) => return failure,
        }
    }
}

/// Keys are waited for by a thread of their own, which ends with the process.
fn read_keys(tell: mpsc::Sender<Input>) -> Result<(), Failure> {
    let read = move || {
        while let Ok(event) = event::read() {
            if tell.blocking_send(Input::Terminal(event)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(read).context("cannot start a thread")?;
    Ok(())
}
