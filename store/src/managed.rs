//! Secrets whose credential something else changes (an operator, Terraform, the platform): the tag `pawl:managed-elsewhere`
//! names it. Such a secret is kept and served, and its target is never changed from here: rotation and the tag exclude
//! each other, whichever comes first.
//!
//! Never here: finding out by itself that somebody else changes a password (that is drift, `verify.rs`).

use crate::model::Tag;
use crate::subject::Subject;
use crate::tx::Conn;
use crate::{StoreError, tag};

/// The tag's key. Its value says who manages the credential, in whatever words.
pub const MANAGED_ELSEWHERE: &str = "pawl:managed-elsewhere";

/// Refuses what would change the target of a secret with the tag.
pub(crate) async fn refuse(conn: &mut Conn, subject: &Subject) -> Result<(), StoreError> {
    match tag::value(conn, subject.secret.id, MANAGED_ELSEWHERE).await? {
        Some(by) => Err(StoreError::ManagedElsewhere { by }),
        None => Ok(()),
    }
}

/// Refuses the tag on a secret that is rotated, or has a rotation open: its credential may be ours at this moment.
pub(crate) fn refuse_tag(subject: &Subject, tags: &[Tag]) -> Result<(), StoreError> {
    let is_said = tags.iter().any(|tag| tag.key == MANAGED_ELSEWHERE);
    let is_ours = subject.rotation.enabled || subject.rotation.state.run().is_some();
    if is_said && is_ours { Err(StoreError::ManagedHere) } else { Ok(()) }
}
