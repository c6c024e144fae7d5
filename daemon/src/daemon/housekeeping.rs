//! What has to be done now and then: history older than `keep` goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::delivery::Outcome;
use crate::drill;
use crate::plan::Plan;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Rarely enough to let an idle laptop sleep, often enough that nothing piles up.
const EVERY: Duration = Duration::from_secs(60);

pub(super) async fn run(
    store: Arc<dyn Store>,
    plan: watch::Receiver<Arc<Plan>>,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let every = drill::hurried(EVERY);
    while cancel.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let now = Arc::clone(&plan.borrow());
        let Ok(before) = clock::now().checked_sub(now.config.store.keep) else { continue };
        match store.prune(before).await {
            Ok(dropped) => dropped.into_iter().for_each(|(subscription, count)| {
                let name =
                    now.get(subscription).map_or_else(|| subscription.to_string(), |p| p.name().to_owned());
                (0..count).for_each(|_| metrics.delivery_ended(&name, Outcome::Dropped.as_str()));
                tracing::warn!(
                    subscription.name = name,
                    count,
                    "dropped deliveries that had waited longer than `[store] keep`"
                );
            }),
            Err(error) => {
                metrics.store_failed(error.kind());
                tracing::error!(%error, "failed to prune the history");
            }
        }
    }
    Ok(())
}
