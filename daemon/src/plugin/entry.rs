//! One plugin in one list of one subscription: its instances, which nobody else gets, and
//! where a call into them runs.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::instance::{Instance, NotReady};
use super::load::{LoadError, Plugin};
use super::{Call, Failure, Input, Keep, Reshape, Stage, failure};
use crate::config::Isolation;

/// Calls of one entry at the same time, and so its instances. More would let one slow
/// plugin take the threads and the seats that others need.
const AT_ONCE: usize = 4;

/// A call that stays below this runs where it is asked for: handing it to another thread
/// and back costs more than a usual call (measured in a debug build: 13 µs in place, 40 to
/// 70 with the way there and back). One that takes longer may hold up other work.
const QUICK: Duration = Duration::from_millis(1);

/// Calls that run on a thread of their own after a slow one, and after the start.
const WARY: u32 = 256;
const PROBATION: u32 = 8;

/// One plugin in one `filter` or `transform` list of one subscription.
pub struct Entry {
    plugin: Arc<Plugin>,
    stage: Stage,
    subscription: Arc<str>,
    config: String,
    turns: Semaphore,
    idle: Mutex<Vec<Instance>>,
    /// Calls left to run on a thread of their own.
    wary: AtomicU32,
    last_asked: AtomicU64,
    listed: AtomicBool,
}

impl Entry {
    /// Makes a first instance, which shows whether the plugin fits and takes its config,
    /// and keeps it for the first event.
    pub(super) fn new(
        plugin: Arc<Plugin>,
        stage: Stage,
        subscription: &str,
        config: &serde_json::Value,
    ) -> Result<Arc<Entry>, LoadError> {
        let entry = Arc::new(Entry {
            plugin,
            stage,
            subscription: subscription.into(),
            config: config.to_string(),
            turns: Semaphore::new(AT_ONCE),
            idle: Mutex::new(Vec::new()),
            wary: AtomicU32::new(PROBATION),
            last_asked: AtomicU64::new(0),
            listed: AtomicBool::new(false),
        });
        let trial = {
            let _one_at_a_time = entry.plugin.trial();
            entry.fresh(entry.plugin.seats().try_take()).map_err(|not_ready| entry.refusal(not_ready))?
        };
        entry.put_aside(trial);
        Ok(entry)
    }

    /// Whether it is just this: the plugin in this kind of list with this config.
    pub fn serves(&self, plugin: &Arc<Plugin>, stage: Stage, config: &serde_json::Value) -> bool {
        let text = config.to_string();
        Arc::ptr_eq(&self.plugin, plugin) && self.stage == stage && self.config == text
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        &self.plugin.name
    }

    /// Asks a filter.
    pub async fn check(self: &Arc<Self>, input: Input) -> Call<Keep> {
        self.call(input).await.and_then(|reshape| match reshape {
            Reshape::Unchanged => Ok(Keep::Deliver),
            Reshape::Skip(reason) => Ok(Keep::Skip(reason)),
            Reshape::Replace(_) => Err(Failure(format!("plugin `{}` is no filter here", self.plugin.name))),
        })
    }

    /// Asks a transform.
    pub async fn apply(self: &Arc<Self>, input: Input) -> Call<Reshape> {
        self.call(input).await
    }

    async fn call(self: &Arc<Self>, input: Input) -> Call<Reshape> {
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        self.last_asked.store(self.plugin.seats().now(), Ordering::Relaxed);
        let idle = self.idle().pop();
        let at = match idle {
            Some(instance) => At::Hand(instance),
            None => At::Seat(self.plugin.seats().take().await),
        };
        if self.wary.load(Ordering::Relaxed) == 0 {
            return self.work(at, &input);
        }
        let entry = Arc::clone(self);
        spawn_blocking(move || entry.work(at, &input))
            .await
            .unwrap_or_else(|error| Call::failed(failure::of_host(&self.plugin.spec, &error)))
    }

    /// The call itself. Blocks for as long as the plugin runs.
    fn work(self: &Arc<Self>, at: At, input: &Input) -> Call<Reshape> {
        let begun = Instant::now();
        let mut call = self.ask(at, input);
        call.took = begun.elapsed();
        self.judge(call.took);
        call
    }

    fn ask(self: &Arc<Self>, at: At, input: &Input) -> Call<Reshape> {
        let mut instance = match at {
            At::Hand(instance) => instance,
            At::Seat(seat) => match self.fresh(Some(seat)) {
                Ok(instance) => instance,
                Err(not_ready) => return self.never_ready(not_ready),
            },
        };
        let (answer, lines) = instance.call(&self.plugin, input);
        let memory = instance.memory();
        self.put_aside(instance);
        Call { answer, lines, memory, took: Duration::ZERO }
    }

    /// A call that ended before it began: with what was logged until then.
    fn never_ready(&self, not_ready: NotReady) -> Call<Reshape> {
        let (failure, lines) = match not_ready {
            NotReady::Refused(error, lines) => (failure::of_error(&self.plugin.spec, &error), lines),
            NotReady::Failed(failure, lines) => (failure, lines),
        };
        Call { lines, ..Call::failed(failure) }
    }

    fn fresh(&self, seat: Option<OwnedSemaphorePermit>) -> Result<Instance, NotReady> {
        Instance::new(&self.plugin, self.stage, &self.subscription, &self.config, seat)
    }

    /// Keeps an instance for the next event, if it may serve one.
    fn put_aside(self: &Arc<Self>, instance: Instance) {
        if self.plugin.spec.isolation == Isolation::Event || !instance.is_fit() {
            return;
        }
        self.idle().push(instance);
        if self.plugin.seats().are_wanted() {
            self.give_up();
        } else if !self.listed.swap(true, Ordering::SeqCst) {
            self.plugin.seats().list(self);
        }
    }

    pub(super) fn last_asked(&self) -> u64 {
        self.last_asked.load(Ordering::Relaxed)
    }

    /// Drops an idle instance; says whether there was one.
    pub(super) fn give_up(&self) -> bool {
        let given = self.idle().pop();
        given.is_some()
    }

    /// It is not among the holders of idle instances any longer. Should one have come back
    /// in the meantime, it is found again when the next one comes back.
    pub(super) fn delist(&self) {
        self.listed.store(false, Ordering::SeqCst);
    }

    /// Lets the next calls run where they are asked for, or keeps them off there.
    fn judge(&self, took: Duration) {
        if took > QUICK {
            self.wary.store(WARY, Ordering::Relaxed);
        } else if self.wary.load(Ordering::Relaxed) > 0 {
            let less = |wary: u32| wary.checked_sub(1);
            // Fails only when another call has just made it zero, which is as good.
            self.wary.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
        }
    }

    fn refusal(&self, not_ready: NotReady) -> LoadError {
        let (plugin, subscription) = (&self.plugin.name, &self.subscription);
        match not_ready {
            NotReady::Refused(error, _) => {
                let error = super::text::brief(&error);
                LoadError::Use(format!("plugin `{plugin}` refuses its config in `{subscription}`: {error}"))
            }
            NotReady::Failed(Failure(failure), _) => LoadError::Use(failure),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call starts from.
enum At {
    Hand(Instance),
    Seat(OwnedSemaphorePermit),
}
