//! How commands find a running daemon: the runtime file it leaves under a name made of
//! its config's path, so that they work while the config is broken or `unix = "off"`.
//! Talking to the daemon is `cli/client.rs`; what the config says is `config`.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Reads one variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A runtime file has a few hundred bytes; more than this is not one of ours.
const MAX_BYTES: u64 = 64 << 10;

/// The folder of runtime files holds one per daemon; nobody runs more than this.
const MAX_FILES: usize = 256;

/// Where a running daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    pub pid: u32,
    /// The config file, canonical when the daemon started.
    pub config: PathBuf,
    pub tcp: SocketAddr,
    /// None is `unix = "off"`.
    pub unix: Option<PathBuf>,
    /// The file with the admin token, which TCP asks for.
    pub token_file: PathBuf,
    pub started_at: Timestamp,
}

impl Runtime {
    /// Whether its process still exists. A process that exists need not be the daemon.
    pub fn is_alive(&self) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) else {
            return false;
        };
        rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
    }
}

/// The runtime file of a running daemon. Removed when dropped.
#[derive(Debug)]
pub struct Announced {
    files: Vec<PathBuf>,
    pid: u32,
}

impl Drop for Announced {
    fn drop(&mut self) {
        for file in &self.files {
            if matches!(read(file), Ok(Some(runtime)) if runtime.pid == self.pid) {
                // Left behind it only goes stale: nothing answers where it points.
                drop(fs::remove_file(file));
            }
        }
    }
}

/// Writes the runtime file of a daemon that runs with `config`, a path as the user gave it.
pub fn announce(env: Env, config: &Path, runtime: &Runtime) -> io::Result<Announced> {
    let folder = folder(env);
    private_folder(&folder)?;
    let text = serde_json::to_vec(runtime)?;
    let mut announced = Announced { files: Vec::new(), pid: runtime.pid };
    for file in file_names(config).into_iter().map(|name| folder.join(name)) {
        replace(&file, &text).map_err(|error| named(&file, error))?;
        announced.files.push(file);
    }
    Ok(announced)
}

/// The daemon that runs with `config`, as far as its runtime file tells.
pub fn find(env: Env, config: &Path) -> io::Result<Option<Runtime>> {
    let folder = folder(env);
    if !is_private(&folder)? {
        return Ok(None);
    }
    for name in file_names(config) {
        if let Some(runtime) = read(&folder.join(name))? {
            return Ok(Some(runtime));
        }
    }
    Ok(None)
}

/// Every daemon of this user whose process exists, by config path.
pub fn all(env: Env) -> Vec<Runtime> {
    let folder = folder(env);
    if !is_private(&folder).unwrap_or(false) {
        return Vec::new();
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().take(MAX_FILES).filter_map(Result::ok);
    let files =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    let mut found: Vec<Runtime> = files.filter_map(|file| read(&file).ok().flatten()).collect();
    found.retain(Runtime::is_alive);
    found.sort_by(|a, b| a.config.cmp(&b.config));
    found.dedup();
    found
}

/// No config file was named and none stands where one is looked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no config file: looked for {}; make one with `trackrelay init` or name it with `--config FILE`", list(.looked_for))]
pub struct NoConfig {
    pub looked_for: Vec<PathBuf>,
}

/// The config file a command means: the given one, else `./config.toml`, else
/// `$XDG_CONFIG_HOME/trackrelay/config.toml`. A given one need not exist.
pub fn config_file(env: Env, given: Option<&Path>) -> Result<PathBuf, NoConfig> {
    if let Some(given) = given {
        return Ok(absolute(given));
    }
    let mut looked_for = vec![absolute(Path::new("config.toml"))];
    looked_for.extend(config_home(env).map(|home| home.join("trackrelay/config.toml")));
    match looked_for.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Ok(path.clone()),
        None => Err(NoConfig { looked_for }),
    }
}

/// Where runtime files stand: `$XDG_RUNTIME_DIR/trackrelay`, else `/tmp/trackrelay-<uid>`.
pub fn folder(env: Env) -> PathBuf {
    match absolute_variable(env, "XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("trackrelay"),
        None => PathBuf::from(format!("/tmp/trackrelay-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Makes a folder that only this user can enter, or checks that it is one. In `/tmp`
/// somebody else may have made it first, to listen in.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    // Succeeds for a folder that stands already, and for a link to one.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(|error| named(folder, error))?;
    let metadata = owned_folder(folder)?;
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|error| named(folder, error))?;
    }
    Ok(())
}

/// Whether the folder exists; an error if others could have written into it.
fn is_private(folder: &Path) -> io::Result<bool> {
    match owned_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(metadata) if metadata.mode() & 0o022 != 0 => Err(io::Error::other(format!(
            "others can write into `{}`; run `chmod 700 {0}` and start the daemon again",
            folder.display()
        ))),
        Ok(_) => Ok(true),
    }
}

fn owned_folder(folder: &Path) -> io::Result<fs::Metadata> {
    let metadata = fs::symlink_metadata(folder).map_err(|error| named(folder, error))?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("`{}` is not a folder of this user; remove it or set XDG_RUNTIME_DIR", folder.display()),
        ));
    }
    Ok(metadata)
}

/// The names a daemon is found under: by its config's canonical path, and by the path as
/// given, which stays the same when the config is a symlink that is pointed elsewhere.
fn file_names(config: &Path) -> Vec<String> {
    let given = absolute(config);
    let mut names = vec![file_name(&canonical(&given)), file_name(&given)];
    names.dedup();
    names
}

fn file_name(config: &Path) -> String {
    let digest = Sha256::digest(config.as_os_str().as_encoded_bytes());
    let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.json")
}

/// The canonical path, of a file that may be missing just now (editors replace files).
fn canonical(path: &Path) -> PathBuf {
    let through_parent = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(through_parent).unwrap_or_else(|| path.to_owned())
}

fn read(file: &Path) -> io::Result<Option<Runtime>> {
    let mut text = Vec::new();
    match fs::File::open(file).and_then(|opened| opened.take(MAX_BYTES).read_to_end(&mut text)) {
        // What does not parse was not written by this program: as good as absent.
        Ok(_) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(file, error)),
    }
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?.write_all(text)?;
    fs::rename(&fresh, file)
}

fn config_home(env: Env) -> Option<PathBuf> {
    let home = || Some(absolute_variable(env, "HOME")?.join(".config"));
    absolute_variable(env, "XDG_CONFIG_HOME").or_else(home)
}

/// A folder named by a variable. The XDG rules have relative ones ignored.
fn absolute_variable(env: Env, name: &str) -> Option<PathBuf> {
    env(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn list(paths: &[PathBuf]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    quoted.join(" and ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn runtime(config: &Path) -> Runtime {
        Runtime {
            pid: std::process::id(),
            config: config.to_owned(),
            tcp: "127.0.0.1:7717".parse().unwrap(),
            unix: None,
            token_file: "/state/api-token".into(),
            started_at: "2025-09-10T08:00:00Z".parse().unwrap(),
        }
    }

    /// An environment whose every XDG folder stands in `root`.
    fn env(root: &Path) -> impl Fn(&str) -> Option<String> + use<> {
        let root = root.to_str().unwrap().to_owned();
        move |name| match name {
            "XDG_RUNTIME_DIR" => Some(format!("{root}/run")),
            "XDG_CONFIG_HOME" => Some(format!("{root}/config")),
            _ => None,
        }
    }

    #[test]
    fn is_found_while_announced_and_gone_after() {
        let root = tempfile::tempdir().unwrap();
        let (env, config) = (env(root.path()), root.path().join("config.toml"));
        fs::write(&config, "this = is = broken").unwrap();
        let written = runtime(&config);
        let announced = announce(&env, &config, &written).unwrap();
        assert_eq!(find(&env, &config).unwrap(), Some(written.clone()));
        assert_eq!(all(&env), [written]);
        drop(announced);
        assert_eq!(find(&env, &config).unwrap(), None);
    }

    #[test]
    fn the_file_is_named_after_the_canonical_path_and_private() {
        let root = tempfile::tempdir().unwrap();
        let (env, config) = (env(root.path()), root.path().join("config.toml"));
        fs::write(&config, "").unwrap();
        let canonical = config.canonicalize().unwrap();
        let _announced = announce(&env, &config, &runtime(&config)).unwrap();
        let digest = Sha256::digest(canonical.to_str().unwrap());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let file = root.path().join("run/trackrelay").join(format!("{}.json", &hex[..16]));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn is_found_through_a_link_that_was_pointed_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let env = env(root.path());
        let (one, two, link) =
            (root.path().join("one.toml"), root.path().join("two.toml"), root.path().join("config.toml"));
        fs::write(&one, "").unwrap();
        fs::write(&two, "").unwrap();
        symlink(&one, &link).unwrap();
        let _announced = announce(&env, &link, &runtime(&one)).unwrap();
        assert!(find(&env, &one).unwrap().is_some());
        fs::remove_file(&link).unwrap();
        symlink(&two, &link).unwrap();
        assert!(find(&env, &link).unwrap().is_some());
    }

    #[test]
    fn a_later_daemons_file_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (env, config) = (env(root.path()), root.path().join("config.toml"));
        let first = announce(&env, &config, &runtime(&config)).unwrap();
        let later = Runtime { pid: 1, ..runtime(&config) };
        let _later = announce(&env, &config, &later).unwrap();
        drop(first);
        assert_eq!(find(&env, &config).unwrap(), Some(later));
    }

    #[test]
    fn a_folder_that_others_can_write_into_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (env, config) = (env(root.path()), root.path().join("config.toml"));
        let _announced = announce(&env, &config, &runtime(&config)).unwrap();
        let folder = root.path().join("run/trackrelay");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let error = find(&env, &config).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
        private_folder(&folder).unwrap();
        assert!(find(&env, &config).unwrap().is_some());
    }

    #[test]
    fn a_link_in_place_of_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        symlink(root.path().join("elsewhere"), root.path().join("folder")).unwrap();
        let error = private_folder(&root.path().join("folder")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn the_config_is_looked_for_in_order() {
        let root = tempfile::tempdir().unwrap();
        let env = env(root.path());
        assert_eq!(config_file(&env, Some(Path::new("/a/b.toml"))), Ok("/a/b.toml".into()));
        let missing = config_file(&env, None).unwrap_err();
        assert_eq!(missing.looked_for.len(), 2);
        let home = root.path().join("config/trackrelay");
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("config.toml"), "").unwrap();
        assert_eq!(config_file(&env, None), Ok(home.join("config.toml")));
    }

    #[test]
    fn a_process_that_is_gone_is_not_alive() {
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let config = Path::new("/config.toml");
        assert!(!Runtime { pid: gone.id(), ..runtime(config) }.is_alive());
        assert!(runtime(config).is_alive());
        assert!(!Runtime { pid: 0, ..runtime(config) }.is_alive());
    }
}
