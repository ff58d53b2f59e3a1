//! Rotation as the SDK sees it: configured, refused, cancelled, and done to a real account.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::types::RotationRulesType;
use serde_json::Value;

use super::{assert_now, message, now, refused};
use crate::harness::account::Account;
use crate::harness::pawl::nothing;
use crate::harness::servers;

/// A secret that nothing is behind: enough where nothing rotates.
const NOBODY: &str = r#"{"engine":"postgres","host":"127.0.0.1","port":1,"username":"nobody","password":"x"}"#;
const POSTGRES: &str = "arn:aws:lambda:us-east-1:000000000000:function:postgres";

pub(super) async fn is_configured_and_cancelled(client: &Client) {
    let name = "rust/rules";
    client.create_secret().name(name).secret_string(NOBODY).send().await.expect("made");
    let rules = RotationRulesType::builder().schedule_expression("cron(0 4 ? * SUN *)").duration("2h").build();
    let rotated = client
        .rotate_secret()
        .secret_id(name)
        .rotation_lambda_arn(POSTGRES)
        .rotation_rules(rules.clone())
        .rotate_immediately(false)
        .send()
        .await
        .expect("configured");
    assert_eq!(rotated.name(), Some(name));
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert_eq!(described.rotation_enabled(), Some(true));
    assert_eq!(described.rotation_lambda_arn(), Some(POSTGRES));
    let shown = described.rotation_rules().expect("rules");
    assert_eq!(shown.schedule_expression(), rules.schedule_expression());
    assert_eq!(shown.duration(), Some("2h"));
    let next = described.next_rotation_date().expect("a date").as_secs_f64();
    assert!(next > now() && next < now() + 8.0 * 86_400.0, "{next}");
    assert_eq!((next + 1.0) % 3600.0, 0.0, "the window's last second");
    assert_eq!(described.last_rotated_date(), None);

    let cancelled = client.cancel_rotate_secret().secret_id(name).send().await.expect("cancelled");
    assert_eq!(cancelled.name(), Some(name));
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert_eq!(described.rotation_enabled(), Some(false));
    assert_eq!(described.next_rotation_date(), None);
    assert!(described.rotation_rules().is_some() && described.rotation_lambda_arn().is_some(), "both are kept");
}

pub(super) async fn is_refused_in_awss_types(client: &Client) {
    let name = "rust/unrotated";
    client.create_secret().name(name).secret_string("no account").send().await.expect("made");
    let bare = refused(client.rotate_secret().secret_id(name).send().await);
    assert!(bare.is_invalid_request_exception(), "{bare:?}");
    assert_eq!(message(&bare), "No Lambda rotation function ARN is associated with this secret.");
    let nobody = "arn:aws:lambda:us-east-1:000000000000:function:nobody";
    let nobody = refused(client.rotate_secret().secret_id(name).rotation_lambda_arn(nobody).send().await);
    assert_eq!(nobody.code(), Some("AccessDeniedException"), "not modelled");
    assert_eq!(
        message(&nobody),
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access \
         to the principal secretsmanager.amazonaws.com."
    );
    let both = RotationRulesType::builder().schedule_expression("rate(10 days)").automatically_after_days(10).build();
    let both = client.rotate_secret().secret_id(name).rotation_lambda_arn(POSTGRES).rotation_rules(both);
    assert!(refused(both.send().await).is_invalid_parameter_exception());
    assert!(refused(client.rotate_secret().secret_id("rust/absent").send().await).is_resource_not_found_exception());
    let absent = client.cancel_rotate_secret().secret_id("rust/absent").send().await;
    assert!(refused(absent).is_resource_not_found_exception());
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert_eq!(described.rotation_enabled(), None, "nothing was stored");
}

pub(super) async fn rotates_an_account(client: &Client) {
    let Some(server) = servers::postgres() else { return };
    // The oracle's logins have a runtime of their own.
    let make = move || Account::create(server);
    let account = tokio::task::spawn_blocking(make).await.expect("an account");
    let name = account.user.as_str();
    let created = client.create_secret().name(name).secret_string(account.secret(&nothing()).to_string()).send().await;
    let first = created.expect("made").version_id().expect("a version").to_owned();
    let rules = RotationRulesType::builder().automatically_after_days(30).build();
    let rotated = client.rotate_secret().secret_id(name).rotation_lambda_arn(POSTGRES).rotation_rules(rules);
    let token = rotated.send().await.expect("rotates").version_id().expect("a version").to_owned();
    let described = loop_until_rotated(client, name).await;
    let stages = described.version_ids_to_stages().expect("versions");
    assert!(stages[&token].contains(&"AWSCURRENT".to_owned()), "{stages:?}");
    assert_eq!(stages[&first], ["AWSPREVIOUS"]);
    assert_now(described.last_rotated_date());
    let value = client.get_secret_value().secret_id(name).send().await.expect("read");
    let value: Value = serde_json::from_str(value.secret_string().expect("text")).expect("JSON");
    let password = value["password"].as_str().expect("a password").to_owned();
    let look = move || (account.logs_in(&password), account.logs_in(&account.password));
    assert_eq!(tokio::task::spawn_blocking(look).await.expect("asked"), (true, false));
}

type Described = aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;

/// Waits, a minute at most, until the service has said that the rotation succeeded.
async fn loop_until_rotated(client: &Client, name: &str) -> Described {
    for _ in 0..600 {
        let described = client.describe_secret().secret_id(name).send().await.expect("described");
        if described.last_rotated_date().is_some() {
            return described;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} was not rotated within a minute")
}
