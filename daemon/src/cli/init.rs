//! `trackrelay init`: writes a folder to start from, with what is built into the binary:
//! the reference config, its JSON Schema and the shipped plugins.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;
use crate::cli::{output, schema};

/// Write a commented config and the shipped plugins into a folder
///
/// Overwrites nothing. The config works as it is and explains every key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay init
  trackrelay init ~/toggl && trackrelay --config ~/toggl/config.toml")]
pub struct Args {
    /// The folder; made if it is not there
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// Stands in for the option that all commands share, which makes no sense here.
    #[arg(long, hide = true)]
    config: Option<PathBuf>,
}

/// Beside the config; its first line has editors find it.
const SCHEMA: &str = "config.schema.json";

/// The config, for its owner only: secrets are put into it sooner or later.
const CONFIG_MODE: u32 = 0o600;

/// The shipped plugins, which the config names by these paths.
pub const PLUGINS: [(&str, &[u8]); 3] = [
    ("plugins/match.wasm", include_bytes!("../../../plugins/match.wasm")),
    ("plugins/redact.wasm", include_bytes!("../../../plugins/redact.wasm")),
    ("plugins/slack.wasm", include_bytes!("../../../plugins/slack.wasm")),
];

pub fn run(args: Args, here: &Invocation) -> Result<(), Failure> {
    if here.config.is_some() || args.config.is_some() {
        return Err(Failure::Usage(
            "`init` takes a folder, not `--config`: `trackrelay init FOLDER`".to_owned(),
        ));
    }
    let config = format!("#:schema {SCHEMA}\n{}", include_str!("../../../config.toml"));
    let schema = schema::text()?;
    let mut files = vec![("config.toml", config.as_bytes()), (SCHEMA, schema.as_bytes())];
    files.extend(PLUGINS);
    let written = write(&args.folder, &files)?;
    output::facts(&written.iter().map(|path| format!("{}\n", path.display())).collect::<String>())?;
    output::say(&next_steps(&args.folder));
    Ok(())
}

/// Writes all files, or none if one stands there already.
fn write(folder: &Path, files: &[(&str, &[u8])]) -> Result<Vec<PathBuf>, Failure> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure::failed(format!(
            "`{}` is there already, and nothing is overwritten; name another folder",
            there.display()
        )));
    }
    for (path, (_, bytes)) in paths.iter().zip(files) {
        if let Some(folder) = path.parent() {
            let made = fs::create_dir_all(folder);
            made.with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        write_new(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(paths)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mode = if path.extension().is_some_and(|e| e == "toml") { CONFIG_MODE } else { 0o644 };
    fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(bytes)
}

fn next_steps(folder: &Path) -> String {
    let config = (folder != Path::new(".")).then(|| folder.join("config.toml"));
    let there = Invocation::new(config);
    format!(
        "next: `{}`, then in another terminal `{}`",
        there.command(&["run"]),
        there.command(&["send", "time_entry.created"])
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn writes_all_and_overwrites_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        let files: [(&str, &[u8]); 2] = [("config.toml", b"a = 1"), ("plugins/x.wasm", b"\0asm")];
        let written = write(&folder, &files).unwrap();
        assert_eq!(written, [folder.join("config.toml"), folder.join("plugins/x.wasm")]);
        assert_eq!(fs::metadata(&written[0]).unwrap().mode() & 0o777, 0o600);

        fs::remove_file(&written[0]).unwrap();
        let failure = write(&folder, &files).unwrap_err();
        assert!(failure.to_string().contains("x.wasm` is there already"), "{failure}");
        assert!(!written[0].exists());

        let failure = write(&written[1].join("below"), &files).unwrap_err().to_string();
        assert!(
            failure.starts_with("cannot make the folder `") && failure.contains("x.wasm/below`"),
            "{failure}"
        );
    }

    #[test]
    fn what_is_written_passes_the_check() {
        let root = tempfile::tempdir().unwrap();
        run(Args { folder: root.path().to_owned(), config: None }, &Invocation::with_env(None, |_| None))
            .unwrap();
        let config = root.path().join("config.toml");
        for plugin in ["match", "redact", "slack"] {
            fs::create_dir_all(root.path().join("plugins")).unwrap();
            fs::write(root.path().join(format!("plugins/{plugin}.wasm")), "").unwrap();
        }
        let loaded =
            crate::config::load::load(&config, &|name| (name == "HOME").then(|| "/home/ana".to_owned()));
        assert!(loaded.result.is_ok(), "{:?}", loaded.result.err());
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn the_next_steps_name_the_folder() {
        assert!(next_steps(Path::new(".")).starts_with("next: `trackrelay run`, then"));
        assert!(next_steps(Path::new("a b")).contains("`trackrelay run --config 'a b/config.toml'`"));
    }
}
