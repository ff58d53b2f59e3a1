//! Brings one account that owns things into the shape of a pair with a shared owner: the role that owns them is renamed
//! and can no longer log in, and a new role of the old name, with the same password, is a member of it. A rename keeps
//! the role's number, by which every database knows its owner, so one transaction does it for all databases.
//! Owns the order of things; the way back is in [`undo`](super::undo). Never here: rotations.

use engine::check::{Finding, Level, Preparation, Prepare, Statements};
use engine::outcome::{StepError, Verdict};
use engine::port::StepContext;
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::types::Type;
use zeroize::Zeroizing;

use super::KIND;
use super::catalogue::{CATALOGUE_ONLY, changes, hurry, limits, lock_both, read_role};
use super::errors::Moment;
use super::mirror::{MASK, Statement, create, grant, set};
use super::owner::{Facts, Setting, View, contradiction, facts, field};
use super::pair::{current_refused, enter, open_admin};
use super::parameters::Forbidden;
use super::reach::{Kind, Owned, owned};
use super::session::{Session, md5_hash};
use super::sniff::Asked;
use crate::connection::{Login, parse};
use crate::effort::{CHANGE, Effort, IDLE, LOGIN};
use crate::pair::{first_user, other_user};
use crate::parties;
use crate::quote::{pg_name, shown};
use crate::tls::Trust;

/// One preparation, or its way back, under way.
pub(super) struct Maker<'a> {
    pub trust: &'a Trust,
    pub cx: &'a StepContext<'a>,
    pub effort: &'a Effort,
    /// AWSCURRENT: it logs in before and after, with the same password.
    pub active: Login,
    pub admin: Login,
    /// The second account's name.
    pub other: String,
}

/// What follows the account's name in the name of the owner.
const OWNER: &str = "_owner";

impl<'a> Maker<'a> {
    /// Reads who this is about.
    ///
    /// # Errors
    /// NeedsPerson where a value cannot be read, or where there is no admin.
    pub(super) fn read(trust: &'a Trust, cx: &'a StepContext<'a>, effort: &'a Effort) -> Result<Self, StepError> {
        let current = cx.material.current.as_ref().ok_or_else(crate::no_current)?;
        let active = parse(&KIND, "AWSCURRENT", current)?;
        let admin = parties::admin(&KIND, cx, &active)?.ok_or_else(|| {
            let message = "An account is prepared by an admin, and the secret names none.";
            refusal("no-admin", message.to_owned())
                .remedy("Put the ARN of an admin's secret for the same server into the value as \"masterarn\".")
        })?;
        let other = other_user(&cx.material.options, &active.user).ok_or_else(|| {
            refusal("not-of-the-pair", "AWSCURRENT is for neither of the two accounts that take turns.".to_owned())
                .remedy("Name both accounts with `pawl rotation enable NAME --strategy alternating-users --users A,B`.")
        })?;
        if !KIND.takes_user(&other) {
            let message = format!("No role can be called {}: the name is too long.", shown(&other));
            return Err(refusal("username-too-long", message).remedy(
                "Name two accounts with `pawl rotation enable NAME --strategy alternating-users --users A,B`.",
            ));
        }
        Ok(Self { trust, cx, effort, active, admin, other })
    }

    pub(super) async fn run(&self, what: Prepare) -> Result<Preparation, StepError> {
        fail::fail_point!("prepare::before_login");
        match what {
            Prepare::Show => self.make(false).await,
            Prepare::Apply => self.make(true).await,
            Prepare::ShowUndo => self.unmake(false).await,
            Prepare::Undo => self.unmake(true).await,
        }
    }

    async fn make(&self, apply: bool) -> Result<Preparation, StepError> {
        let mut admin = self.begin(apply).await?;
        let view = self.view(&mut admin).await?;
        let mut plan = Preparation::default();
        // What the second account of AWS's shape has made, and what a pooler let either make outside the owner.
        let left = self.left_behind(&mut admin, &view, &mut plan).await?;
        if !left.is_empty() {
            let (active, other) = (self.active.user.as_str(), self.other.as_str());
            // In AWS's shape the first account is the owner to be, under another name.
            let found = match view.owner() {
                Some(owner) => self.reassigning(&mut admin, &[active, other], owner).await?,
                None => self.reassigning(&mut admin, &[other], active).await?,
            };
            plan.findings.extend(found);
        }
        let owner = match view.owner() {
            Some(owner) => {
                plan.findings.extend(self.shared_with_others(&mut admin, owner).await?);
                if apply {
                    stop_at_problems(&plan)?;
                }
                owner.to_owned()
            }
            None => {
                let owner = owner_name(&self.active.user);
                self.plan(&mut admin, &view, &owner, &mut plan).await?;
                if apply {
                    stop_at_problems(&plan)?;
                    self.prove_current(&mut admin).await?;
                    let verifier = Zeroizing::new(scram_sha_256(self.active.password.as_bytes()));
                    self.commit(&mut admin, &statements(&view, &owner, Some(&verifier))).await?;
                }
                owner
            }
        };
        admin.close().await;
        for (database, roles) in &left {
            let statement = reassign(roles, &owner);
            plan.statements.push(Statements { database: database.clone(), statements: vec![statement.shown.clone()] });
            if apply {
                self.in_database(database, &statement).await?;
            }
        }
        plan.already = plan.statements.is_empty() && stop_at_problems(&plan).is_ok();
        if apply {
            self.logs_in_after().await?;
            plan.applied = true;
        }
        Ok(plan)
    }

    /// The admin's session in its transaction: under the locks of both accounts where something is to be changed.
    pub(super) async fn begin(&self, apply: bool) -> Result<Box<Session>, StepError> {
        let mut admin = open_admin(&self.admin, self.trust).await?;
        fail::fail_point!("prepare::connected");
        if apply {
            lock_both(&mut admin, [&self.active.user, &self.other], LOGIN + IDLE).await?;
        } else {
            let sql = format!("BEGIN READ ONLY; {}{CATALOGUE_ONLY}", limits((LOGIN + IDLE).as_millis()));
            admin.batch(&sql, Moment::Before).await?;
        }
        read_role(&mut admin, &self.active).await?.check(&self.active)?;
        fail::fail_point!("prepare::locked");
        Ok(admin)
    }

    pub(super) async fn view(&self, admin: &mut Session) -> Result<View, StepError> {
        let first = first_user(&self.cx.material.options, &self.active.user);
        View::read(admin, &self.active, &self.other, first).await
    }

    /// AWSCURRENT logs in: under the lock, so that it is the password the account will have after.
    pub(super) async fn prove_current(&self, admin: &mut Session) -> Result<(), StepError> {
        let own = enter(&self.active, self.trust, self.effort).await?.ok_or_else(|| current_refused(&self.active))?;
        let asked = own.asked;
        own.close().await;
        if asked == Asked::Md5 && !self.cx.material.options.allow_md5_upgrade {
            return Err(md5_hash(&self.active));
        }
        hurry(admin).await
    }

    /// Sends what changes, and its commit, in one message.
    pub(super) async fn commit(&self, admin: &mut Session, statements: &[Statement]) -> Result<(), StepError> {
        let sql = changes(statements.iter().map(|statement| statement.sql.as_str()));
        self.cx.guard.still_ours(CHANGE).await?;
        fail::fail_point!("prepare::before_change");
        self.effort.sending();
        admin.batch(&sql, Moment::Changing).await.map_err(|error| self.not_allowed(error))?;
        self.effort.changed();
        fail::fail_point!("prepare::after_change");
        Ok(())
    }

    /// One statement in a database of its own, in a transaction of its own: one that is run again finds nothing left.
    pub(super) async fn in_database(&self, database: &str, statement: &Statement) -> Result<(), StepError> {
        let mut admin = self.open_in(database).await?;
        let sql = format!("BEGIN READ WRITE; {}{CATALOGUE_ONLY}", limits(IDLE.as_millis()));
        admin.batch(&sql, Moment::Before).await?;
        self.commit(&mut admin, std::slice::from_ref(statement)).await?;
        admin.close().await;
        Ok(())
    }

    /// The admin in another database of the server; empty: in the account's own.
    pub(super) async fn open_in(&self, database: &str) -> Result<Box<Session>, StepError> {
        let mut login = self.admin.clone();
        if !database.is_empty() {
            login.database = Some(database.to_owned());
        }
        open_admin(&login, self.trust).await
    }

    /// Never done before somebody has seen it: AWSCURRENT logs in after it too.
    pub(super) async fn logs_in_after(&self) -> Result<(), StepError> {
        match enter(&self.active, self.trust, self.effort).await? {
            Some(session) => {
                session.close().await;
                Ok(())
            }
            None => Err(current_refused(&self.active)),
        }
    }

    fn not_allowed(&self, error: StepError) -> StepError {
        if error.code != "42501" {
            return error;
        }
        let (admin, role) = (shown(&pg_name(&self.admin.user)), shown(&pg_name(&self.active.user)));
        let message = format!(
            "{} does not allow {} to do this (SQLSTATE 42501): nothing of this transaction was done.",
            self.active.server(),
            shown(&self.admin.user)
        );
        StepError { message, ..error }.remedy(format!(
            "As a superuser run ALTER ROLE {admin} CREATEROLE; GRANT {role} TO {admin} (from version 16 on WITH ADMIN \
             OPTION), or name a superuser's secret in masterarn."
        ))
    }

    /// Which databases hold something of a login role: there, what it owns is to be given to the owner.
    async fn left_behind(
        &self,
        admin: &mut Session,
        view: &View,
        plan: &mut Preparation,
    ) -> Result<Vec<(String, Vec<String>)>, StepError> {
        let mut left: Vec<(String, Vec<String>)> = Vec::new();
        // In AWS's shape the first account is the owner to be.
        let active = view.owner().is_some().then_some(&view.active);
        for role in active.into_iter().chain(&view.idle) {
            for found in owned(admin, &self.active, role.oid).await? {
                if found.kind != Kind::Object {
                    plan.findings.push(stays(&found, role));
                    continue;
                }
                match left.iter_mut().find(|(database, _)| *database == found.database) {
                    Some((_, roles)) => roles.push(role.name.clone()),
                    None => left.push((found.database.clone(), vec![role.name.clone()])),
                }
            }
        }
        Ok(left)
    }

    /// The statements of the one transaction, and what somebody should know before.
    async fn plan(
        &self,
        admin: &mut Session,
        view: &View,
        owner: &str,
        plan: &mut Preparation,
    ) -> Result<(), StepError> {
        let shown = statements(view, owner, None).into_iter().map(|statement| statement.shown).collect();
        plan.statements.push(Statements { database: String::new(), statements: shown });
        plan.findings.extend(self.problems(admin, view, owner).await?);
        for found in owned(admin, &self.active, view.active.oid).await? {
            plan.findings.push(moves(&found, &view.active, owner));
        }
        plan.findings.extend(self.warnings(admin, view, owner).await?);
        Ok(())
    }

    /// What would make it fail, or would change more than it should.
    async fn problems(&self, admin: &mut Session, view: &View, owner: &str) -> Result<Vec<Finding>, StepError> {
        let mut problems = Vec::new();
        let mut problem = |code: &str, message: String, remedy: String| {
            problems.push(Finding::new(Level::Problem, code, message).remedy(remedy));
        };
        let user = shown(&view.active.name);
        let (role, other) = (shown(&pg_name(&view.active.name)), shown(&self.other));
        if view.active.superuser {
            let remedy = format!("ALTER ROLE {role} NOSUPERUSER, or rotate it as a single user.");
            problem("superuser", format!("{user} is a superuser: it owns what the server itself is made of."), remedy);
        }
        if view.active_in_idle {
            let message = format!("{user} is a member of {other}, which owns what the two use.");
            problem("rotate-first", message, format!("Rotate once more, so that AWSCURRENT is for {other}."));
        } else if view.idle.is_some() && !view.idle_in_active {
            let message =
                format!("There is a role {other} already, and it is no member of {user}: it may be anybody's.");
            problem("stranger", message, format!("GRANT {role} TO {}", shown(&pg_name(&self.other))));
        }
        if facts(admin, &self.active, owner).await?.is_some() {
            let message = format!("There is a role {} already.", shown(owner));
            problem("owner-exists", message, format!("ALTER ROLE {} RENAME TO …", shown(&pg_name(owner))));
        }
        if let Some(set) = view.active.settings.iter().find(|setting| setting.name == "role") {
            let message =
                format!("{user} becomes {} at login already, which is not a NOLOGIN owner.", shown(&set.value));
            problem("role-set", message, super::mirror::reset(&view.active.name, set).shown);
        }
        if let Some((message, remedy)) = self.rights(admin, view).await? {
            problem("privilege", message, remedy);
        }
        if let Some(forbidden) =
            Forbidden::among(admin, &self.active, view.version, view.active.settings.iter()).await?
        {
            let (who, account) = (&self.admin.user, &view.active.name);
            problem("privilege", forbidden.says(who, account), forbidden.mends(who, account));
        }
        Ok(problems)
    }

    /// What the admin lacks for the change of roles, and the statement that gives it.
    async fn rights(&self, admin: &mut Session, view: &View) -> Result<Option<(String, String)>, StepError> {
        let sql = "SELECT r.rolsuper, r.rolcreaterole, pg_catalog.pg_has_role(r.oid, $1, 'MEMBER WITH ADMIN OPTION') \
                   FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
        let row = admin.row(sql, &[(&view.active.oid, Type::OID)]).await?;
        let row = row.ok_or_else(|| contradiction(&self.active))?;
        let rights: (bool, bool, bool) =
            (field(&row, 0, &self.active)?, field(&row, 1, &self.active)?, field(&row, 2, &self.active)?);
        let (name, role) = (shown(&pg_name(&self.admin.user)), shown(&pg_name(&view.active.name)));
        let who = shown(&self.admin.user);
        Ok(match rights {
            (true, ..) => None,
            (_, false, _) => Some((format!("{who} has no CREATEROLE."), format!("ALTER ROLE {name} CREATEROLE"))),
            (_, _, false) if view.version >= 160_000 => {
                let message = format!("{who} may not change {role}: from version 16 on it needs ADMIN OPTION.");
                Some((message, format!("GRANT {role} TO {name} WITH ADMIN OPTION")))
            }
            _ if view.active.replication || view.active.bypass_rls => {
                let message = format!("{who} cannot make a role with REPLICATION or BYPASSRLS, which {role} has.");
                Some((message, "Name a superuser's secret in masterarn for this.".to_owned()))
            }
            _ => None,
        })
    }

    /// What the admin lacks to give what the `givers` own to `taker`: the rights of each, and where they own a schema, the
    /// right to make one.
    pub(super) async fn reassigning(
        &self,
        admin: &mut Session,
        givers: &[&str],
        taker: &str,
    ) -> Result<Vec<Finding>, StepError> {
        let mut roles = givers.to_vec();
        roles.push(taker);
        let lacks = "SELECT pg_catalog.quote_ident(r.rolname) FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1) \
                     AND NOT pg_catalog.pg_has_role(r.oid, 'USAGE') ORDER BY 1";
        let closed = "SELECT DISTINCT pg_catalog.quote_ident(d.datname) FROM pg_catalog.pg_shdepend s \
                      JOIN pg_catalog.pg_database d ON d.oid = s.dbid JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid \
                      WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' \
                      AND s.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND r.rolname = ANY ($1) \
                      AND NOT pg_catalog.has_database_privilege(d.oid, 'CREATE') ORDER BY 1";
        let lacks = self.names(admin, lacks, &roles).await?;
        let closed = self.names(admin, closed, givers).await?;
        let (who, name) = (shown(&self.admin.user), shown(&pg_name(&self.admin.user)));
        let mut findings = Vec::new();
        if !lacks.is_empty() {
            let message = format!("{who} may not give away what belongs to {lacks}: it has not their rights.");
            let remedy = format!("GRANT {lacks} TO {name}");
            findings.push(Finding::new(Level::Problem, "privilege", message).remedy(remedy));
        }
        if !closed.is_empty() {
            let message = format!("{who} may not give schemas of these databases away, as it may make none: {closed}.");
            let remedy = format!("GRANT CREATE ON DATABASE {closed} TO {name}");
            findings.push(Finding::new(Level::Problem, "privilege", message).remedy(remedy));
        }
        Ok(findings)
    }

    /// Names, quoted by the server, with commas between.
    async fn names(&self, admin: &mut Session, sql: &str, roles: &[&str]) -> Result<String, StepError> {
        let rows = admin.rows(sql, &[(&roles, Type::TEXT_ARRAY)]).await?;
        let names: Result<Vec<String>, StepError> = rows.iter().map(|row| field(row, 0, &self.active)).collect();
        Ok(shown(&names?.join(", ")))
    }

    async fn warnings(&self, admin: &mut Session, view: &View, owner: &str) -> Result<Vec<Finding>, StepError> {
        let (user, owner) = (shown(&view.active.name), shown(owner));
        let mut warnings = vec![
            Finding::new(
                Level::Warning,
                "current-user",
                format!("After this current_user is {owner} for the application, and session_user is {user}."),
            )
            .remedy(format!(
                "Look for row-level security, defaults, triggers and code that compare current_user with '{user}', in \
                 every database."
            )),
            pooler(view.version),
        ];
        let named = naming(admin, &self.active, &view.active.name).await?;
        if !named.is_empty() {
            let message = format!("In this database these use the name of the current user: {}.", named.join(", "));
            warnings.push(
                Finding::new(Level::Warning, "current-user-used", message).remedy("See that they go on working."),
            );
        }
        if let Some(lines @ 1..) = hba_lines(admin, &self.active, &view.active.name).await? {
            let message = format!("pg_hba.conf has {lines} lines for members of {user} (+{user}).");
            let remedy = format!("They are for members of {owner} after this: change +{user} to +{owner}.");
            warnings.push(Finding::new(Level::Warning, "pg-hba", message).remedy(remedy));
        }
        Ok(warnings)
    }
}

/// The whole change. Memberships, grants, ownership and default privileges go with the renamed role's number.
fn statements(view: &View, owner: &str, verifier: Option<&str>) -> Vec<Statement> {
    let (user, model) = (&view.active.name, &view.active);
    let becomes = |role: &str| {
        let setting = Setting { database: String::new(), name: "role".to_owned(), value: owner.to_owned() };
        set(role, &setting)
    };
    let mut statements = vec![
        Statement::plain(format!("ALTER ROLE {} RENAME TO {}", pg_name(user), pg_name(owner))),
        Statement::plain(format!("ALTER ROLE {} NOLOGIN PASSWORD NULL", pg_name(owner))),
        create(model, user, Some(verifier.unwrap_or(MASK))),
        grant(owner, user, view.version),
    ];
    statements.extend(model.settings.iter().map(|setting| set(user, setting)));
    statements.push(becomes(user));
    if let Some(idle) = &view.idle {
        // The second account of AWS's shape is a member of the renamed role already.
        statements.push(becomes(&idle.name));
    }
    statements
}

/// What the roles own in this database becomes the owner's.
pub(super) fn reassign(roles: &[String], owner: &str) -> Statement {
    let roles = roles.iter().map(|role| pg_name(role)).collect::<Vec<_>>().join(", ");
    Statement::plain(format!("REASSIGN OWNED BY {roles} TO {}", pg_name(owner)))
}

/// A name of at most 63 bytes; a long one is cut, never in the middle of a character.
fn owner_name(user: &str) -> String {
    let mut end = user.len().min(KIND.longest_user - OWNER.len());
    while !user.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{OWNER}", &user[..end])
}

/// What pooled sessions mean for a role that is set at login.
pub(super) fn pooler(version: i32) -> Finding {
    let (message, remedy) = match discard_keeps_role(version) {
        true => (
            "A client that runs SET ROLE NONE in a pooled session leaves it so for the next one: what is made then \
             belongs to the login role, and the next rotation stops at it.",
            "PgBouncer: server_reset_query = DISCARD ALL, which sets the role of the login again.",
        ),
        false => (
            "DISCARD ALL takes the role away on this version of PostgreSQL, and poolers run it between clients: what is \
             made then belongs to the login role, and the next rotation stops at it.",
            "Update to the newest minor version (12.22, 13.18, 14.15, 15.10, 16.6, 17.2 or later), where it sets the \
             role of the login again.",
        ),
    };
    Finding::new(Level::Warning, "pooler", message).remedy(remedy)
}

/// Since the repair of CVE-2024-10978 a reset of the session's user sets the role that ALTER ROLE … SET said.
fn discard_keeps_role(version: i32) -> bool {
    let since = [120_022, 130_018, 140_015, 150_010, 160_006, 170_002];
    let branch = since.iter().find(|first| **first / 10_000 == version / 10_000);
    branch.map_or(version >= 180_000, |first| version >= *first)
}

/// What REASSIGN OWNED does not give away; the next rotation's test would stop at it.
fn stays(found: &Owned, role: &Facts) -> Finding {
    let (user, place) = (shown(&role.name), shown(&found.database));
    let (message, remedy) = match found.kind {
        Kind::Policy => (
            format!("In {place} {} policies name {user}.", found.count),
            "ALTER POLICY … TO the owner for each of them.".to_owned(),
        ),
        Kind::Own | Kind::Object => (
            format!("In {place} {user} has {} default privileges or user mappings of its own.", found.count),
            format!(
                "Say them again for the owner, then DROP OWNED BY {} there, once nothing else is its own.",
                shown(&pg_name(&role.name))
            ),
        ),
    };
    Finding::new(Level::Warning, "own", message).remedy(remedy)
}

fn moves(found: &Owned, role: &Facts, owner: &str) -> Finding {
    let (user, owner) = (shown(&role.name), shown(owner));
    let place = match found.database.as_str() {
        "" => "of the whole server".to_owned(),
        database => format!("in the database {}", shown(database)),
    };
    let message = match found.kind {
        Kind::Policy => format!("{} policies {place} name {user}: they will name {owner}.", found.count),
        Kind::Object => format!("{user} owns {} objects {place}: they will belong to {owner}.", found.count),
        Kind::Own => {
            format!("{} default privileges or user mappings {place} are {user}'s: they will be {owner}'s.", found.count)
        }
    };
    Finding::new(Level::Ok, "ownership", message)
}

/// The first problem, as an error.
pub(super) fn stop_at_problems(plan: &Preparation) -> Result<(), StepError> {
    match plan.findings.iter().find(|finding| finding.level == Level::Problem) {
        Some(problem) => Err(refusal(&problem.code, problem.message.clone()).remedy(problem.remedy.clone())),
        None => Ok(()),
    }
}

pub(super) fn refusal(code: &str, message: String) -> StepError {
    StepError::new(Verdict::NeedsPerson, code, message)
}

/// Policies and functions of this database whose text speaks of the current user or of this name.
async fn naming(session: &mut Session, login: &Login, user: &str) -> Result<Vec<String>, StepError> {
    let sql = "SELECT f.what FROM (SELECT 'policy ' || p.policyname || ' on ' || p.schemaname || '.' || p.tablename \
               AS what, COALESCE(p.qual, '') || COALESCE(p.with_check, '') AS body FROM pg_catalog.pg_policies p \
               UNION ALL SELECT 'function ' || n.nspname || '.' || c.proname, c.prosrc \
               FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace \
               WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')) f \
               WHERE f.body ~* '\\m(current_user|current_role|session_user)\\M' \
               OR pg_catalog.strpos(f.body, pg_catalog.quote_literal($1)) > 0 ORDER BY 1 LIMIT 10";
    let rows = session.rows(sql, &[(&user, Type::TEXT)]).await?;
    rows.iter().map(|row| field::<String>(row, 0, login).map(|name| shown(&name))).collect()
}

/// How many lines of pg_hba.conf are for the members of this role, where the admin may read them.
async fn hba_lines(session: &mut Session, login: &Login, user: &str) -> Result<Option<i64>, StepError> {
    let may = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT') \
               AND pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE')";
    let row = session.row(may, &[]).await?;
    if !row.map(|row| field::<bool>(&row, 0, login)).transpose()?.unwrap_or(false) {
        return Ok(None);
    }
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_hba_file_rules h WHERE ('+' || $1) = ANY (h.user_name)";
    let row = session.row(sql, &[(&user, Type::TEXT)]).await?;
    row.map(|row| field(&row, 0, login)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_version_says_what_discard_all_does_to_the_role() {
        for (version, keeps) in [(150_009, false), (150_010, true), (110_022, false), (170_002, true), (180_000, true)]
        {
            assert_eq!(discard_keeps_role(version), keeps, "{version}");
        }
    }

    #[test]
    fn an_owners_name_fits_and_is_cut_between_characters() {
        assert_eq!(owner_name("app"), "app_owner");
        let long = owner_name(&"я".repeat(31));
        assert!(KIND.takes_user(&long) && long.ends_with("я_owner"), "{long}");
    }
}
