//! Owns what the facts about a PostgreSQL server and role mean for a rotation, and the statement that mends what is
//! wrong. Never here: asking the server.

use engine::port::{Options, StepContext};
use engine::strategy::Strategy;

use super::Seen;
use super::facts::{AdminFacts, RoleFacts};
use crate::connection::Login;
use crate::findings::Findings;
use crate::parties::Parties;
use crate::postgres::prepare::pooler;
use crate::quote::{pg_name, shown};

/// From this version on CREATEROLE alone does not reach other roles.
pub(super) const ADMIN_OPTION_NEEDED: i32 = 160_000;

/// The server as a whole.
pub(super) fn server(seen: &Seen, login: &Login, findings: &mut Findings) {
    match seen.server.standby {
        true => findings.problem(
            "standby",
            format!("{} is a read-only standby.", login.server()),
            "Point \"host\" at the primary.",
        ),
        false => findings.ok("standby", format!("{} takes writes.", login.server())),
    }
    if seen.server.wants_clear {
        findings.problem(
            "policy",
            "The extension credcheck takes no password verifier, and Pawl never sends a clear password.",
            "ALTER SYSTEM SET credcheck.encrypted_password_allowed = on",
        );
    } else if seen.server.libraries.contains("passwordcheck") || seen.server.libraries.contains("credcheck") {
        findings.warning(
            "policy",
            "The server has a password policy. It cannot look into the verifiers that Pawl sends, so it is not applied: \
             Pawl's passwords have 32 characters, upper and lower case, digits and one of - . _ ~.",
            "",
        );
    }
}

/// The role as it is. `inside`: AWSCURRENT logged in, so that nothing here keeps it out.
pub(super) fn role(seen: &Seen, cx: &StepContext<'_>, login: &Login, inside: bool, findings: &mut Findings) {
    let Some(role) = &seen.role else { return };
    let name = shown(&pg_name(&login.user));
    if !role.can_login {
        no_login(login, findings);
    }
    if role.expired {
        findings.problem(
            "expired",
            format!("The VALID UNTIL of {} is in the past.", shown(&login.user)),
            format!("ALTER ROLE {name} VALID UNTIL 'infinity'"),
        );
    } else if role.expires_soon {
        findings.warning(
            "expires-soon",
            format!(
                "The VALID UNTIL of {} is within 30 days; no rotation moves it, and then no password logs in.",
                shown(&login.user)
            ),
            format!("ALTER ROLE {name} VALID UNTIL 'infinity'"),
        );
    }
    if !role.connects && !inside {
        findings.problem(
            "privilege",
            format!("{} may not connect to the secret's database.", shown(&login.user)),
            super::may_connect(login),
        );
    }
    limit(role, login, inside, findings);
    privileged(role, &cx.material.options, login, findings);
    if let Some(set) = &role.sets_role {
        let pooled = pooler(seen.server.number);
        let message = format!("{} has the role {} set at login. {}", shown(&login.user), shown(set), pooled.message);
        findings.warning("role-set", message, pooled.remedy);
    }
}

fn limit(role: &RoleFacts, login: &Login, inside: bool, findings: &mut Findings) {
    let mends = format!("ALTER ROLE {} CONNECTION LIMIT {}", shown(&pg_name(&login.user)), role.limit.max(0) + 10);
    if role.used_up() && !inside {
        let says = format!("The CONNECTION LIMIT {} of {} is used up.", role.limit, shown(&login.user));
        findings.problem("connection-limit", says, mends);
    } else if role.limit >= 0 && role.sessions + 2 > i64::from(role.limit) {
        // To prove AWSCURRENT takes two sessions of the account beside those of its services.
        let says = format!(
            "The CONNECTION LIMIT {} of {} leaves no room for the two sessions that Pawl needs at times: a login that is \
             refused for it is tried again later.",
            role.limit,
            shown(&login.user)
        );
        findings.warning("connection-limit", says, mends);
    }
}

/// F71: what else depends on such an account is not seen from here.
fn privileged(role: &RoleFacts, options: &Options, login: &Login, findings: &mut Findings) {
    let (user, name) = (shown(&login.user), shown(&pg_name(&login.user)));
    let (says, mends) = if role.bootstrap {
        ("the superuser that the cluster was made with", "Rotate an account of the application instead.".to_owned())
    } else if role.superuser {
        ("a superuser", format!("ALTER ROLE {name} NOSUPERUSER"))
    } else if role.replication {
        (
            "an account of replication, whose standbys have its password in their own files",
            format!("ALTER ROLE {name} NOREPLICATION"),
        )
    } else {
        return;
    };
    match options.allow_superuser {
        true => findings.warning("superuser", format!("{user} is {says}, and the settings allow to rotate it."), ""),
        false => findings.problem(
            "superuser",
            format!("{user} is {says}, which is rotated only where the settings say so (--allow-superuser)."),
            mends,
        ),
    }
}

/// May whoever makes the change make it?
pub(super) fn change(seen: &Seen, parties: &Parties, options: &Options, findings: &mut Findings) {
    let (Some(role), login) = (&seen.role, &parties.wanted) else { return };
    let user = shown(&login.user);
    if let Some(who) = parties.admin.as_ref().filter(|_| seen.admin.as_ref().is_some_and(|admin| admin.expires_soon)) {
        findings.warning(
            "admin-expires-soon",
            format!(
                "The VALID UNTIL of the admin {} is within 30 days: then no rotation by it works.",
                shown(&who.user)
            ),
            format!("ALTER ROLE {} VALID UNTIL 'infinity'", shown(&pg_name(&who.user))),
        );
    }
    let Some(admin) = &seen.admin else {
        // Such a role may not even change itself, on versions where CREATEROLE does not help either.
        let stuck = role.replication && !role.superuser && seen.server.number < ADMIN_OPTION_NEEDED;
        if stuck && options.allow_superuser {
            findings.problem(
                "privilege",
                format!("{user} has REPLICATION, and this version lets only superusers change such a role."),
                "Name a superuser's secret as masterarn.",
            );
        } else if !stuck && parties.admin.is_none() && parties.no_admin.is_none() {
            findings.ok("privilege", format!("{user} changes its own password."));
        }
        return;
    };
    if lacking(seen.server.number, admin, role, login, findings) {
        return;
    }
    findings.ok("privilege", format!("{} may change the password of {user}.", shown(&admin.name)));
}

/// Says what the admin lacks to change this role; whether it lacks anything.
pub(super) fn lacking(
    number: i32,
    admin: &AdminFacts,
    role: &RoleFacts,
    login: &Login,
    findings: &mut Findings,
) -> bool {
    let (who, user) = (shown(&admin.name), shown(&login.user));
    let (admin_name, name) = (shown(&pg_name(&admin.name)), shown(&pg_name(&login.user)));
    if admin.superuser {
        return false;
    }
    if role.superuser || (role.replication && number < ADMIN_OPTION_NEEDED) {
        findings.problem(
            "privilege",
            format!("Only a superuser changes the password of {user}, and the admin {who} is none."),
            format!("ALTER ROLE {admin_name} SUPERUSER"),
        );
        return true;
    }
    let mut lacks = false;
    if !admin.createrole {
        lacks = true;
        findings.problem(
            "privilege",
            format!("The admin {who} has no CREATEROLE, without which it changes no other role."),
            format!("ALTER ROLE {admin_name} CREATEROLE"),
        );
    }
    if number >= ADMIN_OPTION_NEEDED && !admin.admin_option {
        lacks = true;
        findings.problem(
            "privilege",
            format!(
                "The admin {who} has no ADMIN OPTION on {user}, which PostgreSQL 16 and later want beside CREATEROLE."
            ),
            format!("GRANT {name} TO {admin_name} WITH ADMIN OPTION"),
        );
    }
    lacks
}

pub(super) fn no_login(login: &Login, findings: &mut Findings) {
    findings.problem(
        "nologin",
        format!("The role {} has no LOGIN, whatever its password is.", shown(&login.user)),
        format!("ALTER ROLE {} LOGIN", shown(&pg_name(&login.user))),
    );
}

pub(super) fn no_role(login: &Login, findings: &mut Findings) {
    findings.problem(
        "no-account",
        format!("{} has no role {}.", login.server(), shown(&login.user)),
        format!("CREATE ROLE {} LOGIN PASSWORD '…'", shown(&pg_name(&login.user))),
    );
}

pub(super) fn other_password(login: &Login, findings: &mut Findings) {
    findings.problem(
        "login",
        format!("{} has another password than AWSCURRENT: something else has set it.", shown(&login.user)),
        format!("ALTER ROLE {} PASSWORD '…'", shown(&pg_name(&login.user))),
    );
}

/// How rotations will be made, and why.
pub(super) fn strategy(options: &Options) -> (Strategy, String) {
    match options.strategy {
        Some(Strategy::AlternatingUsers) => {
            (Strategy::AlternatingUsers, "The settings say so: no login of AWSCURRENT is refused.".to_owned())
        }
        Some(Strategy::SingleUser) => (Strategy::SingleUser, format!("The settings say so. {GAP}")),
        None | Some(Strategy::DualPassword) => (
            Strategy::SingleUser,
            format!("A PostgreSQL role has one password. {GAP} Alternating users have no such gap."),
        ),
    }
}

pub(super) fn strategy_possible(options: &Options, findings: &mut Findings) {
    if options.strategy == Some(Strategy::DualPassword) {
        findings.problem(
            "strategy",
            "The settings ask for two passwords at once, and a PostgreSQL role has one.",
            "pawl rotation enable NAME --strategy alternating-users",
        );
    }
}

/// The gap of one user with one password.
const GAP: &str = "Between setSecret and finishSecret a reader of AWSCURRENT is refused.";

#[cfg(test)]
mod tests {
    use engine::check::Level;
    use engine::secret::SecretBytes;

    use super::*;
    use crate::connection::parse;
    use crate::postgres::KIND;

    fn lacks(number: i32, admin: (bool, bool, bool), role: &RoleFacts) -> Vec<String> {
        let value = r#"{"engine":"postgres","host":"db","username":"app","password":"Canary"}"#;
        let login = parse(&KIND, "AWSCURRENT", &SecretBytes::from(value)).expect("a login");
        let (superuser, createrole, admin_option) = admin;
        let admin = AdminFacts { name: "adm".to_owned(), superuser, createrole, admin_option, expires_soon: false };
        let mut findings = Findings::default();
        let lacks = lacking(number, &admin, role, &login, &mut findings);
        let list = findings.into_list();
        assert_eq!(lacks, !list.is_empty());
        assert!(list.iter().all(|finding| finding.level == Level::Problem && finding.code == "privilege"));
        list.into_iter().map(|finding| finding.remedy).collect()
    }

    // F77
    #[test]
    fn from_version_16_on_an_admin_needs_createrole_and_admin_option() {
        let plain = RoleFacts::default();
        let option = "GRANT \"app\" TO \"adm\" WITH ADMIN OPTION";
        let createrole = "ALTER ROLE \"adm\" CREATEROLE";
        assert_eq!(lacks(150_008, (false, true, false), &plain), [""; 0]);
        assert_eq!(lacks(170_001, (false, true, false), &plain), [option]);
        assert_eq!(lacks(160_000, (false, false, false), &plain), [createrole, option]);
        assert_eq!(lacks(180_000, (false, true, true), &plain), [""; 0]);
        assert_eq!(lacks(150_008, (false, false, true), &plain), [createrole]);
        assert_eq!(lacks(180_000, (true, false, false), &plain), [""; 0]);
    }

    // F71
    #[test]
    fn only_a_superuser_changes_a_superuser() {
        let superuser = RoleFacts { superuser: true, ..RoleFacts::default() };
        let replication = RoleFacts { replication: true, ..RoleFacts::default() };
        let mends = "ALTER ROLE \"adm\" SUPERUSER";
        assert_eq!(lacks(150_000, (false, true, true), &superuser), [mends]);
        assert_eq!(lacks(170_000, (false, true, true), &superuser), [mends]);
        assert_eq!(lacks(150_000, (false, true, true), &replication), [mends]);
        assert_eq!(lacks(170_000, (false, true, true), &replication), [""; 0]);
    }
}
