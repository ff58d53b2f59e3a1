//! Owns what two accounts that take turns look like on a PostgreSQL server: each role, what it is a member of, its
//! settings, and the shape of the pair. Everything is read, nothing changed. Never here: what to do about it.

use engine::outcome::{StepError, Verdict};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::errors::{line, told};
use super::session::Session;
use crate::connection::Login;
use crate::quote::{pg_name, shown};

/// How the accounts of a pair share what they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Both are members of one NOLOGIN role and become it at login: whatever either makes belongs to it.
    SharedOwner(String),
    /// As AWS's rotation functions make them: the second account is a member of the first.
    Member,
}

/// A role, as the catalogue has it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub oid: u32,
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_db: bool,
    pub can_login: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    pub limit: i32,
    /// VALID UNTIL as this session writes it.
    pub until: Option<String>,
    pub settings: Vec<Setting>,
}

/// A setting that a session begins with (`ALTER ROLE … SET`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The database it is for; empty: all.
    pub database: String,
    pub name: String,
    pub value: String,
}

/// A role that one account is a member of and the other is not.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub role: String,
    pub admin: bool,
    /// From version 16 on.
    pub inherit: Option<bool>,
    /// From version 16 on.
    pub set: Option<bool>,
    /// That role is a member of the other account, so that the other way round would be a loop.
    pub loops: bool,
}

/// A pair, as it is.
#[derive(Debug)]
pub(super) struct View {
    /// `server_version_num`.
    pub version: i32,
    pub database: String,
    pub shape: Shape,
    pub active: Facts,
    /// None: there is no such role yet.
    pub idle: Option<Facts>,
    /// What the active account is a member of and the idle one is not.
    pub missing: Vec<Membership>,
    /// What the idle account is a member of and the active one is not.
    pub extra: Vec<String>,
    /// The idle account is a member of the active one.
    pub idle_in_active: bool,
    /// And has its privileges without SET ROLE.
    pub idle_inherits: bool,
    /// The active account is a member of the idle one.
    pub active_in_idle: bool,
    /// The idle account is the one of the two that is never a member of the other.
    pub idle_is_first: bool,
}

impl View {
    /// Looks at both roles. `first` is the one that AWS's functions make the other a member of.
    ///
    /// # Errors
    /// NeedsPerson (42704) where AWSCURRENT's role is not there; else as the session says.
    pub(super) async fn read(
        session: &mut Session,
        active: &Login,
        other: &str,
        first: &str,
    ) -> Result<Self, StepError> {
        let sql = "SELECT pg_catalog.current_setting('server_version_num')::int4, pg_catalog.current_database()::text";
        let row = session.row(sql, &[]).await?.ok_or_else(|| contradiction(active))?;
        let (version, database) = (field(&row, 0, active)?, field::<String>(&row, 1, active)?);
        let missing_role = || told(line("42704"), "42704", Verdict::NeedsPerson, active);
        let active_facts = facts(session, active, &active.user).await?.ok_or_else(missing_role)?;
        let idle = facts(session, active, other).await?;
        let mut view = Self {
            version,
            shape: Shape::Member,
            missing: vec![],
            extra: vec![],
            idle_in_active: false,
            idle_inherits: false,
            active_in_idle: false,
            idle_is_first: other == first,
            active: active_facts,
            idle,
            database,
        };
        view.shape = view.read_shape(session, active).await?;
        view.read_memberships(session, active).await?;
        Ok(view)
    }

    /// The role that the active account becomes at login, where it may, and where nobody can log in as that role.
    async fn read_shape(&self, session: &mut Session, login: &Login) -> Result<Shape, StepError> {
        let Some(set) = self.active.role_at_login(&self.database) else { return Ok(Shape::Member) };
        let sql = "SELECT NOT r.rolcanlogin AND NOT r.rolsuper AND pg_catalog.pg_has_role($2, r.oid, 'MEMBER') \
                   FROM pg_catalog.pg_roles r WHERE r.rolname = $1";
        let row = session.row(sql, &[(&set, Type::TEXT), (&self.active.oid, Type::OID)]).await?;
        let shared = row.map(|row| field(&row, 0, login)).transpose()?.unwrap_or(false);
        Ok(if shared { Shape::SharedOwner(set.to_owned()) } else { Shape::Member })
    }

    async fn read_memberships(&mut self, session: &mut Session, login: &Login) -> Result<(), StepError> {
        let active = self.active.oid;
        // Nobody is a member of nothing: role 0 makes the list of all that the active account is a member of.
        let idle = self.idle.as_ref().map_or(0, |idle| idle.oid);
        self.missing = memberships(session, login, active, idle).await?;
        if idle == 0 {
            return Ok(());
        }
        self.extra = memberships(session, login, idle, active).await?.into_iter().map(|found| found.role).collect();
        let sql = "SELECT pg_catalog.pg_has_role($1, $2, 'MEMBER'), pg_catalog.pg_has_role($1, $2, 'USAGE'), \
                   pg_catalog.pg_has_role($2, $1, 'MEMBER')";
        let row = session.row(sql, &[(&idle, Type::OID), (&active, Type::OID)]).await?;
        let row = row.ok_or_else(|| contradiction(login))?;
        self.idle_in_active = field(&row, 0, login)?;
        self.idle_inherits = field(&row, 1, login)?;
        self.active_in_idle = field(&row, 2, login)?;
        Ok(())
    }

    /// The owner both become at login, where the pair is of that shape.
    pub(super) fn owner(&self) -> Option<&str> {
        match &self.shape {
            Shape::SharedOwner(owner) => Some(owner),
            Shape::Member => None,
        }
    }

    /// The idle account is there and has nothing to do with the active one: neither is a member of the other, and they do
    /// not become one owner at login.
    pub(super) fn is_stranger(&self) -> bool {
        let Some(idle) = &self.idle else { return false };
        let share = self.owner().is_some() && idle.role_at_login(&self.database) == self.owner();
        !(self.idle_in_active || self.active_in_idle || share)
    }

    /// May the idle account be changed at all? What it has and AWSCURRENT's account has not would go to whoever can
    /// write the secret.
    ///
    /// # Errors
    /// NeedsPerson with the statement that mends it.
    pub(super) fn may_change(&self, login: &Login, allow_superuser: bool) -> Result<(), StepError> {
        let refuse = |code: &str, message: String, remedy: String| {
            let message = format!("{message} at {}.", login.server());
            Err(StepError::new(Verdict::NeedsPerson, code, message).remedy(remedy))
        };
        let facts = [Some(&self.active), self.idle.as_ref()];
        if let Some(superuser) = facts.into_iter().flatten().find(|facts| facts.superuser)
            && (!allow_superuser || self.idle.is_none())
        {
            return refuse(
                "superuser",
                format!("The role {} is a superuser; such accounts do not take turns", shown(&superuser.name)),
                "Rotate an ordinary account, or rotate this one as a single user.".to_owned(),
            );
        }
        let Some(idle) = &self.idle else { return Ok(()) };
        let (name, role) = (shown(&idle.name), shown(&pg_name(&idle.name)));
        if !idle.can_login {
            return refuse("nologin", format!("The role {name} has no LOGIN"), format!("ALTER ROLE {role} LOGIN"));
        }
        if self.active_in_idle || self.idle_in_active && self.active.superuser {
            return Ok(());
        }
        let more = idle.more_than(&self.active);
        if !more.is_empty() {
            return refuse(
                "idle-has-more",
                format!("The role {name} has {}, and {} has not", more.join(", "), shown(&self.active.name)),
                format!(
                    "ALTER ROLE {role} {}",
                    more.iter().map(|word| format!("NO{word}")).collect::<Vec<_>>().join(" ")
                ),
            );
        }
        if let Some(extra) = self.extra.iter().find(|extra| Some(extra.as_str()) != self.owner()) {
            let (group, active) = (shown(&pg_name(extra)), shown(&pg_name(&self.active.name)));
            return refuse(
                "idle-has-more",
                format!("The role {name} is a member of {}, and {} is not", shown(extra), shown(&self.active.name)),
                format!("GRANT {group} TO {active}, or REVOKE {group} FROM {role}"),
            );
        }
        Ok(())
    }
}

impl Facts {
    /// The role that a session in this database begins as.
    pub(super) fn role_at_login(&self, database: &str) -> Option<&str> {
        let of = |database: &str| {
            let mut settings = self.settings.iter();
            settings.find(|setting| setting.name == "role" && setting.database == database)
        };
        of(database).or_else(|| of("")).map(|setting| setting.value.as_str()).filter(|role| *role != "none")
    }

    /// The attributes that it has and the other has not, in the words of ALTER ROLE.
    pub(super) fn more_than(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            (self.create_db, other.create_db, "CREATEDB"),
            (self.create_role, other.create_role, "CREATEROLE"),
            (self.replication, other.replication, "REPLICATION"),
            (self.bypass_rls, other.bypass_rls, "BYPASSRLS"),
        ];
        pairs.into_iter().filter(|(one, other, _)| *one && !*other).map(|(_, _, word)| word).collect()
    }
}

/// One role; None where there is none of this name.
pub(super) async fn facts(session: &mut Session, login: &Login, name: &str) -> Result<Option<Facts>, StepError> {
    let sql = "SELECT r.oid, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, \
               r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text \
               FROM pg_catalog.pg_roles r WHERE r.rolname = $1";
    let Some(row) = session.row(sql, &[(&name, Type::TEXT)]).await? else { return Ok(None) };
    let oid: u32 = field(&row, 0, login)?;
    Ok(Some(Facts {
        oid,
        name: name.to_owned(),
        superuser: field(&row, 1, login)?,
        inherit: field(&row, 2, login)?,
        create_role: field(&row, 3, login)?,
        create_db: field(&row, 4, login)?,
        can_login: field(&row, 5, login)?,
        replication: field(&row, 6, login)?,
        bypass_rls: field(&row, 7, login)?,
        limit: field(&row, 8, login)?,
        until: field(&row, 9, login)?,
        settings: settings(session, login, oid).await?,
    }))
}

async fn settings(session: &mut Session, login: &Login, oid: u32) -> Result<Vec<Setting>, StepError> {
    let sql = "SELECT COALESCE(d.datname::text, ''), pg_catalog.split_part(c.line, '=', 1), \
               pg_catalog.substr(c.line, pg_catalog.strpos(c.line, '=') + 1) \
               FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
               CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(line) \
               WHERE s.setrole = $1 AND (s.setdatabase = 0 OR d.oid IS NOT NULL) ORDER BY 1, 2";
    let rows = session.rows(sql, &[(&oid, Type::OID)]).await?;
    let setting = |row: &Row| {
        let (database, name, value) = (field(row, 0, login)?, field(row, 1, login)?, field(row, 2, login)?);
        Ok(Setting { database, name, value })
    };
    rows.iter().map(setting).collect()
}

/// What `of` is a member of by a grant of its own, and `without` is not, not even through another role.
async fn memberships(
    session: &mut Session,
    login: &Login,
    of: u32,
    without: u32,
) -> Result<Vec<Membership>, StepError> {
    // inherit_option and set_option are columns from version 16 on; before, the row as JSON has no such keys.
    let sql = "SELECT g.rolname::text, pg_catalog.bool_or(m.admin_option), \
               pg_catalog.bool_or((pg_catalog.to_jsonb(m) ->> 'inherit_option')::bool), \
               pg_catalog.bool_or((pg_catalog.to_jsonb(m) ->> 'set_option')::bool), \
               pg_catalog.bool_or(w.oid IS NOT NULL AND pg_catalog.pg_has_role(g.oid, w.oid, 'MEMBER')) \
               FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid \
               LEFT JOIN pg_catalog.pg_roles w ON w.oid = $2 \
               WHERE m.member = $1 AND m.roleid <> $2 \
               AND (w.oid IS NULL OR NOT pg_catalog.pg_has_role(w.oid, m.roleid, 'MEMBER')) GROUP BY 1 ORDER BY 1";
    let rows = session.rows(sql, &[(&of, Type::OID), (&without, Type::OID)]).await?;
    let membership = |row: &Row| {
        Ok(Membership {
            role: field(row, 0, login)?,
            admin: field(row, 1, login)?,
            inherit: field(row, 2, login)?,
            set: field(row, 3, login)?,
            loops: field(row, 4, login)?,
        })
    };
    rows.iter().map(membership).collect()
}

/// The members of `owner` beside the two accounts and whoever asks. From version 16 on whoever made a role is given the
/// right to grant it, which is no membership.
pub(super) async fn others_in(
    session: &mut Session,
    login: &Login,
    owner: &str,
    pair: [&String; 2],
) -> Result<Vec<String>, StepError> {
    let sql = "SELECT DISTINCT g.rolname::text FROM pg_catalog.pg_auth_members m \
               JOIN pg_catalog.pg_roles g ON g.oid = m.member JOIN pg_catalog.pg_roles o ON o.oid = m.roleid \
               WHERE o.rolname = $1 AND g.rolname <> ALL ($2) AND g.rolname NOT IN (current_user, session_user) \
               AND COALESCE((pg_catalog.to_jsonb(m) ->> 'inherit_option')::bool \
               OR (pg_catalog.to_jsonb(m) ->> 'set_option')::bool, true) ORDER BY 1";
    let rows = session.rows(sql, &[(&owner, Type::TEXT), (&pair.as_slice(), Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| field(row, 0, login)).collect()
}

/// A column, which a server of any version has in this type.
pub(super) fn field<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    at: usize,
    login: &Login,
) -> Result<T, StepError> {
    row.try_get(at).map_err(|_| contradiction(login))
}

/// The server's answer has no form that we know.
pub(super) fn contradiction(login: &Login) -> StepError {
    let message = format!("{} answered about its roles in a form that Pawl does not know.", login.server());
    StepError::new(Verdict::NeedsPerson, "contradiction", message).remedy("Report this with the server's version.")
}
