//! Where untrusted files are compiled: on a thread of their own, one at a time, and waited
//! for so long and no longer. What compiling is, is `plugin/code.rs`.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::text;

/// How long a load waits for its turn, and then for the compiler. The largest plugins take
/// seconds, in a debug build tens of them.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Time goes on for as long as the machine has other things to do and the daemon did not get
/// that much of its processor, but not beyond so many times the limit.
const BUSY: u32 = 10;

/// Stack for the deepest nesting of types that `plugin/weigh.rs` lets through.
pub(super) const STACK: usize = 16 << 20;

/// One turn to compile. A compiler cannot be interrupted: one that takes too long keeps the
/// turn until it ends, so that there is never a second thread beside it.
#[derive(Clone)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    /// The plugin whose file is being compiled.
    at: Mutex<Option<String>>,
    done: Condvar,
}

impl Turn {
    pub(super) fn new(patience: Duration) -> Turn {
        let shared = Shared { at: Mutex::new(None), done: Condvar::new() };
        Turn { shared: Arc::new(shared), patience }
    }

    /// Runs the work for this plugin and returns what it came to. An error completes "the
    /// file `x` …".
    pub(super) fn take<T, F>(&self, plugin: &str, work: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, String> + Send + 'static,
    {
        let taken = self.wait(plugin)?;
        let (tell, told) = sync_channel(1);
        let compile = move || {
            let _taken = taken;
            // Nobody listens any longer if it took too long.
            tell.send(work()).ok();
        };
        thread::Builder::new()
            .name("plugin-compiler".into())
            .stack_size(STACK)
            .spawn(compile)
            .map_err(|error| format!("cannot be compiled: no thread for it: {error}"))?;
        let begun = process_time();
        for _ in 0..BUSY {
            match told.recv_timeout(self.patience) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if process_time() - begun < self.patience => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("makes the compiler panic, and so cannot be used; the log says where".into());
                }
            }
        }
        Err(self.too_long())
    }

    fn wait(&self, plugin: &str) -> Result<Taken, String> {
        let busy = |at: &mut Option<String>| at.is_some();
        let waited = self.shared.done.wait_timeout_while(self.shared.at(), self.patience, busy);
        let (mut at, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*at {
            Some(other) => Err(format!(
                "has to wait: the file of plugin `{other}` is still being compiled; try again with \
                 `trackrelay reload`"
            )),
            None => {
                *at = Some(plugin.to_owned());
                Ok(Taken(Arc::clone(&self.shared)))
            }
        }
    }

    fn too_long(&self) -> String {
        let limit = text::duration(self.patience);
        format!("takes longer to compile than the limit of {limit}, which no key changes; make it smaller")
    }
}

/// Processor time of the whole daemon: of the compiler's threads, and of whoever else is at
/// work, which only makes it come to an end sooner.
fn process_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

impl Shared {
    fn at(&self) -> MutexGuard<'_, Option<String>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the turn back, however the work ends.
struct Taken(Arc<Shared>);

impl Drop for Taken {
    fn drop(&mut self) {
        *self.0.at() = None;
        self.0.done.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_given_up_and_nothing_runs_beside_it() {
        let turn = Turn::new(Duration::from_millis(20));
        let (end, ended) = sync_channel::<()>(1);
        let (last, lasted) = sync_channel::<()>(1);
        let endless = turn.take("slow", move || {
            ended.recv().unwrap_err();
            drop(last);
            Ok(())
        });
        assert_eq!(
            endless,
            Err("takes longer to compile than the limit of 20ms, which no key changes; make it smaller"
                .into())
        );
        for _ in 0..3 {
            let other = turn.take("p", || -> Result<(), _> { panic!("it runs beside the other") });
            assert_eq!(
                other,
                Err("has to wait: the file of plugin `slow` is still being compiled; try again with \
                     `trackrelay reload`"
                    .into())
            );
        }
        drop(end);
        // Gone before the turn is.
        assert_eq!(lasted.recv(), Err(std::sync::mpsc::RecvError));
        let patient = Turn { patience: PATIENCE, ..turn };
        assert_eq!(patient.take("p", || Ok(7)), Ok(7));
    }

    #[test]
    fn a_panic_is_a_refusal_and_the_next_goes_on() {
        let turn = Turn::new(PATIENCE);
        let panicked = turn.take("p", || -> Result<(), _> { panic!("as it should") });
        assert_eq!(
            panicked,
            Err("makes the compiler panic, and so cannot be used; the log says where".into())
        );
        assert_eq!(turn.take("p", || Err::<(), _>("said no".into())), Err("said no".into()));
    }
}
