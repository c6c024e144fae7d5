//! The whole: puts the rooms together, runs them side by side, and takes them down again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::{About, Api, Claims, Places};
use crate::clock::{self, Due};
use crate::config::load::{self, Loaded};
use crate::config::{Config, Problem};
use crate::deliver::{self, client::Client};
use crate::delivery::{Standing, SubscriptionId};
use crate::drill::{self, Point};
use crate::feed::Feed;
use crate::otel::Traces;
use crate::plan::{Guests, Plan, Reload, ReloadState};
use crate::plugin::Host;
use crate::server::{self, Bound, Doors, Token};
use crate::source::{self, Source};
use crate::store::{self, Enrolled, Store, sqlite::SqliteStore};
use crate::telemetry::Metrics;
use crate::validate::{self, Pinger};
use reload::Reloader;
use reload::fingerprint::Fingerprint;
use supervise::Supervisor;

pub mod edit;
mod housekeeping;
mod reload;
pub mod shutdown;
mod supervise;
mod takeover;
pub mod watch_files;

/// Reload requests that may wait; each is answered within a load's time.
const RELOADS_WAITING: usize = 64;

/// Folder of compiled plugins, within the store's.
pub const PLUGIN_CACHE: &str = "plugin-cache";

/// Why a daemon could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config is wrong; there is no older set to fall back to.
    #[error("the config is not valid")]
    Config(Box<BadConfig>),
    #[error("{0}")]
    AlreadyRunning(store::Error),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A load that was refused, with every problem and the texts they stand in.
pub struct BadConfig(pub Loaded);

impl std::fmt::Debug for BadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The texts hold secrets.
        f.debug_tuple("BadConfig").field(&self.0.result.as_ref().err()).finish()
    }
}

impl StartError {
    fn config(mut loaded: Loaded, problems: Vec<Problem>) -> StartError {
        loaded.refuse(problems);
        StartError::Config(Box::new(BadConfig(loaded)))
    }
}

/// A daemon with its sockets bound and its store open, not yet serving.
pub struct Daemon {
    store: Arc<dyn Store>,
    bound: Bound,
    doors: Doors,
    reloader: Reloader,
    plan: watch::Receiver<Arc<Plan>>,
    client: Client,
    metrics: Arc<Metrics>,
    feed: Feed,
    pinger: Pinger,
    token_file: PathBuf,
    path: PathBuf,
    traces: Option<Traces>,
}

/// Where a running daemon can be reached.
#[derive(Clone, Debug)]
pub struct Reachable {
    pub config: PathBuf,
    pub tcp: SocketAddr,
    pub unix: Option<PathBuf>,
    pub token_file: PathBuf,
}

impl Daemon {
    /// Reads the config, opens the store, loads the plugins, binds the sockets.
    pub async fn build(path: PathBuf) -> Result<Daemon, StartError> {
        // Caught before anything can be asked of us: uncaught, this signal ends the process.
        let hangups = signal(SignalKind::hangup()).context("failed to listen for signals")?;
        // A file that reaches its size limit is a full disk to the store; uncaught, the signal
        // that comes along would end the process too. Once caught it stays so.
        drop(
            signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))
                .context("failed to listen for signals")?,
        );
        let path = load::main_file(&path);
        let before = Fingerprint::of(std::slice::from_ref(&path), &[]);
        let loaded = read(path.clone()).await?;
        let seen = before.of_what_was_read(&loaded.files, &loaded.folders);
        let config = match &loaded.result {
            Ok(config) => Arc::new(config.clone()),
            Err(_) => return Err(refused(loaded).await?),
        };
        let store = open(&config).await?;
        drill::pass(Point::StartOpened);
        let cache = config.store.path.join(PLUGIN_CACHE);
        let host = Arc::new(Host::new(Some(&cache)).context("failed to set up the plugin engine")?);
        let guests = match guests(&config, &host).await? {
            Ok(guests) => guests,
            Err(problems) => return Err(StartError::config(loaded, problems)),
        };
        let told = first_reload(&loaded);
        told.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let plan = first_plan(&*store, config, guests).await?;
        drill::pass(Point::StartPlanned);
        let token = Token::in_store(&plan.config.store.path).map_err(anyhow::Error::from)?;
        let bound = server::bind(&plan.config.listen).await.map_err(anyhow::Error::from)?;
        drill::pass(Point::StartBound);
        Ok(Daemon::assemble(path, store, host, plan, told, seen, hangups, token, bound))
    }

    #[expect(clippy::too_many_arguments, reason = "the rooms are put together here and nowhere else")]
    fn assemble(
        path: PathBuf,
        store: Arc<dyn Store>,
        host: Arc<Host>,
        plan: Arc<Plan>,
        told: Reload,
        seen: Fingerprint,
        hangups: Signal,
        token: Token,
        bound: Bound,
    ) -> Daemon {
        let (metrics, client) = (Arc::new(Metrics::new()), Client::default());
        let feed = Feed::default();
        let pinger = Pinger::new(Arc::clone(&store), client.clone(), feed.clone(), bound.tcp());
        let (told, reload) = watch::channel(Arc::new(told));
        let (plans, plan) = watch::channel(plan);
        let (reloads, requests) = mpsc::channel(RELOADS_WAITING);
        let about = About { started_at: clock::now(), tcp: bound.tcp(), unix: bound.unix().map(Into::into) };
        let limits = source::Limits::new(plan.borrow().config.listen.max_body);
        let (kept, counts) = (Arc::clone(&store), Arc::clone(&metrics));
        let source = Arc::new(Source::new(kept, plan.clone(), counts, feed.clone(), limits));
        let takes = Arc::clone(&source);
        let store_state = Box::new(move || takes.store_state());
        let takes = Arc::clone(&source);
        let sources = Box::new(move || takes.seen());
        let api = Api {
            store: Arc::clone(&store),
            plan: plan.clone(),
            reload: reload.clone(),
            reloads,
            pinger: pinger.clone(),
            admin: token.clone(),
            claims: Claims::default(),
            feed: feed.clone(),
            places: Places::default(),
            store_state,
            sources,
            about,
        };
        let token_file = token.path().to_owned();
        let config_stale = Box::new(move || reload.borrow().state == ReloadState::Stale);
        let (shared, limits) = (Arc::clone(&metrics), server::Limits::default());
        let doors = Doors { source, api: Arc::new(api), token, metrics: shared, config_stale, limits };
        let reloader = Reloader {
            path: path.clone(),
            store: Arc::clone(&store),
            host,
            metrics: Arc::clone(&metrics),
            feed: feed.clone(),
            plan: plans,
            told,
            requests,
            hangups,
            seen,
        };
        let traces = None;
        Daemon {
            store,
            bound,
            doors,
            reloader,
            plan,
            client,
            metrics,
            feed,
            pinger,
            token_file,
            path,
            traces,
        }
    }

    /// Has it export traces as it runs.
    pub fn with_traces(self, traces: Option<Traces>) -> Daemon {
        Daemon { traces, ..self }
    }

    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    pub fn reachable(&self) -> Reachable {
        Reachable {
            config: self.path.clone(),
            tcp: self.bound.tcp(),
            unix: self.bound.unix().map(Into::into),
            token_file: self.token_file.clone(),
        }
    }

    /// Serves until cancelled or until a worker fails, then closes the store.
    pub async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        let Daemon { store, bound, doors, reloader, plan, client, metrics, feed, pinger, traces, .. } = self;
        let mut workers = Supervisor::new(cancel.clone());
        let settled = CancellationToken::new();
        if let Some(traces) = traces {
            workers.add("traces", traces.run(&feed, settled.clone()));
        }
        workers.add("server", server::run(bound, doors, cancel.clone()));
        let (kept, counts) = (Arc::clone(&store), Arc::clone(&metrics));
        let deliver = deliver::run(kept, plan.clone(), client, counts, feed.clone(), cancel.clone());
        workers.add("deliver", async {
            let _then = settled.drop_guard();
            deliver.await
        });
        workers.add("feed", feed.clone().end_with(cancel.clone()));
        workers.add("validate", validate::run(pinger, plan.clone(), cancel.clone()));
        workers.add("reload", reloader.run(cancel.clone()));
        workers.add("housekeeping", housekeeping::run(Arc::clone(&store), plan, metrics, feed, cancel));
        let result = workers.run().await;
        let closed = store.close().await.context("failed to close the store");
        result.and(closed)
    }
}

async fn read(path: PathBuf) -> anyhow::Result<Loaded> {
    let read = tokio::task::spawn_blocking(move || load::load(&path, &load::environment)).await;
    read.context("failed to read the config")
}

async fn open(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    let path = config.store.path.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path))
        .await
        .context("failed to open the store")?;
    match opened {
        Ok(store) => Ok(Arc::new(store)),
        Err(error @ store::Error::InUse { .. }) => Err(StartError::AlreadyRunning(error)),
        Err(error) => Err(StartError::Other(error.into())),
    }
}

/// A config that is no good, with the problems of its plugins beside its own. Nothing is
/// written: the store may be another daemon's.
async fn refused(mut loaded: Loaded) -> anyhow::Result<StartError> {
    let host = Host::new(None).context("failed to set up the plugin engine")?;
    let sound = std::mem::take(&mut loaded.sound);
    let trying = tokio::task::spawn_blocking(move || Guests::try_out(&sound, &host, None));
    let problems = trying.await.context("failed to try the plugins out")?;
    Ok(StartError::config(loaded, problems))
}

async fn guests(config: &Arc<Config>, host: &Arc<Host>) -> anyhow::Result<Result<Guests, Vec<Problem>>> {
    let (config, host) = (Arc::clone(config), Arc::clone(host));
    let loading = tokio::task::spawn_blocking(move || Guests::load(&config, &host, None));
    loading.await.context("failed to load the plugins")
}

/// The first plan of this run. What was held is tried again.
async fn first_plan(store: &dyn Store, config: Arc<Config>, guests: Guests) -> anyhow::Result<Arc<Plan>> {
    let now = clock::now();
    takeover::finish_deletions(store, now).await.context("failed to end what was being deleted")?;
    let enrolled = takeover::enroll(store, &config, now).await.context("failed to read the store")?;
    for subscription in &enrolled {
        if store.waiting(subscription.id).held > 0 {
            store.release_held(subscription.id).await?;
        }
    }
    // A look at an endpoint that was away uses up no attempt, so why wait with it.
    let was_away = |it: &&Enrolled| it.standing.pending.as_ref().is_some_and(|probe| probe.pauses > 0);
    let were_away: Vec<SubscriptionId> = enrolled.iter().filter(was_away).map(|it| it.id).collect();
    store.set_standings(&were_away, &|_, standing| look_at_once(standing)).await?;
    let plan = Plan::new(store.last_plan() + 1, config, guests, enrolled);
    Ok(reload::keep(store, plan, None).await?)
}

fn look_at_once(standing: &mut Standing) {
    if let Some(probe) = &mut standing.pending {
        probe.due = Due::after(Instant::now(), Duration::ZERO);
    }
}

fn first_reload(loaded: &Loaded) -> Reload {
    let (changes, restart_needed, problems) = (Vec::new(), Vec::new(), Vec::new());
    let (state, loaded_at, warnings) = (ReloadState::Ok, clock::now(), loaded.warnings.clone());
    let hashes = Arc::new(loaded.hashes());
    Reload { state, loaded_at, changes, restart_needed, warnings, problems, hashes }
}
