//! What a try at a delivery leaves behind for `why`: what each plugin said, and how the
//! exchange with the callback went. Data and its bounds only.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes that all plugins of one try may take in the store, as JSON. With an exchange, which
/// is bounded by its excerpt, a trace stays below 4 KiB: history holds one for every event.
const PLUGIN_BYTES: usize = 3 << 10;

/// What numbers, words and brackets of one call take at most.
const CALL_BYTES: usize = 64;

/// Of one line of log as much is kept as a terminal shows in three lines.
const LINE_CHARS: usize = 240;

/// One try, or what came of it until something stopped it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// In the order they were asked.
    #[serde(default)]
    pub plugins: Vec<Called>,
    /// Calls that there was no room for.
    #[serde(default)]
    pub plugins_cut: usize,
    /// None: the callback was not asked.
    pub exchange: Option<Exchange>,
    /// Digest of the body, when a transform made it. See `digest`.
    pub body: Option<String>,
}

/// One call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Called {
    pub plugin: String,
    pub stage: Stage,
    pub verdict: Verdict,
    /// Of a skip or a failure.
    pub reason: Option<String>,
    pub took_us: u64,
    /// Bytes of memory that its instance holds.
    pub memory: u64,
    /// Oldest first.
    pub lines: Vec<Line>,
    /// Lines before these that there was no room for.
    #[serde(default)]
    pub lines_cut: usize,
}

/// One line that a plugin logged, made printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

/// Which list of a subscription a plugin stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Stage {
    Filter = 0,
    Transform = 1,
}

/// A plugin's word. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Verdict {
    Deliver = 0,
    Unchanged = 1,
    Replaced = 2,
    Skip = 3,
    Failed = 4,
}

/// An exchange with a callback. Times in µs; none for what did not happen or did not end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// The address dialled last.
    pub address: Option<SocketAddr>,
    /// It went over a connection that stood already, so nothing was looked up or dialled.
    pub reused: bool,
    pub http: Option<Http>,
    pub dns_us: Option<u64>,
    pub connect_us: Option<u64>,
    pub tls_us: Option<u64>,
    /// From the beginning to the status.
    pub first_byte_us: Option<u64>,
    /// From the beginning to the end, whatever ended it.
    pub total_us: u64,
    /// How the answer's body begins.
    pub excerpt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[repr(u8)]
pub enum Http {
    #[serde(rename = "HTTP/1.0")]
    V10 = 10,
    #[serde(rename = "HTTP/1.1")]
    V11 = 11,
    #[serde(rename = "HTTP/2")]
    V2 = 20,
}

impl Trace {
    /// Cuts it to its bound: lines of log go first, the oldest of them.
    pub fn cut(&mut self) {
        let mut room = PLUGIN_BYTES;
        let fitting = self.plugins.iter().take_while(|call| take(&mut room, call.weight())).count();
        self.plugins_cut += self.plugins.len() - fitting;
        self.plugins.truncate(fitting);
        for call in &mut self.plugins {
            call.cut_lines(&mut room);
        }
    }
}

impl Called {
    fn weight(&self) -> usize {
        CALL_BYTES + weight(&self.plugin) + self.reason.as_deref().map_or(0, weight)
    }

    fn cut_lines(&mut self, room: &mut usize) {
        self.lines.iter_mut().for_each(|line| shorten(&mut line.text));
        let kept = self.lines.iter().rev().take_while(|line| take(room, weight(&line.text) + 8)).count();
        let cut = self.lines.len() - kept;
        self.lines.drain(..cut);
        self.lines_cut += cut;
    }
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }

    pub fn from_code(code: u8) -> Option<Level> {
        [Level::Debug, Level::Info, Level::Warn, Level::Error].into_iter().find(|it| *it as u8 == code)
    }
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Filter => "filter",
            Stage::Transform => "transform",
        }
    }

    pub fn from_code(code: u8) -> Option<Stage> {
        [Stage::Filter, Stage::Transform].into_iter().find(|it| *it as u8 == code)
    }
}

impl Verdict {
    pub const ALL: [Verdict; 5] =
        [Verdict::Deliver, Verdict::Unchanged, Verdict::Replaced, Verdict::Skip, Verdict::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Deliver => "deliver",
            Verdict::Unchanged => "unchanged",
            Verdict::Replaced => "replaced",
            Verdict::Skip => "skip",
            Verdict::Failed => "failed",
        }
    }

    pub fn from_code(code: u8) -> Option<Verdict> {
        Verdict::ALL.into_iter().find(|it| *it as u8 == code)
    }
}

impl Http {
    pub fn as_str(self) -> &'static str {
        match self {
            Http::V10 => "HTTP/1.0",
            Http::V11 => "HTTP/1.1",
            Http::V2 => "HTTP/2",
        }
    }

    pub fn from_code(code: u8) -> Option<Http> {
        [Http::V10, Http::V11, Http::V2].into_iter().find(|it| *it as u8 == code)
    }
}

/// Whole microseconds, at least one: what took place took time.
pub fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Bytes of a text in JSON.
fn weight(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    3 + text.bytes().map(byte).sum::<usize>()
}

/// Takes so much of the room, if there is so much.
fn take(room: &mut usize, bytes: usize) -> bool {
    let left = room.checked_sub(bytes);
    *room = left.unwrap_or(*room);
    left.is_some()
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LINE_CHARS) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(plugin: &str, lines: &[&str]) -> Called {
        let line = |text: &&str| Line { level: Level::Info, text: (*text).to_owned() };
        let (reason, lines) = (Some("x".repeat(500)), lines.iter().map(line).collect());
        let (stage, verdict) = (Stage::Filter, Verdict::Failed);
        Called { plugin: plugin.into(), stage, verdict, reason, took_us: 1, memory: 1, lines, lines_cut: 0 }
    }

    #[test]
    fn the_oldest_lines_go_first_and_then_whole_calls() {
        let long = "\"".repeat(1000);
        let lines = vec![long.as_str(); 9].into_iter().chain(["last words"]).collect::<Vec<_>>();
        let mut trace = Trace { plugins: vec![called("a", &lines), called("b", &["b"])], ..Trace::default() };
        trace.cut();
        assert_eq!((trace.plugins[0].lines.len(), trace.plugins[0].lines_cut), (4, 6));
        assert_eq!(trace.plugins[0].lines[3].text, "last words");
        assert_eq!(trace.plugins[0].lines[0].text, "\"".repeat(LINE_CHARS) + "…");
        assert_eq!((trace.plugins[1].lines.len(), trace.plugins_cut), (1, 0), "a shorter one finds room");

        let mut trace = Trace { plugins: vec![called("a", &["a"]); 50], ..Trace::default() };
        trace.cut();
        assert_eq!((trace.plugins.len(), trace.plugins_cut), (5, 45));
    }
}
