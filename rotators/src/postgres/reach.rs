//! Owns one question about a pair: what does one account reach that the other does not? What belongs to a login role,
//! what was granted to it alone, and the statement that mends it. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use engine::outcome::StepError;
use tokio_postgres::types::Type;

use super::LOOKING;
use super::catalogue::CATALOGUE_ONLY;
use super::errors::Moment;
use super::owner::{Shape, View, facts, field};
use super::session::{Entry, Session};
use crate::connection::Login;
use crate::quote::{pg_name, shown};
use crate::tls::Trust;

/// A difference that no step of a rotation mends, and what does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub what: String,
    pub remedy: String,
}

/// What belongs to one role.
#[derive(Debug)]
pub(super) struct Owned {
    /// Where; empty: objects of the whole server.
    pub database: String,
    pub count: i64,
    /// Some of them by name, where this session sees them.
    pub examples: Vec<String>,
    pub kind: Kind,
}

/// What kind of thing belongs to a role, by what gives it to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// REASSIGN OWNED does.
    Object,
    /// Default privileges and user mappings, which are the role's own: they are said again for another.
    Own,
    /// Rules of row-level security that name the role: ALTER POLICY does.
    Policy,
}

/// Privileges on one object, as a GRANT says them up to the grantee.
pub(super) type Grants = BTreeMap<(String, bool), BTreeSet<String>>;

/// How many objects a message names.
const EXAMPLES: usize = 5;

impl View {
    /// What the idle account will not reach that the active one does, or what belongs to an account where all should
    /// belong to the owner.
    pub(super) async fn gaps(&self, session: &mut Session, eyes: Eyes<'_>) -> Result<Vec<Gap>, StepError> {
        let login = eyes.login;
        let mut gaps: Vec<Gap> =
            self.missing.iter().filter(|found| found.loops).map(|found| self.looped(found)).collect();
        match &self.shape {
            Shape::SharedOwner(owner) => {
                let owner_oid = facts(session, login, owner).await?.map_or(0, |owner| owner.oid);
                let (active, idle) = (&self.active, self.idle.as_ref());
                let idle_oid = idle.map_or(0, |idle| idle.oid);
                for (one, other) in [(Some(active), idle_oid), (idle, active.oid)] {
                    let Some(one) = one else { continue };
                    let role = Role { name: &one.name, oid: one.oid, to: owner };
                    gaps.extend(role.owned_gaps(session, eyes).await?);
                    gaps.extend(role.granted_gaps(session, login, [other, owner_oid]).await?);
                }
            }
            // It has, or is about to get, all of the active account's by being a member of it.
            Shape::Member if self.idle_in_active || self.joins() => {}
            Shape::Member => {
                let Some(idle) = &self.idle else { return Ok(gaps) };
                let role = Role { name: &self.active.name, oid: self.active.oid, to: &idle.name };
                gaps.extend(role.owned_gaps(session, eyes).await?);
                gaps.extend(role.granted_gaps(session, login, [idle.oid, 0]).await?);
            }
        }
        Ok(gaps)
    }

    fn looped(&self, found: &super::owner::Membership) -> Gap {
        let idle = self.idle.as_ref().map_or("", |idle| &idle.name);
        let (role, active) = (shown(&found.role), shown(&self.active.name));
        Gap {
            what: format!("{active} is a member of {role}, which is itself a member of {}", shown(idle)),
            remedy: format!("REVOKE {} FROM {}", shown(&pg_name(idle)), shown(&pg_name(&found.role))),
        }
    }
}

/// As whom other databases of the server can be looked at, where they let us in.
#[derive(Clone, Copy)]
pub(super) struct Eyes<'a> {
    pub trust: &'a Trust,
    pub login: &'a Login,
}

impl Eyes<'_> {
    /// What belongs to a role in that database. None: it cannot be seen.
    async fn owned_in(&self, database: &str, role: u32) -> Option<Vec<Owned>> {
        let login = Login { database: Some(database.to_owned()), ..self.login.clone() };
        let Entry::In(mut session) = Session::open(&login, self.trust, LOOKING).await else { return None };
        let sql = format!("BEGIN READ ONLY; {CATALOGUE_ONLY}");
        session.batch(&sql, Moment::Before).await.ok()?;
        let found = owned(&mut session, &login, role).await.ok()?;
        session.close().await;
        Some(found.into_iter().filter(|found| found.database == database).collect())
    }
}

/// A role whose things should be another's.
struct Role<'a> {
    name: &'a str,
    oid: u32,
    to: &'a str,
}

impl Role<'_> {
    async fn owned_gaps(&self, session: &mut Session, eyes: Eyes<'_>) -> Result<Vec<Gap>, StepError> {
        let mut gaps = Vec::new();
        for found in owned(session, eyes.login, self.oid).await? {
            if !found.examples.is_empty() {
                gaps.push(self.owned_gap(&found));
                continue;
            }
            // Of another database only the count is known, temporary tables included: it is looked at from inside.
            let inside = eyes.owned_in(&found.database, self.oid).await.unwrap_or_else(|| vec![found]);
            gaps.extend(inside.iter().map(|found| self.owned_gap(found)));
            // The server's patience with this session begins anew.
            session.batch("SELECT 1", Moment::Before).await?;
        }
        gaps.dedup();
        Ok(gaps)
    }

    fn owned_gap(&self, owned: &Owned) -> Gap {
        let (name, to) = (shown(&pg_name(self.name)), shown(&pg_name(self.to)));
        let place = place(&owned.database);
        let examples = match owned.examples.as_slice() {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        let here = in_database(&owned.database);
        let (said, remedy) = match owned.kind {
            Kind::Object => ("owns objects", format!("REASSIGN OWNED BY {name} TO {to}{here}")),
            Kind::Own => (
                "has default privileges or user mappings of its own",
                format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {to} … (or CREATE USER MAPPING FOR {to} …), and take {name}'s own away{here}"
                ),
            ),
            Kind::Policy => ("is named by policies", format!("ALTER POLICY … TO {to} for each of them{here}")),
        };
        Gap { what: format!("{} {said} {place}: {}{examples}", shown(self.name), owned.count), remedy }
    }

    async fn granted_gaps(
        &self,
        session: &mut Session,
        login: &Login,
        others: [u32; 2],
    ) -> Result<Vec<Gap>, StepError> {
        let mut mine = grants(session, login, self.oid, others).await?;
        for other in others {
            let theirs = grants(session, login, other, [0, 0]).await?;
            for (object, privileges) in &mut mine {
                let strong = (object.0.clone(), true);
                let has = [theirs.get(object), theirs.get(&strong)];
                privileges.retain(|privilege| !has.iter().flatten().any(|has| has.contains(privilege)));
            }
        }
        mine.retain(|_, privileges| !privileges.is_empty());
        let mut gaps: Vec<Gap> = mine
            .iter()
            .map(|(object, privileges)| Gap {
                what: format!("only {} has {} on {}", shown(self.name), listed(privileges), shown(&object.0)),
                remedy: shown(&grant_of(object, privileges, self.to)),
            })
            .collect();
        for (database, count) in granted_elsewhere(session, login, self.oid, others).await? {
            gaps.push(Gap {
                what: format!("only {} has grants on {count} objects {}", shown(self.name), place(&database)),
                remedy: format!("GRANT … TO {} for each of them{}", shown(&pg_name(self.to)), in_database(&database)),
            });
        }
        Ok(gaps)
    }
}

fn listed(privileges: &BTreeSet<String>) -> String {
    privileges.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// The GRANT of these privileges to a role. The object's name comes from the server, quoted by it.
pub(super) fn grant_of((object, grantable): &(String, bool), privileges: &BTreeSet<String>, to: &str) -> String {
    let option = if *grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON {object} TO {}{option}", listed(privileges), pg_name(to))
}

fn place(database: &str) -> String {
    match database {
        "" => "of the whole server".to_owned(),
        database => format!("in the database {}", shown(database)),
    }
}

fn in_database(database: &str) -> String {
    match database {
        "" => String::new(),
        database => format!(" (in the database {})", shown(database)),
    }
}

/// What belongs to a role, and the policies that name it: by name in this database, counted in every other. Temporary
/// tables are nobody else's business.
pub(super) async fn owned(session: &mut Session, login: &Login, role: u32) -> Result<Vec<Owned>, StepError> {
    let sql = "SELECT f.place, f.kind, pg_catalog.count(*), \
               pg_catalog.array_agg(f.what ORDER BY f.what) FILTER (WHERE f.what IS NOT NULL) FROM ( \
               SELECT CASE s.dbid WHEN 0 THEN '' ELSE COALESCE(d.datname::text, '?') END AS place, \
               CASE WHEN s.deptype = 'r' THEN 'policy' WHEN s.classid IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass, \
               'pg_catalog.pg_user_mapping'::pg_catalog.regclass) THEN 'own' ELSE 'object' END AS kind, \
               CASE WHEN s.dbid = 0 OR d.datname = pg_catalog.current_database() \
               THEN pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid) END AS what \
               FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
               WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 \
               AND s.deptype IN ('o', 'r') \
               AND NOT (s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.datname = \
               pg_catalog.current_database() AND EXISTS (SELECT FROM pg_catalog.pg_class c \
               WHERE c.oid = s.objid AND c.relpersistence = 't'))) f GROUP BY 1, 2 ORDER BY 1, 2";
    let rows = session.rows(sql, &[(&role, Type::OID)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let names: Option<Vec<String>> = field(row, 3, login)?;
        let kind = match field(row, 1, login)? {
            "policy" => Kind::Policy,
            "own" => Kind::Own,
            _ => Kind::Object,
        };
        Ok(Owned {
            database: field(row, 0, login)?,
            kind,
            count: field(row, 2, login)?,
            examples: names.unwrap_or_default().iter().take(EXAMPLES).map(|name| shown(name)).collect(),
        })
    };
    rows.iter().map(read).collect()
}

/// What was granted to a role by name, on objects of this database and of the whole server, except on what belongs to
/// one of `owners`, who has everything there.
pub(super) async fn grants(
    session: &mut Session,
    login: &Login,
    role: u32,
    owners: [u32; 2],
) -> Result<Grants, StepError> {
    if role == 0 {
        return Ok(Grants::new());
    }
    let sql = format!("{GRANTS}x.grantee = $1 WHERE l.list IS NULL OR x.privilege_type IS NOT NULL");
    read_grants(session, login, &sql, role, owners).await
}

/// What a role has granted to others on objects of this database and of the whole server that are not its own.
pub(super) async fn granted_on(session: &mut Session, login: &Login, role: u32) -> Result<Grants, StepError> {
    let sql = format!("{GRANTS}x.grantor = $1 AND x.grantee <> $1 WHERE x.privilege_type IS NOT NULL");
    read_grants(session, login, &sql, role, [role, 0]).await
}

async fn read_grants(
    session: &mut Session,
    login: &Login,
    sql: &str,
    role: u32,
    owners: [u32; 2],
) -> Result<Grants, StepError> {
    let owners = owners.to_vec();
    let rows = session.rows(sql, &[(&role, Type::OID), (&owners, Type::OID_ARRAY)]).await?;
    let mut grants = Grants::new();
    for row in &rows {
        let key = (field(row, 0, login)?, field(row, 2, login)?);
        grants.entry(key).or_default().insert(field(row, 1, login)?);
    }
    Ok(grants)
}

/// Up to the question about each entry of an object's list: whose is it? Kinds of object that have no line here are named as the server describes them, with `?` for the privilege.
const GRANTS: &str = "SELECT CASE i.type WHEN 'sequence' THEN 'SEQUENCE ' WHEN 'function' THEN 'FUNCTION ' \
    WHEN 'aggregate' THEN 'FUNCTION ' WHEN 'procedure' THEN 'PROCEDURE ' WHEN 'schema' THEN 'SCHEMA ' \
    WHEN 'database' THEN 'DATABASE ' WHEN 'type' THEN 'TYPE ' WHEN 'language' THEN 'LANGUAGE ' \
    WHEN 'foreign-data wrapper' THEN 'FOREIGN DATA WRAPPER ' WHEN 'server' THEN 'FOREIGN SERVER ' \
    WHEN 'large object' THEN 'LARGE OBJECT ' WHEN 'tablespace' THEN 'TABLESPACE ' \
    WHEN 'table' THEN 'TABLE ' WHEN 'view' THEN 'TABLE ' WHEN 'materialized view' THEN 'TABLE ' \
    WHEN 'foreign table' THEN 'TABLE ' ELSE i.type || ' ' END || i.identity, \
    COALESCE(x.privilege_type, '?') || COALESCE(' (' || pg_catalog.quote_ident(a.attname) || ')', ''), \
    COALESCE(x.is_grantable, false) \
    FROM (SELECT DISTINCT s.classid, s.objid, s.objsubid FROM pg_catalog.pg_shdepend s \
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 AND s.deptype = 'a' \
    AND (s.dbid = 0 OR s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d \
    WHERE d.datname = pg_catalog.current_database())) \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend o WHERE o.dbid = s.dbid AND o.classid = s.classid \
    AND o.objid = s.objid AND o.refclassid = s.refclassid AND o.deptype = 'o' AND o.refobjid = ANY ($2))) g \
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(g.classid, g.objid, 0) i \
    LEFT JOIN pg_catalog.pg_attribute a ON g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
    AND a.attrelid = g.objid AND a.attnum = g.objsubid AND g.objsubid <> 0 \
    CROSS JOIN LATERAL (SELECT CASE g.classid \
    WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN CASE WHEN g.objsubid = 0 \
    THEN (SELECT c.relacl FROM pg_catalog.pg_class c WHERE c.oid = g.objid) ELSE a.attacl END \
    WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass \
    THEN (SELECT c.proacl FROM pg_catalog.pg_proc c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_namespace'::pg_catalog.regclass \
    THEN (SELECT c.nspacl FROM pg_catalog.pg_namespace c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_database'::pg_catalog.regclass \
    THEN (SELECT c.datacl FROM pg_catalog.pg_database c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_type'::pg_catalog.regclass \
    THEN (SELECT c.typacl FROM pg_catalog.pg_type c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_language'::pg_catalog.regclass \
    THEN (SELECT c.lanacl FROM pg_catalog.pg_language c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass \
    THEN (SELECT c.fdwacl FROM pg_catalog.pg_foreign_data_wrapper c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_foreign_server'::pg_catalog.regclass \
    THEN (SELECT c.srvacl FROM pg_catalog.pg_foreign_server c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_largeobject_metadata'::pg_catalog.regclass \
    THEN (SELECT c.lomacl FROM pg_catalog.pg_largeobject_metadata c WHERE c.oid = g.objid) \
    WHEN 'pg_catalog.pg_tablespace'::pg_catalog.regclass \
    THEN (SELECT c.spcacl FROM pg_catalog.pg_tablespace c WHERE c.oid = g.objid) END AS list) l \
    LEFT JOIN LATERAL pg_catalog.aclexplode(l.list) x ON ";

/// Objects of other databases that a role was granted something on, and none of the others was.
async fn granted_elsewhere(
    session: &mut Session,
    login: &Login,
    role: u32,
    others: [u32; 2],
) -> Result<Vec<(String, i64)>, StepError> {
    let sql = "SELECT d.datname::text, pg_catalog.count(*) FROM pg_catalog.pg_shdepend s \
               JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
               WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1 \
               AND s.deptype = 'a' AND d.datname <> pg_catalog.current_database() \
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend o WHERE o.dbid = s.dbid AND o.classid = s.classid \
               AND o.objid = s.objid AND o.refclassid = s.refclassid AND o.refobjid = ANY ($2) \
               AND (o.deptype = 'o' OR o.deptype = 'a' AND o.objsubid = s.objsubid)) GROUP BY 1 ORDER BY 1";
    let others = others.to_vec();
    let rows = session.rows(sql, &[(&role, Type::OID), (&others, Type::OID_ARRAY)]).await?;
    rows.iter().map(|row| Ok((field(row, 0, login)?, field(row, 1, login)?))).collect()
}
