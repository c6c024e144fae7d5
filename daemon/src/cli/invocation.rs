//! What every command knows of how it was called: which config it means, and from that
//! which daemon. Also how a further command reads that means the same.

use std::path::{Path, PathBuf};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::runtime::{self, Env, Runtime};
use crate::telemetry::shell::quoted;

/// Other daemons that a message names; more would drown it.
const MAX_OTHERS: usize = 4;

/// The part of a call that all commands share.
pub struct Invocation {
    /// `--config`, as given.
    pub config: Option<PathBuf>,
    env: Variables,
}

type Variables = Box<dyn Fn(&str) -> Option<String>>;

impl Invocation {
    pub fn new(config: Option<PathBuf>) -> Invocation {
        Invocation::with_env(config, |name| std::env::var(name).ok())
    }

    pub fn with_env(config: Option<PathBuf>, env: impl Fn(&str) -> Option<String> + 'static) -> Invocation {
        Invocation { config, env: Box::new(env) }
    }

    pub fn env(&self) -> Env<'_> {
        &*self.env
    }

    /// The config file that is meant. A named one need not exist.
    pub fn config_file(&self) -> Result<PathBuf, Failure> {
        let config = runtime::config_file(self.env(), self.config.as_deref())?;
        match folder_hint(&config) {
            Some(hint) => Err(Failure::BadConfig(hint)),
            None => Ok(config),
        }
    }

    /// The daemon that runs with that file.
    pub fn daemon(&self) -> Result<Client, Failure> {
        let config = runtime::config_file(self.env(), self.config.as_deref()).map_err(|error| {
            Failure::NoDaemon(format!("no daemon is running: {error}{}", self.others(None)))
        })?;
        let found = runtime::find(self.env(), &config).map_err(anyhow::Error::from)?;
        let not_running = folder_hint(&config).unwrap_or_else(|| self.not_running(&config, found.as_ref()));
        match found {
            Some(runtime) => Ok(Client::new(runtime, config, not_running)),
            None => Err(Failure::NoDaemon(not_running)),
        }
    }

    /// The same, if it lives: a daemon that was killed leaves its runtime file behind.
    pub fn running(&self) -> Option<Client> {
        self.daemon().ok().filter(Client::is_alive)
    }

    /// A command line that means the same config, for messages: ready to be pasted.
    pub fn command(&self, words: &[&str]) -> String {
        let mut line = "trackrelay".to_owned();
        for word in words {
            line.push(' ');
            line.push_str(&quoted(word));
        }
        if let Some(config) = &self.config {
            line.push_str(" --config ");
            line.push_str(&quoted(&config.to_string_lossy()));
        }
        line
    }

    fn not_running(&self, config: &Path, stale: Option<&Runtime>) -> String {
        let (start, others) = (self.command(&["run"]), self.others(stale));
        format!("no daemon is running for `{}`; start it with `{start}`{others}", config.display())
    }

    /// Names daemons with other configs: the likeliest cause of a missing one is to stand
    /// in another folder.
    fn others(&self, stale: Option<&Runtime>) -> String {
        let mut running = runtime::all(self.env());
        running.retain(|other| Some(other) != stale);
        if running.is_empty() {
            return String::new();
        }
        let configs: Vec<String> = running
            .iter()
            .take(MAX_OTHERS)
            .map(|other| format!("`--config {}`", quoted(&other.config.to_string_lossy())))
            .collect();
        format!(", or name one that is running: {}", configs.join(", "))
    }
}

/// What to say if a folder was named instead of the file in it.
fn folder_hint(config: &Path) -> Option<String> {
    let within = config.join("config.toml");
    config.is_dir().then(|| {
        let (folder, within) = (config.display(), quoted(&within.to_string_lossy()));
        format!("`{folder}` is a folder; name the file in it, such as `--config {within}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        let here = Invocation::with_env(None, |_| None);
        assert_eq!(here.command(&["enable", "slack"]), "trackrelay enable slack");
        assert_eq!(here.command(&["enable", "it's $HOME"]), r"trackrelay enable 'it'\''s $HOME'");
        let there = Invocation::with_env(Some("my folder/a.toml".into()), |_| None);
        assert_eq!(there.command(&["run"]), "trackrelay run --config 'my folder/a.toml'");
    }

    #[test]
    fn a_daemon_with_another_config_is_named() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().to_str().unwrap().to_owned();
        let env = move |name: &str| (name == "XDG_RUNTIME_DIR").then(|| run.clone());
        let elsewhere =
            Runtime { config: "/else where/config.toml".into(), ..crate::cli::fake::runtime(root.path()) };
        let _announced = runtime::announce(&env, &elsewhere.config, &elsewhere).unwrap();
        let here = Invocation::with_env(Some("/nowhere/config.toml".into()), env);
        let Err(Failure::NoDaemon(text)) = here.daemon() else { panic!("found a daemon") };
        assert!(
            text.ends_with(", or name one that is running: `--config '/else where/config.toml'`"),
            "{text}"
        );
    }

    #[test]
    fn a_folder_is_not_taken_for_a_config() {
        let folder = tempfile::tempdir().unwrap();
        let here = Invocation::with_env(Some(folder.path().to_owned()), |_| None);
        let wanted = format!(
            "`{0}` is a folder; name the file in it, such as `--config {0}/config.toml`",
            folder.path().display()
        );
        let failure = here.config_file().unwrap_err();
        assert_eq!((failure.exit_code(), failure.to_string()), (78, wanted.clone()));
        let failure = here.daemon().unwrap_err();
        assert_eq!((failure.exit_code(), failure.to_string()), (69, wanted));
    }

    #[test]
    fn without_a_daemon_the_message_says_which_config_and_how_to_start() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().to_str().unwrap().to_owned();
        let here = Invocation::with_env(Some("/nowhere/config.toml".into()), move |name| {
            (name == "XDG_RUNTIME_DIR").then(|| run.clone())
        });
        let Err(Failure::NoDaemon(text)) = here.daemon() else { panic!("found a daemon") };
        assert_eq!(
            text,
            "no daemon is running for `/nowhere/config.toml`; \
             start it with `trackrelay run --config /nowhere/config.toml`"
        );
    }
}
