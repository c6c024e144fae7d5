//! The table of workers: a name and a future each. Whichever ends first stops them all,
//! and is named when it should not have ended.

use std::future::Future;

use anyhow::{Context, anyhow};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) struct Supervisor {
    workers: JoinSet<(&'static str, anyhow::Result<()>)>,
    names: Vec<(tokio::task::Id, &'static str)>,
    cancel: CancellationToken,
}

impl Supervisor {
    pub(super) fn new(cancel: CancellationToken) -> Supervisor {
        Supervisor { workers: JoinSet::new(), names: Vec::new(), cancel }
    }

    pub(super) fn add(
        &mut self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.workers.spawn(async move { (name, work.await) });
        self.names.push((handle.id(), name));
    }

    /// Waits for all of them. The first that ends before the shutdown, be it by an error, a
    /// panic or without a word, is an error of the whole.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some(ended) = self.workers.join_next().await {
            let expected = self.cancel.is_cancelled();
            let ended = match ended {
                Ok((name, Err(error))) => Err(error.context(format!("worker `{name}` failed"))),
                Ok((name, Ok(()))) if !expected => Err(anyhow!("worker `{name}` ended before its time")),
                Ok((_, Ok(()))) => Ok(()),
                Err(panic) => {
                    let name =
                        self.names.iter().find(|(id, _)| *id == panic.id()).map_or("?", |(_, name)| name);
                    Err(panic).with_context(|| format!("worker `{name}` panicked"))
                }
            };
            result = result.and(ended);
            self.cancel.cancel();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run_with(work: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> String {
        let cancel = CancellationToken::new();
        let mut supervisor = Supervisor::new(cancel.clone());
        supervisor.add("steady", async move {
            cancel.cancelled().await;
            Ok(())
        });
        supervisor.add("odd", work);
        supervisor.run().await.map_or_else(|error| format!("{error:#}"), |()| "ok".into())
    }

    #[tokio::test]
    async fn whoever_ends_early_is_named_and_stops_the_rest() {
        assert_eq!(run_with(async { Ok(()) }).await, "worker `odd` ended before its time");
        assert_eq!(run_with(async { Err(anyhow!("no disk")) }).await, "worker `odd` failed: no disk");
        let panicked = run_with(async { panic!("oops") }).await;
        assert!(panicked.starts_with("worker `odd` panicked"), "{panicked}");
    }
}
