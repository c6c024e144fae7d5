//! `trackrelay completions`: the few lines by which a shell asks this program what may come
//! next on a command line, and the answer. As the program answers itself, completions are
//! always those of its version. What is offered for names is `cli/completions/names.rs`.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use crate::cli::failure::Failure;
use crate::cli::{Cli, output};
use crate::telemetry::shell::quoted;

pub mod names;

/// Set by the shell's lines when they ask; its value names the shell.
const ASKED_BY: &str = "TRACKRELAY_COMPLETE";

/// Bash says here what is typed of the word, with the quote that it may begin with: that stays
/// on the command line, and the word itself is handed on without it.
const TYPED: &str = "TRACKRELAY_TYPED";

/// Print completions for a shell
///
/// They know commands, options, files, and the names of subscriptions and events: those of the
/// running daemon, else those of the config file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(trackrelay completions bash)            in ~/.bashrc
  source <(trackrelay completions zsh)             in ~/.zshrc, below `compinit`
  trackrelay completions fish | source             in ~/.config/fish/config.fish
  eval (trackrelay completions elvish | slurp)     in ~/.config/elvish/rc.elv
  trackrelay completions powershell | Out-String | Invoke-Expression     in $PROFILE")]
pub struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
            Shell::Elvish => &Elvish,
            Shell::Powershell => &Powershell,
        }
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    let (mut script, program) = (Vec::new(), program());
    let written = args.shell.completer().write_registration(
        ASKED_BY,
        "trackrelay",
        "trackrelay",
        &program,
        &mut script,
    );
    written.context("cannot write the completions")?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if let Shell::Bash = args.shell {
        let typed = format!("{TYPED}=\"${{COMP_WORDS[COMP_CWORD]}}\" _CLAP_IFS=");
        script = script.replace("_CLAP_IFS=", &typed);
    }
    output::facts(script.trim_start())
}

/// This program as the shell is to call it: by name if it was found by that.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    match called.contains('/') {
        true => std::path::absolute(&called).map_or(called, |path| path.to_string_lossy().into_owned()),
        false => "trackrelay".to_owned(),
    }
}

/// Answers a shell that asks for completions, which ends the process; else does nothing.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command)
        .var(ASKED_BY)
        .shells(Shells(&[
            &Quoting(&Bash, after_quote),
            &Elvish,
            &Fish,
            &Quoting(&Powershell, verbatim),
            &Zsh,
        ]))
        .complete();
}

/// A shell that puts what is offered into its command line as it is. A subscription may be
/// called `$(reboot)`.
struct Quoting(&'static dyn EnvCompleter, fn(&str) -> String);

impl EnvCompleter for Quoting {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        self.0.write_registration(var, name, bin, completer, out)
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let mut offered = Vec::new();
        self.0.write_complete(command, words, folder, &mut offered)?;
        out.write_all(quoted_each(&String::from_utf8_lossy(&offered), self.1).as_bytes())
    }
}

/// Bash has vertical tabs between what is offered, PowerShell line breaks; there a tab and
/// words of help may follow.
fn quoted_each(offered: &str, quote: fn(&str) -> String) -> String {
    let each = offered.split_inclusive(['\u{b}', '\n']).map(|part| {
        let end = part.find(['\t', '\u{b}', '\n']).unwrap_or(part.len());
        quote(&part[..end]) + &part[end..]
    });
    each.collect()
}

/// A word as Bash takes it, in the quotes that are open already.
fn after_quote(word: &str) -> String {
    let typed = std::env::var(TYPED).unwrap_or_default();
    if typed.starts_with('"') { in_double_quotes(word) } else { quoted(word) }
}

/// A word in the quotes in which Bash still looks for `$`, backquotes and, of history, `!`.
fn in_double_quotes(word: &str) -> String {
    if quoted(word) == word {
        return word.to_owned();
    }
    let escaped = |sign| match sign {
        '"' | '$' | '`' | '\\' => format!("\\{sign}"),
        '!' => "\"'!'\"".to_owned(),
        other => other.to_string(),
    };
    format!("\"{}\"", word.chars().map(escaped).collect::<String>())
}

/// A word as PowerShell takes it.
fn verbatim(word: &str) -> String {
    match quoted(word) == word {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_run_is_quoted() {
        let offered = "plain\u{b}--json\u{b}$(reboot)\u{b}it's";
        let wanted = "plain\u{b}--json\u{b}'$(reboot)'\u{b}'it'\\''s'";
        assert_eq!(quoted_each(offered, quoted), wanted);
        let offered = "plain\tenabled\n$(reboot)\tenabled: a b\nit's\n";
        let wanted = "plain\tenabled\n'$(reboot)'\tenabled: a b\n'it''s'\n";
        assert_eq!(quoted_each(offered, verbatim), wanted);
        assert_eq!(quoted_each("", quoted), "");
        let offered = "plain\u{b}odd name\u{b}\\ `$(reboot)` \"it's\"!";
        let wanted = "plain\u{b}\"odd name\"\u{b}\"\\\\ \\`\\$(reboot)\\` \\\"it's\\\"\"'!'\"\"";
        assert_eq!(quoted_each(offered, in_double_quotes), wanted);
    }
}
