//! Versions and their staging labels as the SDK sees them.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::list_secret_version_ids::ListSecretVersionIdsOutput as Page;

use super::{assert_now, message, refused};

/// Token of a version; also no UUID is one.
fn token(number: u8) -> String {
    format!("rust-sdk-version-number-{number:010}")
}

/// Who holds which labels, sorted.
async fn stages(client: &Client, name: &str) -> BTreeMap<String, Vec<String>> {
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    let stages = described.version_ids_to_stages().expect("versions").clone();
    let sorted = |mut labels: Vec<String>| {
        labels.sort();
        labels
    };
    stages.into_iter().map(|(version, labels)| (version, sorted(labels))).collect()
}

fn expected<const N: usize>(list: [(u8, &[&str]); N]) -> BTreeMap<String, Vec<String>> {
    list.into_iter()
        .map(|(number, labels)| (token(number), labels.iter().map(|&label| label.to_owned()).collect()))
        .collect()
}

/// The sequences that were recorded of AWS.
pub(super) async fn labels_move(client: &Client) {
    let name = "rust/versions";
    let create = client.create_secret().name(name).client_request_token(token(1)).secret_string("1");
    create.send().await.expect("made");
    let put = |number: u8| {
        client.put_secret_value().secret_id(name).client_request_token(token(number)).secret_string(number.to_string())
    };
    put(2).version_stages("AWSPENDING").send().await.expect("put");
    assert_eq!(stages(client, name).await, expected([(1, &["AWSCURRENT"]), (2, &["AWSPENDING"])]));
    let move_current = || client.update_secret_version_stage().secret_id(name).version_stage("AWSCURRENT");
    let unnamed = refused(move_current().move_to_version_id(token(2)).send().await);
    assert!(unnamed.is_invalid_parameter_exception());
    assert_eq!(
        message(&unnamed),
        format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to \
             version {}, so you must explicitly reference that version in RemoveFromVersionId.",
            token(1)
        )
    );
    let moved = move_current().move_to_version_id(token(2)).remove_from_version_id(token(1)).send().await;
    assert_eq!(moved.expect("moved").name(), Some(name));
    let both: &[&str] = &["AWSCURRENT", "AWSPENDING"];
    assert_eq!(stages(client, name).await, expected([(1, &["AWSPREVIOUS"]), (2, both)]));
    put(3).send().await.expect("put");
    assert_eq!(stages(client, name).await, expected([(2, &["AWSPREVIOUS"]), (3, &["AWSCURRENT"])]));

    let conflict = put(3).secret_string("another").send().await;
    let conflict = refused(conflict);
    assert!(conflict.is_resource_exists_exception(), "{conflict:?}");
    let updated = client.update_secret().secret_id(name).client_request_token(token(3)).secret_string("3");
    assert_eq!(updated.send().await.expect("the same value again").version_id(), Some(token(3).as_str()));
    are_read_by_label_and_id(client, name).await;
}

async fn are_read_by_label_and_id(client: &Client, name: &str) {
    let get = || client.get_secret_value().secret_id(name);
    let unlabelled = get().version_id(token(1)).send().await.expect("an unlabelled version is readable");
    assert_eq!((unlabelled.secret_string(), unlabelled.version_stages().len()), (Some("1"), 0));
    let missing = refused(get().version_id(token(9)).send().await);
    assert!(missing.is_resource_not_found_exception());
    let text = format!("Secrets Manager can't find the specified secret value for VersionId: {}", token(9));
    assert_eq!(message(&missing), text);
    let missing = refused(get().version_stage("NOWHERE").send().await);
    assert!(missing.is_resource_not_found_exception());
    let text = "Secrets Manager can't find the specified secret value for staging label: NOWHERE";
    assert_eq!(message(&missing), text);
    let torn = refused(get().version_id(token(2)).version_stage("AWSCURRENT").send().await);
    assert!(torn.is_invalid_request_exception());
    assert_eq!(message(&torn), "You provided a VersionStage that is not associated to the provided VersionId.");
}

pub(super) async fn are_listed_in_pages(client: &Client) {
    let list = || client.list_secret_version_ids().secret_id("rust/versions");
    let labelled = list().send().await.expect("listed");
    assert_eq!(labelled.versions().len(), 2, "one of the three has no label");
    assert!(labelled.arn().is_some_and(|arn| arn.contains(":secret:rust/versions-")));
    let pages = list().include_deprecated(true).max_results(2).into_paginator().send();
    let pages: Vec<_> = pages.collect::<Result<_, _>>().await.expect("pages");
    let versions: Vec<_> = pages.iter().flat_map(Page::versions).collect();
    assert_eq!((pages.len(), versions.len()), (2, 3));
    for version in versions {
        assert_eq!(version.kms_key_ids(), ["DefaultEncryptionKey"]);
        assert_now(version.created_date());
    }
    let missing = refused(client.list_secret_version_ids().secret_id("rust/absent").send().await);
    assert!(missing.is_resource_not_found_exception());
    let token = refused(list().next_token("of nobody").send().await);
    assert!(token.is_invalid_next_token_exception(), "{token:?}");
}
