//! `GET /api/status` and `POST /api/reload`: how the daemon and its config stand.

use serde_json::{Value, json};

use super::{Api, Reply, next_try};
use crate::delivery::Standing;
use crate::plan::{Planned, Reload, ReloadState};

impl Api {
    pub(super) fn status(&self) -> Value {
        let plan = self.plan();
        let reload = self.reload.borrow();
        let subscriptions: Vec<_> =
            plan.subscriptions.iter().map(|planned| self.subscription(planned)).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started_at": self.about.started_at,
            "listen": { "tcp": self.about.tcp.to_string(), "unix": self.about.unix },
            "workspace_id": plan.config.workspace.id,
            "config": config(&plan.config.path, &reload),
            "store": (self.store_state)(),
            "subscriptions": subscriptions,
            "sources": (self.sources)(),
        })
    }

    pub(super) async fn reload(&self) -> Reply {
        let reload = self.load_again().await?;
        Ok(json!({
            "state": reload.state.as_str(),
            "changes": reload.changes,
            "restart_needed": reload.restart_needed,
            "warnings": reload.warnings,
            "errors": reload.problems,
        }))
    }

    /// One subscription as `status` shows it.
    pub(super) fn subscription(&self, planned: &Planned) -> Value {
        let standing = self.store.standing(planned.id).unwrap_or_default();
        let waiting = self.store.waiting(planned.id);
        let disabled_reason = planned.disabled_reason(&standing);
        let filters: Vec<_> = planned.meant.event_filters.iter().map(ToString::to_string).collect();
        json!({
            "name": planned.name(),
            "subscription_id": planned.id,
            "status": planned.status(&standing),
            "enabled": planned.meant.enabled && standing.disabled.is_none(),
            "validated_at": standing.validation.validated_at.filter(|_| planned.validated(&standing)),
            "has_pending_events": waiting.pending > 0,
            "pending": waiting.pending,
            "held": waiting.held,
            "unreadable": waiting.unreadable,
            "delivered": standing.delivered,
            "failed_attempts": standing.failed_attempts,
            "disabled_reason": disabled_reason,
            "disabled_at": standing.disabled.as_ref().map(|disabled| disabled.at),
            "status_reason": planned.status_reason(&standing),
            "validation_code_url": self.pinger.url_to_open(planned, &standing),
            "last_error": last_error(planned, &standing),
            "retry_at": next_try(&standing),
            "faults": planned.meant.faults.as_ref().map(ToString::to_string),
            "url_callback": planned.meant.url_text,
            "event_filters": filters,
        })
    }
}

/// What the last attempt met, or the last PING of a callback that is not validated.
fn last_error<'a>(planned: &Planned, standing: &'a Standing) -> Option<&'a String> {
    match &standing.pending {
        Some(probe) => Some(&probe.said),
        None => standing.validation.said.as_ref().filter(|_| !planned.validated(standing)),
    }
}

fn config(path: &std::path::Path, reload: &Reload) -> Value {
    let state = if reload.state == ReloadState::Stale { "stale" } else { "ok" };
    json!({
        "path": path,
        "state": state,
        "loaded_at": reload.loaded_at,
        "errors": reload.problems,
        "warnings": reload.warnings,
        "restart_needed": reload.restart_needed,
    })
}
