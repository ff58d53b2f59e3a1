//! Who is to rotate a secret: a rotator named in the request, the one stored, or the one built in for its engine.
//!
//! Looks a value's `engine` up and keeps nothing else of it. Never here: rotators themselves.

use serde::Deserialize;
use store::Serves;

use crate::error::ApiError;
use crate::op::Cx;

/// Who will serve the secret, as far as this server knows: what the request names, else what is stored, else what is built in
/// for the secret's engine.
///
/// # Errors
/// What `given` names is no rotator there is (`unknown` says so); the secret cannot be read.
pub(crate) async fn serving(
    cx: &Cx<'_>,
    secret_id: &str,
    given: Option<&str>,
    unknown: impl FnOnce(&str) -> ApiError,
) -> Result<Option<Serves>, ApiError> {
    if let Some(given) = given {
        let name = name_of(given)?;
        return named(cx, name).await?.map(Some).ok_or_else(|| unknown(name));
    }
    let stored = cx.state.store.rotation(secret_id).await?.config.and_then(|config| config.rotator);
    if let Some(stored) = stored {
        return match name_of(&stored) {
            Ok(name) => named(cx, name).await,
            Err(_) => Ok(None),
        };
    }
    #[derive(Deserialize)]
    struct Connection {
        engine: String,
    }
    // A secret without a value has no engine.
    let current = cx.state.store.current_value(secret_id).await?;
    let connection = current.and_then(|value| serde_json::from_slice::<Connection>(value.bytes.expose()).ok());
    Ok(connection.filter(|connection| (cx.state.builtin)(&connection.engine)).map(|_| Serves::Builtin))
}

/// AWS's words for a rotator that is not there.
pub(crate) fn cannot_invoke(_name: &str) -> ApiError {
    ApiError::access_denied(
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants \
         access to the principal secretsmanager.amazonaws.com.",
    )
}

/// The rotator of this name, built in or registered.
async fn named(cx: &Cx<'_>, name: &str) -> Result<Option<Serves>, ApiError> {
    if (cx.state.builtin)(name) {
        return Ok(Some(Serves::Builtin));
    }
    let registered = cx.state.store.rotator(name).await?;
    Ok(registered.map(|registered| Serves::Registered(registered.name.clone())))
}

/// The rotator's name in a RotationLambdaARN that was accepted; None where it names none.
#[must_use]
pub fn rotator_name(given: &str) -> Option<&str> {
    name_of(given).ok()
}

/// The rotator's name in a RotationLambdaARN: the text itself, or the function name of an ARN.
fn name_of(given: &str) -> Result<&str, ApiError> {
    if !given.starts_with("arn:") {
        return Ok(given);
    }
    let parts: Vec<&str> = given.split(':').collect();
    match parts[..] {
        ["arn", partition, "lambda", region, account, "function", name]
        | ["arn", partition, "lambda", region, account, "function", name, _]
            if ![partition, region, account, name].contains(&"") =>
        {
            Ok(name)
        }
        _ => Err(ApiError::invalid_parameter(
            "Invalid rotation Lambda ARN. Ensure the ARN matches format \
             arn:aws:lambda:<region>:<account>:function:<functionName>.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_a_function_arn_is_the_rotator() {
        for (given, name) in [
            ("postgres", "postgres"),
            ("arn:aws:lambda:us-east-1:000000000000:function:postgres", "postgres"),
            ("arn:aws:lambda:us-east-1:000000000000:function:mysql:1", "mysql"),
        ] {
            assert_eq!(name_of(given).ok(), Some(name), "{given}");
        }
        for given in ["arn:aws:lambda:us-east-1::function:a", "arn:aws:s3:::a", "arn:", "arn:aws:lambda:r:1:function:"]
        {
            assert!(name_of(given).is_err(), "{given}");
        }
    }
}
