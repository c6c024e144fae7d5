//! What a new plan means for how subscriptions stand: a changed table is enabled again, a
//! changed URL has to be validated again. Compared with what the store last saw, so that a
//! change made while the daemon was down counts just the same.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{Config, Secret, Subscription};
use crate::deliver::rule;
use crate::delivery::{MadeSecret, Standing, SubscriptionId, Validation};
use crate::store::{self, Enrolled, Store};

/// The store's word on every subscription of the config, in its order, brought up to date.
pub(super) async fn enroll(
    store: &dyn Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Enrolled>, store::Error> {
    let names: Vec<_> = config.subscriptions.iter().map(|subscription| subscription.name.clone()).collect();
    finish_renames(store, config, now).await?;
    for name in &names {
        // A deletion that was cut short is finished before its name is used again.
        if let Some(ending) = store.named(name).filter(|known| known.standing.ending) {
            store.remove(ending.id, now).await?;
        }
    }
    let enrolled = store.enroll(&names, now).await?;
    let pairs = config.subscriptions.iter().zip(&enrolled);
    let news = pairs.filter(|(meant, enrolled)| is_news(meant, &enrolled.standing));
    let news: BTreeMap<SubscriptionId, &Subscription> =
        news.map(|(meant, enrolled)| (enrolled.id, meant)).collect();
    let changed: Vec<SubscriptionId> = news.keys().copied().collect();
    let change = |id, standing: &mut Standing| {
        if let Some(meant) = news.get(&id) {
            take_over(meant, standing, now);
        }
    };
    store.set_standings(&changed, &change).await?;
    let as_now = |enrolled: Enrolled| match store.standing(enrolled.id) {
        Some(standing) => Enrolled { standing, ..enrolled },
        None => enrolled,
    };
    Ok(enrolled.into_iter().map(as_now).collect())
}

/// Ends what was being deleted when the last daemon, or the last command, died.
pub(super) async fn finish_deletions(store: &dyn Store, now: Timestamp) -> Result<(), store::Error> {
    for ending in store.known().into_iter().filter(|known| known.standing.ending) {
        store.remove(ending.id, now).await?;
    }
    Ok(())
}

/// A subscription whose new name is in the config goes on under that name.
pub(super) async fn finish_renames(
    store: &dyn Store,
    config: &Config,
    now: Timestamp,
) -> Result<(), store::Error> {
    let marked: Vec<_> =
        store.known().into_iter().filter(|known| known.standing.renaming.is_some()).collect();
    if marked.is_empty() {
        return Ok(());
    }
    let names: HashSet<&str> =
        config.subscriptions.iter().map(|subscription| subscription.name.as_str()).collect();
    for known in marked {
        let new = known.standing.renaming.as_deref().unwrap_or_default();
        if names.contains(new) && !names.contains(known.name.as_str()) && make_way(store, new, now).await? {
            store.rename(known.id, new).await?;
        }
        // Its table has another name than was meant to be, or this one by now.
        store.set_standing(known.id, &|standing: &mut Standing| standing.renaming = None).await?;
    }
    Ok(())
}

/// Whether the name is free, once an earlier subscription of which nothing waits has gone.
async fn make_way(store: &dyn Store, name: &str, now: Timestamp) -> Result<bool, store::Error> {
    match store.named(name) {
        Some(earlier) if store.waiting(earlier.id).pending > 0 => Ok(false),
        Some(earlier) => store.remove(earlier.id, now).await.map(|_| true),
        None => Ok(true),
    }
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
        store.set_standing(after.id, &mark).await.unwrap();
        finish_deletions(&store, now).await.unwrap();
        assert!(store.known().is_empty());
    }

    /// Died between the mark and the table's new name, before or after.
    #[tokio::test]
    async fn a_rename_is_finished_by_whoever_loads_the_new_name() {
        let (store, now) = (MemoryStore::new(), clock::now());
        let named = |name| fixture::config(vec![fixture::subscription(name)]);
        let before = enroll(&store, &named("a"), now).await.unwrap().remove(0);
        let mark = |standing: &mut Standing| standing.renaming = Some("b".to_owned());
        for (name, written) in [("a", false), ("b", true)] {
            store.set_standing(before.id, &mark).await.unwrap();
            let after = enroll(&store, &named(name), now).await.unwrap().remove(0);
            assert_eq!((after.id, after.name.as_str()), (before.id, name), "{written}");
            assert_eq!(after.standing.renaming, None);
        }
        assert_ne!(enroll(&store, &named("a"), now).await.unwrap().remove(0).id, before.id);
    }
}
