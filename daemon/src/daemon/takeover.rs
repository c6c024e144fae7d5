//! What a new plan means for how subscriptions stand: a changed table is enabled again, a
//! changed URL has to be validated again. Compared with what the store last saw, so that a
//! change made while the daemon was down counts just the same.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::config::{Config, Secret, Subscription};
use crate::deliver::rule;
use crate::delivery::{MadeSecret, Standing, Validation};
use crate::store::{self, Enrolled, Store};

/// Standings written at the same time; they share their syncs.
const AT_ONCE: usize = 512;

/// The store's word on every subscription of the config, in its order, brought up to date.
pub(super) async fn enroll(
    store: &dyn Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Enrolled>, store::Error> {
    let names: Vec<_> = config.subscriptions.iter().map(|subscription| subscription.name.clone()).collect();
    let mut enrolled = store.enroll(&names, now).await?;
    if end_what_is_ending(store, &enrolled, now).await? {
        enrolled = store.enroll(&names, now).await?;
    }
    let pairs = config.subscriptions.iter().zip(enrolled);
    let updates: Vec<_> =
        pairs.map(|(meant, enrolled)| update(store, meant, enrolled, now).boxed()).collect();
    stream::iter(updates).buffered(AT_ONCE).try_collect().await
}

/// A deletion that was cut short, say by a crash, is finished before its name is used again.
async fn end_what_is_ending(
    store: &dyn Store,
    enrolled: &[Enrolled],
    now: Timestamp,
) -> Result<bool, store::Error> {
    let mut some = false;
    for enrolled in enrolled.iter().filter(|enrolled| enrolled.standing.ending) {
        store.remove(enrolled.id, now).await?;
        some = true;
    }
    Ok(some)
}

async fn update(
    store: &dyn Store,
    meant: &Subscription,
    enrolled: Enrolled,
    now: Timestamp,
) -> Result<Enrolled, store::Error> {
    if !is_news(meant, &enrolled.standing) {
        return Ok(enrolled);
    }
    let change = |standing: &mut Standing| take_over(meant, standing, now);
    let standing = store.set_standing(enrolled.id, &change).await?;
    Ok(Enrolled { standing, ..enrolled })
}

/// Whether the store has seen this table before, just as it is.
fn is_news(meant: &Subscription, standing: &Arc<Standing>) -> bool {
    standing.table_digest.as_ref() != Some(&meant.digest)
        || (meant.secret.is_none() && standing.made_secret.is_none())
        || other_url(meant, &standing.validation)
}

fn take_over(meant: &Subscription, standing: &mut Standing, now: Timestamp) {
    if standing.table_digest.as_ref() != Some(&meant.digest) {
        standing.table_digest = Some(meant.digest.clone());
        standing.updated_at = Some(now);
        rule::open_lanes(standing);
    }
    if other_url(meant, &standing.validation) {
        let url_callback = Some(meant.url_text.clone());
        let proposed = standing.proposed.take().filter(|proposed| proposed.url_callback == url_callback);
        let unknown = || Validation { url_callback, ..Validation::default() };
        standing.validation = proposed.unwrap_or_else(unknown);
    }
    if meant.secret.is_none() {
        standing.made_secret.get_or_insert_with(|| MadeSecret(Secret::make().reveal().to_owned()));
    }
    standing.created_at.get_or_insert(now);
}

fn other_url(meant: &Subscription, validation: &Validation) -> bool {
    validation.url_callback.as_ref() != Some(&meant.url_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::config::fixture;
    use crate::store::memory::MemoryStore;

    /// Died after the mark and before the table was gone.
    #[tokio::test]
    async fn a_deletion_that_was_cut_short_makes_nobody_an_heir() {
        let (store, now) = (MemoryStore::new(), clock::now());
        let config = fixture::config(vec![fixture::subscription("a")]);
        let before = enroll(&store, &config, now).await.unwrap().remove(0);
        let mark = |standing: &mut Standing| standing.ending = true;
        store.set_standing(before.id, &mark).await.unwrap();
        let after = enroll(&store, &config, now).await.unwrap().remove(0);
        assert!(after.id > before.id && !after.standing.ending);
        assert_ne!(after.standing.made_secret, before.standing.made_secret);
        assert_eq!(enroll(&store, &config, now).await.unwrap().remove(0).id, after.id);
    }
}
