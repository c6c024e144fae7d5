//! The copy that somebody edits, and the editor it is opened in.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::failure::Failure;

/// As `crontab -e` and `visudo` do where nothing is chosen.
const DEFAULT: &str = "vi";

/// Editors that take `+LINE` before the file; for others it would be a file of that name.
const TAKE_LINES: [&str; 11] =
    ["vi", "vim", "nvim", "view", "nano", "emacs", "emacsclient", "kak", "joe", "micro", "mg"];

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A file of its own folder, for this user only: it may hold secrets.
pub(super) struct Copy {
    folder: PathBuf,
    path: PathBuf,
}

impl Copy {
    /// Under the same name, so that editors know what it is.
    pub(super) fn make(file: &Path, text: &str, env: Env<'_>) -> Result<Copy, Failure> {
        let temporary = env("TMPDIR").filter(|path| !path.is_empty()).unwrap_or_else(|| "/tmp".to_owned());
        let unique = format!("trackrelay-edit-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let folder = Path::new(&temporary).join(unique);
        let path = folder.join(file.file_name().unwrap_or_default());
        let made = DirBuilder::new().mode(0o700).create(&folder).and_then(|()| {
            let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            copy.write_all(text.as_bytes())
        });
        made.with_context(|| format!("cannot write a copy to edit, `{}`", path.display()))?;
        Ok(Copy { folder, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns when the editor is closed.
    pub(super) fn open(&self, line: usize, env: Env<'_>) -> Result<(), Failure> {
        let chosen = |name| env(name).filter(|editor| !editor.trim().is_empty());
        let editor = chosen("VISUAL").or_else(|| chosen("EDITOR")).unwrap_or_else(|| DEFAULT.to_owned());
        let mut command = Command::new("sh");
        // The shell splits what may have arguments, as in `EDITOR="code --wait"`.
        command.args(["-c", &format!("{editor} \"$@\""), "sh"]);
        command.args(takes_line(&editor).then(|| format!("+{line}"))).arg(&self.path);
        // Ctrl-C is the editor's as long as it runs.
        let caught = [SignalKind::interrupt(), SignalKind::quit()].map(signal);
        let ended = command.status().with_context(|| format!("cannot start the editor `{editor}`"))?;
        drop(caught);
        match ended.success() {
            true => Ok(()),
            false => Err(Failure::failed(format!(
                "the editor `{editor}` ended with {ended}, so nothing was changed; \
                 set VISUAL or EDITOR to another one, or use `--set`; the copy is `{}`",
                self.path.display()
            ))),
        }
    }

    pub(super) fn text(&self) -> Result<String, Failure> {
        let text = fs::read_to_string(&self.path);
        Ok(text.with_context(|| format!("cannot read `{}`", self.path.display()))?)
    }

    pub(super) fn remove(&self) {
        // What stays behind is for this user only.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn takes_line(editor: &str) -> bool {
    let program = editor.split_whitespace().next().and_then(|program| program.rsplit('/').next());
    program.is_some_and(|program| TAKE_LINES.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_editors_that_take_a_line_get_one() {
        for (editor, takes) in [
            ("vi", true),
            ("/usr/bin/nvim -u NONE", true),
            ("code --wait", false),
            ("myvi", false),
            ("", false),
        ] {
            assert_eq!(takes_line(editor), takes, "{editor}");
        }
    }
}
