//! Who is who in one step, as `rotators/src/parties.rs` has it: the account that is changed, the values that may log in as
//! it, and the admin. Never here: connections.

use engine::outcome::{StepError, Verdict};
use engine::port::StepContext;
use engine::secret::SecretBytes;
use serde_json::Value;

const PREVIOUS: &str = "AWSPREVIOUS";

/// Where a value logs in, as whom and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Login {
    /// What a value says.
    pub(crate) fn of(value: &SecretBytes) -> Option<Self> {
        let value: Value = serde_json::from_slice(value.expose()).ok()?;
        let key = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Self { host: key("host")?, user: key("username")?, password: key("password")? })
    }

    pub(crate) fn same_account(&self, other: &Self) -> bool {
        self.host == other.host && self.user == other.user
    }

    pub(crate) fn account(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }
}

pub(crate) fn parse(value: &SecretBytes) -> Result<Login, StepError> {
    let needs = || StepError::new(Verdict::NeedsPerson, "not-json", "a value is no login").remedy("Write one.");
    Login::of(value).ok_or_else(needs)
}

/// A login and what messages call it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) role: String,
    pub(crate) login: Login,
    /// Not AWSPREVIOUS: the account may have it by right today.
    pub(crate) expected: bool,
}

#[derive(Debug)]
pub(crate) struct Parties {
    pub(crate) wanted: Login,
    pub(crate) known: Vec<Named>,
    pub(crate) admin: Option<Login>,
    pub(crate) no_admin: Option<StepError>,
    pub(crate) restoring: bool,
    try_wanted: bool,
    skipped: bool,
    previous: Option<Login>,
    grace: bool,
}

impl Parties {
    pub(crate) fn read(cx: &StepContext<'_>) -> Result<Self, StepError> {
        let material = cx.material;
        let no_value =
            || StepError::new(Verdict::NeedsPerson, "no-value", "no value").remedy("Start another rotation.");
        let value = material.wanted.as_ref().ok_or_else(no_value)?;
        let wanted = parse(value)?;
        let current = material.current.as_ref().map(parse).transpose()?.unwrap_or_else(|| wanted.clone());
        if !wanted.same_account(&current) {
            return Err(StepError::new(Verdict::NeedsPerson, "other-account", "another account").remedy("Abandon it."));
        }
        let (admin, no_admin) = match admin(cx, &current) {
            Ok(admin) => (admin, None),
            Err(error) => (None, Some(error)),
        };
        let mut parties = Self {
            restoring: material.current.as_ref().is_some_and(|current| current.expose() == value.expose()),
            try_wanted: cx.attempted || wanted.password == current.password,
            wanted,
            known: vec![],
            admin,
            no_admin,
            skipped: false,
            previous: previous(cx).filter(|previous| previous.same_account(&current)),
            grace: cx.run.retiring.is_some(),
        };
        parties.add("AWSCURRENT", Some(current.clone()), &current);
        for known in &material.known {
            parties.add(&known.role, Login::of(&known.value), &current);
        }
        Ok(parties)
    }

    fn add(&mut self, role: &str, login: Option<Login>, current: &Login) {
        let Some(login) = login.filter(|login| login.same_account(current)) else {
            self.skipped = true;
            return;
        };
        let repeated = login.password == self.wanted.password
            || self.known.iter().any(|known| known.login.password == login.password);
        if !repeated {
            self.known.push(Named { role: role.to_owned(), login, expected: role != PREVIOUS });
        }
    }

    /// The account's own logins in the order in which Set tries them.
    pub(crate) fn own_logins(&self) -> Vec<&Login> {
        let wanted = self.try_wanted.then_some(&self.wanted);
        let again = wanted.filter(|_| !self.known.is_empty());
        wanted.into_iter().chain(self.known.iter().map(|named| &named.login)).chain(again).collect()
    }

    /// AWSCURRENT's password, where it is not the wanted one.
    pub(crate) fn current(&self) -> Option<&str> {
        self.known.iter().find(|named| named.role == "AWSCURRENT").map(|named| named.login.password.as_str())
    }

    pub(crate) fn in_grace(&self) -> Option<&str> {
        self.previous.as_ref().filter(|_| self.grace).map(|previous| previous.password.as_str())
    }

    pub(crate) fn is_candidate(&self, named: &Named) -> bool {
        let kept = self.in_grace() == Some(&named.login.password);
        named.expected && named.role != "AWSCURRENT" && !kept
    }

    pub(crate) fn may_retire(&self) -> Result<(), StepError> {
        let other = StepError::new(Verdict::NeedsPerson, "other-account", "what is to be ended is of another account");
        if self.skipped { Err(other.remedy("End it by hand.")) } else { Ok(()) }
    }

    pub(crate) fn admin_or_error(&self) -> Result<Option<&Login>, StepError> {
        match &self.no_admin {
            Some(error) if !self.restoring => Err(error.clone()),
            _ => Ok(self.admin.as_ref()),
        }
    }

    pub(crate) fn nothing_logs_in(&self) -> StepError {
        let message = format!("none of the values known for {} logs in", self.wanted.account());
        StepError::new(Verdict::NeedsPerson, "28P01", message).remedy("Set AWSCURRENT's password by hand, then resume.")
    }
}

pub(crate) fn previous(cx: &StepContext<'_>) -> Option<Login> {
    Login::of(cx.material.previous.as_ref()?)
}

pub(crate) fn admin(cx: &StepContext<'_>, current: &Login) -> Result<Option<Login>, StepError> {
    if let Some(why) = &cx.material.admin_missing {
        let message = format!("the admin secret cannot be used: {why}");
        return Err(StepError::new(Verdict::NeedsPerson, "admin-secret", message).remedy("Correct masterarn."));
    }
    let Some(value) = &cx.material.admin else { return Ok(None) };
    let admin = parse(value)?;
    if admin.host != current.host || admin.user == current.user {
        let message = "the admin secret is for another server, or for this very account";
        return Err(StepError::new(Verdict::NeedsPerson, "admin-elsewhere", message).remedy("Name another admin."));
    }
    Ok(Some(admin))
}
