//! pawl.CreateAccessKey: a key for a principal, which is made where it is new. The one reply with the key's secret.

use serde::Serialize;
use store::{ADMINISTRATOR, Principal, Role, Scope};

use super::{Cx, Operation};
use crate::credentials::{NAMES, PRINCIPAL, Shown};
use crate::error::ApiError;
use crate::members::{Items, Length, OneOf, request};

request! {
    principal "Principal": String [Length(1..=64), PRINCIPAL],
    role "Role": String [OneOf(&["administrator", "reader", "rotator"])],
    // An empty beginning would be that of every secret: nobody means that by mistake.
    prefixes "Prefixes": Vec<String> [Items(0..=100, 1..=512), NAMES],
    secrets "Secrets": Vec<String> [Items(0..=100, 1..=512), NAMES],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    access_key_id: String,
    secret_access_key: Shown,
    principal: String,
    role: &'static str,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let role = self.role.as_deref().and_then(Role::of_name).unwrap_or(Role::Administrator);
        let scope = Scope { prefixes: self.prefixes.unwrap_or_default(), secrets: self.secrets.unwrap_or_default() };
        check_scope(role, &scope)?;
        let name = match (self.principal, role) {
            (Some(name), _) => name,
            (None, Role::Administrator) => ADMINISTRATOR.to_owned(),
            (None, _) => return Err(ApiError::invalid_parameter("A reader or rotator needs a name: give Principal.")),
        };
        cx.notes.about(format!("{name} {}", role.name()));
        let key = cx.state.store.create_principal_key(Principal { name, role, scope }, cx.now).await?;
        cx.notes.about(format!("{} {} {}", key.access_key_id, key.principal, role.name()));
        Ok(Reply {
            access_key_id: key.access_key_id,
            secret_access_key: Shown(key.secret),
            principal: key.principal,
            role: role.name(),
        })
    }
}

/// Each role has the scope that means something for it.
fn check_scope(role: Role, scope: &Scope) -> Result<(), ApiError> {
    let (prefixes, secrets) = (!scope.prefixes.is_empty(), !scope.secrets.is_empty());
    let problem = match role {
        Role::Administrator if prefixes || secrets => {
            "An administrator may do everything: leave Prefixes and Secrets out, or choose another Role."
        }
        Role::Reader if !prefixes && !secrets => {
            "A reader needs to be told what it may read: give Prefixes (--prefix) or Secrets (--secret)."
        }
        Role::Rotator if prefixes || !secrets => {
            "A rotator changes secrets that are named one by one: give Secrets (--secret) and no Prefixes."
        }
        _ => return Ok(()),
    };
    Err(ApiError::invalid_parameter(problem))
}
