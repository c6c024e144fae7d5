//! The system under test: a floor or the daemon, in a process and a folder of its own,
//! gone when it is dropped.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use trackrelay::runtime;

use super::driver::Target;
use super::floor;
use super::gauge::Reading;
use super::receiver::SECRET;
use super::role::Role;

/// Longest wait for a start or an end.
const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at whether the daemon listens.
const LOOK: Duration = Duration::from_micros(500);

pub struct System {
    dir: TempDir,
    child: Option<Child>,
    started: Instant,
    pub tcp: Target,
    pub unix: Target,
    /// From being started to being found.
    pub start: Duration,
}

impl System {
    /// A floor that delivers each event to all of these URLs.
    pub fn floor(role: Role, urls: &[String]) -> anyhow::Result<System> {
        let dir = folder()?;
        let started = Instant::now();
        let mut command = role.command()?;
        command.arg(dir.path()).args(urls).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to start a floor")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let tcp = Target::Tcp(line.trim().parse().context("the floor did not say where it listens")?);
        let unix = Target::Unix(dir.path().join(floor::SOCKET));
        Ok(System { dir, child: Some(child), started, tcp, unix, start: started.elapsed() })
    }

    /// A daemon with these tables in its config.
    pub fn daemon(tables: &str) -> anyhow::Result<System> {
        let dir = folder()?;
        for name in ["home", "runtime", "state"] {
            fs::create_dir(dir.path().join(name))?;
        }
        let nowhere = Target::Unix(PathBuf::new());
        let (tcp, unix, started) = (nowhere.clone(), nowhere, Instant::now());
        let mut system = System { dir, child: None, started, tcp, unix, start: Duration::ZERO };
        system.save(tables)?;
        system.start_again()?;
        Ok(system)
    }

    /// Writes the config, as an editor does.
    pub fn save(&self, tables: &str) -> anyhow::Result<()> {
        let base = "[listen]\ntcp = \"127.0.0.1:0\"\n\n[workspace]\nid = 4200017\n";
        let beside = self.path("config.toml~");
        fs::write(&beside, format!("{base}{tables}"))?;
        Ok(fs::rename(beside, self.path("config.toml"))?)
    }

    /// Starts a daemon that was stopped or killed, and waits until it listens.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        let mut command = Role::Daemon.command()?;
        command.args(["run", "--config"]).arg(self.path("config.toml"));
        command.env("HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("runtime"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.started = Instant::now();
        self.child = Some(command.spawn().context("failed to start the daemon")?);
        while !self.is_found()? {
            ensure!(self.age() < DEADLINE, "the daemon does not listen:\n{}", self.log());
            std::thread::sleep(LOOK);
        }
        self.start = self.age();
        Ok(())
    }

    /// Since it was started last.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("it does not run")?;
        let asked = Instant::now();
        while asked.elapsed() < DEADLINE {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the daemon ended with {status}:\n{}", self.log());
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        bail!("the daemon does not end:\n{}", self.log())
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    pub fn read(&self) -> anyhow::Result<Reading> {
        Reading::take(self.pid()?, self.dir.path())
            .with_context(|| format!("is the system under test gone? its log:\n{}", self.log()))
    }

    /// Bytes of all files in the daemon's store but compiled plugins.
    pub fn store_bytes(&self) -> u64 {
        let files = fs::read_dir(self.path("state/trackrelay")).into_iter().flatten().flatten();
        let sizes = files.filter_map(|file| file.metadata().ok()).filter(|file| file.is_file());
        sizes.map(|file| file.len()).sum()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The end of what the daemon logged.
    pub fn log(&self) -> String {
        const TAIL: usize = 20;
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.child.as_ref().context("it does not run")?.id())
    }

    fn is_found(&mut self) -> anyhow::Result<bool> {
        let child = self.child.as_mut().context("it does not run")?;
        if let Some(status) = child.try_wait()? {
            bail!("the daemon ended at once ({status}):\n{}", self.log());
        }
        let pid = child.id();
        let folder = self.path("runtime").to_string_lossy().into_owned();
        let env = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| folder.clone());
        let found = runtime::find(&env, &self.path("config.toml")).ok().flatten();
        let Some(found) = found.filter(|found| found.pid == pid) else { return Ok(false) };
        (self.tcp, self.unix) = (Target::Tcp(found.tcp), Target::Unix(found.unix.context("no Unix socket")?));
        Ok(true)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A subscription to everything that sends to this URL.
pub fn subscription(name: &str, url: &str, more: &str) -> String {
    subscription_to("[\"*.*\"]", name, url, more)
}

/// The same with event filters, as TOML.
pub fn subscription_to(event_filters: &str, name: &str, url: &str, more: &str) -> String {
    let mut table = String::new();
    let written = write!(
        table,
        "\n[subscription.{name}]\nurl_callback = \"{url}\"\nevent_filters = {event_filters}\n\
         secret = \"{SECRET}\"\nvalidation = \"off\"\n{more}\n"
    );
    written.expect("writing to a string cannot fail");
    table
}

/// A plugin that the repository ships.
pub fn plugin(name: &str) -> String {
    plugin_as(name, name)
}

/// The same under another name.
pub fn plugin_as(name: &str, shipped: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/{shipped}.wasm"));
    format!("\n[plugin.{name}]\npath = \"{}\"\n", file.display())
}

fn folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("trackrelay-rig-").tempdir().context("failed to make a folder")
}
