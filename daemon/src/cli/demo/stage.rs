//! The demo's stage: a temporary folder with config and plugins, a receiver, a daemon, and
//! a client to ask it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::receiver::Receiver;
use crate::cli::client::{Client, JSON, Target};
use crate::cli::init::PLUGINS;
use crate::cli::samples::Sample;
use crate::clock;
use crate::daemon::Daemon;
use crate::event::{Action, Entity};
use crate::runtime::Runtime;

pub(super) const SECRET: &str = "demo-secret-not-a-real-one";

/// How long anything may take to show an effect.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) receiver: Receiver,
    pub(super) client: Client,
    pub(super) tcp: std::net::SocketAddr,
    daemon: tokio::task::JoinHandle<anyhow::Result<()>>,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Stage {
    /// Writes `config` (with `RECEIVER` in place of the receiver's address) and starts.
    pub(super) async fn set(config: &str) -> anyhow::Result<Stage> {
        let folder = temporary_folder()?;
        std::fs::create_dir(folder.join("plugins"))?;
        for (name, bytes) in PLUGINS {
            std::fs::write(folder.join(name), bytes)?;
        }
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let receiver = Receiver::start(SECRET, &tracker).await?;
        let path = folder.join("config.toml");
        std::fs::write(&path, config.replace("RECEIVER", &receiver.address.to_string()))?;
        let daemon = Daemon::build(path.clone()).await?;
        let reachable = daemon.reachable();
        let runtime = Runtime {
            pid: std::process::id(),
            config: path.clone(),
            tcp: reachable.tcp,
            unix: reachable.unix,
            token_file: reachable.token_file,
            started_at: clock::now(),
        };
        let client = Client::new(runtime, path, "the demo's daemon does not answer".into());
        let daemon = tracker.spawn(daemon.run(cancel.clone()));
        Ok(Stage { folder, receiver, client, tcp: reachable.tcp, daemon, cancel, tracker })
    }

    /// Sends sample events and returns how many were accepted.
    pub(super) async fn send(&self, events: &[Value]) -> anyhow::Result<usize> {
        let body = Bytes::from(serde_json::to_vec(events)?);
        let reply = self.client.submit(&Target::new(&["events"]), JSON, body).await?.accepted()?;
        let reply: Value = serde_json::from_slice(&reply.body)?;
        Ok(reply["events"].as_array().map_or(0, Vec::len))
    }

    pub(super) async fn status(&self, name: &str) -> anyhow::Result<Value> {
        let reply = self.client.get(&Target::new(&["api", "status"])).await?;
        let status: Value = serde_json::from_slice(&reply.body)?;
        let list = status["subscriptions"].as_array();
        let found = list.into_iter().flatten().find(|one| one["name"] == name);
        found.cloned().with_context(|| format!("no subscription `{name}` in the status"))
    }

    /// Asks again and again until a subscription is as it should be.
    pub(super) async fn until(&self, name: &str, what: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let started = Instant::now();
        loop {
            let status = self.status(name).await?;
            if what(&status) {
                return Ok(status);
            }
            ensure!(started.elapsed() < PATIENCE, "`{name}` did not become what it should; it is {status}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn act(&self, name: &str, verb: &str) -> anyhow::Result<()> {
        self.client.post(&Target::subscription(name, verb), &json!({})).await?;
        Ok(())
    }

    /// Saves the config with a part of its text replaced, as an editor would.
    pub(super) fn edit(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let path = self.folder.join("config.toml");
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains(from), "the config does not say `{from}`");
        std::fs::write(&path, text.replace(from, to))?;
        Ok(())
    }

    /// Stops the daemon and removes the folder.
    pub(super) async fn clear(self) -> anyhow::Result<()> {
        self.cancel.cancel();
        self.daemon.await.context("the daemon panicked")??;
        self.tracker.close();
        std::fs::remove_dir_all(&self.folder).context("failed to remove the demo's folder")
    }
}

/// A fresh folder that only this user can enter.
fn temporary_folder() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let name = format!("trackrelay-demo-{}-{:08x}", std::process::id(), rand::random::<u32>());
    let folder = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&folder).context("failed to make a temporary folder")?;
    Ok(folder)
}

/// A sample event with some of its payload set.
pub(super) fn sample(entity: Entity, action: Action, n: u64, payload: Value) -> Value {
    let mut event = Sample::new(entity, action, super::story::WORKSPACE).event(n, clock::now());
    for (key, value) in payload.as_object().into_iter().flatten() {
        event["payload"][key] = value.clone();
    }
    event
}
