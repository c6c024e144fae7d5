//! What an edit changes in the store. Each step answers with the one that takes it back.

use jiff::Timestamp;

use super::kept;
use crate::api::NotEdited;
use crate::config::Secret;
use crate::deliver::rule;
use crate::delivery::{MadeSecret, Standing};
use crate::store::Store;

pub(super) enum Step {
    /// The secret that the store keeps for it.
    Secret {
        name: String,
        made: Option<MadeSecret>,
    },
    /// Id, standing and what waits go along.
    Rename {
        from: String,
        to: String,
    },
    /// Marked before its table goes, so that a crash in between makes nobody its heir.
    Ending {
        name: String,
        ending: bool,
    },
    Nothing,
}

impl Step {
    pub(super) fn secret(name: &str, secret: &Secret) -> Step {
        Step::Secret { name: name.to_owned(), made: Some(kept(secret)) }
    }

    pub(super) async fn take(self, store: &dyn Store, now: Timestamp) -> Result<Step, NotEdited> {
        match self {
            Step::Secret { name, made } => secret(store, name, made, now).await,
            Step::Rename { from, to } => rename(store, from, to, now).await,
            Step::Ending { name, ending } => {
                // One that was added and removed while no daemon ran is unknown to the store.
                let Some(known) = store.named(&name) else { return Ok(Step::Nothing) };
                store.set_standing(known.id, &|standing: &mut Standing| standing.ending = ending).await?;
                Ok(Step::Ending { name, ending: !ending })
            }
            Step::Nothing => Ok(Step::Nothing),
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

async fn rename(store: &dyn Store, from: String, to: String, now: Timestamp) -> Result<Step, NotEdited> {
    let Some(known) = store.named(&from) else { return Ok(Step::Nothing) };
    // A table of that name has vanished from the config some time ago.
    if let Some(earlier) = store.named(&to).filter(|earlier| earlier.id != known.id) {
        match store.waiting(earlier.id).pending {
            0 => drop(store.remove(earlier.id, now).await?),
            waiting => return Err(NotEdited::Waits(waiting, to)),
        }
    }
    store.rename(known.id, &to).await?;
    Ok(Step::Rename { from: to, to: from })
}
