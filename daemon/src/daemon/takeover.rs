//! What a new plan means for how subscriptions stand: a changed table is enabled again, a
//! changed URL has to be validated again. Compared with what the store last saw, so that a
//! change made while the daemon was down counts just the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{Config, Subscription};
use crate::deliver::rule;
use crate::delivery::{MadeSecret, Standing, SubscriptionId, Validation};
use crate::store::{self, Enrolled, Store};

/// Letters of a secret made here, as in Track's published sample: about 114 bits.
const SECRET_LETTERS: usize = 20;

/// The store's word on every subscription of the config, in its order, brought up to date.
pub(super) async fn enroll(
    store: &dyn Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Enrolled>, store::Error> {
    let names: Vec<_> = config.subscriptions.iter().map(|subscription| subscription.name.clone()).collect();
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
        standing.validation = Validation { url_callback, ..Validation::default() };
    }
    if meant.secret.is_none() {
        standing.made_secret.get_or_insert_with(make_secret);
    }
    standing.created_at.get_or_insert(now);
}

fn other_url(meant: &Subscription, validation: &Validation) -> bool {
    validation.url_callback.as_ref() != Some(&meant.url_text)
}

/// Letters A to Z and a to z from the system's cryptographic generator.
fn make_secret() -> MadeSecret {
    const ALPHABET: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
    MadeSecret((0..SECRET_LETTERS).map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_secret_is_twenty_letters_and_never_the_same() {
        let MadeSecret(secret) = make_secret();
        assert_eq!(secret.len(), 20);
        assert!(secret.bytes().all(|byte| byte.is_ascii_alphabetic()));
        assert_ne!(MadeSecret(secret), make_secret());
    }
}
