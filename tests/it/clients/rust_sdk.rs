//! The official AWS SDK for Rust over every operation: typed replies, typed errors, its own paginators.

mod policies;
mod replication;
mod rotation;
mod secrets;
mod versions;

use std::fmt::Debug;

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::primitives::DateTime;

use super::assert_all_called;
use crate::harness::pawl::Home;
use crate::harness::sdk::sdk;

#[test]
fn the_rust_sdk_drives_every_operation() {
    let home = Home::new();
    let pawl = home.serve_as_aws();
    let (client, http) = sdk(&pawl);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        secrets::lives_and_dies(&client).await;
        secrets::is_binary(&client).await;
        secrets::are_listed_in_pages(&client).await;
        secrets::are_read_together(&client).await;
        secrets::a_password_is_made(&client).await;
        versions::labels_move(&client).await;
        versions::are_listed_in_pages(&client).await;
        rotation::is_configured_and_cancelled(&client).await;
        rotation::is_refused_in_awss_types(&client).await;
        rotation::rotates_an_account(&client).await;
        policies::are_stored_and_judged(&client).await;
        replication::is_recorded_and_ended(&client).await;
    });
    assert_all_called(&http.called());
}

/// The service's own error of a call that must be refused.
fn refused<T: Debug, E: Debug>(result: Result<T, SdkError<E, HttpResponse>>) -> E {
    match result {
        Err(SdkError::ServiceError(error)) => {
            assert_eq!(error.raw().status().as_u16(), 400, "{error:?}");
            error.into_err()
        }
        other => panic!("a refusal was expected: {other:?}"),
    }
}

/// The message of an error, without which no service error of AWS is.
fn message(error: &impl ProvideErrorMetadata) -> &str {
    error.message().expect("a message")
}

/// That a date is of this minute: parsed as AWS writes it, in the right unit.
fn assert_now(date: Option<&DateTime>) {
    let date = date.expect("a date").as_secs_f64();
    let apart = (date - now()).abs();
    assert!(apart < 60.0, "{apart} s apart");
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "dates of replies are compared with the machine's clock")]
fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}
