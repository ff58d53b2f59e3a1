//! Table `principal`: a name, a role, a scope. Never here: what a role may do (that is `api`'s to say).

use engine::Time;

use crate::instant::ms;
use crate::model::{Principal, Role};
use crate::scope::Scope;
use crate::tx::Conn;
use crate::{StoreError, sql};

/// The principal of the first start's key. It is there from the beginning and never goes.
pub const ADMINISTRATOR: &str = "admin";

const ROLES: [(Role, &str); 3] =
    [(Role::Administrator, "administrator"), (Role::Reader, "reader"), (Role::Rotator, "rotator")];

impl Role {
    /// The word for it: in the database, on the wire, on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        ROLES.iter().find(|(role, _)| *role == self).map_or("rotation", |(_, name)| name)
    }

    /// The role of keys that this word stands for.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        ROLES.iter().find(|(_, word)| *word == name).map(|(role, _)| *role)
    }
}

/// A principal as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct Raw {
    pub(crate) name: String,
    role: String,
    prefixes: String,
    secrets: String,
}

impl Raw {
    /// None: this binary does not know the role, or the lists are not lists.
    pub(crate) fn read(self) -> Option<Principal> {
        let list = |json: &str| serde_json::from_str::<Vec<String>>(json).ok();
        let scope = Scope { prefixes: list(&self.prefixes)?, secrets: list(&self.secrets)? };
        Some(Principal { role: Role::of_name(&self.role)?, name: self.name, scope })
    }
}

/// The principal of this name, for whoever writes: it stays until that has ended.
pub(crate) async fn get(conn: &mut Conn, name: &str) -> Result<Option<Principal>, StoreError> {
    let raw: Option<Raw> = sql::query_as(GET).bind(name).locking("FOR KEY SHARE").fetch_optional(conn).await?;
    let readable = |raw: Raw| raw.read().ok_or_else(|| StoreError::inconsistent("a principal cannot be read"));
    raw.map(readable).transpose()
}

/// A new principal.
pub(crate) async fn insert(conn: &mut Conn, new: &Principal, now: Time) -> Result<(), StoreError> {
    let json = |list: &[String]| serde_json::Value::from(list).to_string();
    let query = sql::query(INSERT).bind(&new.name).bind(new.role.name());
    let query = query.bind(json(&new.scope.prefixes)).bind(json(&new.scope.secrets));
    query.bind(ms(now)).execute(conn).await?;
    Ok(())
}

/// Removes principals that have no key left: who comes back under the name may be somebody else.
pub(crate) async fn remove_keyless(conn: &mut Conn) -> Result<(), StoreError> {
    sql::query(REMOVE_KEYLESS).bind(ADMINISTRATOR).execute(conn).await?;
    Ok(())
}

const GET: &str = "-- principal::get
SELECT name, role, prefixes, secrets FROM principal WHERE name = $1";

const INSERT: &str = "-- principal::insert
INSERT INTO principal (name, role, prefixes, secrets, created_ms) VALUES ($1, $2, $3, $4, $5)";

const REMOVE_KEYLESS: &str = "-- principal::remove_keyless
DELETE FROM principal WHERE name <> $1
  AND NOT EXISTS (SELECT 1 FROM access_key k WHERE k.principal = principal.name)";
