//! What a call of a rotation function may do with the credentials and the token that came with it.

use chrono::TimeDelta;
use engine::port::{Clock, Lease, RotationStore};
use engine::rotation::Event;
use serde_json::{Value, json};
use store::{Grant, Role, Room, Session};

use crate::harness::{ACCOUNT, Answer, Server, targets, v};

/// A server on which the callback `hook` is to make version 2 of the secret `s`, with a pass for that.
struct Scene {
    server: Server,
    arn: String,
    pass: Session,
    lease: Lease,
}

async fn scene() -> Scene {
    let server = Server::start().await;
    let hook = json!({"Name": "hook", "Kind": "webhook", "Url": "https://hook.example/", "Mode": "callback"});
    server.ok("pawl.CreateRotator", hook).await;
    let arn = server.create("s").await;
    server.create("other").await;
    let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2), "RotationLambdaARN": "hook"});
    server.ok("RotateSecret", rotate).await;
    let lease =
        server.store.claim("test", &Room::everywhere(1), server.clock.now()).await.expect("asked").remove(0).lease;
    server.store.apply(&lease, Event::Leased, 0.0).await.expect("begun");
    let pass = pass(&server, &arn, 2);
    Scene { server, arn, pass, lease }
}

fn pass(server: &Server, arn: &str, version: u32) -> Session {
    let version = engine::id::VersionId::new(v(version)).expect("a version");
    let grant = Grant { arn: arn.to_owned(), version, check: false };
    server.store.create_pass(&grant, server.clock.now() + TimeDelta::seconds(10)).expect("a pass")
}

impl Scene {
    async fn call(&self, target: &str, body: &Value) -> Answer {
        self.call_with(&self.pass, target, body).await
    }

    async fn call_with(&self, pass: &Session, target: &str, body: &Value) -> Answer {
        let key = (pass.access_key_id.clone(), pass.secret.clone());
        self.server.send(self.server.request(target, body.to_string().as_bytes(), &key, Some(&pass.token))).await
    }

    /// Every operation that reads one secret is answered, or, where that is given, refused like this.
    async fn reads(&self, refused: Option<fn(&Answer)>) {
        for operation in ["DescribeSecret", "GetSecretValue", "ListSecretVersionIds"] {
            let answer = self.call(&format!("secretsmanager.{operation}"), &json!({"SecretId": "s"})).await;
            match refused {
                Some(refused) => refused(&answer),
                None => assert_eq!(answer.status, 200, "{operation}: {}", answer.text()),
            }
        }
    }

    async fn put(&self, token: u32) -> Answer {
        let put = json!({
            "SecretId": self.arn, "ClientRequestToken": v(token), "SecretString": "value-2", "VersionStages": ["AWSPENDING"],
        });
        self.call("secretsmanager.PutSecretValue", &put).await
    }
}

fn is_over(answer: &Answer) {
    let over = "These credentials are for one version while its rotation is open: it makes another version, or is over, \
                or its rotator is disabled.";
    assert_eq!(answer.json(), json!({"__type": "AccessDeniedException", "message": over}));
}

#[tokio::test]
async fn a_pass_makes_a_rotation_of_its_secret_and_is_nobodys_key() {
    let scene = scene().await;
    scene.reads(None).await;
    assert_eq!(scene.call("secretsmanager.GetRandomPassword", &json!({})).await.status, 200);
    scene.server.trail.since();
    assert_eq!(scene.put(2).await.status, 200);
    let (record, _) = scene.server.trail.one();
    assert_eq!((&record["principal"], &record["proven"]), (&json!("pawl:rotation"), &json!(true)));
    assert_eq!(record.get("parent_key_id"), None);
    let pending = json!({"SecretId": "s", "VersionId": v(2), "VersionStage": "AWSPENDING"});
    let value = scene.call("secretsmanager.GetSecretValue", &pending).await.json();
    assert_eq!(value["SecretString"], "value-2");
    let label = json!({"SecretId": "s", "VersionStage": "MINE", "MoveToVersionId": v(2)});
    assert_eq!(scene.call("secretsmanager.UpdateSecretVersionStage", &label).await.status, 200);
}

/// AWS's functions do nothing for a secret that is not enabled, and it takes one to prove AWSCURRENT.
#[tokio::test]
async fn to_a_function_a_secret_is_enabled_until_what_was_cancelled_in_the_middle_is_over() {
    let scene = scene().await;
    assert_eq!(scene.put(2).await.status, 200);
    scene.server.ok("CancelRotateSecret", json!({"SecretId": "s"})).await;
    let asked = json!({"SecretId": "s"});
    assert_eq!(scene.server.ok("DescribeSecret", asked.clone()).await["RotationEnabled"], false);
    let shown = scene.call("secretsmanager.DescribeSecret", &asked).await.json();
    assert_eq!(shown["RotationEnabled"], true, "{shown}");

    let removed = json!({"SecretId": "s", "VersionStage": "AWSPENDING", "RemoveFromVersionId": v(2)});
    scene.server.ok("UpdateSecretVersionStage", removed).await;
    let shown = scene.call("secretsmanager.DescribeSecret", &asked).await.json();
    assert_eq!(shown["RotationEnabled"], false, "without AWSPENDING nothing is asked of it: {shown}");
}

#[tokio::test]
async fn a_pass_does_nothing_else_and_nothing_elsewhere() {
    let scene = scene().await;
    let own = [
        "secretsmanager.DescribeSecret",
        "secretsmanager.GetSecretValue",
        "secretsmanager.ListSecretVersionIds",
        "secretsmanager.PutSecretValue",
        "secretsmanager.UpdateSecretVersionStage",
        "secretsmanager.GetRandomPassword",
    ];
    for target in targets().into_iter().filter(|target| !target.starts_with("AmazonSSM.")) {
        let ids = if own.contains(&target) { &["other", "nothing", "s-AbCdEf"][..] } else { &["s", "other"] };
        for id in ids {
            if target == "secretsmanager.GetRandomPassword" {
                continue;
            }
            let body = crate::roles::body(target, id, 2);
            let answer = scene.call(target, &body).await;
            assert_eq!(answer.json()["__type"], "AccessDeniedException", "{target} {id}: {}", answer.text());
        }
    }
    let answer = scene.call("secretsmanager.DeleteSecret", &json!({"SecretId": "s"})).await;
    let who = format!("User: arn:aws:sts::{ACCOUNT}:assumed-role/pawl:rotation/{} is not", scene.pass.access_key_id);
    assert!(answer.text().contains(&who), "{}", answer.text());
    let elsewhere = json!({"SecretId": "other", "ClientRequestToken": v(2), "SecretString": "x"});
    assert_eq!(scene.call("secretsmanager.PutSecretValue", &elsewhere).await.status, 400);
    assert_eq!(scene.server.stages("other").await, json!({v(1): ["AWSCURRENT"]}));
}

#[tokio::test]
async fn a_pass_writes_the_version_it_was_made_for_and_only_while_that_is_being_made() {
    let scene = scene().await;
    is_over(&scene.put(3).await);
    let of_the_old = pass(&scene.server, &scene.arn, 1);
    let label = json!({"SecretId": "s", "VersionStage": "MINE", "MoveToVersionId": v(1)});
    is_over(&scene.call_with(&of_the_old, "secretsmanager.UpdateSecretVersionStage", &label).await);
    scene.server.ok("pawl.AbandonRotation", json!({"SecretId": "s"})).await;
    is_over(&scene.put(2).await);
    is_over(&scene.call("secretsmanager.UpdateSecretVersionStage", &label).await);
    assert_eq!(scene.server.stages("s").await, json!({v(1): ["AWSCURRENT"]}));
}

#[tokio::test]
async fn a_pass_reads_nothing_more_when_its_rotation_is_over() {
    let scene = scene().await;
    scene.reads(None).await;
    scene.server.ok("pawl.AbandonRotation", json!({"SecretId": "s"})).await;
    scene.reads(Some(is_over)).await;
    scene.server.clock.advance(TimeDelta::seconds(10));
    let answer = scene.call("secretsmanager.GetSecretValue", &json!({"SecretId": "s"})).await;
    assert_eq!(answer.json()["__type"], "ExpiredTokenException");
}

#[tokio::test]
async fn a_pass_is_worth_nothing_while_its_rotator_is_disabled() {
    let scene = scene().await;
    scene.server.ok("pawl.UpdateRotator", json!({"Name": "hook", "Enabled": false})).await;
    scene.reads(Some(is_over)).await;
    is_over(&scene.put(2).await);
    scene.server.ok("pawl.UpdateRotator", json!({"Name": "hook", "Enabled": true})).await;
    scene.reads(None).await;
    assert_eq!(scene.put(2).await.status, 200);
}

/// It is asked before there is a rotation, of a version that nobody makes.
#[tokio::test]
async fn the_pass_of_a_check_reads_its_secret_and_writes_nothing() {
    let mut scene = scene().await;
    scene.server.ok("pawl.AbandonRotation", json!({"SecretId": "s"})).await;
    let version = engine::id::VersionId::new(v(2)).expect("a version");
    let grant = Grant { arn: scene.arn.clone(), version, check: true };
    let expires = scene.server.clock.now() + TimeDelta::seconds(10);
    scene.pass = scene.server.store.create_pass(&grant, expires).expect("a pass");
    scene.reads(None).await;
    let elsewhere = scene.call("secretsmanager.GetSecretValue", &json!({"SecretId": "other"})).await;
    assert_eq!(elsewhere.json()["__type"], "AccessDeniedException");
    // Not even the version that a rotation is making.
    let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2)});
    scene.server.ok("RotateSecret", rotate).await;
    let label = json!({"SecretId": "s", "VersionStage": "MINE", "MoveToVersionId": v(1)});
    for answer in [scene.put(2).await, scene.call("secretsmanager.UpdateSecretVersionStage", &label).await] {
        assert!(answer.text().contains("is not authorized to perform"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_pass_names_no_other_admin_secret() {
    let scene = scene().await;
    let value = json!({"masterarn": "other"}).to_string();
    let put =
        json!({"SecretId": "s", "ClientRequestToken": v(2), "SecretString": value, "VersionStages": ["AWSPENDING"]});
    let answer = scene.call("secretsmanager.PutSecretValue", &put).await;
    assert!(answer.text().contains("may not name another admin secret"), "{}", answer.text());
}

#[tokio::test]
async fn a_pass_goes_with_its_own_token_and_secret_alone() {
    let scene = scene().await;
    let other = pass(&scene.server, &scene.arn, 2);
    let read = json!({"SecretId": "s"});
    let mixed = Session { token: other.token.clone(), ..scene.pass.clone() };
    let answer = scene.call_with(&mixed, "secretsmanager.GetSecretValue", &read).await;
    assert_eq!(answer.json()["__type"], "UnrecognizedClientException");
    let forged = Session { secret: other.secret.clone(), ..scene.pass.clone() };
    let answer = scene.call_with(&forged, "secretsmanager.GetSecretValue", &read).await;
    assert_eq!(answer.json()["__type"], "InvalidSignatureException");
}

#[tokio::test]
async fn a_rotation_token_that_is_not_the_right_one_is_refused_and_none_is_taken() {
    let scene = scene().await;
    let server = &scene.server;
    let put = |token: Option<&str>| {
        let mut put = json!({
            "SecretId": "s", "ClientRequestToken": v(2), "SecretString": "value-2", "VersionStages": ["AWSPENDING"],
        });
        if let Some(token) = token {
            put["RotationToken"] = json!(token);
        }
        put
    };
    let make = |arn: &str, version: u32, seconds| {
        let version = engine::id::VersionId::new(v(version)).expect("a version");
        let expires = server.clock.now() + TimeDelta::seconds(seconds);
        let token = server.store.rotation_token(arn, &version, expires).expect("a token");
        token.expose_str().expect("text").to_owned()
    };
    let other =
        server.ok("DescribeSecret", json!({"SecretId": "other"})).await["ARN"].as_str().expect("text").to_owned();
    let bad = "The rotation token is not valid for this secret, version and time.";
    for token in [make(&other, 2, 10), make(&scene.arn, 3, 10), make(&scene.arn, 2, 0), "a".repeat(36)] {
        server.refused("PutSecretValue", put(Some(&token)), "InvalidParameterException", bad).await;
    }
    assert_eq!(server.call("PutSecretValue", put(Some("short"))).await.json()["__type"], "ValidationException");
    assert_eq!(server.stages("s").await, json!({v(1): ["AWSCURRENT"], v(2): ["AWSPENDING"]}), "nothing was written");
    server.ok("PutSecretValue", put(None)).await;
    server.ok("PutSecretValue", put(Some(&make(&scene.arn, 2, 10)))).await;
    // An AWS rotation function says so with a key of its own.
    let rotator = server.key_of("f", Role::Rotator, &[], &["s"]).await;
    let answer = server.call_as(&rotator, "secretsmanager.PutSecretValue", &put(Some(&"b".repeat(40)))).await;
    assert!(answer.text().contains(bad), "{}", answer.text());
}

#[tokio::test]
async fn a_rotation_function_goes_on_while_the_audit_trail_is_down_and_its_records_are_held() {
    for unnoticed in [false, true] {
        let scene = scene().await;
        let server = &scene.server;
        let rotator = server.key_of("f", Role::Rotator, &[], &["s"]).await;
        if unnoticed {
            server.trail.fail_unnoticed();
        } else {
            server.trail.go_down();
        }
        server.trail.since();
        assert_eq!(scene.put(2).await.status, 200);
        let label = json!({"SecretId": "s", "VersionStage": "MINE", "MoveToVersionId": v(2)});
        let answer = server.call_as(&rotator, "secretsmanager.UpdateSecretVersionStage", &label).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let held: Vec<_> =
            server.trail.since().into_iter().map(|(record, until)| (record["outcome"].clone(), until)).collect();
        assert_eq!(held, vec![(json!("ok"), api::audit::Until::Synced); 2]);
        // What an administrator does can wait.
        assert_eq!(server.call("UpdateSecretVersionStage", label).await.status, 500);
        server.store.release(&scene.lease).await.expect("given back");
    }
}
