//! The way back from a pair with a shared owner to one account: what was made or granted since for a login role goes to
//! the owner first, database by database, each in a transaction of its own that can be run again; then one transaction
//! drops the login roles and gives the owner its old name and its login back. Never here: the way there.

use engine::check::{Finding, Level, Preparation, Statements};
use engine::outcome::StepError;
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::types::Type;
use zeroize::Zeroizing;

use super::catalogue::{CATALOGUE_ONLY, limits};
use super::errors::Moment;
use super::mirror::{MASK, Statement, reset, set};
use super::owner::{Facts, View, facts, field, others_in};
use super::pair::sessions_of;
use super::prepare::{Maker, reassign, refusal, stop_at_problems};
use super::reach::{Kind, grant_of, granted_on, grants, owned};
use super::session::Session;
use crate::effort::{IDLE, LOGIN};
use crate::pair::first_user;
use crate::quote::{pg_name, pg_text, shown};

/// What a login role was given beside the owner, and who was given the login role.
#[derive(Debug, Default)]
struct Ties {
    /// Roles that a login role is a member of and the owner is not, and whether it may pass that on.
    groups: Vec<(String, bool)>,
    /// Roles that are members of a login role, and whether they may pass that on.
    members: Vec<(String, bool)>,
}

impl Maker<'_> {
    /// Takes the pair back to AWSCURRENT's account alone.
    pub(super) async fn unmake(&self, apply: bool) -> Result<Preparation, StepError> {
        let mut admin = self.begin(apply).await?;
        let view = self.view(&mut admin).await?;
        let Some(owner) = view.owner().map(str::to_owned) else {
            admin.close().await;
            return Ok(Preparation { already: true, ..Preparation::default() });
        };
        let mut plan = Preparation::default();
        self.hindrances(&mut admin, &view, &owner, &mut plan).await?;
        let databases = self.databases(&mut admin, &view).await?;
        if !databases.is_empty() {
            let givers = [&self.active.user, &self.other].map(String::as_str);
            plan.findings.extend(self.reassigning(&mut admin, &givers, &owner).await?);
        }
        let last = self.last(&mut admin, &view, &owner, None).await?;
        if apply {
            stop_at_problems(&plan)?;
            self.prove_current(&mut admin).await?;
        }
        admin.close().await;
        // All of them are looked at before the first is changed.
        for database in &databases {
            let statements = self.empty(database, &view, &owner, &mut plan, false).await?;
            plan.statements.push(Statements { database: database.clone(), statements });
        }
        if apply {
            stop_at_problems(&plan)?;
            for database in &databases {
                self.empty(database, &view, &owner, &mut Preparation::default(), true).await?;
            }
        }
        let shown = last.iter().map(|statement| statement.shown.clone()).collect();
        plan.statements.push(Statements { database: String::new(), statements: shown });
        if apply {
            self.finish(&owner).await?;
            plan.applied = true;
        }
        Ok(plan)
    }

    /// The last transaction, after another look: it is made only of what is there then.
    async fn finish(&self, owner: &str) -> Result<(), StepError> {
        let mut admin = self.begin(true).await?;
        let view = self.view(&mut admin).await?;
        if view.owner() != Some(owner) {
            let message = "The accounts were changed while this was under way.".to_owned();
            return Err(refusal("changed-meanwhile", message).remedy("Run it again."));
        }
        self.prove_current(&mut admin).await?;
        let verifier = Zeroizing::new(scram_sha_256(self.active.password.as_bytes()));
        let statements = self.last(&mut admin, &view, owner, Some(&verifier)).await?;
        self.commit(&mut admin, &statements).await?;
        admin.close().await;
        self.logs_in_after().await
    }

    async fn hindrances(
        &self,
        admin: &mut Session,
        view: &View,
        owner: &str,
        plan: &mut Preparation,
    ) -> Result<(), StepError> {
        plan.findings.extend(self.shared_with_others(admin, owner).await?);
        let (user, other) = (shown(&view.active.name), shown(&self.other));
        if first_user(&self.cx.material.options, &view.active.name) != view.active.name {
            let message = format!("AWSCURRENT is for {user}, and the account that stays is {other}.");
            plan.findings.push(
                Finding::new(Level::Problem, "rotate-first", message)
                    .remedy(format!("Rotate once more, so that AWSCURRENT is for {other}, then undo.")),
            );
        }
        let Some(idle) = &view.idle else { return Ok(()) };
        let open: u64 = sessions_of(admin, &self.active, &idle.name).await?.iter().map(|open| open.count).sum();
        let message = format!("The role {other} is dropped: whoever still has its password (AWSPREVIOUS) is refused.");
        plan.findings.push(Finding::new(Level::Warning, "previous-ends", message));
        if open > 0 {
            let message = format!("{open} sessions of {other} are open: they go on until they end.");
            plan.findings.push(Finding::new(Level::Warning, "sessions", message));
        }
        Ok(())
    }

    /// A group that others are members of too is nobody's account: whoever takes it for the pair's owner gives them all
    /// that the account has, or them to the account.
    pub(super) async fn shared_with_others(
        &self,
        admin: &mut Session,
        owner: &str,
    ) -> Result<Option<Finding>, StepError> {
        let others = others_in(admin, &self.active, owner, [&self.active.user, &self.other]).await?;
        let Some(first) = others.first() else { return Ok(None) };
        let all = others.iter().map(|other| shown(other)).collect::<Vec<_>>().join(", ");
        let message = format!(
            "The role {} has other members than {} and {}: {all}. It may be a group that was never made for the two.",
            shown(owner),
            shown(&self.active.user),
            shown(&self.other)
        );
        let statement = format!("REVOKE {} FROM {}", shown(&pg_name(owner)), shown(&pg_name(first)));
        Ok(Some(Finding::new(Level::Problem, "owner-shared", message).remedy(format!(
            "Where it is the pair's own, run {statement} for each of them (they may be members of the account itself); \
             else leave it."
        ))))
    }

    /// The databases in which anything depends on one of the login roles.
    async fn databases(&self, admin: &mut Session, view: &View) -> Result<Vec<String>, StepError> {
        let sql = "SELECT DISTINCT COALESCE(d.datname::text, pg_catalog.current_database()::text) \
                   FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
                   WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = ANY ($1) \
                   AND s.deptype IN ('o', 'a', 'r') ORDER BY 1";
        let oids: Vec<u32> =
            [Some(&view.active), view.idle.as_ref()].into_iter().flatten().map(|role| role.oid).collect();
        let rows = admin.rows(sql, &[(&oids, Type::OID_ARRAY)]).await?;
        rows.iter().map(|row| field(row, 0, &self.active)).collect()
    }

    /// Gives what login roles have in one database to the owner. Run again, it finds what is left.
    async fn empty(
        &self,
        database: &str,
        view: &View,
        owner: &str,
        plan: &mut Preparation,
        apply: bool,
    ) -> Result<Vec<String>, StepError> {
        let mut admin = self.open_in(database).await?;
        let begin = if apply { "BEGIN READ WRITE" } else { "BEGIN READ ONLY" };
        let sql = format!("{begin}; {}{CATALOGUE_ONLY}", limits((LOGIN + IDLE).as_millis()));
        admin.batch(&sql, Moment::Before).await?;
        let roles: Vec<&Facts> = [Some(&view.active), view.idle.as_ref()].into_iter().flatten().collect();
        let names: Vec<String> = roles.iter().map(|role| role.name.clone()).collect();
        let mut statements = vec![reassign(&names, owner)];
        for role in &roles {
            self.refuse_own(&mut admin, role, owner, database, plan).await?;
            for (object, privileges) in &grants(&mut admin, &self.active, role.oid, [0, 0]).await? {
                if privileges.contains("?") {
                    let message = format!("{} was granted something on {}.", shown(&role.name), shown(&object.0));
                    let remedy = format!("Grant it to {} and revoke it from the other, then undo again.", shown(owner));
                    plan.findings.push(Finding::new(Level::Problem, "grant", message).remedy(remedy));
                } else {
                    statements.push(Statement::plain(grant_of(object, privileges, owner)));
                }
            }
        }
        let list = names.iter().map(|name| pg_name(name)).collect::<Vec<_>>().join(", ");
        statements.push(Statement::plain(format!("DROP OWNED BY {list}")));
        if apply {
            stop_at_problems(plan)?;
            super::catalogue::hurry(&mut admin).await?;
            self.commit(&mut admin, &statements).await?;
        }
        admin.close().await;
        Ok(statements.into_iter().map(|statement| statement.shown).collect())
    }

    /// What DROP OWNED would take away instead of moving it.
    async fn refuse_own(
        &self,
        admin: &mut Session,
        role: &Facts,
        owner: &str,
        database: &str,
        plan: &mut Preparation,
    ) -> Result<(), StepError> {
        for (object, _) in granted_on(admin, &self.active, role.oid).await?.keys() {
            let message = format!("Others have what {} granted them on {}.", shown(&role.name), shown(object));
            let remedy = format!("Grant it to them as {} or an administrator, then undo again.", shown(owner));
            plan.findings.push(Finding::new(Level::Problem, "granted-on", message).remedy(remedy));
        }
        let found = owned(admin, &self.active, role.oid).await?;
        let here = found.iter().filter(|found| found.database == database && found.kind != Kind::Object);
        for found in here {
            let (name, place, owner) = (shown(&role.name), shown(database), shown(&pg_name(owner)));
            let (said, remedy) = match found.kind {
                Kind::Policy => {
                    ("policies name", format!("ALTER POLICY … TO {owner} for each of them, then undo again."))
                }
                Kind::Own | Kind::Object => (
                    "default privileges or user mappings are for",
                    format!("Say them again for {owner} and take the others away, then undo again."),
                ),
            };
            let message = format!("In {place} {} {said} {name}: {}.", found.count, found.examples.join(", "));
            plan.findings.push(Finding::new(Level::Problem, "own", message).remedy(remedy));
        }
        Ok(())
    }

    /// The last transaction: the login roles go, and the owner is the account again.
    async fn last(
        &self,
        admin: &mut Session,
        view: &View,
        owner: &str,
        verifier: Option<&str>,
    ) -> Result<Vec<Statement>, StepError> {
        let user = &view.active;
        let ties = self.ties(admin, view, owner).await?;
        let (owner_name, name) = (pg_name(owner), pg_name(&user.name));
        let mut statements: Vec<Statement> = Vec::new();
        let option = |passes_on: bool| if passes_on { " WITH ADMIN OPTION" } else { "" };
        statements.extend(ties.groups.iter().map(|(group, passes_on)| {
            Statement::plain(format!("GRANT {} TO {owner_name}{}", pg_name(group), option(*passes_on)))
        }));
        statements.extend(ties.members.iter().map(|(member, passes_on)| {
            Statement::plain(format!("GRANT {owner_name} TO {}{}", pg_name(member), option(*passes_on)))
        }));
        statements.extend(view.idle.iter().map(|idle| Statement::plain(format!("DROP ROLE {}", pg_name(&idle.name)))));
        statements.push(Statement::plain(format!("DROP ROLE {name}")));
        statements.push(Statement::plain(format!("ALTER ROLE {owner_name} RENAME TO {name}")));
        let until = pg_text(user.until.as_deref().unwrap_or("infinity"));
        let login = |value: &str| {
            format!("ALTER ROLE {name} LOGIN PASSWORD '{value}' CONNECTION LIMIT {} VALID UNTIL {until}", user.limit)
        };
        statements.push(Statement::masked(login(verifier.unwrap_or(MASK)), &login(MASK)));
        // A session begins with the settings of the login role; the owner's own of before may be older.
        let before = facts(admin, &self.active, owner).await?.map(|owner| owner.settings).unwrap_or_default();
        let wanted: Vec<_> = user.settings.iter().filter(|setting| setting.name != "role").collect();
        statements.extend(before.iter().filter(|old| !wanted.contains(old)).map(|old| reset(&user.name, old)));
        statements.extend(wanted.iter().filter(|new| !before.contains(new)).map(|new| set(&user.name, new)));
        Ok(statements)
    }

    async fn ties(&self, admin: &mut Session, view: &View, owner: &str) -> Result<Ties, StepError> {
        let oids: Vec<u32> =
            [Some(&view.active), view.idle.as_ref()].into_iter().flatten().map(|role| role.oid).collect();
        let groups = "SELECT g.rolname::text, pg_catalog.bool_or(m.admin_option) FROM pg_catalog.pg_auth_members m \
                      JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles o ON o.rolname = $2 \
                      WHERE m.member = ANY ($1) AND g.oid <> ALL ($1) AND g.oid <> o.oid \
                      AND NOT pg_catalog.pg_has_role(o.oid, g.oid, 'MEMBER') GROUP BY 1 ORDER BY 1";
        // The admin itself is a member of what it made, from version 16 on.
        let members = "SELECT g.rolname::text, pg_catalog.bool_or(m.admin_option) FROM pg_catalog.pg_auth_members m \
                       JOIN pg_catalog.pg_roles g ON g.oid = m.member JOIN pg_catalog.pg_roles o ON o.rolname = $2 \
                       WHERE m.roleid = ANY ($1) AND g.oid <> ALL ($1) AND g.rolname <> current_user \
                       AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members d \
                       WHERE d.roleid = o.oid AND d.member = g.oid) GROUP BY 1 ORDER BY 1";
        let mut ties = Ties::default();
        for (sql, list) in [(groups, &mut ties.groups), (members, &mut ties.members)] {
            for row in &admin.rows(sql, &[(&oids, Type::OID_ARRAY), (&owner, Type::TEXT)]).await? {
                list.push((field(row, 0, &self.active)?, field(row, 1, &self.active)?));
            }
        }
        Ok(ties)
    }
}
