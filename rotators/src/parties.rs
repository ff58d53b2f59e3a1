//! Owns who is who in one step: the account that is changed (always AWSCURRENT's), the values that may log in as it,
//! and the admin. Whoever can write a secret must not be able to turn a rotation on another account or to send a
//! password to another server; that is decided here, before anything is connected.

use engine::outcome::{StepError, Verdict};
use engine::port::StepContext;

use crate::connection::{Kind, Login, parse};
use crate::quote::shown;

pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";

/// A login and what messages call it.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub role: String,
    pub login: Login,
    /// Not AWSPREVIOUS: the account may have it by right today.
    pub expected: bool,
}

/// Everyone a step may log in as.
#[derive(Debug)]
pub(crate) struct Parties {
    /// What the account is to have.
    pub wanted: Login,
    /// Others that may log in, likeliest first; no password twice, none that equals `wanted`.
    pub known: Vec<Named>,
    /// The admin, where the secret names one and it may be used here.
    pub admin: Option<Login>,
    /// Why the admin that is named cannot be used.
    pub no_admin: Option<StepError>,
    /// What is being put back is AWSCURRENT itself.
    pub restoring: bool,
    /// The wanted password may log in: it was sent before, or is AWSCURRENT's. To try any other is a guess that costs
    /// the account a refused login.
    try_wanted: bool,
    /// Values left out because they are for another account, for messages.
    pub skipped: Vec<String>,
    /// AWSPREVIOUS's login, also where another value with its password is among the known ones.
    previous: Option<Login>,
    /// AWSPREVIOUS is in its grace, and is ended when that is over.
    grace: bool,
}

impl Parties {
    /// Reads the material of a step.
    ///
    /// # Errors
    /// NeedsPerson where a value cannot be read, or where `wanted` is not for AWSCURRENT's account.
    pub(crate) fn read(kind: &Kind, cx: &StepContext<'_>) -> Result<Self, StepError> {
        let material = cx.material;
        let Some(value) = &material.wanted else {
            return Err(StepError::new(Verdict::NeedsPerson, "no-value", "There is no value to work with.")
                .remedy("Abandon this rotation and start another."));
        };
        let current_value = material
            .current
            .as_ref()
            .or_else(|| material.known.iter().find(|known| known.role == "AWSCURRENT").map(|known| &known.value));
        // First, so that a value that is both is called AWSCURRENT in messages.
        let current = current_value.map(|value| parse(kind, "AWSCURRENT", value)).transpose()?;
        let wanted = parse(kind, "the value to be set", value)?;
        let current = current.unwrap_or_else(|| wanted.clone());
        if !wanted.same_account(&current) {
            return Err(other_account(&wanted, &current));
        }
        let (admin, no_admin) = match admin(kind, cx, &current) {
            Ok(admin) => (admin, None),
            Err(error) => (None, Some(error)),
        };
        let mut parties = Self {
            restoring: current_value.is_some_and(|current| current.expose() == value.expose()),
            try_wanted: cx.attempted || wanted.same_password(&current),
            wanted,
            known: vec![],
            admin,
            no_admin,
            skipped: vec![],
            previous: previous(kind, cx).filter(|previous| previous.same_account(&current)),
            grace: cx.run.retiring.is_some(),
        };
        parties.add("AWSCURRENT", Ok(current.clone()), &current);
        for known in &material.known {
            parties.add(&known.role, parse(kind, &known.role, &known.value), &current);
        }
        Ok(parties)
    }

    fn add(&mut self, role: &str, login: Result<Login, StepError>, current: &Login) {
        match login {
            Ok(mut login) if login.same_account(current) => {
                // PostgreSQL's locks belong to a database: whoever changes or proves must be in the same one.
                login.database.clone_from(&current.database);
                let repeated = login.same_password(&self.wanted)
                    || self.known.iter().any(|known| known.login.same_password(&login));
                if !repeated {
                    let expected = role != PREVIOUS;
                    self.known.push(Named { role: role.to_owned(), login, expected });
                }
            }
            _ => self.skipped.push(role.to_owned()),
        }
    }

    /// The same account, as if this password were to be set. For showing what would be sent.
    pub(crate) fn with_another_wanted(&self, password: &str) -> Self {
        let current = Named { role: "AWSCURRENT".to_owned(), login: self.wanted.clone(), expected: true };
        Self {
            wanted: Login { password: password.to_owned().into(), ..self.wanted.clone() },
            known: vec![current],
            admin: None,
            no_admin: None,
            restoring: false,
            try_wanted: false,
            skipped: vec![],
            previous: self.previous.clone(),
            grace: self.grace,
        }
    }

    /// The account's own logins in the order in which Set tries them. The wanted value comes first where it may log in
    /// at all, and last once more: its statement may land between the first refusal and that of AWSCURRENT, and then
    /// both were refused rightly.
    pub(crate) fn own_logins(&self) -> Vec<&Login> {
        let wanted = self.try_wanted.then_some(&self.wanted);
        let again = wanted.filter(|_| !self.known.is_empty());
        wanted.into_iter().chain(self.known.iter().map(|named| &named.login)).chain(again).collect()
    }

    /// The wanted password is AWSPREVIOUS's: a rollback. That it logs in says nothing then, it may be in its grace.
    pub(crate) fn rolls_back(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.same_password(&self.wanted))
    }

    /// AWSPREVIOUS, where it is in its grace: it may log in beside AWSCURRENT.
    pub(crate) fn in_grace(&self) -> Option<&Login> {
        self.previous.as_ref().filter(|_| self.grace)
    }

    /// A value of a rotation that is given up, which must not log in afterwards; also where a rollback carried
    /// AWSPREVIOUS's very password, unless that is in its grace.
    pub(crate) fn is_candidate(&self, named: &Named) -> bool {
        let kept = self.in_grace().is_some_and(|previous| previous.same_password(&named.login));
        named.expected && named.role != "AWSCURRENT" && !kept
    }

    /// Retire: what is to be ended must be of AWSCURRENT's account, or there must be nothing.
    ///
    /// # Errors
    /// NeedsPerson where it is of another one, which is not changed from here.
    pub(crate) fn may_retire(&self) -> Result<(), StepError> {
        let Some(version) = self.skipped.first() else { return Ok(()) };
        let message = format!(
            "The credential of {version} is to be ended, and it is for another account than AWSCURRENT's, {}. Nothing was \
             changed.",
            self.account()
        );
        Err(StepError::new(Verdict::NeedsPerson, "other-account", message).remedy(
            "Give that account another password by hand, or lock it, when nobody uses it any more; then abandon what is left \
             of this rotation: AWSCURRENT stays as it is.",
        ))
    }

    /// The admin, or why a rotation that names one cannot go on.
    pub(crate) fn admin_or_error(&self) -> Result<Option<&Login>, StepError> {
        match &self.no_admin {
            // Putting AWSCURRENT back matters more than who does it.
            Some(error) if !self.restoring => Err(error.clone()),
            _ => Ok(self.admin.as_ref()),
        }
    }

    /// `"user" at host:port`, for messages.
    pub(crate) fn account(&self) -> String {
        format!("{} at {}", shown(&self.wanted.user), self.wanted.server())
    }

    /// None of the values we know logs in.
    pub(crate) fn nothing_logs_in(&self, code: &str, because: &str, statement: &str) -> StepError {
        let wanted = if self.restoring { "AWSCURRENT" } else { "the value to be set" };
        let wanted = self.try_wanted.then_some(wanted);
        let tried: Vec<&str> = wanted.into_iter().chain(self.known.iter().map(|named| named.role.as_str())).collect();
        let left_out = match self.skipped.is_empty() {
            true => String::new(),
            false => format!(" Not tried, because they are for another account: {}.", self.skipped.join(", ")),
        };
        let message = format!(
            "None of the values known for {} logs in (tried: {}). {because}{left_out}",
            self.account(),
            tried.join(", ")
        );
        StepError::new(Verdict::NeedsPerson, code, message).remedy(format!(
            "Have a database administrator run {statement} with the password of AWSCURRENT, or name an admin secret \
             in masterarn, then resume.",
        ))
    }
}

/// AWSPREVIOUS's login, where it is one of this kind.
pub(crate) fn previous(kind: &Kind, cx: &StepContext<'_>) -> Option<Login> {
    parse(kind, PREVIOUS, cx.material.previous.as_ref()?).ok()
}

/// The admin that the secret names, where one is named and may be used on this server.
pub(crate) fn admin(kind: &Kind, cx: &StepContext<'_>, current: &Login) -> Result<Option<Login>, StepError> {
    if let Some(why) = &cx.material.admin_missing {
        return Err(StepError::new(
            Verdict::NeedsPerson,
            "admin-secret",
            format!("The admin secret named by masterarn cannot be used: {why}"),
        )
        .remedy("Correct masterarn in the secret, or the admin secret itself, then resume."));
    }
    let Some(value) = &cx.material.admin else {
        return Ok(None);
    };
    let mut admin = parse(kind, "the admin secret", value)?;
    // The lock of the admin's change must be the one that the account's proof takes.
    admin.database.clone_from(&current.database);
    if !admin.same_server(current) {
        return Err(StepError::new(
            Verdict::NeedsPerson,
            "admin-elsewhere",
            format!(
                "The admin secret is for {}, the account is at {}: an admin's login is never sent to another server.",
                admin.server(),
                current.server()
            ),
        )
        .remedy(
            "Name in masterarn the admin secret of the same host and port. Where the secret lists several \"hosts\", \
             the admin secret lists them too.",
        ));
    }
    if admin.user == current.user {
        return Err(StepError::new(
            Verdict::NeedsPerson,
            "admin-is-account",
            format!("The admin secret logs in as {}, the account that is being rotated.", shown(&admin.user)),
        )
        .remedy("Take masterarn out, so that the account changes its own password, or name another admin."));
    }
    Ok(Some(admin))
}

fn other_account(wanted: &Login, current: &Login) -> StepError {
    let message = if wanted.same_server(current) {
        format!("Attempting to modify user {} other than current user {}.", shown(&wanted.user), shown(&current.user))
    } else {
        format!("Attempting to modify user for host {} other than current host {}.", wanted.server(), current.server())
    };
    StepError::new(Verdict::NeedsPerson, "other-account", message)
        .remedy("Abandon this rotation; write host, port and username by a plain PutSecretValue first, then rotate.")
}
