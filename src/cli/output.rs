//! What people and programs read: tables, JSON, one line of error. The only place that prints.
#![expect(clippy::print_stderr, reason = "this module is the command line's voice")]

use std::io::Write;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::CliError;

/// One line on standard error, and the exit code.
#[must_use]
pub fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("pawl: {message}");
    ExitCode::from(code)
}

/// A line for people.
pub(crate) fn say(line: impl AsRef<str>) {
    // A closed pipe (`pawl … | head`) is the reader's wish, not a failure.
    let _closed = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
}

/// A line of progress on standard error, so that standard output stays the answer.
pub(crate) fn progress(line: impl AsRef<str>) {
    eprintln!("{}", line.as_ref());
}

/// A question on standard error; the answer is typed behind it.
pub(crate) fn prompt(question: &str) {
    eprint!("{question}");
}

/// The answer as JSON.
pub(crate) fn json(value: &Value) {
    say(serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

/// Bytes as they are, for values in a pipe.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), CliError> {
    std::io::stdout().lock().write_all(bytes).map_err(|error| CliError::refused(format!("cannot write: {error}")))
}

/// A table without frames: readable, and splits on white space.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| heading(name)));
    table.add_rows(rows);
    for line in table.lines() {
        // Every cell has a space on either side, the first one too.
        say(line.strip_prefix(' ').unwrap_or(&line).trim_end());
    }
}

/// Capitals, but for what stands in parentheses: a zone's name has its own.
fn heading(name: &str) -> String {
    match name.split_once(" (") {
        Some((name, rest)) => format!("{} ({rest}", name.to_uppercase()),
        None => name.to_uppercase(),
    }
}

/// Name and value pairs, one a line, aligned; absent ones are left out.
pub(crate) fn fields(pairs: &[(&str, Option<String>)]) {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in pairs {
        if let Some(value) = value {
            say(format!("{name:width$}  {value}"));
        }
    }
}
