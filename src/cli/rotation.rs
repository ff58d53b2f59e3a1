//! `pawl rotation`: enable, start, watch and give up rotations.

mod readers;
mod settings;
mod target;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::readers::ReaderArgs;
use self::settings::SettingArgs;
use self::target::TargetVerb;
use super::client::Client;
use super::limits::{self, OneOrAll};
use super::secret::token;
use super::shown::{date, duration, text, time};
use super::{CliError, Connection, output};

#[derive(Debug, Subcommand)]
pub(crate) enum RotationVerb {
    /// Rotate a secret by schedule; the first rotation comes at the next window unless --now
    Enable {
        /// Name or ARN
        secret: String,
        #[command(flatten)]
        schedule: ScheduleArgs,
        /// Rotate at once as well
        #[arg(long)]
        now: bool,
        /// A rotator's name [default: by the `engine` in the secret]
        #[arg(long)]
        rotator: Option<String>,
        /// Let a PostgreSQL account whose stored hash is md5 become SCRAM-SHA-256
        #[arg(long)]
        allow_md5_upgrade: bool,
        /// Let MySQL or MariaDB rows 'user'@'host' with different passwords get the same one
        #[arg(long)]
        allow_differing_hosts: bool,
        #[command(flatten)]
        settings: Box<SettingArgs>,
        /// Enable it although the preflight found something in the way; the history notes what
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Stop rotating by schedule; an open rotation is given up
    Disable(One),
    /// Rotate now
    Now {
        #[command(flatten)]
        one: One,
        /// Show the steps and end when the rotation has ended
        #[arg(long)]
        wait: bool,
        /// With --wait: give up waiting after so many seconds (the rotation goes on)
        #[arg(long, value_name = "SECONDS", default_value_t = 120)]
        timeout: u64,
        /// Begin now also where the grace of the credential before would be waited for: whoever still uses it is refused
        #[arg(long, visible_alias = "now")]
        end_grace: bool,
        /// Begin in a blackout too
        #[arg(long)]
        force: bool,
    },
    #[command(flatten)]
    Target(TargetVerb),
    /// Show where a rotation stands and what to do about it
    Status(One),
    /// Show who last read which version, and who is logged in with the credential before
    Readers(ReaderArgs),
    /// Show who or what started rotations, each step, how long, the verdict
    History {
        #[command(flatten)]
        one: One,
        /// How many entries, newest first
        #[arg(long, default_value_t = 30)]
        limit: u32,
    },
    /// Print the next rotation times, in the schedule's zone and in UTC
    Preview {
        /// Name or ARN; leave it out to try a schedule that is not stored
        secret: Option<String>,
        #[command(flatten)]
        schedule: ScheduleArgs,
        /// How many
        #[arg(long, default_value_t = 5)]
        count: u32,
        #[command(flatten)]
        connection: Connection,
    },
    /// Start nothing and retry nothing for this secret until `resume`; or, with --all, start nothing at all
    Pause {
        #[command(flatten)]
        which: OneOrAll,
        /// With --all: why, for whoever finds it paused
        #[arg(long, value_name = "TEXT", required_if_eq("all", "true"), conflicts_with = "secret")]
        reason: Option<String>,
    },
    /// Go on after `pause`, or after a rotation was parked; with --all after `pause --all`
    Resume(OneOrAll),
    /// Give the open rotation up: AWSCURRENT is proven, and put back where it no longer logs in
    Abandon {
        #[command(flatten)]
        one: One,
        /// After it was given up, where its rotator cannot prove it: you have seen AWSCURRENT log in
        #[arg(long)]
        current_works: bool,
    },
}

/// One secret.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Name or ARN
    secret: String,
    #[command(flatten)]
    connection: Connection,
}

/// When to rotate.
#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// rate(10 days), cron(0 8 1 * ? *); with `pawl serve --schedule-limits none` also rate(30 minutes)
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "days")]
    schedule: Option<String>,
    /// Every so many days
    #[arg(long, value_name = "N")]
    days: Option<u16>,
    /// How long the window is open, such as 3h
    #[arg(long, value_name = "HOURSh")]
    duration: Option<String>,
    /// IANA time zone of the schedule, such as Europe/Berlin, or default [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl ScheduleArgs {
    fn put(&self, body: &mut Value) {
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        set("ScheduleExpression", self.schedule.clone().map(Value::from));
        set("AutomaticallyAfterDays", self.days.map(Value::from));
        set("Duration", self.duration.clone().map(Value::from));
        set("TimeZone", self.time_zone.clone().map(Value::from));
    }
}

pub(crate) async fn run(verb: RotationVerb) -> Result<(), CliError> {
    match verb {
        RotationVerb::Enable {
            secret,
            schedule,
            now,
            rotator,
            allow_md5_upgrade,
            allow_differing_hosts,
            settings,
            force,
            connection,
        } => {
            let mut body = json!({"SecretId": secret, "RotateImmediately": now});
            schedule.put(&mut body);
            settings.put(&mut body);
            if force {
                body["Force"] = true.into();
            }
            if let Some(rotator) = rotator {
                body["Rotator"] = rotator.into();
            }
            // Left out means: as it was.
            for (name, wanted) in
                [("AllowMd5Upgrade", allow_md5_upgrade), ("AllowDifferingHosts", allow_differing_hosts)]
            {
                if wanted {
                    body[name] = true.into();
                }
            }
            let answer = Client::new(&connection)?.ours("EnableRotation", body).await?;
            show_view(&connection, &answer);
            settings.warn();
            for warning in answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                output::progress(format!("warning: {warning}"));
            }
            target::warn(&answer);
        }
        RotationVerb::Disable(one) => {
            let answer = one.client()?.aws("CancelRotateSecret", one.body()).await?;
            one.confirm(&answer, "is no longer rotated by schedule");
        }
        RotationVerb::Now { one, wait, timeout, end_grace, force } => {
            now(&one, wait.then(|| Duration::from_secs(timeout)), end_grace, force).await?;
        }
        RotationVerb::Target(verb) => target::run(verb).await?,
        RotationVerb::Readers(args) => readers::run(&args).await?,
        RotationVerb::Status(one) => one.command("DescribeRotation").await?,
        RotationVerb::Pause { which, reason } => match which.one() {
            Some(one) => one.command("PauseRotation").await?,
            None => limits::pause_all(&which.connection, &reason.unwrap_or_default()).await?,
        },
        RotationVerb::Resume(which) => match which.one() {
            Some(one) => one.command("ResumeRotation").await?,
            None => limits::ask(&which.connection, "ResumeAll", json!({})).await.map(drop)?,
        },
        RotationVerb::Abandon { one, current_works } => {
            let mut body = one.body();
            if current_works {
                body["CurrentWorks"] = true.into();
            }
            show_view(&one.connection, &one.client()?.ours("AbandonRotation", body).await?);
        }
        RotationVerb::History { one, limit } => history(&one, limit).await?,
        RotationVerb::Preview { secret, schedule, count, connection } => {
            let mut body = json!({"Count": count});
            if let Some(secret) = secret {
                body["SecretId"] = secret.into();
            }
            schedule.put(&mut body);
            let answer = Client::new(&connection)?.ours("PreviewRotation", body).await?;
            if connection.json { output::json(&answer) } else { show_preview(&answer) }
        }
    }
    Ok(())
}

impl OneOrAll {
    /// The secret; None for everything.
    fn one(&self) -> Option<One> {
        self.secret.clone().map(|secret| One { secret, connection: self.connection.clone() })
    }
}

impl One {
    fn client(&self) -> Result<Client, CliError> {
        Client::new(&self.connection)
    }

    fn body(&self) -> Value {
        json!({ "SecretId": self.secret })
    }

    async fn command(&self, operation: &str) -> Result<(), CliError> {
        let answer = self.client()?.ours(operation, self.body()).await?;
        show_view(&self.connection, &answer);
        Ok(())
    }

    fn confirm(&self, answer: &Value, line: &str) {
        if self.connection.json {
            output::json(answer);
        } else {
            output::say(format!("{} {line}", text(&answer["Name"]).unwrap_or_default()));
        }
    }
}

async fn now(one: &One, wait: Option<Duration>, end_grace: bool, force: bool) -> Result<(), CliError> {
    let client = one.client()?;
    let token = token();
    let mut body = one.body();
    body["ClientRequestToken"] = token.clone().into();
    let answer = if force {
        body["Force"] = true.into();
        client.ours("StartRotation", body).await?
    } else {
        client.aws("RotateSecret", body).await?
    };
    target::begins(one, &client, &token, end_grace).await?;
    let Some(limit) = wait else {
        one.confirm(
            &answer,
            &format!("is being rotated to version {token}; `pawl rotation status` shows how far it is"),
        );
        return Ok(());
    };
    watch(one, &client, &token, limit).await
}

/// Shows each step of this token's rotation as it ends, until the rotation ends or stops.
async fn watch(one: &One, client: &Client, token: &str, limit: Duration) -> Result<(), CliError> {
    let until = Instant::now() + limit;
    let mut seen = BTreeSet::new();
    loop {
        let view = client.ours("DescribeRotation", one.body()).await?;
        show_new_steps(one, client, token, &mut seen).await?;
        // What is left of a rotation that has succeeded is the end of a grace.
        let ours = view["Open"]["VersionId"] == token && view["Open"]["Promoted"] != true;
        if !ours {
            return finished(one, client, token).await;
        }
        if view["State"] == "parked" {
            let reason = &view["Open"]["Reason"];
            let remedy = text(&reason["Remedy"]).map(|remedy| format!("\n  what to do: {remedy}")).unwrap_or_default();
            let message = text(&reason["Message"]).unwrap_or_default();
            return Err(CliError::stopped(format!("{} is parked: {message}{remedy}", one.secret)));
        }
        if Instant::now() > until {
            return Err(CliError::timed_out(format!("{} is not rotated yet; it goes on by itself", one.secret)));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

async fn show_new_steps(one: &One, client: &Client, token: &str, seen: &mut BTreeSet<i64>) -> Result<(), CliError> {
    let mut body = one.body();
    body["Limit"] = 100.into();
    let answer = client.ours("ListRotationHistory", body).await?;
    let entries = answer["History"].as_array().into_iter().flatten().rev();
    for entry in entries.filter(|entry| entry["VersionId"] == token) {
        let under_way = entry["Kind"] == "step" && entry["Ended"].is_null();
        let fresh = !under_way && entry["Id"].as_i64().is_some_and(|id| seen.insert(id));
        if fresh {
            output::progress(entry_line(entry));
        }
    }
    Ok(())
}

async fn finished(one: &One, client: &Client, token: &str) -> Result<(), CliError> {
    let secret = client.aws("DescribeSecret", one.body()).await?;
    let stages = secret["VersionIdsToStages"][token].as_array();
    if stages.is_some_and(|stages| stages.iter().any(|stage| stage == "AWSCURRENT")) {
        one.confirm(&secret, &format!("rotated: version {token} is AWSCURRENT"));
        return Ok(());
    }
    Err(CliError::stopped(format!(
        "the rotation of {} was given up; `pawl rotation history {}` says why",
        one.secret, one.secret
    )))
}

fn entry_line(entry: &Value) -> String {
    let what = text(&entry["Step"]).or_else(|| text(&entry["Kind"])).unwrap_or_default();
    let took = took(entry).unwrap_or_default();
    let verdict = text(&entry["Verdict"]).unwrap_or_default();
    let message = text(&entry["Message"]).unwrap_or_default();
    format!("  {what:<13} {took:>10}  {verdict:<12} {message}").trim_end().to_owned()
}

/// How long a step took; a note takes no time.
fn took(entry: &Value) -> Option<String> {
    let step = entry["Kind"] == "step";
    let (started, ended) = (time(&entry["Started"])?, time(&entry["Ended"])?);
    step.then(|| format!("{} ms", (ended - started).num_milliseconds()))
}

async fn history(one: &One, limit: u32) -> Result<(), CliError> {
    let mut body = one.body();
    body["Limit"] = limit.into();
    let answer = one.client()?.ours("ListRotationHistory", body).await?;
    if one.connection.json {
        output::json(&answer);
        return Ok(());
    }
    let row = |entry: &Value| {
        vec![
            date(&entry["Started"]).unwrap_or_default(),
            text(&entry["VersionId"]).map(|id| id.chars().take(8).collect()).unwrap_or_default(),
            text(&entry["Step"]).or_else(|| text(&entry["Kind"])).unwrap_or_default(),
            took(entry).unwrap_or_default(),
            text(&entry["Verdict"]).unwrap_or_default(),
            text(&entry["By"]).unwrap_or_default(),
            text(&entry["Message"]).unwrap_or_default(),
        ]
    };
    let rows = answer["History"].as_array().into_iter().flatten().map(row).collect();
    output::table(&["when", "version", "what", "took", "verdict", "by", "message"], rows);
    Ok(())
}

/// What keeps it from going on, beside its state.
fn held_up(view: &Value) -> &'static str {
    match (view["Paused"] == true, view["Held"] == true) {
        (true, _) => ", paused",
        (false, true) => ", held until AWSCURRENT was seen to log in (pawl store status)",
        (false, false) => "",
    }
}

pub(crate) fn show_view(connection: &Connection, view: &Value) {
    if connection.json {
        return output::json(view);
    }
    let open = &view["Open"];
    let reason = &open["Reason"];
    let rules = &view["RotationRules"];
    let schedule = text(&rules["ScheduleExpression"])
        .or_else(|| rules["AutomaticallyAfterDays"].as_i64().map(|days| format!("every {days} days")));
    let zone = text(&view["TimeZone"]).map(|zone| format!(" ({zone})")).unwrap_or_default();
    output::fields(&[
        ("name", text(&view["Name"])),
        ("rotation", Some(if view["RotationEnabled"] == true { "on" } else { "off" }.to_owned())),
        ("state", text(&view["State"]).map(|state| state + held_up(view))),
        ("rotator", rotator(view)),
        ("schedule", schedule.map(|schedule| schedule + &zone)),
        ("window", text(&rules["Duration"])),
        ("strategy", settings::strategy(view)),
        ("grace", settings::grace(view)),
        ("retiring", settings::retiring(view)),
        ("verify", text(&view["Verify"]).map(|every| settings::verify(&every))),
        ("blackouts", settings::blackouts(view)),
        ("next act", date(&view["DueDate"])),
        ("waits", text(&view["WaitsFor"])),
        ("rotates before", date(&view["NextRotationDate"])),
        ("last rotated", date(&view["LastRotatedDate"])),
        ("last test", last_test(&view["LastTest"])),
        ("verified", target::verified(view)),
        ("not verified", target::not_verified(view)),
        ("verifies at", date(&view["NextVerifyDate"])),
        ("open version", text(&open["VersionId"])),
        ("step", text(&open["Step"])),
        ("started by", text(&open["StartedBy"])),
        ("attempt", open["Attempt"].as_u64().filter(|n| *n > 0).map(|n| n.to_string())),
        ("why", text(&reason["Message"])),
        ("what to do", target::remedy(view)),
    ]);
}

/// Who serves it, where one was named; and that it is not called, where that is what everything waits for.
fn rotator(view: &Value) -> Option<String> {
    let given = text(&view["Rotator"])?;
    if view["RotatorDisabled"] != true {
        return Some(given);
    }
    let name = api::rotator_name(&given).unwrap_or(&given);
    Some(format!("{given}, disabled: nothing is done until `pawl rotator enable {name}`"))
}

/// How a test of the configuration went, where one was asked for.
fn last_test(test: &Value) -> Option<String> {
    let outcome = if test["Succeeded"] == true { "succeeded" } else { "failed" };
    Some(format!("{outcome} at {}: {}", date(&test["Date"])?, text(&test["Message"]).unwrap_or_default()))
}

fn show_preview(answer: &Value) {
    let zone = text(&answer["TimeZone"]).unwrap_or_default();
    let row = |window: &Value| {
        let moment = if window["Planned"].is_null() { "Opens" } else { "Planned" };
        vec![
            text(&window[format!("{moment}Local")]).unwrap_or_default(),
            date(&window[moment]).unwrap_or_default(),
            text(&window["OpensLocal"]).unwrap_or_default(),
            time(&window["Closes"])
                .zip(time(&window["Opens"]))
                .map(|(closes, opens)| duration((closes - opens).as_seconds_f64()))
                .unwrap_or_default(),
        ]
    };
    let rows = answer["Windows"].as_array().into_iter().flatten().map(row).collect();
    output::table(&[&format!("rotates at ({zone})"), "in UTC", "window opens", "open for"], rows);
}
