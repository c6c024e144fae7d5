//! How the daemon is asked to stop: a signal asks, a second one insists.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a repeated signal counts as the first.
const ECHO: Duration = Duration::from_millis(100);

/// What a second signal ends with.
#[derive(Debug, thiserror::Error)]
#[error("stopped at once by a second signal; what was under way is done again at the next start")]
pub struct Insisted;

/// SIGINT and SIGTERM, caught from the moment this is made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn catch() -> io::Result<Signals> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Signals { interrupt, terminate })
    }

    /// Runs `work` until it ends. The first signal cancels it and lets it finish in its own
    /// way; the second does not wait for that.
    pub async fn govern<T>(
        mut self,
        work: impl Future<Output = T>,
        cancel: CancellationToken,
    ) -> Result<T, Insisted> {
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => return Ok(done),
            () = self.next() => {}
        }
        // Some send the signal to a process and to its group: that is one wish, said twice.
        let echo = tokio::time::sleep(ECHO);
        tracing::info!("stopping; what is under way may finish, a second signal stops at once");
        cancel.cancel();
        let insisted = async {
            echo.await;
            self.forget();
            self.next().await;
        };
        tokio::select! {
            done = &mut work => Ok(done),
            () = insisted => Err(Insisted),
        }
    }

    /// Drops what has been signalled and not yet looked at.
    fn forget(&mut self) {
        while self.next().now_or_never().is_some() {}
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
