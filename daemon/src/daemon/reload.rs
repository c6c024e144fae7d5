//! Reload: notice, settle, load, check, diff, build, swap one pointer, tell. Nothing old
//! stops before the new stands, so there is nothing to restore when something is wrong.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::takeover;
use super::watch_files::FileWatcher;
use crate::api::Asked;
use crate::clock;
use crate::config::load::{self, Loaded};
use crate::config::{Config, Problem, Sound, diff};
use crate::drill::{self, Point};
use crate::feed::Feed;
use crate::plan::{Guests, Plan, Planned, Reload, ReloadState};
use crate::plugin::Host;
use crate::store::Store;
use crate::telemetry::Metrics;
use fingerprint::Fingerprint;

mod edit;
mod news;
pub(super) mod fingerprint;

/// How often files are looked at until they are at rest: the finer, the less is waited beyond it.
const GLANCE: Duration = Duration::from_millis(25);

/// Looks without a change that count as rest, 100 ms: editors save in steps.
const LOOKS: u32 = 4;

/// Files that change without end are read all the same after so many looks, one second.
const LOOKS_AT_MOST: u32 = 40;

/// A file that is saved whenever it is read is taken as it is after so many readings.
const READS_AT_MOST: u32 = 3;

/// Holds the one sender of plans: whoever wants another plan asks here.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) store: Arc<dyn Store>,
    pub(super) host: Arc<Host>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) feed: Feed,
    pub(super) plan: watch::Sender<Arc<Plan>>,
    pub(super) told: watch::Sender<Arc<Reload>>,
    pub(super) requests: mpsc::Receiver<Asked>,
    /// SIGHUP.
    pub(super) hangups: Signal,
    pub(super) seen: Fingerprint,
}

impl Reloader {
    pub(super) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let (mut watcher, mut notices) = FileWatcher::new();
        let mut closed = false;
        self.watch(&mut watcher);
        // Something may have been saved between the first load and the first watch.
        self.load_if_changed(&mut watcher).await;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                Some(()) = notices.recv() => self.load_if_changed(&mut watcher).await,
                _ = self.hangups.recv() => drop(self.load(self.seen.now(), &mut watcher).await),
                request = self.requests.recv(), if !closed => match request {
                    // Whoever asked may have gone away before the answer.
                    Some(Asked::Reload(answer)) => {
                        drop(answer.send(self.load(self.seen.now(), &mut watcher).await));
                    }
                    Some(Asked::Edit(wish, answer)) => {
                        drop(answer.send(self.edit(*wish, &mut watcher).await));
                    }
                    Some(Asked::Rehearse(wish, answer)) => drop(answer.send(self.rehearse(*wish).await)),
                    None => closed = true,
                },
            }
        }
    }

    /// A notice says only that something happened in a folder; most of it is not ours.
    async fn load_if_changed(&mut self, watcher: &mut FileWatcher) {
        if self.seen.now() == self.seen {
            return self.watch(watcher);
        }
        let at_rest = self.at_rest().await;
        self.load(at_rest, watcher).await;
    }

    /// How our files look once they are left alone. What else goes on in their folders, such
    /// as a log that grows, holds nothing up; files that never come to rest are taken as they are.
    /// A file that has just been emptied or taken away is mostly about to be written: a busy
    /// machine may let an editor wait in between for longer than files are left alone.
    async fn at_rest(&self) -> Fingerprint {
        let (mut look, mut same) = (self.seen.now(), 0);
        for _ in 0..LOOKS_AT_MOST {
            tokio::time::sleep(GLANCE).await;
            let next = self.seen.now();
            same = if next == look && !next.lost_something(&self.seen) { same + 1 } else { 0 };
            look = next;
            if same == LOOKS {
                break;
            }
        }
        look
    }

    /// Loads the files, which looked like `before` a moment ago.
    async fn load(&mut self, before: Fingerprint, watcher: &mut FileWatcher) -> Arc<Reload> {
        let plan = Arc::clone(&self.plan.borrow());
        let stood = news::standings(&self.feed, &plan, &*self.store);
        let reload = match self.read(before).await {
            Ok(loaded) => self.take(loaded, plan).await,
            Err(panic) => self.refused(
                vec![Problem::of_file(&self.path, format!("failed to read the config: {panic}"))],
                Vec::new(),
            ),
        };
        self.watch(watcher);
        self.tell(&reload);
        news::tell(&self.feed, &reload, self.told.borrow().state);
        news::tell_standings(&self.feed, stood.as_ref(), &self.plan.borrow(), &*self.store);
        self.told.send_replace(Arc::clone(&reload));
        reload
    }

    /// Reads the files. What is saved meanwhile is read again: it may be half of it, and an
    /// emptied file is a valid config without subscriptions.
    async fn read(&mut self, mut before: Fingerprint) -> Result<Loaded, JoinError> {
        for _ in 0..READS_AT_MOST {
            let loaded = self.read_once(&before).await?;
            if self.seen.now() == self.seen {
                return Ok(loaded);
            }
            before = self.at_rest().await;
        }
        self.read_once(&before).await
    }

    async fn read_once(&mut self, before: &Fingerprint) -> Result<Loaded, JoinError> {
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || load::load(&path, &load::environment)).await?;
        self.seen = before.of_what_was_read(&loaded.files, &loaded.folders);
        Ok(loaded)
    }

    fn watch(&self, watcher: &mut FileWatcher) {
        watcher.watch(&self.seen.files, &self.seen.folders);
    }

    /// Builds the new plan beside the old one and swaps them, or leaves everything as it is.
    async fn take(&mut self, mut loaded: Loaded, before: Arc<Plan>) -> Arc<Reload> {
        let hashes = Arc::new(loaded.hashes());
        if loaded.result.is_err() {
            let found = self.try_out(std::mem::take(&mut loaded.sound), &before).await;
            loaded.refuse(found);
        }
        let Loaded { result, warnings, .. } = loaded;
        let mut config = match result {
            Ok(config) => config,
            Err(problems) => return self.refused(problems, warnings),
        };
        drill::pass(Point::ReloadChecked);
        let diff = diff::diff(&before.config, &config);
        // What needs a restart stays as it is until then, also in what is compared next time.
        config.listen = before.config.listen.clone();
        config.store = before.config.store.clone();
        let config = Arc::new(config);
        let guests = match self.guests(&config, &before).await {
            Ok(guests) => guests,
            Err(problems) => return self.refused(problems, warnings),
        };
        drill::pass(Point::ReloadBuilt);
        let changed_plugins = before.changed_plugins(&guests);
        let restart = diff.restart.iter().map(ToString::to_string).collect();
        let mut live = diff::Diff { restart: Vec::new(), ..diff };
        let rotated = self.rotated(&before);
        let state = if live.is_empty() && changed_plugins.is_empty() && rotated.is_empty() {
            ReloadState::Unchanged
        } else {
            ReloadState::Ok
        };
        if state == ReloadState::Ok
            && let Err(error) = self.swap(config, guests, &before).await
        {
            let said = format!("failed to write the new set down: {error}");
            return self.refused(vec![Problem::of_file(&self.path, said)], warnings);
        }
        let now = Arc::clone(&self.plan.borrow());
        let pairs = now.subscriptions.iter().filter_map(|new| Some((before.get(new.id)?, new)));
        let renamed = pairs.filter(|(old, new)| old.name() != new.name());
        live.rename(renamed.map(|(old, new)| (&old.meant, &new.meant)));
        let mut changes = live.sentences();
        let only_file = |name: &&String| !live.plugins.iter().any(|other| other.name == **name);
        let files = changed_plugins.iter().filter(only_file);
        changes.extend(files.map(|name| format!("plugin `{name}`: file changed")));
        changes.extend(rotated.iter().map(|name| format!("subscription `{name}`: secret changed")));
        let (loaded_at, restart_needed, problems) = (clock::now(), restart, Vec::new());
        Arc::new(Reload { state, loaded_at, changes, restart_needed, warnings, problems, hashes })
    }

    /// Subscriptions whose secret the store keeps, and now keeps another one.
    fn rotated(&self, before: &Plan) -> Vec<String> {
        let other = |planned: &&Arc<Planned>| {
            let made = self.store.standing(planned.id).and_then(|standing| standing.made_secret.clone());
            planned.meant.secret.is_none() && made.is_some_and(|made| made.0 != planned.secret.reveal())
        };
        before.subscriptions.iter().filter(other).map(|planned| planned.name().to_owned()).collect()
    }

    async fn guests(&self, config: &Arc<Config>, before: &Arc<Plan>) -> Result<Guests, Vec<Problem>> {
        let (host, config, before) = (Arc::clone(&self.host), Arc::clone(config), Arc::clone(before));
        let loading = tokio::task::spawn_blocking(move || Guests::load(&config, &host, Some(&before)));
        loading.await.unwrap_or_else(|panic| Err(vec![self.plugins_failed(&panic)]))
    }

    async fn try_out(&self, sound: Sound, before: &Arc<Plan>) -> Vec<Problem> {
        let (host, before) = (Arc::clone(&self.host), Arc::clone(before));
        let trying = tokio::task::spawn_blocking(move || Guests::try_out(&sound, &host, Some(&before)));
        trying.await.unwrap_or_else(|panic| vec![self.plugins_failed(&panic)])
    }

    fn plugins_failed(&self, panic: &JoinError) -> Problem {
        Problem::of_file(&self.path, format!("failed to load the plugins: {panic}"))
    }

    async fn swap(
        &self,
        config: Arc<Config>,
        guests: Guests,
        before: &Plan,
    ) -> Result<(), crate::store::Error> {
        let enrolled = takeover::enroll(&*self.store, &config, clock::now()).await?;
        drill::pass(Point::ReloadTakenOver);
        let plan = Plan::new(before.number + 1, config, guests, enrolled);
        let plan = keep(&*self.store, plan, Some(before)).await?;
        drill::pass(Point::ReloadKept);
        self.plan.send_replace(Arc::clone(&plan));
        drill::pass(Point::ReloadSwapped);
        for planned in &plan.subscriptions {
            let same = before.get(planned.id).is_some_and(|old| old.holds_like(planned));
            if !same && self.store.waiting(planned.id).held > 0 {
                self.store.release_held(planned.id).await?;
            }
        }
        Ok(())
    }

    fn refused(&self, problems: Vec<Problem>, warnings: Vec<Problem>) -> Arc<Reload> {
        let (changes, restart_needed) = (Vec::new(), Vec::new());
        let last = self.told.borrow();
        let (state, loaded_at, hashes) = (ReloadState::Stale, last.loaded_at, Arc::clone(&last.hashes));
        Arc::new(Reload { state, loaded_at, changes, restart_needed, warnings, problems, hashes })
    }

    fn tell(&self, reload: &Reload) {
        self.metrics.config_loaded(reload.state != ReloadState::Stale);
        for warning in &reload.warnings {
            tracing::warn!("{warning}");
        }
        match reload.state {
            ReloadState::Unchanged if self.told.borrow().state == ReloadState::Stale => {
                tracing::info!("config is good again; it says what is in force");
            }
            ReloadState::Unchanged => tracing::debug!("config read again; nothing changed"),
            ReloadState::Ok => tracing::info!("config in force: {}", reload.changes.join("; ")),
            ReloadState::Stale => {
                for problem in &reload.problems {
                    tracing::error!("{problem}");
                }
                tracing::error!("config refused; the last good set stays in force");
            }
        }
        if !reload.restart_needed.is_empty() {
            tracing::warn!("takes effect at the next start: {}", reload.restart_needed.join(", "));
        }
    }
}

/// Keeps what the plan's routes look like. A plan that routes just as the one before shares
/// its number: events need only know which filters they met.
pub(super) async fn keep(
    store: &dyn Store,
    mut plan: Plan,
    before: Option<&Plan>,
) -> Result<Arc<Plan>, crate::store::Error> {
    let summary = plan.summary();
    match before.filter(|before| before.summary() == summary) {
        Some(before) => plan.number = before.number,
        None => {
            let text = serde_json::to_string(&summary).expect("names, words and numbers always serialise");
            store.keep_plan(plan.number, text).await?;
        }
    }
    Ok(Arc::new(plan))
}
