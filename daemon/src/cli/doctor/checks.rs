//! What `trackrelay doctor` looks at, one function each: a further check is a function and
//! a line in `CHECKS`. None changes anything.

use std::cell::OnceCell;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::callbacks::callbacks;
use super::machine::{clock, descriptors, disk, saves};
use super::network::{port, proxies};
use super::permissions::{files, runtime_folder};
use super::sources::sources;
use crate::cli::client::Target;
use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::output::count;
use crate::cli::reply::StatusReply;
use crate::config::Config;
use crate::config::load::{Loaded, load};
use crate::runtime::{self, Runtime};
use crate::store::sqlite::audit;

/// A socket of this machine connects at once or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Every check, in the order in which one rests on the other.
pub(super) const CHECKS: [fn(&Ground<'_>) -> Vec<Finding>; 15] = [
    config,
    files,
    saves,
    daemon,
    runtime_folder,
    port,
    sockets,
    proxies,
    callbacks,
    sources,
    folder,
    disk,
    store,
    descriptors,
    clock,
];

/// What all checks look at.
pub(super) struct Ground<'a> {
    pub(super) here: &'a Invocation,
    pub(super) path: PathBuf,
    pub(super) loaded: Loaded,
    /// The folder of the store, also of a config with errors; none if there is no config to name it.
    pub(super) store: Option<PathBuf>,
    daemon: std::io::Result<Option<Runtime>>,
    /// What the daemon says of itself, asked for once.
    status: OnceCell<Result<StatusReply, String>>,
    /// Where `proc` and the marks of containers are: `/`, but for tests.
    pub(super) root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    Warning,
    Problem,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) text: String,
    /// The way out.
    pub(super) help: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, text: String) -> Vec<Finding> {
        vec![Finding { check, state: State::Ok, text, help: None }]
    }

    pub(super) fn warning(check: &'static str, text: String, help: String) -> Finding {
        Finding { check, state: State::Warning, text, help: Some(help) }
    }

    pub(super) fn problem(check: &'static str, text: String, help: impl Into<Option<String>>) -> Finding {
        Finding { check, state: State::Problem, text, help: help.into() }
    }
}

impl<'a> Ground<'a> {
    pub(super) fn survey(here: &'a Invocation) -> Result<Ground<'a>, Failure> {
        let path = here.config_file()?;
        let loaded = load(&path, here.env());
        let store = loaded.result.as_ref().map_or(&loaded.sound.store, |config| &config.store.path);
        let store = (!loaded.texts.is_empty()).then(|| store.clone());
        let daemon = runtime::find(here.env(), &path);
        Ok(Ground { here, path, loaded, store, daemon, status: OnceCell::new(), root: "/".into() })
    }

    /// The config, unless it has errors, which is said beside this.
    pub(super) fn config(&self) -> Option<&Config> {
        self.loaded.result.as_ref().ok()
    }

    /// What the daemon says; nothing if none runs.
    pub(super) fn status(&self) -> Option<&Result<StatusReply, String>> {
        self.running()?;
        let ask = async { self.here.daemon()?.get(&Target::new(&["api", "status"])).await?.json() };
        Some(self.status.get_or_init(|| crate::cli::wait(ask).map_err(|failure| failure.to_string())))
    }

    /// What a file of the system holds; nothing where there is none.
    pub(super) fn system(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(file)).ok()
    }

    pub(super) fn running(&self) -> Option<&Runtime> {
        self.daemon.as_ref().ok()?.as_ref().filter(|runtime| runtime.is_alive())
    }
}

fn config(ground: &Ground<'_>) -> Vec<Finding> {
    let path = ground.path.display();
    match ground.loaded.problems() {
        [] => {
            let warned = ground.loaded.warnings.iter().map(|warning| {
                let help = warning.hint.clone();
                let text = format!("{}: {}", warning.place, warning.message);
                Finding { check: "config", state: State::Warning, text, help }
            });
            Finding::ok("config", format!("`{path}` can be loaded")).into_iter().chain(warned).collect()
        }
        [problem, ..] if ground.store.is_none() => {
            vec![Finding::problem("config", problem.message.clone(), problem.hint.clone())]
        }
        problems => {
            let text = format!("`{path}` has {}", count(problems.len() as u64, "error"));
            let help = format!("`{}` shows each with its line", ground.here.command(&["check"]));
            vec![Finding::problem("config", text, help)]
        }
    }
}

fn daemon(ground: &Ground<'_>) -> Vec<Finding> {
    match &ground.daemon {
        Err(error) => vec![Finding::problem("daemon", error.to_string(), None)],
        Ok(Some(runtime)) if runtime.is_alive() => {
            Finding::ok("daemon", format!("runs as process {}", runtime.pid))
        }
        Ok(stale) => {
            let text = match stale {
                Some(runtime) => format!("process {} has ended without saying so", runtime.pid),
                None => "none is running with this config".to_owned(),
            };
            let help = Some(format!("start it with `{}`", ground.here.command(&["run"])));
            vec![Finding { check: "daemon", state: State::Warning, text, help }]
        }
    }
}

fn sockets(ground: &Ground<'_>) -> Vec<Finding> {
    let Some(runtime) = ground.running() else { return Vec::new() };
    let mut found = Vec::new();
    let mut look = |name: String, answer: std::io::Result<()>| match answer {
        Ok(()) => found.extend(Finding::ok("sockets", format!("`{name}` answers"))),
        Err(error) => found.push(Finding::problem(
            "sockets",
            format!("`{name}` does not answer: {error}"),
            "restart the daemon".to_owned(),
        )),
    };
    look(runtime.tcp.to_string(), TcpStream::connect_timeout(&runtime.tcp, CONNECT_WITHIN).map(drop));
    if let Some(unix) = &runtime.unix {
        look(unix.display().to_string(), UnixStream::connect(unix).map(drop));
    }
    found
}

fn folder(ground: &Ground<'_>) -> Vec<Finding> {
    let Some(store) = &ground.store else { return Vec::new() };
    let path = store.display();
    let Ok(metadata) = store.metadata() else {
        return Finding::ok("store folder", format!("`{path}` is not there yet; the first start makes it"));
    };
    if metadata.mode() & 0o022 != 0 {
        let help = format!("run `chmod 700 {path}`");
        return vec![Finding::problem("store folder", format!("others can write into `{path}`"), help)];
    }
    match audit::owner(store) {
        Err(error) => vec![Finding::problem("store folder", error.to_string(), None)],
        Ok(Some(pid)) if ground.running().is_none_or(|runtime| runtime.pid != pid) => {
            let help = "stop it, or set another `[store] path`".to_owned();
            vec![Finding::problem("store folder", format!("`{path}` is in use by process {pid}"), help)]
        }
        Ok(_) => Finding::ok("store folder", format!("`{path}` can be written to")),
    }
}

fn store(ground: &Ground<'_>) -> Vec<Finding> {
    let help =
        |_: &str| Some(format!("stop the daemon and run `{}`", ground.here.command(&["doctor", "--repair"])));
    let Some(store) = &ground.store else { return Vec::new() };
    match audit::examine(store) {
        Ok(None) => Vec::new(),
        Ok(Some(audit)) if audit.problems.is_empty() => Finding::ok(
            "store",
            format!(
                "sound; {}, {} waiting, {}",
                count(audit.events, "event"),
                audit.waiting,
                count(audit.subscriptions, "subscription")
            ),
        ),
        Ok(Some(audit)) => {
            let problem =
                |text: String| Finding { help: help(&text), ..Finding::problem("store", text, None) };
            audit.problems.into_iter().map(problem).collect()
        }
        // The engine's words bring the way out along.
        Err(error) => vec![Finding::problem("store", error.to_string(), None)],
    }
}
