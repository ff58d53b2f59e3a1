//! The command line used carelessly: every refusal says what to do next, in one line, with its exit code.

use std::process::Output;

use crate::harness::pawl::{Home, Pawl, pawl};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_server_it_says_that_none_answers_and_exits_with_3() {
    let home = Home::new();
    drop(home.serve());
    let mut command = pawl();
    command.args(["secret", "list", "--endpoint-url", "http://127.0.0.1:9", "--data"]).arg(home.data());
    let output = command.output().expect("pawl runs");
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("is `pawl serve` running"), "{}", said(&output));
}

#[test]
fn without_a_key_it_says_where_keys_come_from_and_exits_with_2() {
    let output = pawl().args(["secret", "list"]).env("HOME", "/nonexistent").output().expect("pawl runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--data DIR"), "{}", said(&output));
}

#[test]
fn a_wrong_key_is_refused_as_aws_refuses_it_and_points_at_data() {
    let home = Home::new();
    let server = home.serve();
    let call = |id: &str, secret: &str| {
        let mut command = pawl();
        command.args(["secret", "list", "--endpoint-url", &server.url]);
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret).output().expect("pawl runs")
    };
    let unknown = call("AKIAAAAAAAAAAAAAAAAA", "nonsense");
    assert!(said(&unknown).contains("The security token included in the request is invalid."), "{}", said(&unknown));
    assert!(said(&unknown).contains("--data DIR"), "{}", said(&unknown));
    let credentials = std::fs::read_to_string(home.data().join("credentials")).expect("credentials");
    let id = credentials.lines().find_map(|line| line.strip_prefix("aws_access_key_id = ")).expect("an id");
    let wrong = call(id, "nonsense");
    assert!(said(&wrong).contains("does not match the signature you provided"), "{}", said(&wrong));
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn another_region_is_refused_and_points_at_the_flag() {
    let home = Home::new();
    let server = home.serve();
    let output = server.run(&["secret", "list", "--region", "eu-west-1"]);
    assert!(said(&output).contains("--region"), "{}", said(&output));
}

#[test]
fn an_unknown_secret_is_named_in_awss_words() {
    let home = Home::new();
    let server = home.serve();
    for verb in [["secret", "show"], ["rotation", "status"], ["rotation", "now"], ["secret", "get"]] {
        let output = server.run(&[verb[0], verb[1], "nobody"]);
        assert!(said(&output).contains("Secrets Manager can't find the specified secret."), "{}", said(&output));
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_schedule_beyond_awss_limits_says_which_server_setting_lifts_them() {
    let home = Home::new();
    let server = home.serve_with(&["--schedule-limits", "aws"], &[]);
    server.create("s", &serde_json::json!({"engine": "postgres", "host": "h", "username": "u", "password": "p"}));
    for schedule in ["rate(30 minutes)", "rate(3 hours)", "cron(30 8 * * ? *)"] {
        let output = server.run(&["rotation", "enable", "s", "--schedule", schedule]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("--schedule-limits none"), "{schedule}: {}", said(&output));
    }
    let output = server.run(&["rotation", "enable", "s", "--schedule", "every tuesday"]);
    assert!(said(&output).contains("Invalid schedule expression."), "{}", said(&output));
}

// F37
#[test]
fn preview_prints_times_in_the_zone_and_in_utc() {
    let home = Home::new();
    let server = home.serve();
    let arguments = ["--schedule", "cron(0 3 ? * SUN *)", "--time-zone", "Europe/Berlin", "--count", "3"];
    let output = server.run(&[&["rotation", "preview"], &arguments[..]].concat());
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(shown.lines().count(), 4, "{shown}");
    assert!(shown.contains("ROTATES AT (Europe/Berlin)") && shown.contains("UTC") && shown.contains("CE"), "{shown}");
}

#[test]
fn a_deleted_secret_is_gone_from_the_list_and_comes_back_when_restored() {
    let home = Home::new();
    let server = home.serve();
    server.create("s", &serde_json::json!("v"));
    let listed = || server.json(&["secret", "list"])["SecretList"].as_array().map_or(0, Vec::len);
    assert_eq!(listed(), 1);
    server.json(&["secret", "delete", "s", "--days", "7"]);
    assert_eq!(listed(), 0);
    server.json(&["secret", "restore", "s"]);
    assert_eq!(listed(), 1);
    server.json(&["secret", "delete", "s", "--now"]);
    let output = server.run(&["secret", "get", "s"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn recover_prints_awscurrent_of_what_was_never_rotated_and_says_where_there_is_nothing() {
    let home = Home::new();
    let server = home.serve();
    server.create("app/db", &serde_json::json!("hunter2"));
    server.json(&["secret", "create", "app/none", "--empty"]);
    let recover = |name: &str| {
        let mut command = pawl();
        command.args(["secret", "recover", name, "--data"]).arg(home.data()).output().expect("pawl runs")
    };
    assert!(said(&recover("app/db")).contains("in use by another process"), "a server has it open");
    drop(server);
    let output = recover("app/db");
    assert!(output.status.success() && said(&output).contains(", AWSCURRENT"), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"hunter2\"\n");
    for (name, words) in [("app/none", "app/none has no value"), ("nobody", "there is no secret nobody")] {
        let output = recover(name);
        assert_eq!((output.status.code(), said(&output).contains(words)), (Some(1), true), "{}", said(&output));
    }
}

/// Ends with this code, and says these words on standard error.
fn says(server: &Pawl, arguments: &[&str], code: i32, words: &str) {
    let output = server.run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
}

#[test]
fn what_does_not_do_what_was_asked_is_refused() {
    let home = Home::new();
    let server = home.serve();
    server.create("s", &serde_json::json!("v"));
    server.json(&["events", "subscribe", "deploys", "--url", "http://127.0.0.1:9/"]);
    let dead = ["events", "dead-letters", "deploys", "--id", "17"];
    says(&server, &[&dead[..], &["--redeliver"]].concat(), 1, "There is no dead letter 17 of deploys");
    says(&server, &[&dead[..], &["--discard"]].concat(), 1, "nothing was done");
    says(&server, &dead, 2, "--redeliver|--discard");
    says(&server, &["events", "replay", "deploys", "--from", "4711"], 1, "No event has offset 4711 yet");
    says(&server, &["rotation", "pause", "s", "--reason", "x"], 2, "cannot be used with");
    says(&server, &["rotation", "pause"], 2, "SECRET|--all");
    says(&server, &["rotation", "resume"], 2, "SECRET|--all");
    says(&server, &["secret", "create", "x/y"], 2, "--value <FILE>|--database <URL>|--empty");
    let oracle = ["--database", "oracle://a@h/app", "--password-file", "/dev/null"];
    says(&server, &[&["secret", "create", "x/y"], &oracle[..]].concat(), 2, "--value FILE");
    says(&server, &["rotation", "enable", "s"], 1, "No Lambda rotation function ARN is associated with this secret.");
    says(&server, &["rotation", "enable", "s"], 1, "--rotator NAME");
}

#[test]
fn what_is_done_and_may_be_a_slip_is_warned_of() {
    let home = Home::new();
    let server = home.serve();
    says(&server, &["rotation", "pause", "--all", "--reason", "the freeze"], 0, "");
    assert!(!said(&server.run(&["rotation", "pause", "--all", "--reason", "the freeze"])).contains("paused before"));
    says(
        &server,
        &["rotation", "pause", "--all", "--reason", "another"],
        0,
        "it was paused before, and that reason stays",
    );
    let past = ["--blackout", "2020-01-01T00:00/2020-01-02T00:00", "--blackout", "cron(0 18 ? * FRI *)/60h"];
    says(
        &server,
        &[&["limits", "set"], &past[..]].concat(),
        0,
        "warning: the blackout 2020-01-01T00:00/2020-01-02T00:00 is in the past",
    );
    let subscribe =
        ["events", "subscribe", "deploys", "--url", "http://127.0.0.1:9/", "--filter", "kind=rotation.bogus"];
    says(&server, &subscribe, 0, "warning: there is no event of kind rotation.bogus");
    let tail = ["events", "tail", "--no-follow"];
    says(&server, &[&tail[..], &["--secret", "nosuch"]].concat(), 0, "there is no secret nosuch now");
    says(&server, &[&tail[..], &["--from", "99999"]].concat(), 0, "nothing is shown before offset 99999");
}
