//! Which secret a SecretId names: a name, a full ARN, or an ARN without its random suffix.
//!
//! Never here: whether anything may be done to it.

use crate::StoreError;
use crate::secret::{self, Row};
use crate::tx::Conn;

const SUFFIX_LENGTH: usize = 6;

/// Finds the secret, also one that is to be deleted.
pub(crate) async fn find(conn: &mut Conn, id: &str) -> Result<Row, StoreError> {
    if !id.starts_with("arn:") {
        return secret::by_name(conn, id).await?.ok_or(StoreError::SecretNotFound);
    }
    if let Some(row) = secret::by_arn(&mut *conn, id).await? {
        return Ok(row);
    }
    let name = name_in_partial_arn(id).ok_or(StoreError::SecretNotFound)?;
    completed(id, secret::by_name(conn, name).await?)
}

/// The same for whoever is to write it: from here on writers of it take turns.
pub(crate) async fn lock(conn: &mut Conn, id: &str) -> Result<Row, StoreError> {
    if !id.starts_with("arn:") {
        return secret::lock_by_name(conn, id).await?.ok_or(StoreError::SecretNotFound);
    }
    if let Some(row) = secret::lock_by_arn(&mut *conn, id).await? {
        return Ok(row);
    }
    let name = name_in_partial_arn(id).ok_or(StoreError::SecretNotFound)?;
    completed(id, secret::lock_by_name(conn, name).await?)
}

/// The secret that an ARN without suffix names.
fn completed(id: &str, row: Option<Row>) -> Result<Row, StoreError> {
    let row = row.ok_or(StoreError::SecretNotFound)?;
    // The same partition, Region and account, not only the same name.
    let completes = row.arn.strip_prefix(id).is_some_and(|suffix| suffix.len() == SUFFIX_LENGTH + 1);
    if completes { Ok(row) } else { Err(StoreError::SecretNotFound) }
}

/// The name at the end of an ARN without suffix. A tail that ends like a suffix is taken for a full ARN, as AWS does:
/// a secret named so is found by its name or full ARN only.
fn name_in_partial_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(7, ':');
    let service = parts.nth(2)?;
    let resource = parts.nth(2)?;
    let name = parts.next()?;
    let ours = service == "secretsmanager" && resource == "secret";
    (ours && !ends_like_a_suffix(name)).then_some(name)
}

fn ends_like_a_suffix(name: &str) -> bool {
    let Some((head, last)) = name.rsplit_once('-') else {
        return false;
    };
    !head.is_empty() && last.len() == SUFFIX_LENGTH && last.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_partial_arns() {
        let name = |tail: &str| {
            let arn = format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{tail}");
            name_in_partial_arn(&arn).map(str::to_owned)
        };
        assert_eq!(name("db/orders").as_deref(), Some("db/orders"));
        assert_eq!(name("Valid/_+=.@-Name-a1b2").as_deref(), Some("Valid/_+=.@-Name-a1b2"));
        assert_eq!(name("Valid/_+=.@-Name-a1b2c3-").as_deref(), Some("Valid/_+=.@-Name-a1b2c3-"));
        assert_eq!(name("Invalid/_+=.@-Name-a1b2c3"), None);
        assert_eq!(name_in_partial_arn("arn:aws:lambda:us-east-1:000000000000:secret:x"), None);
        assert_eq!(name_in_partial_arn("arn:aws"), None);
    }
}
