//! Owns the preflight of two PostgreSQL accounts that take turns: is the other one there, in which shape are they, and may
//! the admin change it. Never here: the change.

use engine::outcome::StepError;
use engine::strategy::Strategy;
use tokio_postgres::types::Type;

use super::facts::{self, AdminFacts};
use super::judge::{self, lacking};
use super::{MASK, Seen, change, locking};
use crate::connection::Login;
use crate::findings::Findings;
use crate::pair::{first_user, knows, next_user};
use crate::postgres::owner::View;
use crate::postgres::pair::stranger;
use crate::postgres::parameters::Forbidden;
use crate::postgres::session::Session;
use crate::postgres::{KIND, Steps};
use crate::quote::shown;

/// What a rotation of the pair would send.
pub(super) struct Turns {
    pub statements: Vec<String>,
}

/// The NOLOGIN role that owns what the pair makes.
struct Shape {
    owner: Option<String>,
    /// What the admin must be given to make the other one a member of all that the active one is a member of.
    grants: String,
}

impl Steps<'_> {
    /// None where accounts do not take turns, or where it cannot be said how they would.
    pub(super) async fn pair(
        &self,
        admin: Option<&mut Session>,
        seen: &Seen,
        findings: &mut Findings,
    ) -> Result<Option<Turns>, StepError> {
        let options = &self.cx.material.options;
        if options.strategy != Some(Strategy::AlternatingUsers) {
            return Ok(None);
        }
        let active = &self.parties.wanted;
        let other = match next_user(&KIND, options, &active.user) {
            Ok(Some(user)) => Login { user, ..active.clone() },
            Ok(None) => return Ok(None),
            Err(error) => {
                findings.error(&error);
                return Ok(None);
            }
        };
        let Some(session) = admin else {
            if self.parties.admin.is_none() && self.parties.no_admin.is_none() {
                findings.problem(
                    "no-admin",
                    "Alternating users are changed by an admin, and the secret names none.",
                    "Put the ARN of an admin's secret for the same server into the value as \"masterarn\".",
                );
            }
            return Ok(None);
        };
        let idle = facts::role(session, &other).await?;
        let rights = facts::admin(session, &other).await?;
        let shape = shape(session, active, &other, seen).await?;
        self.judge_shape(&shape, active, findings);
        judge_grants(&shape, &rights, seen, findings);
        match &idle {
            None => findings.ok("pair", format!("The first rotation creates {}.", shown(&other.user))),
            Some(idle) => {
                let known = options.users.is_some() || knows(&KIND, self.cx, active, &other.user);
                let share = shape.owner.is_some() && shape.owner == idle.sets_role;
                match known || share || related(session, active, &other).await? {
                    true => findings
                        .ok("existing-pair", format!("{} is there already, and is taken over.", shown(&other.user))),
                    false => findings.error(&stranger(active, &other.user)),
                }
                if !idle.can_login {
                    judge::no_login(&other, findings);
                }
                lacking(seen.server.number, &rights, idle, &other, findings);
            }
        }
        // As Set reads it; where that cannot be done here, Set says why.
        let first = first_user(options, &active.user);
        let view = View::read(session, active, &other.user, first).await.ok();
        if let (Some(view), Some(admin)) = (&view, &self.parties.admin) {
            self.judge_settings(session, view, admin, findings).await?;
        }
        let mends = match &view {
            Some(view) => view.mends(&other.user, Some(MASK)).into_iter().map(|mend| mend.shown).collect(),
            None => vec![change(&other, MASK).to_string()],
        };
        Ok(Some(Turns { statements: statements(active, &other, mends) }))
    }

    /// The settings that the other account gets must be ones that the admin may give.
    async fn judge_settings(
        &self,
        session: &mut Session,
        view: &View,
        admin: &Login,
        findings: &mut Findings,
    ) -> Result<(), StepError> {
        let (sets, resets) = view.differing_settings();
        let forbidden = Forbidden::among(session, admin, view.version, sets.into_iter().chain(resets)).await?;
        if let Some(forbidden) = forbidden {
            let (who, account) = (&admin.user, &view.active.name);
            findings.problem("privilege", forbidden.says(who, account), forbidden.mends(who, account));
        }
        Ok(())
    }

    fn judge_shape(&self, shape: &Shape, active: &Login, findings: &mut Findings) {
        match &shape.owner {
            Some(owner) => findings.ok(
                "shape",
                format!("{} owns nothing: what the pair makes belongs to {}.", shown(&active.user), shown(owner)),
            ),
            None => findings.warning(
                "shape",
                format!(
                    "What either of the pair makes belongs to it alone, as AWS's functions leave it: the other may not be \
                     able to change or drop what {} made.",
                    shown(&active.user)
                ),
                "pawl rotation prepare NAME",
            ),
        }
    }
}

fn judge_grants(shape: &Shape, rights: &AdminFacts, seen: &Seen, findings: &mut Findings) {
    if rights.superuser || shape.grants.is_empty() || seen.server.number < judge::ADMIN_OPTION_NEEDED {
        return;
    }
    findings.problem(
        "privilege",
        format!(
            "The admin {} has no ADMIN OPTION on all roles that the account is a member of, so that it cannot give them \
             to the other one.",
            shown(&rights.name)
        ),
        shape.grants.clone(),
    );
}

/// One of the two is a member of the other.
async fn related(session: &mut Session, active: &Login, other: &Login) -> Result<bool, StepError> {
    let sql = "SELECT pg_catalog.pg_has_role(a.oid, b.oid, 'MEMBER') OR pg_catalog.pg_has_role(b.oid, a.oid, 'MEMBER') \
               FROM pg_catalog.pg_roles a, pg_catalog.pg_roles b WHERE a.rolname = $1 AND b.rolname = $2";
    let row = session.row(sql, &[(&active.user, Type::TEXT), (&other.user, Type::TEXT)]).await?;
    Ok(row.as_ref().and_then(|row| facts::get(row, 0)).unwrap_or(false))
}

/// The owner of a pair in the shared shape, and what the admin lacks to give memberships on.
async fn shape(session: &mut Session, active: &Login, other: &Login, seen: &Seen) -> Result<Shape, StepError> {
    let sets_role = seen.role.as_ref().and_then(|role| role.sets_role.clone()).unwrap_or_default();
    let sql = "SELECT (SELECT o.rolname::pg_catalog.text FROM pg_catalog.pg_roles o \
               WHERE o.rolname = $2 AND NOT o.rolcanlogin AND pg_catalog.pg_has_role(a.oid, o.oid, 'MEMBER')), \
               COALESCE((SELECT pg_catalog.string_agg(pg_catalog.format('GRANT %I TO %I WITH ADMIN OPTION', g.rolname, \
               CURRENT_USER), '; ') FROM pg_catalog.pg_auth_members m \
               JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = a.oid AND g.rolname <> $3 \
               AND NOT pg_catalog.pg_has_role(CURRENT_USER, g.oid, 'MEMBER WITH ADMIN OPTION')), '') \
               FROM pg_catalog.pg_roles a WHERE a.rolname = $1";
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&active.user, Type::TEXT), (&sets_role, Type::TEXT), (&other.user, Type::TEXT)];
    let row = session.row(sql, &values).await?;
    Ok(Shape {
        owner: row.as_ref().and_then(|row| facts::get(row, 0)),
        grants: row.as_ref().and_then(|row| facts::get(row, 1)).unwrap_or_default(),
    })
}

/// Message by message: the idle account is made or changed, later the old one is ended.
fn statements(active: &Login, other: &Login, mends: Vec<String>) -> Vec<String> {
    let mut all = vec![locking(other, true)];
    all.extend(mends);
    all.extend(["COMMIT".to_owned(), locking(active, true), change(active, MASK).to_string()]);
    all
}
