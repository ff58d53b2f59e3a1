//! AWS rotation functions, unchanged: written to AWS's template, through boto3 with its endpoint set to Pawl, called by
//! the Lambda Invoke API. Real functions in a real Python, a real PostgreSQL, the real `pawl`.

mod crash;
mod faults;
mod given_up;
mod host;
mod readers;
mod signed;

use std::time::Duration;

use serde_json::{Value, json};

use self::host::{
    ExampleHost, FunctionHost, MULTI_USER, Rotated, SINGLE_USER, add_rotator, credential, key_for, python, token,
};
use crate::harness::account::{Account, admin_secret, execute};
use crate::harness::pawl::{Home, nothing};
use crate::harness::{servers, unique, wait_for};

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

#[test]
fn a_single_user_function_rotates_an_account() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve_as_aws();
    let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
    let token = rotated.rotates(&pawl);
    assert!(!rotated.account.logs_in(&rotated.account.password), "the old password is dead");

    assert_eq!(rotated.host.steps(), STEPS);
    let secret = pawl.json(&["secret", "show", &rotated.name]);
    for event in rotated.host.events() {
        assert_eq!((&event["SecretId"], &event["ClientRequestToken"]), (&secret["ARN"], &json!(token)));
        let rotation_token = event["RotationToken"].as_str().expect("text");
        assert!((36..=256).contains(&rotation_token.len()), "{rotation_token}");
        assert!(rotation_token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{rotation_token}");
    }
    for request in rotated.host.requests() {
        let path = format!("/2015-03-31/functions/{}/invocations", rotated.rotator());
        assert_eq!(request["Path"], json!(path));
        assert_eq!(request["Headers"]["x-amz-invocation-type"], "RequestResponse");
        assert!(request["Headers"]["authorization"].is_null(), "nothing is signed without a key: {request}");
    }
    assert_eq!(secret["RotationLambdaARN"], json!(rotated.arn), "it is shown as it was given");

    // The next ones need no arguments, and the account has the password of the version before as AWSPREVIOUS.
    for _ in 0..2 {
        let before = rotated.current(&pawl);
        rotated.rotates(&pawl);
        let previous = pawl.aws("GetSecretValue", &json!({ "SecretId": rotated.name, "VersionStage": "AWSPREVIOUS" }));
        assert_eq!(credential(&previous.expect("an answer")), before);
    }
}

#[test]
fn an_alternating_function_swaps_the_two_users_back_and_forth() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::pair(&python, &home, &pawl, Account::create(server));
    let (first, clone) = (rotated.account.user.clone(), format!("{}_clone", rotated.account.user));
    for user in [&clone, &first, &clone, &first] {
        let before = rotated.current(&pawl);
        rotated.rotates(&pawl);
        assert_eq!(rotated.current(&pawl).0, *user);
        let (name, password) = before;
        assert!(crate::harness::account::logs_in(server, &name, &password), "what was AWSCURRENT still logs in");
    }
    let granted = format!("DO $$ BEGIN ASSERT pg_has_role('{clone}', '{first}', 'member'); END $$");
    execute(server, &granted);
}

#[test]
fn the_runtime_interface_emulator_is_called_by_its_own_name_and_its_errors_are_understood() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    let rotator = unique("in-a-container-");
    let host = FunctionHost::start_with(&python, &home, "function", SINGLE_USER, &["--emulator"], &[]);
    let key = key_for(&pawl, &rotator, &name, &[]);
    host.configure(&pawl, &key);
    // What a rotator calls where nothing else is said.
    add_rotator(&pawl, &rotator, &host.url, &[]);
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{rotator}");
    let rotated = Rotated { account, name, host, key, arn };
    // No header says that it failed: only the payload does.
    rotated.host.fails("setSecret", &["refuse"]);
    rotated.rotates(&pawl);
    assert_eq!(rotated.host.steps(), ["createSecret", "setSecret", "setSecret", "testSecret", "finishSecret"]);
    assert_eq!(rotated.host.requests()[0]["Path"], "/2015-03-31/functions/function/invocations");
}

#[test]
fn the_host_in_examples_serves_a_function_and_tells_its_errors() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    let rotator = unique("in-plain-python-");
    let key = key_for(&pawl, &rotator, &name, &[]);
    let host = ExampleHost::start(&python, &home, &pawl, &key);
    add_rotator(&pawl, &rotator, &host.url, &["--concurrency", "1"]);
    let request = |arn: &str| json!({ "SecretId": name, "ClientRequestToken": token(), "RotationLambdaARN": arn });
    assert!(pawl.aws("RotateSecret", &request(&rotator)).expect("an answer")["VersionId"].is_string());
    assert_eq!(pawl.settled(&name)["State"], "idle", "{:?}", pawl.history(&name));
    assert!(account.logs_in(&pawl.current_password(&name)));
    assert!(!account.logs_in(&account.password));

    // What a function raises is understood, whoever hosts it: nobody can log in with this one any more.
    execute(server, &format!("ALTER ROLE {} NOLOGIN", account.user));
    pawl.aws("RotateSecret", &request(&rotator)).expect("an answer");
    let refused =
        |entry: &Value| entry["Message"].as_str().is_some_and(|message| message.contains("ValueError")).then_some(());
    wait_for("the function fails", Duration::from_secs(30), || pawl.history(&name).iter().find_map(refused));
    execute(server, &format!("ALTER ROLE {} LOGIN", account.user));
    assert_eq!(pawl.settled(&name)["State"], "idle", "{:?}", pawl.history(&name));
    assert!(account.logs_in(&pawl.current_password(&name)));
}

#[test]
fn a_function_that_nobody_registered_is_refused_in_awss_words_and_nothing_is_stored() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let name = pawl.create_for(&account, &nothing());
    let before = pawl.json(&["secret", "show", &name]);
    for given in ["nobody", "arn:aws:lambda:us-east-1:000000000000:function:nobody"] {
        let request = json!({ "SecretId": name, "ClientRequestToken": token(), "RotationLambdaARN": given });
        let reply = pawl.aws("RotateSecret", &request).expect("an answer");
        assert_eq!(reply["__type"], "AccessDeniedException", "{reply}");
        let words = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants \
                     access to the principal secretsmanager.amazonaws.com.";
        assert_eq!(reply["message"], words, "{reply}");
    }
    let after = pawl.json(&["secret", "show", &name]);
    assert_eq!(after, before);
    assert!(after["RotationLambdaARN"].is_null() && after["RotationEnabled"].is_null(), "{after}");
}

#[test]
fn a_test_of_the_configuration_calls_only_test_secret_on_a_version_that_goes_again() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    for wrong in [false, true] {
        let rotated = Rotated::single(&python, &home, &pawl, Account::create(server));
        if wrong {
            rotated.set_by_hand(&rotated.account.user, "another");
        }
        let version = token();
        let mut request = rotated.request(&version);
        request["RotateImmediately"] = json!(false);
        let before = pawl.current_password(&rotated.name);
        let reply = pawl.aws("RotateSecret", &request).expect("an answer");
        assert_eq!(reply["VersionId"], version.as_str(), "{reply}");

        let view = pawl.settled(&rotated.name);
        assert_eq!((&view["State"], &view["LastTest"]["Succeeded"]), (&json!("idle"), &json!(!wrong)), "{view}");
        let events = rotated.host.events();
        let called: Vec<_> = events.iter().map(|event| (&event["Step"], &event["ClientRequestToken"])).collect();
        assert_eq!(called, [(&json!("testSecret"), &json!(version))]);
        let secret = pawl.json(&["secret", "show", &rotated.name]);
        let stages: Vec<_> = secret["VersionIdsToStages"].as_object().expect("versions").values().collect();
        assert_eq!(stages, [&json!(["AWSCURRENT"])], "{secret}");
        assert_eq!(pawl.current_password(&rotated.name), before);
        assert!(secret["LastRotatedDate"].is_null() && secret["NextRotationDate"].is_number(), "{secret}");
    }
}

#[test]
fn the_key_of_a_function_opens_its_own_secrets_and_no_others() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let account = Account::create(server);
    let admin = unique("admin-of-");
    pawl.create(&admin, &admin_secret(server, &nothing()));
    let name = pawl.create_for(&account, &json!({ "masterarn": admin }));
    let rotator = unique("without-the-admin-");
    let host = FunctionHost::start(&python, &home, &rotator, MULTI_USER);
    let key = key_for(&pawl, &rotator, &name, &[]);
    host.configure(&pawl, &key);
    add_rotator(&pawl, &rotator, &host.url, &["--function", &rotator]);
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{rotator}");
    let rotated = Rotated { account, name, host, key, arn };
    let version = rotated.rotate(&pawl);
    let refused = |entry: &Value| {
        entry["Message"].as_str().is_some_and(|message| message.contains("not authorized to perform")).then_some(())
    };
    wait_for("the admin secret is refused", Duration::from_secs(30), || {
        pawl.history(&rotated.name).iter().find_map(refused)
    });
    // What was missing is given, and the rotation goes on under the same token.
    let key = key_for(&pawl, &unique("with-the-admin-"), &rotated.name, &[&admin]);
    rotated.host.configure(&pawl, &key);
    pawl.json(&["rotation", "resume", &rotated.name]);
    rotated.completed(&pawl, &version);
}
