//! What a principal may do: one table of role and operation, and a scope of names. What the table does not allow is denied.
//!
//! Decided before existence is revealed, as AWS does. Never here: who the principal is.

use engine::id::VersionId;
use store::{Named, Principal, Role, Scope, StoreError};

use crate::error::ApiError;
use crate::op::{Cx, Op};

/// How many characters of an ARN's end are its random suffix, hyphen included.
const SUFFIX: usize = 7;

/// What an operation takes for a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// No more than the role. The operation itself shows no more than its caller may see.
    Role,
    /// A secret in the principal's scope.
    Secret,
    /// The role is not enough, whatever it is about.
    AnotherRole,
}

/// The table. An operation that is not in it is the administrator's alone.
fn allows(role: Role, op: Op) -> Need {
    match role {
        Role::Administrator => Need::Role,
        Role::Reader => match op {
            // A batch and a parameter are judged secret by secret, as GetSecretValue.
            Op::ListSecrets | Op::BatchGetSecretValue | Op::GetParameter | Op::GetParameters | Op::CreateSession => {
                Need::Role
            }
            Op::DescribeSecret
            | Op::GetSecretValue
            | Op::ListSecretVersionIds
            | Op::DescribeRotation
            | Op::ListReaders
            | Op::WaitForCurrent
            | Op::DeclareReader => Need::Secret,
            _ => Need::AnotherRole,
        },
        Role::Rotation => match op {
            Op::GetRandomPassword => Need::Role,
            Op::DescribeSecret
            | Op::GetSecretValue
            | Op::ListSecretVersionIds
            | Op::PutSecretValue
            | Op::UpdateSecretVersionStage => Need::Secret,
            _ => Need::AnotherRole,
        },
        Role::Rotator => match op {
            Op::GetRandomPassword | Op::GetParameter | Op::GetParameters | Op::CreateSession => Need::Role,
            Op::DescribeSecret
            | Op::GetSecretValue
            | Op::ListSecretVersionIds
            | Op::PutSecretValue
            | Op::UpdateSecretVersionStage
            | Op::DescribeRotation
            | Op::WaitForCurrent
            | Op::ListReaders => Need::Secret,
            _ => Need::AnotherRole,
        },
    }
}

/// Lets the call pass, or not.
///
/// # Errors
/// AccessDeniedException in AWS's words; it names the secret by its ARN only where the id leads to one. Where the store
/// cannot say what the id leads to, nobody passes who needs that.
pub(crate) async fn authorize(cx: &Cx<'_>, op: Op, secret_id: Option<&str>) -> Result<(), ApiError> {
    let need = allows(cx.caller().principal().role, op);
    if need == Need::Role {
        return Ok(());
    }
    let Some(id) = secret_id else {
        return Err(denied(cx, op, "*"));
    };
    let there = match cx.state.store.named(id).await {
        Ok(named) => Some(named),
        Err(StoreError::SecretNotFound) => None,
        Err(error) => return Err(error.into()),
    };
    if need != Need::Secret || !in_scope(cx, id, there.as_ref()).await? || only_looks(cx) && !op.reads() {
        return Err(denied(cx, op, there.as_ref().map_or(id, |named| &named.arn)));
    }
    match cx.caller().grant() {
        Some(grant) => Ok(cx.state.store.check_grant(grant).await?),
        None => Ok(()),
    }
}

/// What a list may show the caller; None: everything.
pub(crate) fn visible(cx: &Cx<'_>) -> Option<Scope> {
    let principal = cx.caller().principal();
    match principal.role {
        Role::Administrator => None,
        Role::Reader => Some(principal.scope.clone()),
        // What it may see is no matter of names, and it lists nothing.
        Role::Rotation => Some(Scope::default()),
        Role::Rotator => Some(Scope { prefixes: Vec::new(), secrets: principal.scope.secrets.clone() }),
    }
}

/// Whether the caller may write no value that names another admin secret: whoever may write a secret must not be able to
/// borrow another admin's login with it.
pub(crate) fn keeps_admin(cx: &Cx<'_>) -> bool {
    cx.caller().principal().role != Role::Administrator
}

/// The version that the caller may make, and no other, while the rotation that makes it is open. None: it is not held to one.
pub(crate) fn within<'a>(cx: &Cx<'a>) -> Option<&'a VersionId> {
    cx.caller().grant().map(|grant| &grant.version)
}

/// Whether its credentials are those of a check, which changes nothing.
fn only_looks(cx: &Cx<'_>) -> bool {
    cx.caller().grant().is_some_and(|grant| grant.check)
}

/// Whether it is a rotation function in the middle of its work, which a change that fails could leave without a password
/// that works.
pub(crate) fn rotates(cx: &Cx<'_>) -> bool {
    matches!(cx.caller().principal().role, Role::Rotator | Role::Rotation)
}

/// What was made for one rotation goes by that alone. A secret that is there is judged by its name, whatever it was called
/// by. An admin secret is read by nobody who does not have it by name. An id that leads nowhere is judged by the names it
/// may mean.
async fn in_scope(cx: &Cx<'_>, id: &str, there: Option<&Named>) -> Result<bool, StoreError> {
    if let Some(grant) = cx.caller().grant() {
        return Ok(there.map_or(id, |named| &named.arn) == grant.arn);
    }
    let Principal { role, scope, .. } = cx.caller().principal();
    // Rotators change secrets that are named one by one.
    let begins = |name: &str| *role == Role::Reader && scope.begins(name);
    match there {
        Some(named) if scope.names(&named.name) => Ok(true),
        Some(named) if begins(&named.name) => Ok(!cx.state.store.is_admin_secret(&named.arn).await?),
        Some(_) => Ok(false),
        None => Ok(meant_by(id).any(|name| scope.names(name) || begins(name))),
    }
}

/// The names that an id may mean: itself, or the end of an ARN with and without what may be its suffix.
fn meant_by(id: &str) -> impl Iterator<Item = &str> {
    let is_arn = id.starts_with("arn:");
    let name = if is_arn { id.splitn(7, ':').nth(6) } else { Some(id) };
    let without = name.filter(|_| is_arn).and_then(|name| {
        let (name, suffix) = name.split_at_checked(name.len().checked_sub(SUFFIX)?)?;
        suffix.starts_with('-').then_some(name)
    });
    name.into_iter().chain(without)
}

fn denied(cx: &Cx<'_>, op: Op, resource: &str) -> ApiError {
    let who = cx.caller_arn();
    let action = op.action();
    ApiError::access_denied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {resource} because no identity-based policy \
         allows the {action} action"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_administrator_may_change_what_is_not_a_rotators_own_secret() {
        for &op in Op::ALL {
            assert_eq!(allows(Role::Administrator, op), Need::Role);
            let given = [Role::Reader, Role::Rotator, Role::Rotation].map(|role| allows(role, op) != Need::AnotherRole);
            let of_rotators = matches!(op, Op::PutSecretValue | Op::UpdateSecretVersionStage);
            // Of a secret a reader changes what is known of itself.
            let expected = [op == Op::DeclareReader, of_rotators, of_rotators];
            assert!(op.reads() || op == Op::CreateSession || given == expected, "{}", op.name());
            // A call of a rotation function may do no more than the function, and looks at nothing but its secret.
            assert!(given[1] || !given[2], "{}", op.name());
        }
    }

    #[test]
    fn an_arn_that_leads_nowhere_may_mean_its_tail_with_and_without_a_suffix() {
        let meant = |id: &'static str| meant_by(id).collect::<Vec<_>>();
        assert_eq!(meant("app/db-AbCdEf"), ["app/db-AbCdEf"]);
        let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:app/db";
        assert_eq!(meant(arn), ["app/db"]);
        let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:app/db-AbCdEf";
        assert_eq!(meant(arn), ["app/db-AbCdEf", "app/db"]);
        assert!(meant("arn:aws:secretsmanager").is_empty());
    }
}
