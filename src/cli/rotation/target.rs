//! `pawl rotation check`, `verify`, `reconcile`, `rollback`, `retire`, `prepare`: looks at the target, and the ways back.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::super::client::Client;
use super::super::secret::token;
use super::super::shown::{date, text};
use super::{One, show_view, watch};
use crate::cli::{CliError, output};

#[derive(Debug, Subcommand)]
pub(crate) enum TargetVerb {
    /// Look at everything that would stand in the way of rotating: server, privileges, strategy, times; changes nothing
    #[command(
        long_about = "Look at everything that would stand in the way of rotating: the server, the account's and the admin's \
                      privileges, the strategy and why, the statements a rotation would run (values masked), the next five \
                      times. Changes nothing. What is missing comes with the statement that mends it.\n\nThe exit code is 1 \
                      where something stands in the way."
    )]
    Check(One),
    /// Try whether AWSCURRENT logs in, now; the exit code is 1 when it does not
    Verify(One),
    /// Set AWSCURRENT again where it does not log in; no version is made
    Reconcile {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        wait: Wait,
    },
    /// Rotate back to an earlier version's value, under a new version
    Rollback {
        #[command(flatten)]
        one: One,
        /// The version whose value is wanted [default: AWSPREVIOUS's]
        #[arg(long, value_name = "ID")]
        version: Option<String>,
        /// Begin now also where a grace would be waited for; whoever still uses the credential before is refused
        #[arg(long)]
        end_grace: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// End the grace of the credential before AWSCURRENT now; whoever still uses it is refused
    Retire(One),
    /// Show what brings an account into the shape that alternating users need, statement by statement
    Prepare {
        #[command(flatten)]
        one: One,
        /// Run the statements
        #[arg(long)]
        apply: bool,
        /// What brings it back to one account, instead
        #[arg(long)]
        undo: bool,
    },
}

/// Whether to wait for the end.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Wait for the end, and say how it went
    #[arg(long)]
    wait: bool,
    /// With --wait: give up waiting after so many seconds (it goes on by itself)
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

impl Wait {
    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

pub(super) async fn run(verb: TargetVerb) -> Result<(), CliError> {
    match verb {
        TargetVerb::Check(one) => check(&one).await,
        TargetVerb::Verify(one) => verify(&one).await,
        TargetVerb::Reconcile { one, wait } => reconcile(&one, &wait).await,
        TargetVerb::Rollback { one, version, end_grace, wait } => rollback(&one, version, end_grace, &wait).await,
        TargetVerb::Retire(one) => one.command("EndGrace").await,
        TargetVerb::Prepare { one, apply, undo } => prepare(&one, apply, undo).await,
    }
}

async fn check(one: &One) -> Result<(), CliError> {
    let report = one.client()?.ours("CheckRotation", one.body()).await?;
    if one.connection.json {
        output::json(&report);
    } else {
        show_report(&report);
    }
    if report["Passes"] == true { Ok(()) } else { Err(CliError::refused("something stands in the way of rotating")) }
}

async fn verify(one: &One) -> Result<(), CliError> {
    let view = one.client()?.ours("VerifyRotation", one.body()).await?;
    show_view(&one.connection, &view);
    let failure = &view["NotVerified"];
    if failure.is_object() {
        let why = text(&failure["Message"]).unwrap_or_default();
        return Err(CliError::refused(format!("whether AWSCURRENT logs in could not be found out: {why}")));
    }
    if view["Verified"]["Drifted"] == true {
        let what = text(&view["Verified"]["Message"]).unwrap_or_default();
        return Err(CliError::refused(format!("{} has drifted: {what}", one.secret)));
    }
    Ok(())
}

async fn reconcile(one: &One, wait: &Wait) -> Result<(), CliError> {
    let client = one.client()?;
    let mut view = client.ours("ReconcileRotation", one.body()).await?;
    let until = Instant::now() + wait.limit();
    while wait.wait && view["Open"]["Reconciles"] == true && view["State"] != "parked" {
        if Instant::now() > until {
            return Err(CliError::timed_out(format!("{} is not set again yet; it goes on by itself", one.secret)));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        view = client.ours("DescribeRotation", one.body()).await?;
    }
    show_view(&one.connection, &view);
    match view["State"].as_str() {
        Some("parked" | "drifted") => Err(CliError::stopped(format!("AWSCURRENT of {} was not set again", one.secret))),
        _ => Ok(()),
    }
}

async fn rollback(one: &One, version: Option<String>, end_grace: bool, wait: &Wait) -> Result<(), CliError> {
    let client = one.client()?;
    let token = token();
    let mut body = one.body();
    body["ClientRequestToken"] = token.clone().into();
    if let Some(version) = version {
        body["VersionId"] = version.into();
    }
    let answer = client.ours("RollbackRotation", body).await?;
    begins(one, &client, &token, end_grace).await?;
    if wait.wait {
        return watch(one, &client, &token, wait.limit()).await;
    }
    one.confirm(
        &answer,
        &format!("is being rolled back under version {token}; `pawl rotation status` shows how far it is"),
    );
    Ok(())
}

/// A rotation that waits for a grace to end says so; or the grace is ended.
pub(super) async fn begins(one: &One, client: &Client, token: &str, end_grace: bool) -> Result<(), CliError> {
    let view = client.ours("DescribeRotation", one.body()).await?;
    let open = &view["Open"];
    if open["VersionId"] != token || open["Step"] != "retire" {
        return Ok(());
    }
    let before = text(&open["RetiringVersionId"]).unwrap_or_default();
    if end_grace {
        client.ours("EndGrace", one.body()).await?;
        output::progress(format!(
            "the grace of version {before} is ended now: whoever still uses its credential is refused"
        ));
    } else if let Some(at) = date(&open["NotBefore"]) {
        output::progress(format!(
            "it begins at {at}, when the grace of version {before} is over; --end-grace ends it now"
        ));
    }
    Ok(())
}

async fn prepare(one: &One, apply: bool, undo: bool) -> Result<(), CliError> {
    let mut body = one.body();
    body["Apply"] = apply.into();
    body["Undo"] = undo.into();
    let answer = one.client()?.ours("PrepareRotation", body).await?;
    if one.connection.json {
        output::json(&answer);
        return Ok(());
    }
    for group in members(&answer, "Statements") {
        let place =
            text(&group["Database"]).map_or_else(|| "any database".to_owned(), |name| format!("database {name}"));
        output::say(format!("-- in {place}"));
        for statement in members(group, "Statements").iter().filter_map(Value::as_str) {
            output::say(format!("{statement};"));
        }
    }
    show_findings(&answer);
    let shape = if undo { "one account" } else { "alternating users" };
    output::progress(match (answer["Applied"] == true, answer["Already"] == true) {
        (true, _) => format!("done: {} has the shape of {shape}, and its strategy goes with it", one.secret),
        (_, true) if undo => {
            format!("there was nothing to undo: {} has no shared owner, and its strategy stays as it was", one.secret)
        }
        (_, true) => format!("{} has the shape of {shape} already", one.secret),
        _ if apply => "nothing was done".to_owned(),
        _ => "nothing was changed; --apply runs these statements".to_owned(),
    });
    Ok(())
}

fn show_report(report: &Value) {
    let why = text(&report["Why"]).map(|why| format!(": {why}")).unwrap_or_default();
    output::fields(&[
        ("name", text(&report["Name"])),
        ("strategy", text(&report["Strategy"]).map(|strategy| strategy + &why)),
    ]);
    for server in members(report, "Servers") {
        let word = |member: &str| text(&server[member]).unwrap_or_default();
        let tls = text(&server["Tls"]).unwrap_or_else(|| "no TLS".to_owned());
        let standby = if server["Standby"] == true { ", takes no writes" } else { "" };
        output::say(format!("server    {}  {} {}, {tls}{standby}", word("Address"), word("Title"), word("Version")));
    }
    show_findings(report);
    let statements = members(report, "Statements");
    if !statements.is_empty() {
        output::say("\na rotation would run");
    }
    for statement in statements.iter().filter_map(Value::as_str) {
        output::say(format!("  {statement}"));
    }
    let times: Vec<String> = members(report, "Windows").iter().filter_map(|window| date(&window["Planned"])).collect();
    if !times.is_empty() {
        output::say(format!("\nit rotates at\n  {}", times.join("\n  ")));
    }
}

fn show_findings(answer: &Value) {
    for finding in members(answer, "Findings") {
        let level = match finding["Level"].as_str() {
            Some("problem") => "PROBLEM",
            Some("warning") => "warning",
            _ => "ok     ",
        };
        let code = text(&finding["Code"]).unwrap_or_default();
        output::say(format!("{level}  {} ({code})", text(&finding["Message"]).unwrap_or_default()));
        if let Some(remedy) = text(&finding["Remedy"]) {
            output::say(format!("         what to do: {remedy}"));
        }
    }
}

/// What the look before enabling found, on standard error.
pub(super) fn warn(answer: &Value) {
    for finding in members(answer, "Findings") {
        let remedy = text(&finding["Remedy"]).map(|remedy| format!("; what to do: {remedy}")).unwrap_or_default();
        let message = text(&finding["Message"]).unwrap_or_default();
        output::progress(format!("warning: {message} ({}){remedy}", text(&finding["Code"]).unwrap_or_default()));
    }
}

/// Whether AWSCURRENT logs in, for `pawl rotation status`.
pub(super) fn verified(view: &Value) -> Option<String> {
    let verified = &view["Verified"];
    let since = date(&verified["Since"]).map(|since| format!(", since {since} or before")).unwrap_or_default();
    Some(format!("{} (seen at {}{since})", text(&verified["Message"])?, date(&verified["Date"])?))
}

/// Why that could not be found out.
pub(super) fn not_verified(view: &Value) -> Option<String> {
    let failure = &view["NotVerified"];
    Some(format!("{} ({})", text(&failure["Message"])?, date(&failure["Date"])?))
}

/// What to do: about an open rotation, else about what was found at the target.
pub(super) fn remedy(view: &Value) -> Option<String> {
    let about = [&view["Open"]["Reason"], &view["Verified"], &view["NotVerified"]];
    about.into_iter().find_map(|about| text(&about["Remedy"]))
}

fn members<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}
