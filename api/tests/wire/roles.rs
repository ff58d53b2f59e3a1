//! Every operation, every role, inside and outside its scope.

use serde_json::{Value, json};
use store::Role;

use crate::harness::{ACCOUNT, Answer, Key, Server, targets, v};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Access {
    /// Whatever it is about.
    Always,
    /// On secrets in scope.
    InScope,
    Never,
}

/// What the design gives each role, written down a second time. An operation that is not here is an administrator's.
fn expected(role: Role, target: &str) -> Access {
    let of_readers = [
        "secretsmanager.GetSecretValue",
        "secretsmanager.DescribeSecret",
        "secretsmanager.ListSecretVersionIds",
        "pawl.DescribeRotation",
        "pawl.ListReaders",
        "pawl.WaitForCurrent",
    ];
    let of_rotators = ["secretsmanager.PutSecretValue", "secretsmanager.UpdateSecretVersionStage"];
    let always: &[&str] = match role {
        Role::Administrator => return Access::Always,
        Role::Rotation => unreachable!("no key has this role: see passes.rs"),
        Role::Reader => &[
            "secretsmanager.ListSecrets",
            "secretsmanager.BatchGetSecretValue",
            "AmazonSSM.GetParameter",
            "AmazonSSM.GetParameters",
            "pawl.CreateSession",
        ],
        Role::Rotator => &[
            "secretsmanager.GetRandomPassword",
            "AmazonSSM.GetParameter",
            "AmazonSSM.GetParameters",
            "pawl.CreateSession",
        ],
    };
    if always.contains(&target) {
        Access::Always
    } else if of_readers.contains(&target)
        || role == Role::Reader && target == "pawl.DeclareReader"
        || role == Role::Rotator && of_rotators.contains(&target)
    {
        Access::InScope
    } else {
        Access::Never
    }
}

/// A request that the constraints let through.
pub(crate) fn body(target: &str, id: &str, token: u32) -> Value {
    match target {
        "secretsmanager.CreateSecret" => json!({"Name": id, "ClientRequestToken": v(token), "SecretString": "x"}),
        "secretsmanager.PutSecretValue" => json!({"SecretId": id, "ClientRequestToken": v(token), "SecretString": "x"}),
        "secretsmanager.UpdateSecretVersionStage" => {
            json!({"SecretId": id, "VersionStage": "MINE", "MoveToVersionId": v(1)})
        }
        "secretsmanager.TagResource" => json!({"SecretId": id, "Tags": [{"Key": "k", "Value": "v"}]}),
        "secretsmanager.UntagResource" => json!({"SecretId": id, "TagKeys": ["k"]}),
        "secretsmanager.RotateSecret" | "pawl.StartRotation" => json!({"SecretId": id, "ClientRequestToken": v(token)}),
        "secretsmanager.BatchGetSecretValue" => json!({"SecretIdList": [id]}),
        "secretsmanager.PutResourcePolicy" | "secretsmanager.ValidateResourcePolicy" => {
            json!({"SecretId": id, "ResourcePolicy": "{}"})
        }
        "secretsmanager.ReplicateSecretToRegions" => {
            json!({"SecretId": id, "AddReplicaRegions": [{"Region": "eu-west-1"}]})
        }
        "secretsmanager.RemoveRegionsFromReplication" => json!({"SecretId": id, "RemoveReplicaRegions": ["eu-west-1"]}),
        "secretsmanager.GetRandomPassword"
        | "secretsmanager.ListSecrets"
        | "pawl.CreateAccessKey"
        | "pawl.ListAccessKeys"
        | "pawl.ListEvents"
        | "pawl.ListRotators"
        | "pawl.ListSubscriptions"
        | "pawl.CreateSession"
        | "pawl.DescribeKeyring"
        | "pawl.DescribeLimits"
        | "pawl.DescribeStore"
        | "pawl.LeaveVerifyOnly"
        | "pawl.UpdateLimits"
        | "pawl.ResumeAll"
        | "pawl.AcceptClock" => json!({}),
        "pawl.PauseAll" => json!({"Reason": "r"}),
        "pawl.UpdateAccessKey" => json!({"AccessKeyId": "AKIAAAAAAAAAAAAAAAAA", "Enabled": false}),
        "pawl.DeleteAccessKey" => json!({"AccessKeyId": "AKIAAAAAAAAAAAAAAAAA"}),
        "pawl.CreateRotator"
        | "pawl.DeleteRotator"
        | "pawl.DescribeRotator"
        | "pawl.ListDeliveries"
        | "pawl.RotateSigningKey"
        | "pawl.UpdateRotator"
        | "pawl.CreateSubscription"
        | "pawl.DeleteSubscription"
        | "pawl.DescribeSubscription"
        | "pawl.DiscardDeadLetters"
        | "pawl.ListDeadLetters"
        | "pawl.RedeliverDeadLetters"
        | "pawl.ReplayEvents"
        | "pawl.RotateSubscriptionKey"
        | "pawl.UpdateSubscription" => json!({"Name": "hook"}),
        "pawl.DeclareReader" => json!({"SecretId": id, "CacheSeconds": 60}),
        "pawl.Redeliver" => json!({"Name": "hook", "DeliveryId": 1}),
        "pawl.TestRotator" => json!({"Name": "hook", "SecretId": id}),
        _ => json!({"SecretId": id}),
    }
}

fn denial(answer: &Answer) -> Option<String> {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (said["__type"] == "AccessDeniedException").then(|| said["message"].as_str().unwrap_or_default().to_owned())
}

/// Ids, the resource that a refusal names for each, and whether the reader and the rotator have it in scope.
struct Scene {
    server: Server,
    reader: Key,
    rotator: Key,
    ids: Vec<(String, String, bool, bool)>,
}

async fn scene() -> Scene {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for (name, reader, rotator) in [
        ("app/db", true, true),
        ("app/web", true, false),
        ("named", true, false),
        ("app", false, false),
        ("other/db", false, false),
        // Admin secrets: under the prefix, and by name.
        ("app/root", false, false),
        ("app/root2", true, false),
    ] {
        let arn = server.create(name).await;
        let partial = arn.rsplit_once('-').expect("a suffix").0.to_owned();
        for id in [name.to_owned(), arn.clone(), partial] {
            ids.push((id, arn.clone(), reader, rotator));
        }
    }
    for (n, admin) in ["app/root", "app/root2"].into_iter().enumerate() {
        let value = json!({ "masterarn": admin }).to_string();
        let name = format!("user{n}");
        server.ok("CreateSecret", json!({"Name": name, "ClientRequestToken": v(1), "SecretString": value})).await;
    }
    let missing = format!("arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:");
    for (id, reader, rotator) in [
        ("app/nothing".to_owned(), true, false),
        ("nothing".to_owned(), false, false),
        (format!("{missing}app/nothing"), true, false),
        (format!("{missing}app/nothing-AbCdEf"), true, false),
        (format!("{missing}app/db-AbCdEf"), true, true),
        (format!("{missing}named-AbCdEf"), true, false),
        (format!("{missing}nothing-AbCdEf"), false, false),
        (format!("{missing}other/app/db"), false, false),
        ("arn:aws:lambda:us-east-1:1:function".to_owned(), false, false),
    ] {
        ids.push((id.clone(), id, reader, rotator));
    }
    let reader = server.key_of("web", Role::Reader, &["app/"], &["named", "app/root2"]).await;
    let rotator = server.key_of("rotate", Role::Rotator, &[], &["app/db"]).await;
    Scene { server, reader, rotator, ids }
}

#[tokio::test]
async fn every_operation_is_denied_to_every_role_that_was_not_given_it_and_to_no_other() {
    let Scene { server, reader, rotator, ids } = scene().await;
    let mut token = 100;
    // Parameters are judged as the secrets they are, further down.
    for target in targets().into_iter().filter(|target| !target.starts_with("AmazonSSM.")) {
        let action = target.replacen('.', ":", 1);
        for (role, key, name) in [(Role::Reader, &reader, "web"), (Role::Rotator, &rotator, "rotate")] {
            for (id, resource, for_reader, for_rotator) in &ids {
                token += 1;
                let body = body(target, id, token);
                if target == "secretsmanager.CreateSecret" && id.starts_with("arn:") {
                    continue;
                }
                let answer = server.call_as(key, target, &body).await;
                let in_scope = if role == Role::Reader { *for_reader } else { *for_rotator };
                let allowed = match expected(role, target) {
                    Access::Always => true,
                    Access::InScope => in_scope,
                    Access::Never => false,
                };
                let about = body.get("SecretId").is_some() || target == "secretsmanager.CreateSecret";
                let resource = if about { resource } else { "*" };
                let message = format!(
                    "User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: {action} on resource: \
                     {resource} because no identity-based policy allows the {action} action"
                );
                let expected = (!allowed).then_some(message);
                assert_eq!(denial(&answer), expected, "{role:?} {target} {body}: {}", answer.text());
                assert!(allowed || answer.status == 400);
            }
        }
    }
}

#[tokio::test]
async fn an_administrator_is_denied_nothing() {
    let Scene { server, .. } = scene().await;
    let boss = server.key_of("boss", Role::Administrator, &[], &[]).await;
    for (n, target) in (0..).zip(targets()) {
        let answer = server.call_as(&boss, target, &body(target, "app/db", 200 + n)).await;
        assert_eq!(denial(&answer), None, "{target}");
    }
}

#[tokio::test]
async fn a_reader_is_shown_what_it_may_read_and_learns_of_nothing_else() {
    let Scene { server, reader, rotator, .. } = scene().await;
    let mut names = Vec::new();
    let mut request = json!({"MaxResults": 1, "SortBy": "name"});
    loop {
        let page = server.call_as(&reader, "secretsmanager.ListSecrets", &request).await.json();
        names.extend(page["SecretList"].as_array().into_iter().flatten().map(|secret| secret["Name"].clone()));
        if page["NextToken"].is_null() {
            break;
        }
        request["NextToken"] = page["NextToken"].clone();
    }
    assert_eq!(json!(names), json!(["app/db", "app/root2", "app/web", "named"]));
    // A page's token belongs to who was given it.
    let page = server.call("ListSecrets", json!({"MaxResults": 1, "SortBy": "name"})).await.json();
    let stolen = json!({"MaxResults": 1, "SortBy": "name", "NextToken": page["NextToken"]});
    let answer = server.call_as(&reader, "secretsmanager.ListSecrets", &stolen).await;
    assert_eq!(answer.json()["__type"], "InvalidNextTokenException");
    let answer = server.call_as(&rotator, "secretsmanager.ListSecrets", &json!({})).await;
    assert!(denial(&answer).is_some());
}

#[tokio::test]
async fn an_admin_secret_is_out_of_a_prefixs_reach_from_the_moment_another_names_it() {
    let Scene { server, reader, .. } = scene().await;
    let read = async || {
        let answer = server.call_as(&reader, "secretsmanager.GetSecretValue", &json!({"SecretId": "app/db"})).await;
        denial(&answer).is_none()
    };
    assert!(read().await && read().await);
    let naming = json!({"Name": "late", "ClientRequestToken": v(1), "SecretString": r#"{"masterarn":"app/db"}"#});
    server.ok("CreateSecret", naming).await;
    assert!(!read().await && !read().await);
    server.ok("DeleteSecret", json!({"SecretId": "late", "ForceDeleteWithoutRecovery": true})).await;
    assert!(read().await);
}

// F123
#[tokio::test]
async fn a_rotator_cannot_borrow_another_admins_login() {
    let Scene { server, rotator, .. } = scene().await;
    let put = async |n: u32, value: Value| {
        let body = json!({"SecretId": "app/db", "ClientRequestToken": v(n), "SecretString": value.to_string()});
        server.call_as(&rotator, "secretsmanager.PutSecretValue", &body).await
    };
    let answer = put(50, json!({"username": "app", "masterarn": "app/root"})).await;
    assert_eq!(
        denial(&answer).as_deref(),
        Some("A rotation function may not name another admin secret (masterarn) than the current value does.")
    );
    assert_eq!(server.stages("app/db").await, json!({ v(1): ["AWSCURRENT"] }));
    let named = json!({"SecretId": "app/db", "ClientRequestToken": v(51),
        "SecretString": json!({"masterarn": "app/root"}).to_string()});
    server.ok("PutSecretValue", named).await;
    assert_eq!(put(52, json!({"username": "app2", "masterarn": "app/root"})).await.status, 200);
    assert!(denial(&put(53, json!({"masterarn": "app/root2"})).await).is_some());
}

/// What a refusal to read `resource` says to the principal `name`.
fn may_not_read(name: &str, resource: &str) -> String {
    format!(
        "User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: secretsmanager:GetSecretValue on resource: \
         {resource} because no identity-based policy allows the secretsmanager:GetSecretValue action"
    )
}

#[tokio::test]
async fn a_batch_is_judged_secret_by_secret_and_its_filters_find_what_the_reader_may_read() {
    let Scene { server, reader, rotator, ids } = scene().await;
    for chunk in ids.chunks(20) {
        let list: Vec<_> = chunk.iter().map(|(id, ..)| id).collect();
        let body = json!({ "SecretIdList": list });
        let reply = server.call_as(&reader, "secretsmanager.BatchGetSecretValue", &body).await.json();
        let denied = reply["Errors"].as_array().into_iter().flatten();
        let denied = denied.filter(|error| error["ErrorCode"] == "AccessDeniedException");
        let said: Vec<_> = denied.map(|error| (error["SecretId"].clone(), error["Message"].clone())).collect();
        let outside = chunk.iter().filter(|(_, _, for_reader, _)| !for_reader);
        let expected: Vec<_> =
            outside.map(|(id, resource, ..)| (json!(id), json!(may_not_read("web", resource)))).collect();
        assert_eq!(said, expected);
    }
    let all = json!({"Filters": [{"Key": "name", "Values": ["app", "named", "other", "user"]}]});
    let reply = server.call_as(&reader, "secretsmanager.BatchGetSecretValue", &all).await.json();
    let mut names: Vec<_> =
        reply["SecretValues"].as_array().into_iter().flatten().filter_map(|value| value["Name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!((names, &reply["Errors"]), (vec!["app/db", "app/root2", "app/web", "named"], &json!([])));
    let answer = server.call_as(&rotator, "secretsmanager.BatchGetSecretValue", &all).await;
    assert!(denial(&answer).is_some());
}

#[tokio::test]
async fn a_parameter_is_as_readable_as_its_secret() {
    let Scene { server, reader, rotator, ids } = scene().await;
    for (id, resource, for_reader, for_rotator) in &ids {
        for (key, name, allowed) in [(&reader, "web", for_reader), (&rotator, "rotate", for_rotator)] {
            let path = format!("/aws/reference/secretsmanager/{id}");
            for (op, body) in [
                ("GetParameter", json!({"Name": path, "WithDecryption": true})),
                ("GetParameters", json!({"Names": [path], "WithDecryption": true})),
            ] {
                let answer = server.call_ssm(op, &body, key).await;
                let expected = (!allowed).then(|| may_not_read(name, resource));
                assert_eq!(denial(&answer), expected, "{op} {id} as {name}: {}", answer.text());
            }
        }
    }
}
