//! Owns reading the rights of one row from the server's own catalogue. Never here: changing anything.

use std::collections::BTreeSet;

use engine::outcome::{StepError, Verdict};
use serde::Deserialize;

use super::{GRANT_OPTION, On, Right, Rights};
use crate::my::errors::{line, told};
use crate::my::session::Session;
use crate::my::{Brand, contradiction, dual};
use crate::quote::{my_bytes, shown};

/// One row of an account, as literals of the catalogue.
struct Of {
    /// For columns of the type GRANTEE: `'user'@'host'`, nothing doubled.
    grantee: String,
    user: String,
    host: String,
}

/// Whether this session may read the rights of others. One that may read single tables of `mysql` only finds the views of
/// information_schema empty, without a word: an account would look as if it had no rights.
///
/// # Errors
/// NeedsPerson with the statement that mends it.
pub(in crate::my) async fn is_seen(session: &mut Session) -> Result<(), StepError> {
    if dual::granted(session, &[("SELECT", "*.*"), ("SELECT", "`mysql`.*")]).await? {
        return Ok(());
    }
    let by = shown(&session.by);
    let message = format!("{} shows {by} not all rights of other accounts.", session.login.server());
    Err(StepError::new(Verdict::NeedsPerson, "rights-unseen", message).remedy(lacking(&by)))
}

/// The statement that lets an admin (as shown) see them.
pub(in crate::my) fn lacking(by: &str) -> String {
    format!("GRANT SELECT ON mysql.* TO {by}")
}

/// The rights of `user@host`.
pub(in crate::my) async fn rights(
    session: &mut Session,
    brand: Brand,
    user: &str,
    host: &str,
) -> Result<Rights, StepError> {
    let of = Of {
        grantee: my_bytes(format!("'{user}'@'{host}'").as_bytes()),
        user: my_bytes(user.as_bytes()),
        host: my_bytes(host.as_bytes()),
    };
    let mut rights = Rights::new();
    on_the_server(session, brand, &of, &mut rights).await?;
    on_schemas(session, &of, &mut rights).await?;
    on_tables(session, &of, &mut rights).await?;
    on_routines(session, &of, &mut rights).await?;
    proxies(session, &of, &mut rights).await?;
    roles(session, brand, &of, &mut rights).await?;
    if brand == Brand::MySql {
        withheld(session, &of, &mut rights).await?;
    }
    Ok(rights)
}

/// Whether what a right is about is still there, and to be seen by this login: the catalogue keeps a grant when its table,
/// column or routine is dropped, and nobody can repeat it then.
pub(in crate::my) async fn is_there(session: &mut Session, on: &On) -> Result<bool, StepError> {
    let literal = |text: &str| my_bytes(text.as_bytes());
    let sql = match on {
        On::Table { schema, table } => format!(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            literal(schema),
            literal(table)
        ),
        On::Column { schema, table, column } => format!(
            "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND \
             LOWER(COLUMN_NAME) = LOWER(CONVERT({} USING utf8mb4))",
            literal(schema),
            literal(table),
            literal(column)
        ),
        // Of libraries (MySQL 9.2 and later) that catalogue does not speak.
        On::Routine { kind, schema, name } if kind != "LIBRARY" => format!(
            "SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {} AND \
             LOWER(ROUTINE_NAME) = LOWER(CONVERT({} USING utf8mb4))",
            literal(schema),
            literal(name)
        ),
        _ => return Ok(true),
    };
    Ok(!session.rows::<u8>(&sql).await?.is_empty())
}

async fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(
    session: &mut Session,
    sql: &str,
) -> Result<Vec<T>, StepError> {
    match session.rows_if_allowed(sql).await? {
        Ok(rows) => Ok(rows),
        // As where the account's rows themselves may not be read.
        Err(_) => Err(told(line(1142), 1142, Verdict::NeedsPerson, &session.login, &session.by)),
    }
}

async fn on_the_server(session: &mut Session, brand: Brand, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let mut dynamic: BTreeSet<String> = BTreeSet::new();
    if brand == Brand::MySql {
        let sql = format!(
            "SELECT PRIV, WITH_GRANT_OPTION FROM mysql.global_grants WHERE USER = {} AND HOST = {}",
            of.user, of.host
        );
        for (privilege, pass_on) in ask::<(String, String)>(session, &sql).await? {
            let privilege = privilege.to_ascii_uppercase();
            rights.insert(Right { on: On::Dynamic, privilege: privilege.clone(), pass_on: false });
            if pass_on == "Y" {
                rights.insert(Right { on: On::Dynamic, privilege: privilege.clone(), pass_on: true });
            }
            dynamic.insert(privilege);
        }
    }
    let sql = format!(
        "SELECT PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {}",
        of.grantee
    );
    for (privilege, grantable) in ask::<(String, String)>(session, &sql).await? {
        let privilege = privilege.to_ascii_uppercase();
        if !dynamic.contains(&privilege) {
            add(rights, On::Server, privilege, grantable == "YES");
        }
    }
    Ok(())
}

async fn on_schemas(session: &mut Session, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = {}",
        of.grantee
    );
    for (pattern, privilege, grantable) in ask::<(String, String, String)>(session, &sql).await? {
        add(rights, On::Schema { pattern }, privilege.to_ascii_uppercase(), grantable == "YES");
    }
    Ok(())
}

/// A static privilege; USAGE is no right, and stands where there is a GRANT OPTION without any.
fn add(rights: &mut Rights, on: On, privilege: String, grantable: bool) {
    if grantable {
        rights.insert(Right { on: on.clone(), privilege: GRANT_OPTION.to_owned(), pass_on: false });
    }
    if privilege != "USAGE" {
        rights.insert(Right { on, privilege, pass_on: false });
    }
}

async fn on_tables(session: &mut Session, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let sql = format!(
        "SELECT Db, Table_name, Table_priv FROM mysql.tables_priv WHERE User = {} AND Host = {}",
        of.user, of.host
    );
    for (schema, table, set) in ask::<(String, String, String)>(session, &sql).await? {
        add_set(rights, &On::Table { schema, table }, &set);
    }
    let sql = format!(
        "SELECT Db, Table_name, Column_name, Column_priv FROM mysql.columns_priv WHERE User = {} AND Host = {}",
        of.user, of.host
    );
    for (schema, table, column, set) in ask::<(String, String, String, String)>(session, &sql).await? {
        add_set(rights, &On::Column { schema, table, column }, &set);
    }
    Ok(())
}

async fn on_routines(session: &mut Session, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let sql = format!(
        "SELECT Routine_type, Db, Routine_name, Proc_priv FROM mysql.procs_priv WHERE User = {} AND Host = {}",
        of.user, of.host
    );
    for (kind, schema, name, set) in ask::<(String, String, String, String)>(session, &sql).await? {
        // The word stands in statements as it is.
        if kind.bytes().any(|byte| !byte.is_ascii_uppercase() && byte != b' ') {
            return Err(contradiction(&session.login));
        }
        add_set(rights, &On::Routine { kind, schema, name }, &set);
    }
    Ok(())
}

/// A column of the type SET, whose words are privileges in small letters.
fn add_set(rights: &mut Rights, on: &On, set: &str) {
    for word in set.split(',').filter(|word| !word.is_empty()) {
        let privilege = match word.to_ascii_uppercase().as_str() {
            "GRANT" => GRANT_OPTION.to_owned(),
            "DELETE VERSIONING ROWS" => "DELETE HISTORY".to_owned(),
            word => word.to_owned(),
        };
        rights.insert(Right { on: on.clone(), privilege, pass_on: false });
    }
}

async fn proxies(session: &mut Session, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let sql = format!(
        "SELECT Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv WHERE User = {} AND Host = {}",
        of.user, of.host
    );
    for (user, host, with_grant) in ask::<(String, String, i64)>(session, &sql).await? {
        add_passing(rights, On::Proxy { user, host }, with_grant != 0);
    }
    Ok(())
}

async fn roles(session: &mut Session, brand: Brand, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let sql = match brand {
        Brand::MySql => format!(
            "SELECT FROM_USER, FROM_HOST, WITH_ADMIN_OPTION FROM mysql.role_edges WHERE TO_USER = {} AND TO_HOST = {}",
            of.user, of.host
        ),
        Brand::MariaDb => format!(
            "SELECT Role, NULL, Admin_option FROM mysql.roles_mapping WHERE User = {} AND Host = {}",
            of.user, of.host
        ),
    };
    for (name, host, admin) in ask::<(String, Option<String>, String)>(session, &sql).await? {
        add_passing(rights, On::Role { name, host }, admin == "Y");
    }
    Ok(())
}

fn add_passing(rights: &mut Rights, on: On, pass_on: bool) {
    rights.insert(Right { on: on.clone(), privilege: String::new(), pass_on: false });
    if pass_on {
        rights.insert(Right { on, privilege: String::new(), pass_on: true });
    }
}

#[derive(Deserialize)]
struct Restriction {
    #[serde(rename = "Database")]
    schema: String,
    #[serde(rename = "Privileges")]
    privileges: Vec<String>,
}

async fn withheld(session: &mut Session, of: &Of, rights: &mut Rights) -> Result<(), StepError> {
    let sql = format!(
        "SELECT CAST(User_attributes->'$.Restrictions' AS CHAR) FROM mysql.user WHERE User = {} AND Host = {}",
        of.user, of.host
    );
    let found: Vec<Option<String>> = ask(session, &sql).await?;
    for json in found.into_iter().flatten() {
        let read: Vec<Restriction> = serde_json::from_str(&json).map_err(|_| contradiction(&session.login))?;
        for restriction in read {
            for privilege in restriction.privileges {
                let on = On::Withheld { schema: restriction.schema.clone() };
                rights.insert(Right { on, privilege: privilege.to_ascii_uppercase(), pass_on: false });
            }
        }
    }
    Ok(())
}
