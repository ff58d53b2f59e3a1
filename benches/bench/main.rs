//! `make bench`: every figure beside a baseline of the same run, as a ratio, for the machine is shared and noisy.
//! Prints Markdown; `docs/performance.md` keeps a run. `cargo bench -- NAME` runs one part.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark measures time and prints it")]

mod core;
mod fleet;
mod read;
mod rotation;
mod signature;
mod storm;
mod target;
mod webhook;

use std::time::{Duration, Instant};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    pawl::boot::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if wanted.iter().any(|one| one == storm::MODE) {
        return runtime.block_on(storm::run_node());
    }
    println!("{}", machine());
    if runs("core") {
        core::run();
    }
    if runs("signature") {
        signature::run();
    }
    if runs("read") {
        runtime.block_on(read::run());
    }
    if runs("rotation") {
        runtime.block_on(rotation::run());
    }
    if runs("webhook") {
        runtime.block_on(webhook::run());
    }
    if runs("fleet") {
        runtime.block_on(fleet::run());
    }
    let storm = |part: &str| runs("storm") || runs(part);
    if ["storm-idle", "storm-due", "storm-bare", "storm-real"].into_iter().any(storm) {
        runtime.block_on(storm::run(storm));
    }
}

/// What the figures were measured on.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("Machine: {} ({cores} cores), load {load} at the start.", model.trim_start_matches([' ', '\t', ':']))
}

/// The value at this share of a sorted list.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds a call, over enough calls to be sure of it: the best of five rounds.
fn nanos(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let round = |call: &mut dyn FnMut()| {
        let began = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..5).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}
