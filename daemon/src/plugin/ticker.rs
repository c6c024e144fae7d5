//! The clock that stops plugins: advances the engine's epoch while calls are running, and
//! sleeps for good while none are, so that an idle daemon never wakes up for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// How finely calls are timed. A runaway call ends within two ticks of its limit; a tick
/// costs a wake-up of some microseconds, and only while calls are running.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// Owns the thread; dropping it ends the thread.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Time passes as long as one of these is held.
pub(super) struct Ticking<'a>(&'a Shared);

struct Shared {
    /// Calls begun so far in the upper bits, calls running in the lower 16: both in one
    /// word, so that one look tells whether anything happened since the last.
    activity: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
}

const RUNNING: u64 = 0xffff;
const BEGUN: u64 = RUNNING + 1;

impl Ticker {
    pub(super) fn start(engine: Engine) -> io::Result<Ticker> {
        let shared = Arc::new(Shared {
            activity: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("plugin-ticker".into()).spawn(move || theirs.run(&engine))?;
        Ok(Ticker { shared, thread: Some(thread) })
    }

    /// Lets time pass until the guard is dropped. Costs two additions, and a wake-up of the
    /// thread only if it had gone to sleep.
    pub(super) fn tick(&self) -> Ticking<'_> {
        self.shared.activity.fetch_add(BEGUN + 1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        Ticking(&self.shared)
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // The thread runs nothing that could panic, and there is nobody to tell if it did.
            drop(thread.join());
        }
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.activity.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, engine: &Engine) {
        let mut seen = 0;
        while !self.stop.load(Ordering::SeqCst) {
            // It sleeps only after a whole tick without a call: under steady load it keeps
            // ticking, and calls need not wake it.
            let now = self.activity.load(Ordering::SeqCst);
            if now == seen && now & RUNNING == 0 {
                self.sleep(now);
            } else {
                seen = now;
                thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        }
    }

    /// Sleeps until the next call. The flag goes up before the last look at `activity`, and
    /// a call changes `activity` before it looks at the flag: one of the two sees the other.
    fn sleep(&self, seen: u64) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.activity.load(Ordering::SeqCst) == seen && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use wasmtime::Config;

    use super::*;

    fn ticker() -> Ticker {
        Ticker::start(Engine::new(Config::new().epoch_interruption(true)).unwrap()).unwrap()
    }

    fn until(what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            thread::yield_now();
        }
    }

    fn is_asleep(ticker: &Ticker) -> bool {
        ticker.shared.asleep.load(Ordering::SeqCst)
    }

    #[test]
    fn it_sleeps_until_there_is_a_call_and_again_after_it() {
        let ticker = ticker();
        until("it falls asleep at the start", || is_asleep(&ticker));
        for _ in 0..3 {
            let ticking = ticker.tick();
            until("a call wakes it", || !is_asleep(&ticker));
            drop(ticking);
            until("it falls asleep after the call", || is_asleep(&ticker));
        }
    }

    #[test]
    fn no_call_is_missed_however_short_the_pause() {
        let ticker = ticker();
        for pause in (0..200).map(|at| TICK * at / 100) {
            thread::sleep(pause / 10);
            let _ticking = ticker.tick();
            // Awake, or about to see this call before it sleeps.
            until("it is awake while a call runs", || !is_asleep(&ticker));
        }
    }

    #[test]
    fn dropping_it_ends_its_thread() {
        let ticker = ticker();
        let shared = Arc::downgrade(&ticker.shared);
        until("it falls asleep", || is_asleep(&ticker));
        drop(ticker);
        assert_eq!(shared.strong_count(), 0);
    }
}
