//! The binary. Everything is in the library, so that tests and benches reach it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trackrelay::cli::main()
}
