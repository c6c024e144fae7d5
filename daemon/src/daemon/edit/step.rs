//! What an edit changes in the store. Each step answers with the one that takes it back.

use jiff::Timestamp;

use super::kept;
use crate::api::NotEdited;
use crate::config::Secret;
use crate::deliver::rule;
use crate::delivery::{MadeSecret, Standing};
use crate::store::{Change, Store};

pub(super) enum Step {
    /// The secret that the store keeps for it.
    Secret { name: String, made: Option<MadeSecret> },
    /// Marked before its table has the other name. Whoever loads that finds the mark.
    Renaming { name: String, to: Option<String> },
    /// Marked before its table goes, so that a crash in between makes nobody its heir.
    Ending { name: String, ending: bool },
}

impl Step {
    pub(super) fn secret(name: &str, secret: &Secret) -> Step {
        Step::Secret { name: name.to_owned(), made: Some(kept(secret)) }
    }

    pub(super) async fn take(self, store: &dyn Store, now: Timestamp) -> Result<Step, NotEdited> {
        match self {
            Step::Secret { name, made } => secret(store, name, made, now).await,
            Step::Renaming { name, to } => {
                if let Some(taken) = to.as_ref().and_then(|to| waits(store, to)) {
                    return Err(taken);
                }
                mark(store, &name, &|standing| standing.renaming.clone_from(&to)).await?;
                Ok(Step::Renaming { name, to: None })
            }
            Step::Ending { name, ending } => {
                mark(store, &name, &|standing| standing.ending = ending).await?;
                Ok(Step::Ending { name, ending: !ending })
            }
        }
    }
}

/// Ends a subscription whose table is gone. Says how much waited for it.
pub(in crate::daemon) async fn end(store: &dyn Store, name: &str, now: Timestamp) -> Result<u64, NotEdited> {
    match store.named(name) {
        Some(known) => Ok(store.remove(known.id, now).await?),
        None => Ok(0),
    }
}

/// Like any change of a subscription, this enables it if failures had disabled it.
async fn secret(
    store: &dyn Store,
    name: String,
    made: Option<MadeSecret>,
    now: Timestamp,
) -> Result<Step, NotEdited> {
    let enrolled = store.enroll(std::slice::from_ref(&name), now).await?;
    let enrolled = enrolled.into_iter().next().ok_or_else(|| NotEdited::Unknown(name.clone()))?;
    let change = |standing: &mut Standing| {
        standing.made_secret.clone_from(&made);
        standing.updated_at = Some(now);
        rule::open_lanes(standing);
    };
    store.set_standing(enrolled.id, &change).await?;
    Ok(Step::Secret { name, made: enrolled.standing.made_secret.clone() })
}

/// A subscription of that name has left the config some time ago, and could come back.
fn waits(store: &dyn Store, name: &str) -> Option<NotEdited> {
    let waiting = store.waiting(store.named(name)?.id).pending;
    (waiting > 0).then(|| NotEdited::Waits(waiting, name.to_owned()))
}

/// One that was added while no daemon ran is unknown to the store, and needs no mark.
async fn mark(store: &dyn Store, name: &str, mark: Change<'_>) -> Result<(), NotEdited> {
    if let Some(known) = store.named(name) {
        store.set_standing(known.id, mark).await?;
    }
    Ok(())
}
