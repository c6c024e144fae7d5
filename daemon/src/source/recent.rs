//! What came to each source of late, for those who ask why nothing arrives. Kept in memory
//! from the start of the daemon on; what was accepted is in the store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

use super::seldom::Seldom;
use crate::plan::Plan;

/// One source, as `status` shows it. Times and counts are from the start of the daemon on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    pub name: String,
    /// Where Track's `url_callback` leads in the end.
    pub path: String,
    /// Duplicates included.
    pub events: u64,
    pub last_event_at: Option<Timestamp>,
    pub last_ping_at: Option<Timestamp>,
    pub refused: u64,
    pub last_refusal: Option<LastRefusal>,
}

/// Why a source refused what came last of what it refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastRefusal {
    pub at: Timestamp,
    /// One word, as in the metrics.
    pub reason: &'static str,
    /// The sentence its sender was given.
    pub said: String,
}

/// All sources that something came to. Holds names of configs only, never a stranger's.
#[derive(Default)]
pub(super) struct Recent(Mutex<HashMap<String, Lately>>);

#[derive(Default)]
struct Lately {
    seen: Seen,
    unproven: Seldom,
    proven: Seldom,
}

impl Recent {
    pub(super) fn event(&self, source: &str, now: Timestamp) {
        let mut all = self.lock();
        let seen = &mut all.entry(source.to_owned()).or_default().seen;
        seen.events += 1;
        seen.last_event_at = Some(now);
    }

    pub(super) fn ping(&self, source: &str, now: Timestamp) {
        self.lock().entry(source.to_owned()).or_default().seen.last_ping_at = Some(now);
    }

    /// Something was refused: how many were before and went unsaid, if this is to be said.
    /// What a stranger sends and what is signed rightly are said each at a pace of its own.
    pub(super) fn refused(&self, source: &str, refusal: LastRefusal, proven: bool) -> Option<u64> {
        let mut all = self.lock();
        let lately = all.entry(source.to_owned()).or_default();
        lately.seen.refused += 1;
        lately.seen.last_refusal = Some(refusal);
        let seldom = if proven { &mut lately.proven } else { &mut lately.unproven };
        seldom.again(Instant::now())
    }

    /// Every source of the plan, in the order of the config. Others are forgotten.
    pub(super) fn of(&self, plan: &Plan) -> Vec<Seen> {
        let mut all = self.lock();
        all.retain(|name, _| plan.source(name).is_some());
        let seen = |name: &String| Seen {
            name: name.clone(),
            path: format!("/track/{name}"),
            ..all.get(name).map(|lately| lately.seen.clone()).unwrap_or_default()
        };
        plan.config.sources.iter().map(|source| seen(&source.name)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lately>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
