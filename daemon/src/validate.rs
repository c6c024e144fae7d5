//! Proof that a callback wants our events: signed PINGs, their echoes, validation codes.
//!
//! The worker PINGs every subscription that has yet to be validated until it answers; the
//! API and the command line PING on demand through the same `Pinger`. A PING never counts
//! as a failed attempt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::delivery::{Standing, SubscriptionId};
use crate::feed::{Feed, News};
use crate::plan::{Plan, Planned};
use crate::store::{self, Store};
use crate::telemetry::shell::quoted;

mod ping;

pub use ping::{Pinged, Pinger};

/// Waits before a PING that did not validate is repeated; the last one goes on.
const REPEAT: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];

/// PINGs under way at once: a config of thousands must not open thousands of sockets.
const AT_ONCE: usize = 32;

/// Keeps PINGing what is not validated. Wakes when the plan changes and when a PING is due.
pub async fn run(
    pinger: Pinger,
    mut plan: watch::Receiver<Arc<Plan>>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let tracker = TaskTracker::new();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut chased: HashMap<SubscriptionId, (String, CancellationToken)> = HashMap::new();
    loop {
        let current = Arc::clone(&plan.borrow_and_update());
        let wanted: HashMap<_, _> = current
            .subscriptions
            .iter()
            .filter(|planned| wants_ping(&pinger, planned))
            .map(|planned| (planned.id, Arc::clone(planned)))
            .collect();
        chased.retain(|id, (url, stop)| {
            let stays =
                wanted.get(id).is_some_and(|planned| planned.meant.url_text == *url) && !stop.is_cancelled();
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (id, planned) in wanted {
            chased.entry(id).or_insert_with(|| {
                let stop = cancel.child_token();
                let chase = chase(pinger.clone(), plan.clone(), id, Arc::clone(&turns));
                let ended = stop.clone();
                tracker.spawn(async move {
                    ended.run_until_cancelled(chase).await;
                    ended.cancel();
                });
                (planned.meant.url_text.clone(), stop)
            });
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            // Whoever makes plans ends only when the daemon does, and may end before us.
            changed = plan.changed() => if changed.is_err() { break },
        }
    }
    tracker.close();
    tracker.wait().await;
    Ok(())
}

fn wants_ping(pinger: &Pinger, planned: &Planned) -> bool {
    let standing = pinger.store().standing(planned.id).unwrap_or_default();
    planned.meant.enabled && !planned.validated(&standing)
}

/// PINGs one subscription until it is validated or no longer wants to be.
async fn chase(pinger: Pinger, plan: watch::Receiver<Arc<Plan>>, id: SubscriptionId, turns: Arc<Semaphore>) {
    // Whoever made or enabled it by a command has just PINGed it.
    if pinger.store().standing(id).is_some_and(|standing| standing.validation.asked) {
        tokio::time::sleep(REPEAT[0]).await;
    }
    for round in 0.. {
        let Some(planned) = plan.borrow().get(id).cloned() else { return };
        if !wants_ping(&pinger, &planned) {
            return;
        }
        let pinged = {
            let _turn = turns.acquire().await;
            pinger.ping(&planned).await
        };
        match pinged {
            Ok(pinged) if pinged.validated => return,
            Ok(pinged) => report(&pinger, &planned, &pinged, round),
            Err(error) => {
                tracing::error!(subscription.name = planned.name(), %error, "failed to write a validation down");
            }
        }
        tokio::time::sleep(REPEAT[round.min(REPEAT.len() - 1)]).await;
    }
}

/// Said loudly once; the repetitions are for those who look closely.
fn report(pinger: &Pinger, planned: &Planned, pinged: &Pinged, round: usize) {
    let name = planned.name();
    let said = ping::met(&pinged.answered);
    if round == 0 {
        let url = pinger.url_to_open(planned, &pinger.store().standing(planned.id).unwrap_or_default());
        let or_open = url.map(|url| format!(", or open {url}")).unwrap_or_default();
        tracing::warn!(
            subscription.name = name,
            "not validated, so it gets no events: {said}; it must echo `validation_code`, \
             or run `trackrelay validate {}`{or_open}, or set `validation = \"off\"`",
            quoted(name)
        );
    } else {
        tracing::debug!(subscription.name = name, said, "still not validated");
    }
}

/// Marks a URL validated through the code in its validation URL. `Ok(false)` when it was
/// validated before; `None` when the code is not the subscription's. A callback may open the
/// URL while it is still asked whether it can be one: the subscription is not planned then.
pub async fn confirm(
    store: &dyn Store,
    feed: &Feed,
    id: SubscriptionId,
    planned: Option<&Planned>,
    code: &str,
) -> Result<Option<bool>, store::Error> {
    let standing = store.standing(id).unwrap_or_default();
    let in_force = planned.map(|_| &standing.validation);
    let mut known = in_force.into_iter().chain(&standing.proposed);
    let Some(validation) = known.find(|known| known.code.as_deref() == Some(code)) else { return Ok(None) };
    let Some(url) = validation.url_callback.as_deref().filter(|_| validation.validated_at.is_none()) else {
        return Ok(Some(false));
    };
    let now = mark_validated(store, id, planned.map_or("new", Planned::name), url).await?;
    if let Some(planned) = planned {
        feed.tell(|| News::Standing(planned.stands(&now)));
    }
    Ok(Some(true))
}

async fn mark_validated(
    store: &dyn Store,
    id: SubscriptionId,
    name: &str,
    url: &str,
) -> Result<Arc<Standing>, store::Error> {
    let now = clock::now();
    let change = |standing: &mut Standing| {
        let all = [Some(&mut standing.validation), standing.proposed.as_mut()];
        for validation in all.into_iter().flatten() {
            if validation.url_callback.as_deref() == Some(url) {
                validation.validated_at.get_or_insert(now);
                (validation.asked, validation.said) = (true, None);
            }
        }
    };
    let standing = store.set_standing(id, &change).await?;
    tracing::info!(subscription.name = name, url, "validated");
    Ok(standing)
}

/// How long something took, in whole milliseconds.
fn elapsed_ms(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}
