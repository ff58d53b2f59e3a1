//! Owns the preflight of two MySQL or MariaDB accounts that take turns: is the other one there, and may the admin give it
//! all that the first one has. Never here: the change.

use engine::outcome::StepError;

use super::grants::Grants;
use super::{Eyes, Steps};
use crate::findings::Findings;
use crate::my::accounts::{Row, Rows};
use crate::my::hash::Plugin;
use crate::my::pair::stranger;
use crate::my::rights::read::{lacking, rights};
use crate::my::session::Session;
use crate::pair::{knows, next_user};
use crate::quote::{my_account, shown};

pub(super) fn no_admin(steps: &Steps<'_>, findings: &mut Findings) {
    if steps.parties.admin.is_none() && steps.parties.no_admin.is_none() {
        findings.problem(
            "no-admin",
            "Alternating users are changed by an admin, and the secret names none.",
            "Put the ARN of an admin's secret for the same server into the value as \"masterarn\".",
        );
    }
}

impl Steps<'_> {
    /// The statements of a rotation of the pair; None where it cannot be said which pair that is.
    pub(super) async fn turns(
        &self,
        admin: &mut Eyes,
        target: &Grants,
        rows: Option<&Rows>,
        findings: &mut Findings,
    ) -> Result<Option<Vec<String>>, StepError> {
        let active = &self.parties.wanted;
        let other = match next_user(self.flavor.kind(), &self.cx.material.options, &active.user) {
            Ok(Some(other)) => other,
            Ok(None) => return Ok(None),
            Err(error) => {
                findings.error(&error);
                return Ok(None);
            }
        };
        let Some(rows) = rows else { return Ok(None) };
        let by = shown(&admin.session.by);
        for mends in target.lacked_by(&admin.grants, &by) {
            findings.problem(
                "privilege",
                format!(
                    "What {} may do has to be given to {} too, and {by} may not give all of it.",
                    shown(&active.user),
                    shown(&other)
                ),
                mends,
            );
        }
        for role in target.roles() {
            if let Some(mends) = self.flavor.role_lacks(&admin.grants, role, &by) {
                let says = format!("{by} may not give the role {} to {}.", shown(role), shown(&other));
                findings.problem("privilege", says, mends);
            }
        }
        if !admin.grants.everywhere("PROCESS") {
            findings.warning(
                "sessions",
                format!("Without the privilege PROCESS, {by} does not see who is still logged in as the old account."),
                format!("GRANT PROCESS ON *.* TO {by}"),
            );
        }
        let idle = self.flavor.all_rows(&mut admin.session, &other).await?.unwrap_or_default();
        let sees = admin.grants.on_mysql("SELECT");
        if !sees {
            findings.problem("rights-unseen", format!("{by} does not see all rights of other accounts."), lacking(&by));
        }
        match idle.is_empty() {
            true => findings.ok("pair", format!("The first rotation creates {}.", shown(&other))),
            // Said above.
            false if !sees => {}
            false if self.is_stranger(&mut admin.session, &other, rows, &idle).await? => {
                findings.error(&stranger(active, &other));
            }
            false => findings.ok("existing-pair", format!("{} is there already, and is taken over.", shown(&other))),
        }
        let hosts: Vec<&str> = idle.iter().filter(|row| row.locked).map(|row| row.host.as_str()).collect();
        if !hosts.is_empty() {
            let accounts: Vec<String> = hosts.iter().map(|host| shown(&my_account(&other, host))).collect();
            let says = format!("{} is locked, so that no password of it logs in.", shown(&other));
            findings.problem("locked", says, format!("ALTER USER {} ACCOUNT UNLOCK", accounts.join(", ")));
        }
        Ok(Some(self.statements_of_pair(&other, idle.is_empty(), target, rows)))
    }

    /// As Set sees it.
    async fn is_stranger(
        &self,
        session: &mut Session,
        other: &str,
        rows: &Rows,
        idle: &[Row],
    ) -> Result<bool, StepError> {
        let active = &self.parties.wanted;
        if self.cx.material.options.users.is_some() || knows(self.flavor.kind(), self.cx, active, other) {
            return Ok(false);
        }
        let brand = self.flavor.brand();
        let mut has_any = false;
        for row in &rows.list {
            let of_active = rights(session, brand, &active.user, &row.host).await?;
            has_any |= !of_active.is_empty();
            if idle.iter().any(|idle| idle.host == row.host)
                && !rights(session, brand, other, &row.host).await?.is_disjoint(&of_active)
            {
                return Ok(false);
            }
        }
        Ok(has_any)
    }

    /// The idle account is made or changed and given what the other has; later the old one is ended.
    fn statements_of_pair(&self, other: &str, create: bool, target: &Grants, rows: &Rows) -> Vec<String> {
        let with = match self.flavor.plugins().contains(&Plugin::CachingSha2) {
            true => |plugin: &str| format!("IDENTIFIED WITH '{plugin}' AS '…'"),
            false => |plugin: &str| format!("IDENTIFIED VIA {plugin} USING '…'"),
        };
        let verb = if create { "CREATE USER" } else { "ALTER USER" };
        let account = |user: &str, host: &str| shown(&my_account(user, host));
        let set = rows.list.iter().map(|row| format!("{verb} {} {}", account(other, &row.host), with(&row.plugin)));
        let given = rows.list.iter().flat_map(|row| target.given_to(&account(other, &row.host)));
        let user = &self.parties.wanted.user;
        let end = rows.list.iter().map(|row| format!("ALTER USER {} {}", account(user, &row.host), with(&row.plugin)));
        set.chain(given).chain(end).collect()
    }
}
