//! `pawl serve`: first start, health, refusals at the start, certificates, the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use pawl::servers::tls;
use rustix::process::Signal;

use crate::harness::account::Account;
use crate::harness::pawl::{Home, nothing, pawl, pawl_with_files};
use crate::harness::{servers, wait_for};

fn get(url: &str, ca: Option<&[u8]>) -> Result<(u16, String), reqwest::Error> {
    pawl::boot::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(ca) = ca {
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(ca).expect("a certificate")]);
        }
        let answer = builder.build().expect("a client").get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    })
}

#[test]
fn the_first_start_makes_a_keyring_and_a_key_that_only_their_owner_can_read() {
    let home = Home::new();
    let server = home.serve();
    for name in ["keyring.json", "credentials", "pawl.db"] {
        let mode = std::fs::metadata(home.data().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
    server.json(&["secret", "list"]);
    drop(server);
    let first = std::fs::read(home.data().join("credentials")).expect("credentials");
    drop(home.serve());
    assert_eq!(std::fs::read(home.data().join("credentials")).expect("credentials"), first, "made once");
}

#[test]
fn health_and_metrics_need_no_signature() {
    let home = Home::new();
    let server = home.serve();
    assert_eq!(get(&format!("{}/healthz", server.url), None).expect("answers"), (200, "ok\n".to_owned()));
    assert_eq!(get(&format!("{}/readyz", server.url), None).expect("answers").0, 200);
    if let Some(database) = servers::postgres() {
        let account = Account::create(database);
        let name = server.create_for(&account, &nothing());
        assert!(server.run(&["rotation", "now", &name, "--wait"]).status.success());
        server.json(&["rotation", "enable", &name, "--days", "30"]);
    }
    let (status, text) = get(&format!("{}/metrics", server.url), None).expect("answers");
    assert_eq!(status, 200);
    for name in [
        "pawl_rotation_steps_total{step=\"setSecret\",outcome=\"done\"} 1",
        "pawl_rotations_total{outcome=\"Succeeded\"} 1",
        "pawl_rotation_step_seconds_bucket",
        "pawl_rotations_due 0",
        "pawl_rotations_overdue 0",
        "pawl_rotations_parked 0",
        "pawl_rotations_scheduled 1",
        "pawl_oldest_current_age_seconds",
        "pawl_api_calls_total{operation=\"RotateSecret\",status=\"200\"} 1",
    ] {
        assert!(text.contains(name) || servers::postgres().is_none(), "{name} is not in:\n{text}");
    }
}

#[test]
fn requests_that_are_never_finished_do_not_keep_others_out() {
    let home = Home::new();
    let server = home.serve_by(pawl_with_files(200), &[], &[]);
    assert_eq!(server.file_limit(), 200, "raised to what it may have");
    let address = server.url.trim_start_matches("http://");
    let stalled = || {
        let mut stream = TcpStream::connect(address).expect("connected");
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n{";
        stream.write_all(head.as_bytes()).expect("written");
        stream
    };
    // More than there can be files, so that without a limit nobody would ever be answered again.
    let mut stalled: Vec<TcpStream> = (0..250).map(|_| stalled()).collect();
    wait_for("another client is answered", Duration::from_secs(90), || {
        get(&format!("{}/healthz", server.url), None).ok().filter(|answer| answer.0 == 200)
    });
    let mut answer = String::new();
    stalled[0].set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stalled[0].read_to_string(&mut answer).expect("it is answered and closed");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("RequestTimeoutException"), "{answer}");
    let mut search = pawl();
    search.args(["audit", "search", "--json", "--outcome", "RequestTimeoutException", "--data"]).arg(home.data());
    wait_for("it is in the trail", Duration::from_secs(10), || {
        (!search.output().expect("pawl runs").stdout.is_empty()).then_some(())
    });
}

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let home = Home::new();
    let _server = home.serve();
    let output = pawl().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(home.data()).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("another process") || error.contains("in use"), "{error}");
}

#[test]
fn a_store_whose_keyring_is_gone_is_refused_and_no_second_one_is_made() {
    let home = Home::new();
    drop(home.serve());
    let keyring = home.data().join("keyring.json");
    std::fs::rename(&keyring, home.path().join("kept")).expect("moved away");
    let serve = || pawl().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(home.data()).output().expect("runs");
    let error = String::from_utf8_lossy(&serve().stderr).into_owned();
    assert!(error.contains("put the keyring back"), "{error}");
    assert!(!keyring.exists());
    // Somebody else's keyring opens nothing.
    let other = Home::new();
    drop(other.serve());
    std::fs::copy(other.data().join("keyring.json"), &keyring).expect("copied");
    let error = String::from_utf8_lossy(&serve().stderr).into_owned();
    assert!(error.contains("keyring"), "{error}");
    std::fs::rename(home.path().join("kept"), &keyring).expect("put back");
    home.serve().json(&["secret", "list"]);
}

#[test]
fn a_lost_administrators_key_is_replaced_offline() {
    let home = Home::new();
    drop(home.serve());
    let credentials = home.data().join("credentials");
    std::fs::remove_file(&credentials).expect("lost");
    let output = pawl().args(["key", "create", "--data"]).arg(home.data()).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = std::fs::metadata(&credentials).expect("made").permissions().mode();
    assert_eq!(mode & 0o077, 0);
    let server = home.serve();
    server.json(&["secret", "list"]);
    let kept = std::fs::read(&credentials).expect("made");
    let mut command = pawl();
    command.args(["key", "create", "--data"]).arg(home.data()).env("PAWL_ENDPOINT_URL", "http://127.0.0.1:9");
    let output = command.output().expect("runs");
    assert_eq!(output.status.code(), Some(3), "while the server runs it is asked, and nothing is done behind its back");
    assert_eq!(std::fs::read(&credentials).expect("kept"), kept);
}

#[test]
fn keys_that_were_lost_over_and_over_are_replaced_and_the_oldest_goes() {
    let home = Home::new();
    drop(home.serve());
    let create = || {
        let output = pawl().args(["key", "create", "--json", "--data"]).arg(home.data()).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let first = std::fs::read_to_string(home.data().join("credentials")).expect("credentials");
    let (second, third) = (create(), create());
    assert!(second["Replaced"].is_null());
    assert!(first.contains(third["Replaced"].as_str().expect("an id")), "{third}");
    let server = home.serve();
    let keys = server.json(&["key", "list"]);
    let ids: Vec<_> = keys["AccessKeys"].as_array().into_iter().flatten().map(|key| &key["AccessKeyId"]).collect();
    assert_eq!(ids, [&second["AccessKeyId"], &third["AccessKeyId"]]);
}

#[test]
fn sigterm_finishes_the_rotation_under_way() {
    let Some(database) = servers::postgres() else { return };
    let home = Home::new();
    let mut server = home.serve();
    let account = Account::create(database);
    let name = server.create_for(&account, &nothing());
    server.json(&["rotation", "now", &name]);
    server.signal(Signal::TERM);
    let status = server.ended(Duration::from_secs(20));
    assert!(status.success(), "{status}: {}", home.log());
    let server = home.serve();
    assert_eq!(server.settled(&name)["State"], "idle");
    assert!(account.logs_in(&server.current_password(&name)));
}

#[test]
fn flags_that_cannot_be_used_are_refused_with_exit_code_2() {
    let home = Home::new();
    let refused = |flags: &[&str]| {
        let output = pawl().args(["serve", "--data"]).arg(home.data()).args(flags).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["--listen", "0.0.0.0:0"]).contains("--insecure-listen"));
    assert!(refused(&["--account-id", "7"]).contains("12 digits"));
    assert!(refused(&["--store", "mysql://h/d"]).contains("sqlite"));
    refused(&["--tls-cert", "/nonexistent"]);
    refused(&["--no-such-flag"]);
    assert!(!home.data().exists(), "nothing was made");
}

#[test]
fn the_settings_file_may_be_named_by_its_variable() {
    let home = Home::new();
    let config = home.path().join("pawl.toml");
    std::fs::write(&config, "region = \"eu-west-1\"\n").expect("written");
    let server = home.serve_with(&[], &[("PAWL_CONFIG", config.to_str().expect("UTF-8"))]);
    assert!(server.run(&["secret", "list", "--region", "eu-west-1"]).status.success());
}

#[test]
fn the_key_of_another_store_is_not_overwritten_by_a_new_one() {
    let home = Home::new();
    std::fs::create_dir(home.data()).expect("a folder");
    let credentials = home.data().join("credentials");
    std::fs::write(&credentials, "another store's").expect("written");
    let serve = || pawl().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(home.data()).output().expect("runs");
    let error = String::from_utf8_lossy(&serve().stderr).into_owned();
    assert!(error.contains("move that file away"), "{error}");
    assert_eq!(std::fs::read(&credentials).expect("kept"), b"another store's");
    std::fs::remove_file(&credentials).expect("moved away");
    home.serve().json(&["secret", "list"]);
}

#[test]
fn a_port_in_use_and_a_missing_authority_file_are_said_plainly() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let home = Home::new();
    let serve = |flags: &[&str]| {
        let output = pawl().args(["serve", "--data"]).arg(home.data()).args(flags).output().expect("runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(serve(&["--listen", &address]).contains("cannot listen on"));
    let error = serve(&["--listen", "127.0.0.1:0", "--target-ca", "/nonexistent"]);
    assert!(error.contains("--target-ca /nonexistent"), "{error}");
}

#[test]
fn tls_is_served_and_a_new_certificate_is_taken_without_a_restart() {
    let home = Home::new();
    let make = |name: &str| {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        tls::make(&folder).expect("a certificate and its authority")
    };
    let (first, second) = (make("first"), make("second"));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (cert, key, ca) = (text(&first.cert), text(&first.key), text(&first.ca));
    let server = home.serve_with(&["--tls-cert", &cert, "--tls-key", &key], &[]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let health = format!("{}/healthz", server.url);
    let read = |path: &std::path::Path| std::fs::read(path).expect("a certificate");
    let (first_ca, second_ca) = (read(&first.ca), read(&second.ca));
    assert_eq!(get(&health, Some(&first_ca)).expect("the first certificate is served").0, 200);
    let output = server.run(&["secret", "list", "--ca-bundle", &ca]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    std::fs::rename(&second.key, &key).expect("replaced");
    std::fs::rename(&second.cert, &cert).expect("replaced");
    wait_for("the new certificate is served", Duration::from_secs(20), || get(&health, Some(&second_ca)).ok());
    assert!(get(&health, Some(&first_ca)).is_err(), "the old one is not served any more");

    // A broken pair is not taken.
    std::fs::write(&cert, "not a certificate").expect("written");
    wait_for("the broken certificate is reported", Duration::from_secs(20), || {
        home.log().contains("the old one stays").then_some(())
    });
    assert_eq!(get(&health, Some(&second_ca)).expect("still served").0, 200);
}
