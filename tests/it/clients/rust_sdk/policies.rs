//! Resource policies as the SDK sees them: stored, returned, judged.

use aws_sdk_secretsmanager::Client;

use super::{message, refused};

/// Lets one role of the account read.
pub(super) const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
/// Lets everybody read.
const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;

pub(super) async fn are_stored_and_judged(client: &Client) {
    let name = "rust/policy";
    client.create_secret().name(name).secret_string("x").send().await.expect("made");
    let get = || client.get_resource_policy().secret_id(name);
    let none = get().send().await.expect("none is no error");
    assert_eq!((none.name(), none.resource_policy()), (Some(name), None));
    assert!(none.arn().is_some());

    let put = |policy: &str| client.put_resource_policy().secret_id(name).resource_policy(policy);
    assert_eq!(put(POLICY).block_public_policy(true).send().await.expect("stored").name(), Some(name));
    let stored = get().send().await.expect("read");
    assert_eq!(json(stored.resource_policy().expect("a policy")), json(POLICY));
    let public = refused(put(PUBLIC).block_public_policy(true).send().await);
    assert!(public.is_public_policy_exception(), "{public:?}");
    let broken = refused(put("{").send().await);
    assert!(broken.is_malformed_policy_document_exception(), "{broken:?}");
    assert_eq!(json(get().send().await.expect("read").resource_policy().expect("a policy")), json(POLICY));
    put(PUBLIC).send().await.expect("a wildcard is taken unless it is to be blocked");

    let judge = |policy: &str| client.validate_resource_policy().secret_id(name).resource_policy(policy);
    let good = judge(POLICY).send().await.expect("judged");
    assert!(good.policy_validation_passed() && good.validation_errors().is_empty(), "{good:?}");
    let bad = judge(PUBLIC).send().await.expect("judged");
    assert!(!bad.policy_validation_passed());
    let [error, ..] = bad.validation_errors() else { panic!("a reason: {bad:?}") };
    assert!(error.check_name().is_some() && error.error_message().is_some(), "{error:?}");

    let deleted = client.delete_resource_policy().secret_id(name).send().await.expect("deleted");
    assert_eq!(deleted.name(), Some(name));
    assert_eq!(get().send().await.expect("read").resource_policy(), None);
    client.delete_resource_policy().secret_id(name).send().await.expect("none is no error");

    client.delete_secret().secret_id(name).send().await.expect("deleted");
    let dead = refused(get().send().await);
    assert!(dead.is_invalid_request_exception());
    assert!(message(&dead).contains("because it was marked for deletion"), "as Terraform looks for it");
    let absent = client.get_resource_policy().secret_id("rust/absent").send().await;
    assert!(refused(absent).is_resource_not_found_exception());
    let absent = client.put_resource_policy().secret_id("rust/absent").resource_policy(POLICY).send().await;
    assert!(refused(absent).is_resource_not_found_exception());
    let absent = client.delete_resource_policy().secret_id("rust/absent").send().await;
    assert!(refused(absent).is_resource_not_found_exception());
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}
