//! What has to be done now and then: history older than `keep` goes, and how much is left
//! of waits is written down, so that a crash makes none of them start anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Now};
use crate::delivery::{Outcome, SubscriptionId};
use crate::drill;
use crate::feed::{Ended, Feed, News};
use crate::plan::Plan;
use crate::store::Store;
use crate::telemetry::Metrics;
use calm::Calm;

mod calm;

/// Rarely enough to let an idle laptop sleep, often enough that nothing piles up.
const EVERY: Duration = Duration::from_secs(60);

pub(super) async fn run(
    store: Arc<dyn Store>,
    plan: watch::Receiver<Arc<Plan>>,
    metrics: Arc<Metrics>,
    feed: Feed,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let (every, mut calm) = (drill::hurried(EVERY), Calm::from(Now::read()));
    while cancel.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let now = Arc::clone(&plan.borrow());
        if calm.holds(Now::read(), now.config.store.keep) {
            prune(&*store, &now, &metrics, &feed).await;
        }
        keep_waits(&*store, &now).await;
    }
    // The store is still open: it closes when the last worker has ended.
    let last = Arc::clone(&plan.borrow());
    keep_waits(&*store, &last).await;
    Ok(())
}

async fn prune(store: &dyn Store, plan: &Plan, metrics: &Metrics, feed: &Feed) {
    let Ok(before) = clock::now().checked_sub(plan.config.store.keep) else { return };
    match store.prune(before).await {
        Ok(dropped) => dropped.into_iter().for_each(|(subscription, count)| {
            let name =
                plan.get(subscription).map_or_else(|| subscription.to_string(), |p| p.name().to_owned());
            (0..count).for_each(|_| metrics.delivery_ended(&name, Outcome::Dropped.as_str()));
            tracing::warn!(
                subscription.name = name,
                count,
                "dropped deliveries that had waited longer than `[store] keep`"
            );
            feed.tell(|| News::Ended(Ended { subscription: name, outcome: Outcome::Dropped, count }));
        }),
        Err(error) => {
            metrics.store_failed(error.kind());
            tracing::error!(%error, "failed to prune the history");
        }
    }
}

/// A standing is stored with what is left of its wait at that moment, so writing it is enough.
async fn keep_waits(store: &dyn Store, plan: &Plan) {
    let waits = |id: &SubscriptionId| store.standing(*id).is_some_and(|standing| standing.pending.is_some());
    let waiting: Vec<SubscriptionId> =
        plan.subscriptions.iter().map(|planned| planned.id).filter(waits).collect();
    if let Err(error) = store.set_standings(&waiting, &|_, _| {}).await {
        tracing::debug!(%error, "what is left of waits could not be written down");
    }
}
