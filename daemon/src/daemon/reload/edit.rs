//! Edits by the running daemon, one after the other: checked before anything is written, and
//! live when they are answered.

use std::path::PathBuf;
use std::sync::Arc;

use super::{FileWatcher, Reloader};
use crate::api::{Edited, NotEdited, Wish};
use crate::clock;
use crate::config::Config;
use crate::config::edit::Edit;
use crate::config::load::{self, Instead, Loaded};
use crate::daemon::edit::{Known, Prepared, end, prepare};
use crate::delivery::Outcome;
use crate::feed::{Ended, News};
use crate::plan::{Plan, ReloadState};

impl Reloader {
    pub(super) async fn edit(&mut self, wish: Wish, watcher: &mut FileWatcher) -> Result<Edited, NotEdited> {
        let plan = Arc::clone(&self.plan.borrow());
        let gone = match &wish {
            Wish::Edit { edit: Edit::Remove { name }, .. } => Some(name.clone()),
            _ => None,
        };
        let prepared = self.prepared(wish, &plan).await?;
        self.check(prepared.instead(), &plan).await?;
        prepared.carry_out(Some(&*self.store), clock::now()).await?;
        let reload = self.load(self.seen.now(), watcher).await;
        if reload.state == ReloadState::Stale {
            return Err(NotEdited::NotLoaded);
        }
        let cancelled = match &gone {
            Some(name) => self.end(name).await?,
            None => 0,
        };
        Ok(Edited { reload, cancelled })
    }

    /// The config as it would be after an edit. Changes nothing.
    pub(super) async fn rehearse(&self, wish: Wish) -> Result<Arc<Config>, NotEdited> {
        let plan = Arc::clone(&self.plan.borrow());
        let prepared = self.prepared(wish, &plan).await?;
        self.check(prepared.instead(), &plan).await
    }

    async fn prepared(&self, wish: Wish, plan: &Plan) -> Result<Prepared, NotEdited> {
        let told = Arc::clone(&self.told.borrow());
        if told.state == ReloadState::Stale && matches!(wish, Wish::Edit { .. }) {
            return Err(NotEdited::Broken(told.problems.clone()));
        }
        let (main, config) = (self.path.clone(), Arc::clone(&plan.config));
        let prepared = blocking(move || {
            prepare(wish, Known { main: &main, subscriptions: &config.subscriptions, hashes: &told.hashes })
        });
        prepared.await?
    }

    /// The config that would load, plugins included.
    async fn check(&self, instead: Instead, before: &Arc<Plan>) -> Result<Arc<Config>, NotEdited> {
        if instead.is_empty() {
            return Ok(Arc::clone(&before.config));
        }
        let path: PathBuf = self.path.clone();
        let mut loaded: Loaded =
            blocking(move || load::load_as_if(&path, &load::environment, &instead)).await?;
        let config = match loaded.result {
            Ok(config) => Arc::new(config),
            Err(_) => {
                let found = self.try_out(std::mem::take(&mut loaded.sound), before).await;
                loaded.refuse(found);
                return Err(NotEdited::Invalid(loaded.problems().to_vec()));
            }
        };
        self.guests(&config, before).await.map_err(NotEdited::Invalid)?;
        Ok(config)
    }

    async fn end(&self, name: &str) -> Result<u64, NotEdited> {
        let cancelled = end(&*self.store, name, clock::now()).await?;
        (0..cancelled).for_each(|_| self.metrics.delivery_ended(name, Outcome::Cancelled.as_str()));
        if cancelled > 0 {
            let (subscription, outcome) = (name.to_owned(), Outcome::Cancelled);
            self.feed.tell(|| News::Ended(Ended { subscription, outcome, count: cancelled }));
        }
        tracing::info!(subscription.name = name, cancelled, "subscription ended");
        Ok(cancelled)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotEdited> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| NotEdited::Failed(panic.to_string()))
}
