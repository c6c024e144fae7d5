//! The daemon under test: the real binary, started in a folder of its own with nothing
//! of the surrounding environment, and killed when the test is over.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::sender::{Reply, Sender};
use super::{DEADLINE, Event, SECRET, wait_at_most};

/// Stands above the tables of every test: ports that are free, the workspace of the events.
pub const BASE: &str = "[listen]\ntcp = \"127.0.0.1:0\"\n\n[workspace]\nid = 4200017\n";

/// Lines of the log that a failed test shows.
const TAIL: usize = 60;

/// The variable that tells a daemon of a debug build where to die.
#[cfg(debug_assertions)]
pub const DIE: &str = "TRACKRELAY_DIE";

/// Its value for one that prunes at once instead of once a minute, and does not come to die of it.
#[cfg(debug_assertions)]
pub const HURRY: &str = "prune.begun:1000000000:kill";

pub struct Relay {
    dir: TempDir,
    env: Vec<(String, String)>,
    child: Option<Child>,
    runtime: Value,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Its one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Relay {
    /// Starts a daemon with these tables below `BASE` and waits until it serves.
    #[track_caller]
    pub fn start(tables: &str) -> Relay {
        let mut relay = Relay::prepare(tables);
        relay.start_again();
        relay
    }

    /// The folder and the config of a daemon that is yet to be started.
    pub fn prepare(tables: &str) -> Relay {
        let dir = tempfile::Builder::new().prefix("trackrelay-").tempdir().unwrap();
        for folder in ["home", "runtime", "state"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let relay = Relay { dir, env: Vec::new(), child: None, runtime: Value::Null };
        relay.save(tables);
        relay
    }

    /// Adds a variable to the environment of the next start and of commands.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }

    /// Takes a variable out of the environment again.
    pub fn unset_env(&mut self, name: &str) {
        self.env.retain(|(set, _)| set != name);
    }

    /// Starts the daemon that was prepared, stopped or killed, and waits until it serves.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.launch();
        self.wait_to_serve();
    }

    /// Waits until the daemon that was launched serves.
    #[track_caller]
    pub fn wait_to_serve(&mut self) {
        let serving = wait_at_most(DEADLINE, || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended at once ({ended:?}):\n{}", self.log());
            self.runtime = self.runtime_file()?;
            let mut sender = Sender::at(&self.reachable()).ok()?;
            let healthy = sender.try_request("GET", "/healthz", &[], b"").ok()?;
            (healthy.status == 200).then_some(())
        });
        assert!(serving.is_some(), "the daemon does not serve:\n{}", self.log());
    }

    /// Starts the daemon without waiting for it.
    pub fn launch(&mut self) {
        let command = self.command(&["run"]);
        self.spawn(command);
    }

    /// The same by a command that ends in `exec "$@"`, so that the process stays the daemon's.
    pub fn launch_within(&mut self, mut wrapper: Command) {
        let command = self.command(&["run"]);
        wrapper.arg(command.get_program()).args(command.get_args());
        wrapper.current_dir(self.dir.path()).env_clear();
        wrapper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.spawn(wrapper);
    }

    fn spawn(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    // The config.

    /// Writes the config in place, `BASE` and these tables.
    pub fn save(&self, tables: &str) {
        self.save_whole(&format!("{BASE}{tables}"));
    }

    /// Writes the config in place, all of it.
    pub fn save_whole(&self, text: &str) {
        fs::write(self.config(), text).unwrap();
    }

    /// Writes the config as careful editors do: a file beside it, put in its place.
    pub fn save_by_rename(&self, tables: &str) {
        let beside = self.path("config.toml~");
        fs::write(&beside, format!("{BASE}{tables}")).unwrap();
        fs::rename(beside, self.config()).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    /// A path in the daemon's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder of the store.
    pub fn store(&self) -> PathBuf {
        self.path("state/trackrelay")
    }

    // The process.

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn signal(&self, with: Signal) {
        signal(self.child.as_ref().expect("it runs"), with);
    }

    /// Has daemons and commands go by a wall clock that `set_clock` sets; only those of a debug
    /// build do.
    pub fn use_wrong_clock(&mut self) {
        let file = self.path("clock");
        self.set_env("TRACKRELAY_WRONG_CLOCK", file.to_str().unwrap());
    }

    /// Sets that clock wrong by so many seconds.
    pub fn set_clock(&self, seconds: i64) {
        let beside = self.path("clock~");
        fs::write(&beside, seconds.to_string()).unwrap();
        fs::rename(beside, self.path("clock")).unwrap();
    }

    /// `kill -9`, as a crash or a power cut of the process would.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    /// Asks it to stop and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait_for_end();
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status = ended(self.child.as_mut().expect("it runs"));
        self.child = None;
        status.unwrap_or_else(|| panic!("the daemon does not end:\n{}", self.log()))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Everything it logged, over restarts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    // Where it is reached.

    pub fn tcp(&self) -> SocketAddr {
        self.runtime["tcp"].as_str().expect("a TCP address").parse().unwrap()
    }

    pub fn unix(&self) -> PathBuf {
        self.runtime["unix"].as_str().expect("a Unix socket").into()
    }

    /// Where the Unix socket is once it runs.
    pub fn socket(&self) -> PathBuf {
        self.path("runtime/trackrelay/trackrelay.sock")
    }

    pub fn token(&self) -> String {
        let file = self.runtime["token_file"].as_str().expect("a token file");
        fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// The file by which commands find it: the one of this process.
    pub fn runtime_path(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.path("runtime/trackrelay")).ok()?.flatten();
        let mut files = files.map(|file| file.path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "json"))
    }

    fn runtime_file(&self) -> Option<Value> {
        let text = fs::read(self.runtime_path()?).ok()?;
        let runtime: Value = serde_json::from_slice(&text).ok()?;
        (runtime["pid"] == self.pid()).then_some(runtime)
    }

    fn reachable(&self) -> PathBuf {
        self.runtime["unix"].as_str().unwrap_or("/nowhere").into()
    }

    // What it is asked.

    pub fn get(&self, path: &str) -> Reply {
        Sender::unix(self).get(path)
    }

    #[track_caller]
    pub fn send(&self, event: &Event) -> Value {
        Sender::unix(self).send(event)
    }

    #[track_caller]
    pub fn send_all(&self, events: &[Event]) -> Value {
        Sender::unix(self).send_all(events)
    }

    pub fn status(&self) -> Value {
        self.get("/api/status").json()
    }

    /// How one subscription stands; null if there is none of this name.
    pub fn subscription(&self, name: &str) -> Value {
        let status = self.status();
        let all = status["subscriptions"].as_array().expect("a list of subscriptions");
        all.iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_at_most(DEADLINE, || {
            last = self.status();
            so(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("waited in vain: {what}; status is {last:#}"))
    }

    /// Waits until a subscription stands like this.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_at_most(DEADLINE, || {
            last = self.subscription(name);
            so(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("waited in vain: `{name}` {what}; it is {last:#}"))
    }

    #[track_caller]
    pub fn wait_for_status(&self, name: &str, status: &str) -> Value {
        self.wait_for(name, status, |subscription| subscription["status"] == status)
    }

    pub fn why(&self, id: i64) -> Value {
        self.get(&format!("/api/why/{id}")).json()
    }

    /// What became of an event for a subscription, the latest if it was replayed.
    pub fn decision(&self, id: i64, name: &str) -> Value {
        let why = self.why(id);
        let decisions = why["decisions"].as_array().unwrap_or_else(|| panic!("no decisions: {why}"));
        decisions.iter().rfind(|decision| decision["subscription"] == name).cloned().unwrap_or_default()
    }

    #[track_caller]
    pub fn wait_for_outcome(&self, id: i64, name: &str, outcome: &str) -> Value {
        let mut last = Value::Null;
        let found = wait_at_most(DEADLINE, || {
            last = self.decision(id, name);
            (last["outcome"] == outcome).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("event {id} for `{name}` should be {outcome}, is {last:#}"))
    }

    /// A metric's value, by name and labels as they stand in `/metrics`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok())
    }

    // The command line.

    /// Runs a command against this config; it must end within the deadline.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> Output {
        self.cli_with_input(words, "")
    }

    #[track_caller]
    pub fn cli_with_input(&self, words: &[&str], input: &str) -> Output {
        output(self.command(words), input)
    }

    /// A command with the environment and the config of this relay.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bare_command(words);
        command.arg("--config").arg(self.config());
        command
    }

    /// The same without `--config`, in the folder of the config.
    pub fn bare_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trackrelay"));
        command.args(words).current_dir(self.dir.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("RUST_LOG", "trackrelay=debug");
        command.env("XDG_RUNTIME_DIR", self.path("runtime")).env("XDG_STATE_HOME", self.path("state"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        let log = self.log();
        if std::thread::panicking() {
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the daemon's log ends:\n{}", lines[lines.len().saturating_sub(TAIL)..].join("\n"));
        } else {
            assert!(!log.contains(SECRET), "the log shows a secret");
            assert!(!log.contains("panicked at"), "the daemon panicked:\n{log}");
        }
    }
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Runs a command to its end; its output goes through files, so that no pipe can fill up.
#[track_caller]
pub fn output(mut command: Command, input: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::write(file("in"), input).unwrap();
    command.stdin(File::open(file("in")).unwrap());
    command.stdout(File::create(file("out")).unwrap()).stderr(File::create(file("err")).unwrap());
    let mut child = command.spawn().unwrap();
    let status = ended(&mut child);
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let (stdout, stderr) = (text(&file("out")), text(&file("err")));
    let status = status.unwrap_or_else(|| panic!("{command:?} does not end:\n{stdout}\n{stderr}"));
    Output { code: status.code().unwrap_or(-1), stdout, stderr }
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    wait_at_most(DEADLINE + Duration::from_secs(10), || child.try_wait().unwrap())
}
