//! Owns what the facts about a MySQL or MariaDB account mean for a rotation, and the statement that mends what is wrong.
//! Never here: asking the server.

use engine::outcome::StepError;

use super::Steps;
use super::account::RowFacts;
use super::grants::Grants;
use crate::connection::{Kind, Login};
use crate::findings::Findings;
use crate::my::accounts::{Row, Rows, listed};
use crate::my::hash::Plugin;
use crate::quote::{my_account, shown};

/// Accounts that the servers make for themselves.
const OF_THE_SERVER: &[&str] =
    &["root", "mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys", "event_scheduler", "rdsadmin"];

/// A month: as long as a rotation usually takes to come round.
const SOON: i64 = 30;

/// So few logins an hour may be used up by the services themselves.
const FEW: u64 = 20;

pub(super) fn standby(standby: bool, login: &Login, findings: &mut Findings) {
    match standby {
        true => findings.problem(
            "standby",
            format!("{} is read-only: a replica, or a primary on its way out.", login.server()),
            "Point \"host\" at the primary.",
        ),
        false => findings.ok("standby", format!("{} takes writes.", login.server())),
    }
}

/// The account was kept out; `rows`: what the catalogue has of it, where somebody could read that.
pub(super) fn kept_out(error: &StepError, login: &Login, rows: Option<&Rows>, findings: &mut Findings) {
    let accounts = rows.filter(|rows| !rows.list.is_empty()).map(|rows| names(rows.list.iter(), login));
    let accounts = accounts.unwrap_or_else(|| shown(&my_account(&login.user, "%")));
    let known = rows.is_some();
    match error.code.as_str() {
        // What the catalogue has is judged row by row.
        "3118" | "4151" | "1820" | "1862" | "auth-plugin" | "1251" | "1698" if known => {}
        "1045" if known => findings.problem(
            "login",
            format!("{} has another password than AWSCURRENT: something else has set it.", shown(&login.user)),
            format!("ALTER USER {accounts} IDENTIFIED BY '…'"),
        ),
        "3118" | "4151" | "3955" => findings.error_mended_by(error, format!("ALTER USER {accounts} ACCOUNT UNLOCK")),
        "4150" => findings.error_mended_by(error, "FLUSH PRIVILEGES"),
        "1203" | "1226" => findings.error_mended_by(
            error,
            format!(
                "ALTER USER {accounts} WITH MAX_USER_CONNECTIONS 0 MAX_CONNECTIONS_PER_HOUR 0 MAX_QUERIES_PER_HOUR 0 \
                 MAX_UPDATES_PER_HOUR 0"
            ),
        ),
        _ => findings.error(error),
    }
}

/// The rows of the account: whether they can be changed, together.
pub(super) fn rows(steps: &Steps<'_>, rows: &Rows, entered: &Login, findings: &mut Findings) {
    let login = &steps.parties.wanted;
    if rows.list.is_empty() {
        findings.problem(
            "no-account",
            format!("{} has no account {}.", login.server(), shown(&login.user)),
            format!("CREATE USER {} IDENTIFIED BY '…'", shown(&my_account(&login.user, "%"))),
        );
        return;
    }
    locked(rows, login, findings);
    let plugins = steps.flavor.plugins();
    for row in &rows.list {
        if let Err(error) = row.known_plugin(plugins, login) {
            let account = shown(&my_account(&login.user, &row.host));
            findings.error_mended_by(&error, with_plugin(plugins, &account));
        }
    }
    let lacking = rows.lacking(login, entered);
    if lacking.is_empty() && rows.list.len() > 1 {
        let all: Vec<&Row> = rows.list.iter().collect();
        findings.ok("hosts", format!("The account's rows change together: {}.", listed(&all, login)));
    }
    // Where none has AWSCURRENT, its refused login says so.
    if lacking.is_empty() || lacking.len() == rows.list.len() {
        return;
    }
    let says = format!("These rows have another password than AWSCURRENT: {}.", listed(&lacking, login));
    match steps.cx.material.options.allow_differing_hosts {
        true => findings.warning("differing-hosts", format!("{says} The next rotation makes all rows equal."), ""),
        false => findings.problem(
            "differing-hosts",
            says,
            format!("ALTER USER {}", names_with(lacking.into_iter(), login, " IDENTIFIED BY '…'")),
        ),
    }
}

fn locked(rows: &Rows, login: &Login, findings: &mut Findings) {
    let locked: Vec<&Row> = rows.list.iter().filter(|row| row.locked).collect();
    if locked.is_empty() {
        return;
    }
    let says = format!("These rows are locked: {}.", listed(&locked, login));
    let mends = format!("ALTER USER {} ACCOUNT UNLOCK", names(locked.iter().copied(), login));
    match locked.len() == rows.list.len() {
        true => findings.problem("locked", says, mends),
        false => findings.warning("locked", says, mends),
    }
}

/// The statement that gives a row a plugin whose passwords can be rotated.
fn with_plugin(plugins: &[Plugin], account: &str) -> String {
    match plugins.contains(&Plugin::CachingSha2) {
        true => format!("ALTER USER {account} IDENTIFIED WITH caching_sha2_password BY '…'"),
        false => format!("ALTER USER {account} IDENTIFIED VIA mysql_native_password USING PASSWORD('…')"),
    }
}

/// What is known of each row beside its password.
pub(super) fn facts(steps: &Steps<'_>, facts: &[RowFacts], by_admin: bool, findings: &mut Findings) {
    let login = &steps.parties.wanted;
    for row in facts {
        let account = shown(&my_account(&login.user, &row.host));
        if row.expired && by_admin {
            let says = format!("The password of {account} has expired: only the next rotation makes it usable again.");
            findings.warning("expired", says, format!("ALTER USER {account} IDENTIFIED BY '…'"));
        } else if row.expired {
            let says = format!("The password of {account} has expired.");
            findings.problem("expired", says, format!("ALTER USER {account} IDENTIFIED BY '…'"));
        } else if let Some(days) = row.days_left.filter(|days| *days <= SOON) {
            let says = format!("The password of {account} expires in {days} days, unless it is rotated before.");
            findings.warning("expires-soon", says, format!("ALTER USER {account} PASSWORD EXPIRE NEVER"));
        }
        if row.hourly > 0 && row.hourly <= FEW {
            let says = format!(
                "{account} may log in {} times an hour, and a rotation needs some of those: a login that is refused for \
                 it is tried again later.",
                row.hourly
            );
            findings.warning("connection-limit", says, format!("ALTER USER {account} WITH MAX_CONNECTIONS_PER_HOUR 0"));
        }
        if row.remembers {
            let says = format!(
                "The server remembers earlier passwords of {account} and refuses them: a rollback to AWSPREVIOUS would be \
                 rejected. New passwords never repeat."
            );
            let mends = match steps.flavor.plugins().contains(&Plugin::CachingSha2) {
                true => format!("ALTER USER {account} PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY"),
                false => "UNINSTALL SONAME 'password_reuse_check'".to_owned(),
            };
            findings.warning("password-reuse", says, mends);
        }
    }
}

/// May whoever makes the change make it? `held`: its privileges; `target`: the account's.
pub(super) fn change(
    login: &Login,
    held: &Grants,
    target: &Grants,
    by_admin: bool,
    several: bool,
    by: &str,
    findings: &mut Findings,
) {
    let user = shown(&login.user);
    if !by_admin && !several {
        findings.ok("privilege", format!("{by} changes its own password, which takes no privilege."));
        return;
    }
    let mut lacks = false;
    if !held.everywhere("CREATE USER") && !held.on_mysql("UPDATE") {
        lacks = true;
        let whose = if by_admin { "another account's password" } else { "the rows of other hosts" };
        findings.problem(
            "privilege",
            format!("To change {whose}, {by} lacks the privilege CREATE USER."),
            format!("GRANT CREATE USER ON *.* TO {by}"),
        );
    }
    if target.everywhere("SYSTEM_USER") && !held.everywhere("SYSTEM_USER") {
        lacks = true;
        findings.problem(
            "privilege",
            format!("{user} has SYSTEM_USER, and only who has it too changes such an account: {by} has not."),
            format!("GRANT SYSTEM_USER ON *.* TO {by}"),
        );
    }
    if !lacks {
        findings.ok("privilege", format!("{by} may change the password of {user}."));
    }
}

/// The admin may not read the catalogue, without which a change cannot be made for all rows.
pub(super) fn no_catalogue(kind: &Kind, by: &str, findings: &mut Findings) {
    findings.problem(
        "privilege",
        format!("{by} may not read the accounts of this {} server, whose rows all have to change.", kind.title),
        format!("GRANT SELECT ON mysql.* TO {by}"),
    );
}

/// F71: what else depends on such an account is not seen from here.
pub(super) fn privileged(steps: &Steps<'_>, target: &Grants, rows: Option<&Rows>, findings: &mut Findings) {
    let login = &steps.parties.wanted;
    let words = steps.flavor.privileged();
    let user = shown(&login.user);
    let held: Vec<&str> = words.iter().copied().filter(|word| target.everywhere(word)).collect();
    let of_the_server = OF_THE_SERVER.contains(&login.user.as_str());
    if held.is_empty() && !of_the_server {
        return;
    }
    let is = match of_the_server {
        true => "an account of the server itself".to_owned(),
        false => format!("a superuser by {}", held.join(" and ")),
    };
    if steps.cx.material.options.allow_superuser {
        findings.warning("superuser", format!("{user} is {is}, and the settings allow to rotate it."), "");
        return;
    }
    let mends = match of_the_server {
        true => "Rotate an account of the application instead.".to_owned(),
        false => {
            let accounts = names(rows.iter().flat_map(|rows| &rows.list), login);
            format!("REVOKE {} ON *.* FROM {accounts}", held.join(", "))
        }
    };
    findings.problem(
        "superuser",
        format!("{user} is {is}, which is rotated only where the settings say so (--allow-superuser)."),
        mends,
    );
}

/// F79. To prove AWSCURRENT takes two sessions of the account beside those of its services.
pub(super) fn connections(limit: u64, login: &Login, host: &str, findings: &mut Findings) {
    if !(1..=2).contains(&limit) {
        return;
    }
    findings.warning(
        "connection-limit",
        format!(
            "{} may have {limit} sessions at once, which leaves no room for the two that Pawl needs at times: a login that \
             is refused for it is tried again later.",
            shown(&login.user)
        ),
        format!("ALTER USER {} WITH MAX_USER_CONNECTIONS {}", shown(&my_account(&login.user, host)), limit + 10),
    );
}

/// F93
pub(super) fn trust(login: &Login, findings: &mut Findings) {
    findings.problem(
        "trust",
        format!(
            "{} lets {} in with a password that nobody has, so a login proves nothing about one.",
            login.server(),
            shown(&login.user)
        ),
        "Find out which plugin or setting lets it in (skip-grant-tables, a proxy that keeps sessions), and take it away.",
    );
}

fn names<'r>(rows: impl Iterator<Item = &'r Row>, login: &Login) -> String {
    names_with(rows, login, "")
}

fn names_with<'r>(rows: impl Iterator<Item = &'r Row>, login: &Login, after: &str) -> String {
    rows.map(|row| format!("{}{after}", shown(&my_account(&login.user, &row.host)))).collect::<Vec<_>>().join(", ")
}
