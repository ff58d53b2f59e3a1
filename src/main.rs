//! The binary `pawl`: parses the command line, starts the runtime, turns errors into words and exit codes.

use std::process::ExitCode;

use clap::Parser;
use pawl::cli::Cli;

/// Bytes of stack of each worker. An operation is one future, with its transactions, its statements and both drivers in it:
/// unoptimised builds were seen to need more than the usual two megabytes. What is not used costs nothing.
const STACK: usize = 16 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().thread_stack_size(STACK).build() {
        Ok(runtime) => runtime,
        Err(error) => return pawl::cli::fail(&format!("cannot start the async runtime: {error}"), 1),
    };
    let code = runtime.block_on(pawl::cli::run(cli));
    // A blocked read of standard input must not keep a finished process alive.
    runtime.shutdown_background();
    code
}
