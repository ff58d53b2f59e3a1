//! Functions in AWS: invocations are signed with Signature Version 4. The host compares them with botocore's signer.

use std::time::Duration;

use serde_json::json;

use super::host::{FunctionHost, Rotated, SINGLE_USER, key_for, python};
use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, unique, wait_for};

const ACCESS_KEY: &str = "AKIAEXAMPLEOFATEST00";
const SECRET_KEY: &str = "the/secret+half/of+the/key/in/this/test00";

/// Registers the host's function with this secret key.
fn add(pawl: &Pawl, home: &Home, rotator: &str, host: &FunctionHost, function: &str, secret: &str) {
    let file = home.path().join(unique("secret-access-key-"));
    std::fs::write(&file, secret).expect("written");
    let output = pawl.run(&[
        "rotator",
        "add",
        "lambda",
        rotator,
        "--endpoint",
        &host.url,
        "--function",
        function,
        "--region",
        "eu-west-1",
        "--access-key",
        ACCESS_KEY,
        "--secret-access-key-file",
        file.to_str().expect("UTF-8"),
        "--timeout",
        "5s",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn invocations_are_signed_as_aws_signs_them() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let flags = ["--access-key", ACCESS_KEY, "--region", "eu-west-1"];
    let variables = [("HOST_SECRET_ACCESS_KEY", SECRET_KEY)];
    let name = unique("signed-");
    let host = FunctionHost::start_with(&python, &home, &name, SINGLE_USER, &flags, &variables);
    // By its name, and by its ARN, whose colons are escaped in the path and in what is signed.
    for function in [name.clone(), format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")] {
        let account = Account::create(server);
        let secret = pawl.create_for(&account, &nothing());
        let rotator = unique("signed-");
        let key = key_for(&pawl, &rotator, &secret, &[]);
        host.configure(&pawl, &key);
        add(&pawl, &home, &rotator, &host, &function, SECRET_KEY);
        let request = json!({ "SecretId": secret, "ClientRequestToken": super::token(), "RotationLambdaARN": rotator });
        assert!(pawl.aws("RotateSecret", &request).expect("an answer")["VersionId"].is_string());
        let view = pawl.settled(&secret);
        assert_eq!(view["State"], "idle", "{view} {:?}", pawl.history(&secret));
        assert!(account.logs_in(&pawl.current_password(&secret)), "{}", host.log());
    }
    for request in host.requests() {
        assert!(request["Headers"]["authorization"].is_string(), "{request}");
        assert_eq!(request["Status"], 200, "{request}");
    }
}

#[test]
fn a_wrong_secret_key_waits_for_a_person_and_is_shown_nowhere() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let flags = ["--access-key", ACCESS_KEY, "--region", "eu-west-1"];
    let name = unique("signed-");
    let variables = [("HOST_SECRET_ACCESS_KEY", SECRET_KEY)];
    let host = FunctionHost::start_with(&python, &home, &name, SINGLE_USER, &flags, &variables);
    let account = Account::create(server);
    let secret = pawl.create_for(&account, &nothing());
    let wrong = "Canary/wrong+secret/half+of/the/key000000";
    add(&pawl, &home, &name, &host, &name, wrong);
    let key = key_for(&pawl, &name, &secret, &[]);
    host.configure(&pawl, &key);
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
    let rotated = Rotated { account, name: secret, host, key, arn };
    let token = rotated.rotate(&pawl);
    let view = wait_for("the rotation is parked", Duration::from_secs(30), || {
        let view = pawl.status(&rotated.name);
        (view["State"] == "parked").then_some(view)
    });
    assert_eq!(view["Open"]["Step"], "createSecret", "{view}");
    let shown = [view.to_string(), json!(pawl.history(&rotated.name)).to_string(), home.log()];
    assert!(shown.iter().all(|text| !text.contains(wrong)), "{shown:?}");

    let file = home.path().join("right");
    std::fs::write(&file, SECRET_KEY).expect("written");
    let file = file.to_str().expect("UTF-8");
    pawl.json(&["rotator", "update", rotated.rotator(), "--secret-access-key-file", file]);
    pawl.json(&["rotation", "resume", &rotated.name]);
    rotated.completed(&pawl, &token);
}
