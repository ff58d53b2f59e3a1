//! No byte of a secret where it does not belong: logs, errors, metrics, history, the audit trail, the plain bytes of the store.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::account::{Account, admin_secret};
use crate::harness::pawl::{Home, Pawl, nothing, pawl};
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

fn metrics(pawl: &Pawl) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = format!("{}/metrics", pawl.url);
    runtime.block_on(async { reqwest::get(url).await.expect("answers").text().await.expect("text") })
}

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
    seen.push_str(&metrics(&pawl));
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

#[test]
fn a_value_never_comes_from_an_argument() {
    let output = pawl().args(["secret", "create", "--help"]).output().expect("pawl runs");
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("--value <FILE>") && help.contains("--password-file <FILE>"), "{help}");
}
