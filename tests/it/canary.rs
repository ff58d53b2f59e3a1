//! No byte of a secret where it does not belong: logs, errors, metrics, history, the audit trail, the plain bytes of the store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::account::{Account, admin_secret};
use crate::harness::pawl::{Home, Pawl, nothing, pawl};
use crate::harness::receiver::{Answer, Event, Receiver};
use crate::harness::service::{Service, account_value, callback, credentials_of, issuing, managed};
use crate::harness::wire::call;
use crate::harness::{servers, unique};

/// Everything that must not be found.
fn secrets_of(home: &Home, pawl: &Pawl, names: &[String]) -> Vec<String> {
    let mut secrets = vec![];
    for name in names {
        for stage in ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"] {
            let output = pawl.run(&["secret", "get", name, "--stage", stage, "--key", "password"]);
            if output.status.success() {
                secrets.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
            }
        }
    }
    let credentials = std::fs::read_to_string(home.data().join("credentials")).expect("credentials");
    secrets.extend(
        credentials.lines().filter_map(|line| line.strip_prefix("aws_secret_access_key = ").map(str::to_owned)),
    );
    secrets
}

/// All files of a data folder but the credentials.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] });
    files.filter(|path| path.file_name().is_some_and(|name| name != "credentials")).collect()
}

// F122
#[test]
fn no_secret_byte_is_in_logs_errors_metrics_history_the_audit_trail_or_the_stores_plain_bytes() {
    pawl::boot::install_tls_provider();
    let home = Home::new();
    let mut seen = String::new();
    let mut names = vec![];
    let pawl = home.serve_with(&["--log", "json"], &[("RUST_LOG", "debug")]);
    let keep = |seen: &mut String, output: std::process::Output| {
        seen.push_str(&String::from_utf8_lossy(&output.stdout));
        seen.push_str(&String::from_utf8_lossy(&output.stderr));
    };
    for server in [servers::postgres(), servers::mariadb(), servers::mysql()].into_iter().flatten() {
        let account = Account::create(server);
        names.push(pawl.create_for(&account, &nothing()));
        let admin = unique("admin-of-");
        pawl.create(&admin, &admin_secret(server, &nothing()));
        names.push(admin.clone());
        let with_admin = Account::create(server);
        names.push(pawl.create_for(&with_admin, &json!({ "masterarn": admin })));
        // A password that is refused, so that errors are made as well.
        let refused = Account::create(server);
        names.push(pawl.create_for(&refused, &json!({ "password": unique("Canary-refused-") })));
        for name in &names[names.len() - 4..] {
            if *name != admin {
                keep(&mut seen, pawl.run(&["rotation", "now", name, "--wait", "--timeout", "20"]));
            }
            for verb in ["status", "history", "preview"] {
                keep(&mut seen, pawl.run(&["rotation", verb, name]));
                keep(&mut seen, pawl.run(&["rotation", verb, name, "--json"]));
            }
            keep(&mut seen, pawl.run(&["secret", "show", name, "--json"]));
        }
    }
    seen.push_str(&pawl.metrics());
    // Writes that are refused echo nothing.
    let value = unique("Canary-unwritten-");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &value).expect("written");
    let path = file.path().to_str().expect("UTF-8").to_owned();
    keep(&mut seen, pawl.run(&["secret", "put", "no-such-secret", "--value", &path]));
    keep(&mut seen, pawl.run(&["secret", "create", "a name with spaces", "--value", &path]));

    let mut secrets = secrets_of(&home, &pawl, &names);
    secrets.push(value);
    assert!(secrets.len() > names.len(), "there is something to look for");
    drop(pawl);
    let log = home.log();
    assert!(log.contains("setSecret of"), "the log says what happened: {log}");
    let files = files_of(&home.data());
    let trail = files.iter().find(|path| path.extension().is_some_and(|ending| ending == "jsonl")).expect("a trail");
    let trail = std::fs::read_to_string(trail).expect("text");
    assert!(trail.contains("setSecret") && trail.contains("GetSecretValue"), "the trail says what happened: {trail}");
    for secret in &secrets {
        assert!(!seen.contains(secret.as_str()), "a secret is in an answer");
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
        for path in &files {
            let bytes = std::fs::read(path).expect("a file");
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
}

/// What events carried that nobody else may see.
fn secrets_in(event: &Event) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let password = |value: &Value| {
        let value: Value = serde_json::from_str(value["SecretString"].as_str()?).ok()?;
        text(&value["password"])
    };
    let body = &event.body;
    let values = ["Current", "Pending", "Retired"].into_iter().filter_map(|name| password(&body[name]));
    let credentials = &body["Credentials"];
    let others = [&body["RotationToken"], &credentials["SecretAccessKey"], &credentials["SessionToken"]];
    values.chain(others.into_iter().filter_map(text)).collect()
}

/// What a receiver in callback mode can read by itself.
fn fetched(event: &Event) -> Vec<String> {
    let Some(url) = event.body["Endpoint"].as_str() else { return vec![] };
    let by = credentials_of(event);
    let read = |stage: &str| {
        let asked = json!({ "SecretId": event.body["SecretId"], "VersionStage": stage });
        let (_, answer) = call(url, &by, "GetSecretValue", &asked).filter(|(status, _)| *status == 200)?;
        let value: Value = serde_json::from_str(answer["SecretString"].as_str()?).ok()?;
        value["password"].as_str().map(str::to_owned)
    };
    ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"].into_iter().filter_map(read).collect()
}

/// A receiver's answer that repeats every secret it was sent or could read, as careless ones do.
fn indiscreet(event: &Event, fetched: &[String]) -> Answer {
    let told = [&secrets_in(event), fetched].concat().join(" and ");
    Answer::error(500, "Retryable", &format!("could not work with {told}, sorry"))
}

// F122
#[test]
fn nothing_that_a_registered_rotator_is_sent_or_called_with_is_seen_anywhere_else() {
    let home = Home::new();
    let pawl = home.serve_with(&["--log", "json"], &[("RUST_LOG", "debug")]);
    let service = Service::with("Canary-first-of-the-account");
    let (told, served) = (Mutex::new(HashSet::new()), Arc::clone(&service));
    let all_fetched = Arc::<Mutex<Vec<String>>>::default();
    let keep_fetched = Arc::clone(&all_fetched);
    let receiver = Receiver::start(move |event| {
        // Each step of each secret is refused once, with everything in the answer; so it is in every message there is.
        let key = (event.step().to_owned(), event.body["SecretId"].to_string());
        if told.lock().expect("whole").insert(key) {
            let fetched = fetched(event);
            keep_fetched.lock().expect("whole").extend(fetched.clone());
            return indiscreet(event, &fetched);
        }
        match event.body["Mode"].as_str() {
            Some("callback") => {
                let url = event.body["Endpoint"].as_str().expect("an endpoint");
                callback(&served, url, &credentials_of(event), event)
            }
            _ if event.body.get("Tag").is_some() || event.step() == "createSecret" => issuing(&served, event),
            _ => managed(&served, event),
        }
    });
    let mut secrets = vec!["Canary-secret-half-of-a-lambda-key".to_owned()];
    let mut keep_key = |answer: &Value| secrets.extend(answer["SigningKey"].as_str().map(str::to_owned));
    for (name, options) in [
        ("managed", json!({})),
        ("callback", json!({ "Mode": "callback", "Credentials": true })),
        ("issuing", json!({ "Issues": true })),
    ] {
        let mut members = json!({ "Name": name, "Kind": "webhook", "Url": receiver.url });
        members.as_object_mut().expect("members").extend(options.as_object().expect("members").clone());
        keep_key(&pawl.ask("CreateRotator", &members).expect("registered"));
        keep_key(&pawl.ask("RotateSigningKey", &json!({ "Name": name })).expect("a key"));
        pawl.create(name, &account_value("Canary-first-of-the-account"));
        pawl.json(&["rotation", "enable", name, "--rotator", name]);
        let output = pawl.run(&["rotation", "now", name, "--wait"]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let signed = json!({ "Name": "fn", "Kind": "lambda", "Endpoint": receiver.url, "Region": "us-east-1",
        "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "Canary-secret-half-of-a-lambda-key" });
    pawl.ask("CreateRotator", &signed).expect("registered");

    let mut seen = pawl.metrics();
    for verb in [&["rotator", "list"][..], &["audit", "tail"]] {
        seen.push_str(&String::from_utf8_lossy(&pawl.run(verb).stdout));
    }
    for name in ["managed", "callback", "issuing"] {
        for verb in [["rotator", "show"], ["rotator", "deliveries"], ["rotation", "history"], ["rotation", "status"]] {
            for form in [&[][..], &["--json"]] {
                let output = pawl.run(&[&verb[..], &[name], form].concat());
                seen.push_str(&String::from_utf8_lossy(&output.stdout));
                seen.push_str(&String::from_utf8_lossy(&output.stderr));
            }
        }
    }
    assert!(seen.contains("could not work with"), "what the receiver said is shown, without the secrets: {seen}");
    secrets.extend(receiver.events().iter().flat_map(secrets_in));
    let fetched = all_fetched.lock().expect("whole").clone();
    assert!(fetched.iter().any(|value| value.starts_with("Written-")), "what the receiver wrote was read again");
    secrets.extend(fetched);
    assert!(secrets.len() > 30, "there is something to look for");
    drop(pawl);
    seen.push_str(&home.log());
    for secret in &secrets {
        // The Base64 of a key, without the letters before it, is as good.
        let secret = secret.trim_start_matches("whsec_");
        assert!(!seen.contains(secret), "{}… is in an answer or the log", &secret[..6]);
        for path in files_of(&home.data()) {
            let bytes = std::fs::read(&path).expect("a file");
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}… is in {}", &secret[..6], path.display());
        }
    }
}

#[test]
fn a_value_never_comes_from_an_argument() {
    let output = pawl().args(["secret", "create", "--help"]).output().expect("pawl runs");
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("--value <FILE>") && help.contains("--password-file <FILE>"), "{help}");
}
