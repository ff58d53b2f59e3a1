//! The audit trail of a real server: one record a call, nothing acknowledged that is not in it, and what a full disk,
//! a kill and a forger make of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing, pawl, pawl_with_limits};
use crate::harness::{servers, wait_for};

/// Runs `pawl audit …` on the home's trail.
fn audit(home: &Home, arguments: &[&str]) -> Output {
    pawl().arg("audit").args(arguments).arg("--data").arg(home.data()).output().expect("pawl runs")
}

/// The records that `pawl audit search` finds.
fn found(home: &Home, filter: &[&str]) -> Vec<Value> {
    let output = audit(home, &[&["search", "--json"], filter].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// The same, when there are as many as are expected: a read's record comes some milliseconds after its answer.
fn wait_for_records(home: &Home, filter: &[&str], count: usize) -> Vec<Value> {
    wait_for(&format!("{count} records of {filter:?}"), Duration::from_secs(10), || {
        let records = found(home, filter);
        assert!(records.len() <= count, "more than {count}: {records:?}");
        (records.len() == count).then_some(records)
    })
}

fn verified(home: &Home) -> Value {
    let output = audit(home, &["verify", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn segment(home: &Home) -> PathBuf {
    home.data().join("audit/000000000001.jsonl")
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    pawl::boot::install_tls_provider();
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Calls without a signature; each is refused and recorded.
fn unsigned(server: &Pawl, calls: usize) {
    on_a_runtime(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        for _ in 0..calls {
            let call = client.post(&server.url).header("content-type", "application/json");
            let call = call.header("x-amz-target", "secretsmanager.ListSecrets").header("user-agent", "x".repeat(300));
            assert_eq!(call.body("{}").send().await.expect("answers").status().as_u16(), 400);
        }
    });
}

fn lost(server: &Pawl) -> u64 {
    let text = on_a_runtime(async {
        reqwest::get(format!("{}/metrics", server.url)).await.expect("answers").text().await.expect("text")
    });
    let line = text.lines().find_map(|line| line.strip_prefix("pawl_audit_lost_records_total "));
    line.unwrap_or_else(|| panic!("no such metric:\n{text}")).parse().expect("a number")
}

#[test]
fn every_call_that_was_carried_out_or_refused_leaves_exactly_one_record() {
    let home = Home::new();
    let server = home.serve();
    server.create("db/app", &json!("v"));
    server.json(&["secret", "get", "db/app"]);
    assert!(!server.run(&["secret", "get", "nobody"]).status.success());
    let mut stranger = pawl();
    stranger.args(["secret", "list", "--endpoint-url", &server.url]).env("AWS_ACCESS_KEY_ID", "AKIASTRANGER");
    assert!(!stranger.env("AWS_SECRET_ACCESS_KEY", "x").output().expect("pawl runs").status.success());
    unsigned(&server, 1);
    let one = |filter: &[&str]| wait_for_records(&home, filter, 1).remove(0);
    let made = one(&["--operation", "CreateSecret", "--secret", "db/app", "--principal", "admin", "--outcome", "ok"]);
    let arn = server.json(&["secret", "show", "db/app"])["ARN"].clone();
    assert_eq!((&made["secret"], &made["source"], &made["status"]), (&arn, &json!("127.0.0.1"), &json!(200)));
    assert!(made["user_agent"].as_str().is_some_and(|agent| agent.starts_with("pawl/")), "{made}");
    one(&["--operation", "GetSecretValue", "--secret", arn.as_str().expect("an ARN")]);
    assert_eq!(one(&["--secret", "nobody"])["outcome"], "ResourceNotFoundException");
    let refused = one(&["--principal", "AKIASTRANGER"]);
    assert_eq!((&refused["outcome"], &refused["proven"]), (&json!("UnrecognizedClientException"), &json!(false)));
    let unsigned = one(&["--outcome", "MissingAuthenticationTokenException"]);
    assert!(unsigned.get("principal").is_none(), "{unsigned}");
    let by_id = one(&["--request-id", unsigned["request_id"].as_str().expect("an id")]);
    assert_eq!(by_id, unsigned);
    // Started, those five, and the look at the ARN.
    wait_for_records(&home, &[], 7);
    wait_for_records(&home, &["--since", "1h", "--until", "2000-01-01T00:00:00Z"], 0);
}

#[test]
fn every_step_of_a_rotation_leaves_a_record_named_as_aws_names_its_events() {
    let Some(database) = servers::postgres() else { return };
    let home = Home::new();
    let server = home.serve();
    let account = Account::create(database);
    let name = server.create_for(&account, &nothing());
    assert!(server.run(&["rotation", "now", &name, "--wait"]).status.success());
    let secret = server.json(&["secret", "show", &name]);
    let versions = secret["VersionIdsToStages"].as_object().expect("versions");
    let current = versions.iter().find(|(_, labels)| labels.to_string().contains("AWSCURRENT")).expect("one").0;
    let arn = secret["ARN"].as_str().expect("an ARN");
    let steps = wait_for_records(&home, &["--request-id", &format!("Rotation-{arn}-{current}")], 4);
    let told: Vec<_> = steps.iter().map(|step| (step["operation"].as_str(), step["outcome"].as_str())).collect();
    let ok = |step| (Some(step), Some("ok"));
    assert_eq!(told, [ok("createSecret"), ok("setSecret"), ok("testSecret"), ok("finishSecret")]);
    for step in &steps {
        assert_eq!((&step["kind"], &step["principal"]), (&json!("step"), &json!("pawl")));
        assert_eq!((&step["secret"], &step["version"]), (&json!(arn), &json!(current)));
    }
}

#[test]
fn after_a_kill_every_acknowledged_change_has_its_record_and_the_chain_holds() {
    let home = Home::new();
    let server = home.serve();
    let (acknowledged, is_over) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let value = home.path().join("value");
    std::fs::write(&value, "v").expect("written");
    let value = value.to_str().expect("UTF-8");
    thread::scope(|scope| {
        for worker in 0..3 {
            let (server, acknowledged, is_over) = (&server, &acknowledged, &is_over);
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("s-{worker}-{n}");
                    if server.run(&["secret", "create", &name, "--value", value]).status.success() {
                        acknowledged.lock().expect("not poisoned").insert(name);
                    }
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        wait_for("changes are acknowledged", Duration::from_secs(60), || {
            (acknowledged.lock().expect("not poisoned").len() >= 40).then_some(())
        });
        server.signal(Signal::KILL);
        is_over.store(true, Ordering::Relaxed);
    });
    let server = home.serve();
    let recorded = found(&home, &["--operation", "CreateSecret", "--outcome", "ok"]);
    let names = recorded.iter().filter_map(|record| record["secret"].as_str()?.split(":secret:").nth(1));
    let names: BTreeSet<String> = names.filter_map(|name| Some(name.rsplit_once('-')?.0.to_owned())).collect();
    assert_eq!(names.len(), recorded.len(), "each once");
    let acknowledged = acknowledged.into_inner().expect("not poisoned");
    let missing: Vec<_> = acknowledged.difference(&names).collect();
    assert!(missing.is_empty(), "acknowledged, and not in the trail: {missing:?}");
    server.json(&["secret", "list"]);
    verified(&home);
}

// F04
#[test]
fn a_full_disk_stops_changes_and_neither_reads_nor_the_taking_of_keys_and_the_trail_says_what_it_missed() {
    let home = Home::new();
    let server = home.serve_by(pawl_with_limits(), &[], &[]);
    server.create("before", &json!("v"));
    let key = server.json(&["key", "create", "--principal", "web", "--role", "reader", "--prefix", "app/"]);
    let key = key["AccessKeyId"].as_str().expect("an id");
    // The trail outgrows the store's files, so that one limit stops the trail alone.
    let longest = || {
        let files = ["pawl.db", "pawl.db-wal"].map(|name| home.data().join(name));
        files.into_iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).max().unwrap_or(0)
    };
    let length = || std::fs::metadata(segment(&home)).expect("a segment").len();
    while length() < longest() + 200_000 {
        unsigned(&server, 200);
    }
    server.limit_files(Some(length()));
    unsigned(&server, 5);
    wait_for("records are lost", Duration::from_secs(10), || (lost(&server) >= 5).then_some(()));
    server.json(&["secret", "get", "before"]);
    let value = home.path().join("value");
    std::fs::write(&value, "v").expect("written");
    let create = |name: &str| server.run(&["secret", "create", name, "--value", value.to_str().expect("UTF-8")]);
    let refused = create("during");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("InternalServiceError"), "{refused:?}");
    assert!(!server.run(&["secret", "show", "during"]).status.success(), "it was refused before it ran");
    assert!(server.run(&["key", "disable", key]).status.success(), "a key that leaked is not to stay good");
    assert!(found(&home, &["--operation", "pawl.UpdateAccessKey"]).is_empty(), "its record is held");
    verified(&home);

    server.limit_files(None);
    wait_for("changes are taken again", Duration::from_secs(10), || create("after").status.success().then_some(()));
    let told = found(&home, &[]).into_iter().filter(|record| record["kind"] == "lost");
    let told: u64 = told.filter_map(|record| record["count"].as_u64()).sum();
    assert_eq!(told, lost(&server));
    wait_for_records(&home, &["--operation", "CreateSecret", "--outcome", "ok"], 2);
    wait_for_records(&home, &["--operation", "pawl.UpdateAccessKey", "--outcome", "ok"], 1);
    verified(&home);
    assert_eq!(home.log().matches("the audit trail cannot be written: reads go on").count(), 1, "said once");
}

#[test]
fn verify_says_where_a_trail_is_broken_and_proves_a_head_that_was_kept() {
    let home = Home::new();
    let mut server = home.serve();
    server.create("first", &json!("v"));
    let head = verified(&home)["Head"].as_str().expect("a head").to_owned();
    server.create("second", &json!("v"));
    server.signal(Signal::TERM);
    assert!(server.ended(Duration::from_secs(20)).success());
    let whole = verified(&home);
    assert_eq!(whole["Records"], 4, "started, two calls, stopped: {whole}");
    assert!(audit(&home, &["verify", "--head", &head]).status.success());

    let file = segment(&home);
    let text = std::fs::read_to_string(&file).expect("a segment");
    let end = text.match_indices('\n').next().expect("a line").0 + 1;
    std::fs::write(&file, &text[..end]).expect("cut");
    verified(&home);
    let output = audit(&home, &["verify", "--head", &head]);
    assert_eq!(output.status.code(), Some(1), "the end was cut off");
    std::fs::write(&file, text.replace("secret:first", "secret:other")).expect("changed");
    let output = audit(&home, &["verify"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("000000000001.jsonl:2: its text was changed"), "{error}");
    let output = audit(&home, &["verify", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&answer["Valid"], output.status.code()), (&json!(false), Some(1)));
}

#[test]
fn tail_shows_the_newest_records_and_follows_a_running_server() {
    let home = Home::new();
    let server = home.serve();
    server.create("first", &json!("v"));
    let table = audit(&home, &["tail", "-n", "1"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.starts_with("TIME") && table.contains("CreateSecret") && table.contains(" first "), "{table}");
    assert_eq!(table.lines().count(), 2, "{table}");

    let mut command = pawl();
    command.args(["audit", "tail", "-n", "0", "-f", "--json", "--data"]).arg(home.data()).stdout(Stdio::piped());
    let mut following = command.spawn().expect("pawl runs");
    let mut lines = BufReader::new(following.stdout.take().expect("its output")).lines();
    // Whatever it had to begin with, sooner or later it says what happens now.
    let seen = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let is_new = |line: &String| line.contains("ListSecrets") && line.ends_with("\"}");
            seen.store(lines.by_ref().map_while(Result::ok).any(|line| is_new(&line)), Ordering::Relaxed);
        });
        wait_for("the new record is shown", Duration::from_secs(20), || {
            server.json(&["secret", "list"]);
            seen.load(Ordering::Relaxed).then_some(())
        });
        following.kill().expect("our own child");
    });
    following.wait().expect("it ended");
}

#[test]
fn a_folder_without_a_trail_is_not_taken_for_one_where_nothing_happened() {
    let home = Home::new();
    for verb in ["tail", "search", "verify"] {
        let output = audit(&home, &[verb]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains("is no audit trail"), "{verb}: {error}");
    }
}

#[test]
fn the_trail_can_be_kept_in_a_folder_of_its_own() {
    let home = Home::new();
    let folder = home.path().join("elsewhere");
    let server = home.serve_with(&["--audit-dir", folder.to_str().expect("UTF-8")], &[]);
    server.create("s", &json!("v"));
    let output = pawl().args(["audit", "tail", "--audit-dir"]).arg(&folder).output().expect("pawl runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("CreateSecret"), "{output:?}");
    assert!(!home.data().join("audit").exists());
}
