//! Replication as the SDK sees it: recorded, reported honestly, ended.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{ReplicaRegionType, ReplicationStatusType, StatusType};

use super::refused;

pub(super) async fn is_recorded_and_ended(client: &Client) {
    let name = "rust/replicated";
    client.create_secret().name(name).secret_string("x").send().await.expect("made");
    let to = |region: &str| ReplicaRegionType::builder().region(region).build();
    let own = client.replicate_secret_to_regions().secret_id(name).add_replica_regions(to("us-east-1"));
    assert!(refused(own.send().await).is_invalid_parameter_exception());

    let asked = client.replicate_secret_to_regions().secret_id(name).add_replica_regions(to("eu-west-1"));
    let asked = asked.send().await.expect("taken");
    let [status] = asked.replication_status() else { panic!("one region: {asked:?}") };
    assert_eq!(status.region(), Some("eu-west-1"));
    // No peer is configured, and that is said rather than hidden.
    let status = failed(client, name).await;
    assert_eq!(status.region(), Some("eu-west-1"));
    assert!(status.status_message().is_some_and(|text| !text.is_empty()), "{status:?}");

    let stop = client.stop_replication_to_replica().secret_id(name).send().await;
    let stop = refused(stop);
    assert!(stop.is_invalid_parameter_exception() || stop.is_invalid_request_exception(), "no replica: {stop:?}");
    let removed = client.remove_regions_from_replication().secret_id(name).remove_replica_regions("eu-west-1");
    assert!(removed.send().await.expect("removed").replication_status().is_empty());
    let removed = client.remove_regions_from_replication().secret_id(name).remove_replica_regions("eu-west-1");
    removed.send().await.expect("is idempotent");
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert!(described.replication_status().is_empty());
    let absent = client.replicate_secret_to_regions().secret_id("rust/absent").add_replica_regions(to("eu-west-1"));
    assert!(refused(absent.send().await).is_resource_not_found_exception());
}

/// Waits, half a minute at most, until the only region is reported as failed.
async fn failed(client: &Client, name: &str) -> ReplicationStatusType {
    for _ in 0..300 {
        let described = client.describe_secret().secret_id(name).send().await.expect("described");
        let [status] = described.replication_status() else { panic!("one region: {described:?}") };
        if status.status() == Some(&StatusType::Failed) {
            return status.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still not failed")
}
