//! KmsKeyId: what can be said of a key by its text. Nothing is sealed with it: that is the server's keyring's.

use crate::error::ApiError;

/// What AWS shows where a member must name a key and the caller gave none.
pub(crate) const DEFAULT_ALIAS: &str = "alias/aws/secretsmanager";

/// Refuses the ARN of a key of another region than the one it is for.
pub(crate) fn check(key: Option<&str>, region: &str) -> Result<(), ApiError> {
    let elsewhere = key.and_then(region_of).filter(|found| *found != region);
    match elsewhere {
        None => Ok(()),
        Some(found) => Err(ApiError::invalid_parameter(format!(
            "The operation failed because of an invalid KMS key: Invalid arn {found}"
        ))),
    }
}

/// The region of a key that is given by its ARN.
fn region_of(key: &str) -> Option<&str> {
    let mut parts = key.splitn(6, ':');
    let (arn, _partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && service == "kms").then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_arn_of_another_region_is_refused() {
        for key in ["", "alias/k", "0f9b04ee-ab13", "arn:aws:kms:us-east-1:123456789012:key/k", "arn:aws:x:eu-west-1:k"]
        {
            assert!(check(Some(key), "us-east-1").is_ok(), "{key}");
        }
        assert!(check(None, "us-east-1").is_ok());
        assert!(check(Some("arn:aws:kms:eu-west-1:123456789012:alias/k"), "us-east-1").is_err());
    }
}
