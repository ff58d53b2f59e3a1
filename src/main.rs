//! The binary `pawl`: parses the command line, starts the runtime, turns errors into words and exit codes.

use std::process::ExitCode;

use clap::Parser;
use pawl::cli::Cli;

/// Of each thread; only what is used of it is memory.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The deepest operations over PostgreSQL take more than the usual two megabytes in a build that is not optimised.
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return pawl::cli::fail(&format!("cannot start the async runtime: {error}"), 1),
    };
    let code = runtime.block_on(pawl::cli::run(cli));
    // A blocked read of standard input must not keep a finished process alive.
    runtime.shutdown_background();
    code
}
