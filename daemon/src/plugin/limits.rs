//! What a call may use up: time, memory, log. The stack is limited by the engine, the
//! output in `plugin/answer.rs`. How a limit that was hit reads is `plugin/failure.rs`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::ticker::TICK;
use crate::config::PluginLimits;

/// Lines and bytes that a plugin may log in one call.
pub(super) const LOG_LINES: u32 = 100;
pub(super) const LOG_BYTES: usize = 8 << 10;

/// Stack of a call that is not in the plugin's own memory.
pub(super) const STACK: usize = 512 << 10;

/// Most that `limits.memory` can say, which is what one slot of the pool reserves address
/// space for.
pub(super) const MEMORY_CEILING: usize = PluginLimits::MOST.memory;

/// Elements of all tables of a plugin together. A Rust plugin has some hundred, Python 10 000.
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// A call on a machine with too much to do may last this many times its limit, as long
/// as it does not use up more processor time than its limit.
const PATIENCE: u32 = 10;

/// Why a call was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    #[error("out of time")]
    Time,
    #[error("out of memory")]
    Memory { asked: usize },
    #[error("too large a table")]
    Table { asked: usize },
    #[error("too much log")]
    Log,
}

/// Stops a call that runs too long. What counts is processor time, so that a laptop that
/// is asleep, swapping or compiling does not make innocent plugins fail.
pub(super) struct Deadline {
    limit: Duration,
    ticks: u32,
    /// The thread's processor time at the first tick. Nearly all calls end before it, and
    /// so never pay for reading that clock.
    since: Duration,
}

impl Deadline {
    pub(super) fn new(limit: Duration) -> Deadline {
        Deadline { limit, ticks: 0, since: Duration::ZERO }
    }

    /// Another call begins.
    pub(super) fn restart(&mut self) {
        self.ticks = 0;
    }

    /// Another tick passed within the call.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let now = thread_time();
        if self.ticks == 0 {
            self.since = now;
        }
        self.ticks += 1;
        let used = now.saturating_sub(self.since);
        if used >= self.limit || TICK * self.ticks > self.limit * PATIENCE + TICK {
            return Err(Stop::Time.into());
        }
        Ok(UpdateDeadline::Continue(1))
    }
}

/// Counts all memories of an instance together.
pub(super) struct Memory {
    limit: usize,
    used: usize,
    elements: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Memory {
        Memory { limit, used: 0, elements: 0 }
    }

    /// Bytes held now. Memories never shrink.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.used.saturating_add(desired.saturating_sub(current));
        if asked > self.limit {
            // An error rather than `false`: a plugin that sees its allocator fail aborts with
            // a trap that does not tell why.
            return Err(Stop::Memory { asked }.into());
        }
        self.used = asked;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.elements.saturating_add(desired.saturating_sub(current));
        if asked > TABLE_ELEMENTS {
            return Err(Stop::Table { asked }.into());
        }
        self.elements = asked;
        Ok(true)
    }
}

/// What a call may still log.
pub(super) struct LogBudget {
    lines: u32,
    bytes: usize,
}

impl LogBudget {
    pub(super) fn full() -> LogBudget {
        LogBudget { lines: LOG_LINES, bytes: LOG_BYTES }
    }

    pub(super) fn spend(&mut self, line: &str) -> wasmtime::Result<()> {
        match (self.lines.checked_sub(1), self.bytes.checked_sub(line.len())) {
            (Some(lines), Some(bytes)) => {
                *self = LogBudget { lines, bytes };
                Ok(())
            }
            _ => Err(Stop::Log.into()),
        }
    }
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
