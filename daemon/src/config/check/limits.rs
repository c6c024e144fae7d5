//! Track's limits on subscriptions and their event filters, with Track's words.

use std::collections::HashMap;

use super::{Notes, Written};
use crate::config::file::At;
use crate::config::problem::Flaw;
use crate::config::{Subscription, Workspace};
use crate::track::Refused;

/// Tables with `enabled = true` count, whatever became of them since.
pub(super) fn check(
    workspace: &Workspace,
    files: &[Written],
    subscriptions: &[Subscription],
    notes: &mut Notes,
) {
    let mut enabled: HashMap<Option<i64>, usize> = HashMap::new();
    for subscription in subscriptions {
        let count = subscription.event_filters.len();
        if let Some(limit) = workspace.limit.event_filters().filter(|limit| count > *limit) {
            refuse(files, subscription, &Refused::TooManyFilters { limit, count }, "list fewer", notes);
        }
        if !subscription.enabled {
            continue;
        }
        let user_id = subscription.creator.user_id;
        let counted = enabled.entry(workspace.limit.counts_apart(user_id)).or_default();
        *counted += 1;
        if let Some(limit) = workspace.limit.subscriptions().filter(|limit| *counted > *limit) {
            let refused = Refused::TooManySubscriptions { user: user_id, limit, workspace: workspace.id };
            refuse(files, subscription, &refused, "set `enabled = false` here", notes);
        }
    }
}

fn refuse(files: &[Written], subscription: &Subscription, refused: &Refused, way: &str, notes: &mut Notes) {
    let hint = format!("{way}, or another `limit` in `[workspace]`");
    let name = At { value: subscription.name.clone(), span: 0..0 };
    let home = files.iter().find(|written| written.text.file() == subscription.place.file);
    if let Some(written) = home
        && let Some((name, _)) = written.file.subscription.get_key_value(&name)
    {
        notes
            .problems
            .push(written.text.problem(Flaw::new(name.span.clone(), refused.to_string()).hint(hint)));
    }
}
