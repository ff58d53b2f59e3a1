//! Secrets as the SDK sees them: made, described, read, listed, changed, deleted.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::operation::RequestId;
use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SortByType, SortOrderType, Tag};

use super::{assert_now, message, refused};

const DAY: f64 = 86_400.0;

pub(super) async fn lives_and_dies(client: &Client) {
    let name = "rust/life";
    let created = client
        .create_secret()
        .name(name)
        .description("of a test")
        .secret_string("first")
        .tags(Tag::builder().key("team").value("a").build())
        .send()
        .await
        .expect("made");
    let arn = created.arn().expect("an ARN");
    assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:000000000000:secret:rust/life-"), "{arn}");
    assert_eq!(created.name(), Some(name));
    assert!(created.replication_status().is_empty());
    assert!(created.request_id().is_some(), "the x-amzn-RequestId header is found");
    let first = created.version_id().expect("the token is the version");

    let again = refused(client.create_secret().name(name).secret_string("first").send().await);
    assert!(again.is_resource_exists_exception(), "{again:?}");
    assert_eq!(message(&again), "The operation failed because the secret rust/life already exists.");
    let same_token = client.create_secret().name(name).secret_string("first").client_request_token(first);
    assert_eq!(same_token.send().await.expect("is idempotent").version_id(), Some(first));

    let value = client.get_secret_value().secret_id(arn).send().await.expect("read");
    assert_eq!((value.secret_string(), value.secret_binary()), (Some("first"), None));
    assert_eq!((value.version_id(), value.version_stages()), (Some(first), &["AWSCURRENT".to_owned()][..]));
    assert_now(value.created_date());

    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert_eq!(described.description(), Some("of a test"));
    assert_now(described.created_date());
    assert_now(described.last_changed_date());
    assert_eq!(described.last_accessed_date().expect("it was read").as_secs_f64() % DAY, 0.0, "a whole day");
    assert_eq!(described.tags(), [Tag::builder().key("team").value("a").build()]);
    assert_eq!((described.rotation_enabled(), described.rotation_rules()), (None, None));
    assert_eq!((described.deleted_date(), described.kms_key_id()), (None, None));
    let stages = described.version_ids_to_stages().expect("versions");
    assert_eq!(stages[first], ["AWSCURRENT"]);

    let updated = client.update_secret().secret_id(name).description("").send().await.expect("updated");
    assert_eq!(updated.version_id(), None, "no value, no version");
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert_eq!(described.description(), None, "an empty description is none");

    is_tagged(client, name).await;
    is_deleted_and_restored(client, name).await;
}

async fn is_tagged(client: &Client, name: &str) {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let tags = client.tag_resource().secret_id(name).tags(tag("team", "b")).tags(tag("stage", ""));
    tags.send().await.expect("an empty reply is one");
    client.untag_resource().secret_id(name).tag_keys("team").tag_keys("absent").send().await.expect("untagged");
    let described = client.describe_secret().secret_id(name).send().await.expect("described");
    assert_eq!(described.tags(), [tag("stage", "")]);
}

async fn is_deleted_and_restored(client: &Client, name: &str) {
    let short = client.delete_secret().secret_id(name).recovery_window_in_days(3);
    assert!(refused(short.send().await).is_invalid_parameter_exception());
    let deleted = client.delete_secret().secret_id(name).recovery_window_in_days(7).send().await.expect("deleted");
    let date = deleted.deletion_date().expect("a date").as_secs_f64();
    assert!((date - super::now() - 7.0 * DAY).abs() < 60.0, "in seven days: {date}");
    let read = refused(client.get_secret_value().secret_id(name).send().await);
    assert!(read.is_invalid_request_exception());
    assert_eq!(message(&read), "You can't perform this operation on the secret because it was marked for deletion.");
    let again = refused(client.create_secret().name(name).secret_string("x").send().await);
    assert!(again.is_invalid_request_exception());
    let described = client.describe_secret().secret_id(name).send().await.expect("still described");
    assert!(described.deleted_date().is_some());

    let restored = client.restore_secret().secret_id(name).send().await.expect("restored");
    assert_eq!(restored.name(), Some(name));
    client.get_secret_value().secret_id(name).send().await.expect("readable again");
    let gone = client.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await.expect("gone");
    assert_now(gone.deletion_date());
    let missing = refused(client.describe_secret().secret_id(name).send().await);
    assert!(missing.is_resource_not_found_exception());
    assert_eq!(message(&missing), "Secrets Manager can't find the specified secret.");
    assert!(refused(client.restore_secret().secret_id(name).send().await).is_resource_not_found_exception());
    let tags = client.tag_resource().secret_id(name).tags(Tag::builder().key("a").value("b").build());
    assert!(refused(tags.send().await).is_resource_not_found_exception());
    assert!(
        refused(client.untag_resource().secret_id(name).tag_keys("a").send().await).is_resource_not_found_exception()
    );
    // Not modelled, so no type of the SDK's: the code and the text are all there is.
    let bad = refused(client.get_secret_value().secret_id("no blanks").send().await);
    assert_eq!(bad.code(), Some("ValidationException"));
    assert_eq!(
        message(&bad),
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
    );
}

pub(super) async fn is_binary(client: &Client) {
    let bytes: Vec<u8> = (0..=255).collect();
    let created = client.create_secret().name("rust/binary").secret_binary(Blob::new(bytes.clone())).send().await;
    let arn = created.expect("made").arn().expect("an ARN").to_owned();
    let value = client.get_secret_value().secret_id(&arn).send().await.expect("read");
    assert_eq!(value.secret_binary().expect("bytes").as_ref(), bytes);
    assert_eq!(value.secret_string(), None);
    let put = client.put_secret_value().secret_id(&arn).secret_binary(Blob::new("text")).send().await.expect("put");
    assert_eq!(put.version_stages(), ["AWSCURRENT"]);
    let previous = client.get_secret_value().secret_id(&arn).version_stage("AWSPREVIOUS").send().await.expect("read");
    assert_eq!(previous.secret_binary().expect("bytes").as_ref(), bytes);
    let neither = refused(client.put_secret_value().secret_id(&arn).send().await);
    assert!(neither.is_invalid_request_exception(), "{neither:?}");
    let both = client.put_secret_value().secret_id(&arn).secret_string("a").secret_binary(Blob::new("b"));
    assert!(refused(both.send().await).is_invalid_parameter_exception());
}

pub(super) async fn are_listed_in_pages(client: &Client) {
    for number in 0..5 {
        let name = format!("rust/list/{number}");
        client.create_secret().name(name).description("Listed here").secret_string("x").send().await.expect("made");
    }
    let filter = Filter::builder().key(FilterNameStringType::Name).values("rust/list/").build();
    let pages = client
        .list_secrets()
        .filters(filter.clone())
        .sort_by(SortByType::Name)
        .sort_order(SortOrderType::Desc)
        .max_results(2)
        .into_paginator()
        .send();
    let pages: Vec<_> = pages.collect::<Result<_, _>>().await.expect("pages");
    let sizes: Vec<_> = pages.iter().map(|page| page.secret_list().len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    let names: Vec<_> =
        pages.iter().flat_map(ListSecretsOutput::secret_list).filter_map(|entry| entry.name()).collect();
    assert_eq!(names, ["rust/list/4", "rust/list/3", "rust/list/2", "rust/list/1", "rust/list/0"]);
    let entry = &pages[0].secret_list()[0];
    assert_eq!(entry.description(), Some("Listed here"));
    assert_now(entry.created_date());
    let stages = entry.secret_versions_to_stages().expect("versions");
    assert_eq!(stages.values().collect::<Vec<_>>(), [&["AWSCURRENT"]]);

    let words = Filter::builder().key(FilterNameStringType::Description).values("here").build();
    let found = client.list_secrets().filters(filter).filters(words).send().await.expect("listed");
    assert_eq!(found.secret_list().len(), 5);
    assert_eq!(found.next_token(), None);
    let token = refused(client.list_secrets().next_token("of nobody").send().await);
    assert!(token.is_invalid_next_token_exception(), "{token:?}");
}

pub(super) async fn are_read_together(client: &Client) {
    let ids = ["rust/list/0", "rust/list/1", "rust/absent"].map(str::to_owned).to_vec();
    let batch = client.batch_get_secret_value().set_secret_id_list(Some(ids)).send().await.expect("read");
    let mut names: Vec<_> = batch.secret_values().iter().filter_map(|value| value.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["rust/list/0", "rust/list/1"]);
    let value = &batch.secret_values()[0];
    assert_eq!((value.secret_string(), value.version_stages()), (Some("x"), &["AWSCURRENT".to_owned()][..]));
    assert_now(value.created_date());
    let [error] = batch.errors() else { panic!("one error: {:?}", batch.errors()) };
    assert_eq!((error.secret_id(), error.error_code()), (Some("rust/absent"), Some("ResourceNotFoundException")));
    assert_eq!(error.message(), Some("Secrets Manager can't find the specified secret."));

    let filter = Filter::builder().key(FilterNameStringType::Name).values("rust/list/").build();
    let pages = client.batch_get_secret_value().filters(filter).max_results(2).into_paginator().send();
    let pages: Vec<_> = pages.collect::<Result<_, _>>().await.expect("pages");
    assert_eq!(pages.iter().map(|page| page.secret_values().len()).sum::<usize>(), 5);
    assert!(pages.len() >= 3 && pages.iter().all(|page| page.errors().is_empty()));
    let neither = refused(client.batch_get_secret_value().send().await);
    assert!(neither.is_invalid_parameter_exception(), "{neither:?}");
}

pub(super) async fn a_password_is_made(client: &Client) {
    let made = client.get_random_password().password_length(40).exclude_punctuation(true).send().await.expect("made");
    let password = made.random_password().expect("a password");
    assert!(password.len() == 40 && password.chars().all(|each| each.is_ascii_alphanumeric()), "{}", password.len());
    let short = refused(client.get_random_password().password_length(3).send().await);
    assert!(short.is_invalid_parameter_exception(), "{short:?}");
}
