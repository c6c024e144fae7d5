//! `trackrelay demo`: the main job, start to finish, against a built-in receiver. Every
//! step checks what it shows; one that does not hold ends the demo with exit code 1.

use std::time::Duration;

use anyhow::Context;

use crate::cli::failure::Failure;
use crate::cli::invocation::Invocation;

mod receiver;
mod stage;
mod story;

/// Show what the daemon does; needs no config and no network
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay demo")]
pub struct Args {}

/// Far above what it takes, so that only a demo that hangs meets it.
const AT_MOST: Duration = Duration::from_secs(60);

pub fn run(_args: Args, _here: &Invocation) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let told = runtime.block_on(async { tokio::time::timeout(AT_MOST, story::tell()).await });
    runtime.shutdown_background();
    match told {
        Ok(told) => Ok(told?),
        Err(_) => Err(Failure::failed(format!("the demo did not come to an end within {AT_MOST:?}"))),
    }
}
