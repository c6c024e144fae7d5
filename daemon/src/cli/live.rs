//! Follows a daemon's stream across its restarts: what `tail` and `top` see is the same. How
//! it is shown is theirs.

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::sleep;

use crate::cli::client::{Events, Sent, Target};
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::feed::News;

/// Between looks for a daemon that went away: soon at first, for a restart takes a moment, and
/// seldom enough later to leave a laptop asleep.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(2);

/// The daemon of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hello {
    pub version: String,
    pub started_at: Timestamp,
}

/// What one follows a daemon for.
#[derive(Debug)]
pub enum Heard {
    /// A stream begins; `anew` if the daemon is not the one before.
    Hello { hello: Hello, anew: bool },
    /// Something happened; `data` is how the daemon put it.
    News { news: Box<Line>, data: String },
    /// We were too slow for so many.
    Missed { count: u64, data: String },
    /// Of a later version, which knows more.
    Unknown { data: String },
    /// The daemon went away. What follows is the hello of its return.
    Gone,
}

/// News and when it was told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    pub at: Timestamp,
    #[serde(flatten)]
    pub news: News,
}

pub struct Live<'a> {
    here: &'a Invocation,
    target: Target,
    events: Option<Events>,
    last: Option<Hello>,
}

impl<'a> Live<'a> {
    /// There must be a daemon to begin with.
    pub async fn begin(here: &'a Invocation, target: Target) -> Result<Live<'a>, Failure> {
        let events = here.daemon()?.stream(&target).await?;
        let events = events.map_err(|refusal| refusal.accepted().err().unwrap_or_else(unasked))?;
        Ok(Live { here, target, events: Some(events), last: None })
    }

    /// Waits for the next thing. Fails only if the daemon comes back and refuses us.
    pub async fn next(&mut self) -> Result<Heard, Failure> {
        if self.events.is_none() {
            self.events = Some(self.look_for_it().await?);
        }
        let sent = match &mut self.events {
            Some(events) => events.next().await,
            None => None,
        };
        match sent {
            Some(sent) => Ok(self.read(sent)),
            None => {
                self.events = None;
                Ok(Heard::Gone)
            }
        }
    }

    async fn look_for_it(&self) -> Result<Events, Failure> {
        let mut wait = FIRST_LOOK;
        loop {
            sleep(wait).await;
            wait = (wait * 2).min(LAST_LOOK);
            let Ok(daemon) = self.here.daemon() else { continue };
            match daemon.stream(&self.target).await {
                Ok(Ok(events)) => return Ok(events),
                Ok(Err(refusal)) if refusal.status != StatusCode::SERVICE_UNAVAILABLE => {
                    return Err(refusal.accepted().err().unwrap_or_else(unasked));
                }
                _ => {}
            }
        }
    }

    fn read(&mut self, Sent { kind, data }: Sent) -> Heard {
        #[derive(Deserialize)]
        struct Missed {
            count: u64,
        }
        match kind.as_str() {
            "hello" => match serde_json::from_str::<Hello>(&data) {
                Ok(hello) => {
                    let last = self.last.replace(hello.clone());
                    let anew = last.is_none_or(|last| last.started_at != hello.started_at);
                    Heard::Hello { hello, anew }
                }
                Err(_) => Heard::Unknown { data },
            },
            "missed" => match serde_json::from_str(&data) {
                Ok(Missed { count }) => Heard::Missed { count, data },
                Err(_) => Heard::Unknown { data },
            },
            _ => match serde_json::from_str(&data) {
                Ok(news) => Heard::News { news: Box::new(news), data },
                Err(_) => Heard::Unknown { data },
            },
        }
    }
}

/// An answer that is no refusal, and no stream either.
fn unasked() -> Failure {
    Failure::failed("the daemon's answer is of another version; restart it with `trackrelay run`")
}
