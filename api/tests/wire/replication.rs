//! Replica regions: asked for, answered as AWS does, and shown as what came of them.

use serde_json::{Value, json};

use crate::harness::{Server, v};

const IN_PROGRESS: &str = "InProgress";
const NO_PEER: &str = "Replication failed: no peer region is configured on this server.";

fn begun(region: &str) -> Value {
    json!({"Region": region, "KmsKeyId": "alias/aws/secretsmanager", "Status": IN_PROGRESS})
}

fn failed(region: &str) -> Value {
    json!({
        "Region": region, "KmsKeyId": "alias/aws/secretsmanager", "Status": "Failed", "StatusMessage": NO_PEER,
    })
}

fn to(regions: &[&str]) -> Value {
    regions.iter().map(|region| json!({ "Region": region })).collect::<Vec<_>>().into()
}

// F13
#[tokio::test]
async fn s9_1_creating_with_replicas_says_in_progress_and_describe_says_what_came_of_it() {
    let server = Server::start().await;
    let create = json!({
        "Name": "a", "ClientRequestToken": v(1), "SecretString": "x",
        "AddReplicaRegions": to(&["eu-west-1"]), "ForceOverwriteReplicaSecret": true,
    });
    let created = server.ok("CreateSecret", create.clone()).await;
    assert_eq!(created["ReplicationStatus"], json!([begun("eu-west-1")]));
    assert_eq!(server.ok("CreateSecret", create).await, created, "the same answer again");
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert_eq!(description["PrimaryRegion"], "us-east-1");
    assert_eq!(description["ReplicationStatus"], json!([failed("eu-west-1")]));
    let listed = server.ok("ListSecrets", json!({})).await;
    assert_eq!(listed["SecretList"][0]["PrimaryRegion"], "us-east-1");
    assert!(listed["SecretList"][0].get("ReplicationStatus").is_none(), "never in a list");
}

#[tokio::test]
async fn s9_1_regions_are_added_and_removed_on_the_primary() {
    let server = Server::start().await;
    let arn = server.create("a").await;
    let add = async |regions: Value| {
        server.ok("ReplicateSecretToRegions", json!({"SecretId": "a", "AddReplicaRegions": regions})).await
    };
    let first = add(to(&["eu-west-1"])).await;
    assert_eq!(first, json!({"ARN": arn, "ReplicationStatus": [begun("eu-west-1")]}));
    let key = "arn:aws:kms:us-west-2:123456789012:key/k";
    let second = add(json!([{"Region": "us-west-2", "KmsKeyId": key}])).await;
    let keyed = json!({"Region": "us-west-2", "KmsKeyId": key, "Status": IN_PROGRESS});
    assert_eq!(second["ReplicationStatus"], json!([failed("eu-west-1"), keyed]));
    // Again is a new try.
    assert_eq!(add(to(&["eu-west-1"])).await["ReplicationStatus"][0], begun("eu-west-1"));

    let remove = async |region: &str| {
        server.ok("RemoveRegionsFromReplication", json!({"SecretId": "a", "RemoveReplicaRegions": [region]})).await
    };
    assert_eq!(remove("us-west-2").await["ReplicationStatus"], json!([failed("eu-west-1")]));
    assert_eq!(remove("sa-east-1").await["ReplicationStatus"], json!([failed("eu-west-1")]), "was never there");
    assert_eq!(remove("eu-west-1").await, json!({"ARN": arn, "ReplicationStatus": []}));
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert!(description.get("PrimaryRegion").is_none() && description.get("ReplicationStatus").is_none());
}

#[tokio::test]
async fn s9_2_regions_that_cannot_be_replicas_are_refused() {
    let server = Server::start().await;
    server.create("a").await;
    for regions in [to(&["us-east-1"]), to(&["eu-west-1", "eu-west-1"]), json!([{}])] {
        let body = json!({"SecretId": "a", "AddReplicaRegions": regions});
        server.refused("ReplicateSecretToRegions", body, "InvalidParameterException", "Invalid replica region.").await;
        let body = json!({"Name": "b", "ClientRequestToken": v(1), "AddReplicaRegions": regions});
        server.refused("CreateSecret", body, "InvalidParameterException", "Invalid replica region.").await;
    }
    let key = json!([{"Region": "eu-west-1", "KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/k"}]);
    let message = "The operation failed because of an invalid KMS key: Invalid arn us-east-1";
    let body = json!({"SecretId": "a", "AddReplicaRegions": key});
    server.refused("ReplicateSecretToRegions", body, "InvalidParameterException", message).await;

    for (op, body, message) in [
        (
            "ReplicateSecretToRegions",
            json!({"SecretId": "a", "AddReplicaRegions": to(&["Europe"])}),
            "Value 'Europe' at 'addReplicaRegions.1.member.region' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: ^([a-z]+-)+\\d+$",
        ),
        (
            "ReplicateSecretToRegions",
            json!({"SecretId": "a", "AddReplicaRegions": []}),
            "Value at 'addReplicaRegions' failed to satisfy constraint: Member must have length greater than or equal \
             to 1",
        ),
        (
            "ReplicateSecretToRegions",
            json!({"SecretId": "a"}),
            "Value null at 'addReplicaRegions' failed to satisfy constraint: Member must not be null",
        ),
        (
            "RemoveRegionsFromReplication",
            json!({"SecretId": "a"}),
            "Value null at 'removeReplicaRegions' failed to satisfy constraint: Member must not be null",
        ),
        (
            "RemoveRegionsFromReplication",
            json!({"SecretId": "a", "RemoveReplicaRegions": ["x"]}),
            "Value 'x' at 'removeReplicaRegions' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: ^([a-z]+-)+\\d+$",
        ),
    ] {
        server.refused(op, body, "ValidationException", &format!("1 validation error detected: {message}")).await;
    }
    let description = server.ok("DescribeSecret", json!({"SecretId": "a"})).await;
    assert!(description.get("PrimaryRegion").is_none(), "what is refused leaves nothing behind");
}

#[tokio::test]
async fn s8_a_primary_with_replicas_is_not_deleted() {
    let server = Server::start().await;
    server.create("a").await;
    let body = json!({"SecretId": "a", "AddReplicaRegions": to(&["us-west-2", "eu-west-1"])});
    server.ok("ReplicateSecretToRegions", body).await;
    let message = "You can't delete secret a that still has replica regions [eu-west-1, us-west-2]";
    for body in [json!({"SecretId": "a"}), json!({"SecretId": "a", "ForceDeleteWithoutRecovery": true})] {
        server.refused("DeleteSecret", body, "InvalidParameterException", message).await;
    }
    let regions = json!({"SecretId": "a", "RemoveReplicaRegions": ["us-west-2", "eu-west-1"]});
    server.ok("RemoveRegionsFromReplication", regions).await;
    server.ok("DeleteSecret", json!({"SecretId": "a"})).await;
}

#[tokio::test]
async fn s9_4_what_is_no_replica_cannot_leave_replication() {
    let server = Server::start().await;
    server.create("a").await;
    let answer = server.call("StopReplicationToReplica", json!({"SecretId": "a"})).await;
    assert_eq!((answer.status, &answer.json()["__type"]), (400, &json!("InvalidParameterException")));
}

#[tokio::test]
async fn s2_8_the_primary_region_is_a_filter_by_prefix() {
    let server = Server::start().await;
    server.create("plain").await;
    server.create("copied").await;
    let body = json!({"SecretId": "copied", "AddReplicaRegions": to(&["eu-west-1"])});
    server.ok("ReplicateSecretToRegions", body).await;
    for (value, expected) in [("us-", vec!["copied"]), ("US-", vec![]), ("eu-", vec![]), ("!us-east-1", vec!["plain"])]
    {
        let filter = json!({"Filters": [{"Key": "primary-region", "Values": [value]}]});
        let reply = server.ok("ListSecrets", filter).await;
        let names: Vec<_> =
            reply["SecretList"].as_array().expect("a list").iter().map(|entry| &entry["Name"]).collect();
        assert_eq!(names, expected, "{value}");
    }
}
