//! Who can read what only this user should: files with secrets, the folder of the sockets.
//! The folder of the store is looked at with the store.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::checks::{Finding, Ground};
use crate::runtime;

/// Lines about files; whoever has more made the same mistake with all.
const MOST: usize = 16;

/// Files that hold nothing but a secret. One within TOML is told where the config is loaded.
pub(super) fn files(ground: &Ground<'_>) -> Vec<Finding> {
    let token = ground.store.as_ref().map(|store| store.join("api-token"));
    let secrets = secret_files(ground).into_iter().chain(token);
    let open = secrets.filter(|file| mode(file).is_some_and(|mode| mode & 0o077 != 0));
    let finding = |file: PathBuf| {
        let file = file.display();
        let text = format!("others can read the secret in `{file}`");
        Finding::warning(
            "permissions",
            text,
            format!("run `chmod 600 {file}`; who read it keeps it, so rotate it as well"),
        )
    };
    open.take(MOST).map(finding).collect()
}

/// What the config names that is neither TOML nor a plugin.
fn secret_files(ground: &Ground<'_>) -> Vec<PathBuf> {
    let plugins =
        ground.config().map(|config| config.plugins.values().map(|plugin| plugin.path.clone()).collect());
    let plugins: Vec<PathBuf> = plugins.unwrap_or_default();
    let is_other = |file: &&PathBuf| {
        let is_plugin =
            plugins.contains(file) || file.extension().is_some_and(|extension| extension == "wasm");
        !ground.loaded.texts.contains_key(*file) && !is_plugin && **file != ground.path
    };
    ground.loaded.files.iter().filter(is_other).cloned().collect()
}

/// The folder by which commands find daemons. That others can write into it is said with
/// the daemon, which cannot be looked for then.
pub(super) fn runtime_folder(ground: &Ground<'_>) -> Vec<Finding> {
    let folder = runtime::folder(ground.here.env());
    match mode(&folder) {
        Some(mode) if mode & 0o077 != 0 => {
            let folder = folder.display();
            let text = format!("others can look into `{folder}`, where the sockets are");
            vec![Finding::warning("permissions", text, format!("run `chmod 700 {folder}`"))]
        }
        _ => Vec::new(),
    }
}

fn mode(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|metadata| metadata.mode())
}
