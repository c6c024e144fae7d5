//! What the feed hears of a load: how it went, and which subscriptions stand otherwise by it.

use std::collections::HashMap;

use crate::delivery::{Status, SubscriptionId};
use crate::feed::{Feed, Loaded, News};
use crate::plan::{Plan, Planned, Reload, ReloadState};
use crate::store::Store;

/// How subscriptions stood.
pub(super) type Stood = HashMap<SubscriptionId, Status>;

/// How everything stands before the load; none if nobody listens.
pub(super) fn standings(feed: &Feed, plan: &Plan, store: &dyn Store) -> Option<Stood> {
    let status = |planned: &Planned| planned.status(&store.standing(planned.id).unwrap_or_default());
    let stood = || plan.subscriptions.iter().map(|planned| (planned.id, status(planned))).collect();
    feed.is_heard().then(stood)
}

/// A look at files that say what is in force already is no news, unless they were refused before.
pub(super) fn tell(feed: &Feed, reload: &Reload, last: ReloadState) {
    if reload.state != ReloadState::Unchanged || last == ReloadState::Stale {
        feed.tell(|| News::Reload(loaded(reload)));
    }
}

fn loaded(reload: &Reload) -> Loaded {
    Loaded {
        state: reload.state.as_str().into(),
        changes: reload.changes.clone(),
        restart_needed: reload.restart_needed.clone(),
        problems: reload.problems.iter().map(ToString::to_string).collect(),
    }
}

/// Also those that are new.
pub(super) fn tell_standings(feed: &Feed, before: Option<&Stood>, plan: &Plan, store: &dyn Store) {
    let Some(before) = before else { return };
    for planned in &plan.subscriptions {
        let standing = store.standing(planned.id).unwrap_or_default();
        if before.get(&planned.id) != Some(&planned.status(&standing)) {
            feed.tell(|| News::Standing(planned.stands(&standing)));
        }
    }
}
