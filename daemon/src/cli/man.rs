//! `trackrelay man`: the manual, made of the same words as `--help`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, PathCompleter};

use crate::cli::failure::Failure;
use crate::cli::{Cli, output};
use crate::config::problem::did_you_mean;

/// Print the manual page of the program or of a command
///
/// The page is for `man` to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay man | man -l -
  trackrelay man secret rotate | man -l -
  trackrelay man --dir ~/.local/share/man/man1          then `man trackrelay-send`")]
pub struct Args {
    /// The command, such as `send` or `secret rotate` [default: the program]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,

    /// Write all pages into this folder
    #[arg(long, value_name = "DIR", add = ArgValueCompleter::new(PathCompleter::dir()))]
    dir: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut program = Cli::command();
    // Commands within commands learn their whole names by this.
    program.build();
    match args.dir {
        Some(folder) => write_all(program, &folder),
        None => {
            let command = named(&program, &args.command)?;
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page).context("cannot write the page")?;
            output::facts(&String::from_utf8_lossy(&page))
        }
    }
}

fn write_all(program: Command, folder: &std::path::Path) -> Result<(), Failure> {
    let failed = || format!("cannot write into `{}`; name a folder of yours", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(program, folder).with_context(failed)?;
    output::say(&format!("wrote the pages into `{}`; `man trackrelay` shows the first", folder.display()));
    Ok(())
}

fn named<'a>(program: &'a Command, words: &[String]) -> Result<&'a Command, Failure> {
    words.iter().try_fold(program, |command, word| {
        let unknown = || {
            let names = command.get_subcommands().map(Command::get_name);
            let near = did_you_mean(word, names).map(|near| format!(", did you mean `{near}`?"));
            let near = near.unwrap_or_else(|| format!("; `{} --help` lists them", command.get_name()));
            Failure::Usage(format!("`{}` has no command `{word}`{near}", command.get_name()))
        };
        command.find_subcommand(word).ok_or_else(unknown)
    })
}
