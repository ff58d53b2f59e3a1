//! Owns the two accounts of a pair side by side, row by row of the catalogue: which row has no counterpart, and in what
//! rights and settings two rows differ. Never here: changing anything.

use engine::outcome::{StepError, Verdict};

use crate::my::accounts::{Row, differing, listed};
use crate::my::entry::account;
use crate::my::errors::{LOCKED_CODE, line, told};
use crate::my::rights::read::{is_seen, is_there, rights};
use crate::my::rights::{Bundle, GRANT_OPTION, On, Right, Rights, bundles};
use crate::my::session::Session;
use crate::my::settings::Settings;
use crate::my::{Brand, Flavor};
use crate::pair::Pair;
use crate::quote::{my_account, shown};

/// A row of AWSCURRENT's account and the one of the idle account for the same host.
pub(super) struct Twin {
    pub active: Row,
    pub idle: Option<Row>,
    /// What the active row may do and the idle one may not, and the reverse.
    pub missing: Vec<Right>,
    pub extra: Vec<Right>,
    pub active_rights: Rights,
    pub active_settings: Settings,
    pub idle_settings: Option<Settings>,
}

/// All rows of both.
pub(super) struct Twins {
    pub list: Vec<Twin>,
    /// Rows of the idle account that the active one does not have.
    pub alone: Vec<Row>,
}

impl Twins {
    pub(super) async fn read(session: &mut Session, flavor: &dyn Flavor, pair: &Pair) -> Result<Self, StepError> {
        is_seen(session).await?;
        let active = rows(session, flavor, &pair.active.user).await?;
        let mut idle = rows(session, flavor, &pair.other).await?;
        if active.is_empty() {
            return Err(told(line(1133), 1133, Verdict::NeedsPerson, &pair.active, ""));
        }
        let mut list = Vec::with_capacity(active.len());
        for row in active {
            let counterpart = idle.iter().position(|idle| idle.host == row.host).map(|i| idle.swap_remove(i));
            list.push(Twin::read(session, flavor.brand(), pair, row, counterpart).await?);
        }
        Ok(Self { list, alone: idle })
    }

    /// Every reason not to touch the idle account.
    pub(super) fn may_change(&self, flavor: &dyn Flavor, pair: &Pair, allow_differing: bool) -> Result<(), StepError> {
        let idle = pair.idle_with("");
        // Whoever has another row's password is somebody else: our readers must not get what that row may do.
        let foreign = self.list.iter().map(|twin| &twin.active).filter(|row| !row.holds(&pair.active, &pair.active));
        let foreign: Vec<&Row> = foreign.collect();
        if !foreign.is_empty() && !allow_differing {
            return Err(differing(&foreign, &pair.active));
        }
        if let Some(locked) = self.list.iter().find(|twin| !twin.active.locked && twin.is_locked()) {
            tracing::debug!(host = locked.active.host, "the idle account is locked");
            return Err(told(line(LOCKED_CODE), LOCKED_CODE, Verdict::NeedsPerson, &idle, ""));
        }
        for twin in &self.list {
            twin.active.known_plugin(flavor.plugins(), &pair.active)?;
            if let Some(row) = &twin.idle {
                row.known_plugin(flavor.plugins(), &idle)?;
                row.only_passwords(&idle)?;
            }
        }
        self.no_more_than_active(pair)
    }

    /// The idle account is there, and not because an earlier Set of this value made it.
    pub(super) fn is_there(&self, pair: &Pair) -> bool {
        let mut idle = self.list.iter().filter_map(|twin| twin.idle.as_ref()).peekable();
        idle.peek().is_some() && !idle.any(|row| pair.wanted.as_ref().is_some_and(|wanted| row.holds(wanted, wanted)))
    }

    /// The idle account may do nothing of what the active one may. What somebody made to take turns with it, by AWS's
    /// functions or by hand, may; and what it may do beyond that is refused anyway ([`Self::no_more_than_active`]).
    pub(super) fn is_stranger(&self) -> bool {
        let has_any = self.list.iter().any(|twin| !twin.active_rights.is_empty());
        let shares = |twin: &Twin| twin.active_rights.len() > twin.missing.len();
        has_any && !self.list.iter().any(shares)
    }

    /// A right that the idle account has and AWSCURRENT's does not was given by a person, or it is the account of
    /// somebody else altogether: it is neither taken away nor handed on.
    pub(super) fn no_more_than_active(&self, pair: &Pair) -> Result<(), StepError> {
        if !self.alone.is_empty() {
            return Err(row_alone(&self.alone, pair));
        }
        match self.list.iter().find(|twin| !twin.extra.is_empty()) {
            Some(twin) => Err(twin.more_than_active(pair)),
            None => Ok(()),
        }
    }

    /// The idle account can do what AWSCURRENT's can and is set as it is: else Set mends it.
    pub(super) async fn no_less_than_active(
        &self,
        session: &mut Session,
        brand: Brand,
        pair: &Pair,
    ) -> Result<(), StepError> {
        for twin in &self.list {
            let mut missing = Vec::new();
            for right in &twin.missing {
                if is_there(session, &right.on).await? {
                    missing.push(right);
                }
            }
            let settings = twin.active_settings.differing(twin.idle_settings.as_ref());
            let roles = twin.active_settings.default_roles(twin.idle_settings.as_ref(), brand, "");
            if missing.is_empty() && settings.is_none() && roles.is_none() {
                continue;
            }
            return Err(twin.less_than_active(pair, &bundles(missing), settings.as_deref(), roles.is_some()));
        }
        Ok(())
    }

    /// Rows of the idle account that do not hold its new password.
    pub(super) fn lacking(&self, pair: &Pair) -> Vec<&Twin> {
        let Some(wanted) = &pair.wanted else { return vec![] };
        let holds = |twin: &&Twin| twin.idle.as_ref().is_some_and(|row| row.holds(wanted, wanted));
        self.list.iter().filter(|twin| !holds(twin)).collect()
    }
}

impl Twin {
    async fn read(
        session: &mut Session,
        brand: Brand,
        pair: &Pair,
        active: Row,
        idle: Option<Row>,
    ) -> Result<Self, StepError> {
        let active_rights = rights(session, brand, &pair.active.user, &active.host).await?;
        let active_settings =
            Settings::read(session, brand, &pair.active.user, &active.host).await?.unwrap_or_default();
        let (idle_rights, idle_settings) = match &idle {
            None => (Rights::new(), None),
            Some(row) => (
                rights(session, brand, &pair.other, &row.host).await?,
                Settings::read(session, brand, &pair.other, &row.host).await?,
            ),
        };
        Ok(Self {
            missing: active_rights.difference(&idle_rights).cloned().collect(),
            extra: idle_rights.difference(&active_rights).cloned().collect(),
            active,
            idle,
            active_rights,
            active_settings,
            idle_settings,
        })
    }

    fn is_locked(&self) -> bool {
        self.idle.as_ref().is_some_and(|row| row.locked)
    }

    /// May the active row hand on whatever it has?
    pub(super) fn active_grants_all(&self) -> bool {
        let whole = Right { on: On::Server, privilege: GRANT_OPTION.to_owned(), pass_on: false };
        self.active_rights.contains(&whole)
    }

    /// Dynamic privileges of the active row that it may hand on.
    pub(super) fn dynamic_to_pass_on(&self) -> impl Iterator<Item = &Right> {
        self.active_rights.iter().filter(|right| right.on == On::Dynamic && right.pass_on)
    }

    /// The idle row, quoted.
    pub(super) fn idle_name(&self, pair: &Pair) -> String {
        my_account(&pair.other, &self.active.host)
    }

    fn active_name(&self, pair: &Pair) -> String {
        my_account(&pair.active.user, &self.active.host)
    }

    fn more_than_active(&self, pair: &Pair) -> StepError {
        let (idle, active) = (self.idle_name(pair), self.active_name(pair));
        let extra = bundles(&self.extra);
        let mut message = format!(
            "{} at {} has rights that {} does not have: {}.",
            shown(&idle),
            pair.active.server(),
            shown(&active),
            enumerated(&extra, Bundle::shown)
        );
        if !self.missing.is_empty() {
            message += &format!(" It lacks: {}.", enumerated(&bundles(&self.missing), Bundle::shown));
        }
        StepError::new(Verdict::NeedsPerson, "rights-differ", message).remedy(format!(
            "Give both the same: {}; or take it from the other: {}. Then resume.",
            shown(&enumerated(&extra, |bundle| bundle.give(&active))),
            shown(&enumerated(&extra, |bundle| bundle.take(&idle)))
        ))
    }

    fn less_than_active(&self, pair: &Pair, missing: &[Bundle], settings: Option<&str>, roles: bool) -> StepError {
        let idle = self.idle_name(pair);
        let settings_named = settings.map(|settings| format!("the setting {}", shown(settings)));
        let roles_named = roles.then(|| "its default roles".to_owned());
        let rights = missing.iter().map(Bundle::shown);
        let named: Vec<String> = rights.chain(settings_named).chain(roles_named).collect();
        let message = format!(
            "{} at {} lacks what {} has: {}.",
            shown(&idle),
            pair.active.server(),
            shown(&self.active_name(pair)),
            enumerated(&named, Clone::clone)
        );
        let alter = settings.map(|settings| format!("ALTER USER {idle} {settings}"));
        let statements: Vec<String> = missing.iter().map(|bundle| bundle.give(&idle)).chain(alter).collect();
        StepError::new(Verdict::Rejected, "rights-differ", message).remedy(format!(
            "The next setSecret gives it; see who takes it away. The statement: {}",
            shown(&enumerated(&statements, Clone::clone))
        ))
    }
}

/// All rows of an account, which the admin must be allowed to read.
pub(super) async fn rows(session: &mut Session, flavor: &dyn Flavor, user: &str) -> Result<Vec<Row>, StepError> {
    match flavor.all_rows(session, user).await? {
        Some(rows) => Ok(rows),
        None => Err(told(line(1142), 1142, Verdict::NeedsPerson, &session.login, &session.by)),
    }
}

/// A few of them, and how many more there are.
pub(super) fn enumerated<T>(list: &[T], text: impl Fn(&T) -> String) -> String {
    const FEW: usize = 5;
    let few = list.iter().take(FEW).map(text).collect::<Vec<_>>().join("; ");
    match list.len().saturating_sub(FEW) {
        0 => few,
        more => format!("{few}; and {more} more"),
    }
}

fn row_alone(alone: &[Row], pair: &Pair) -> StepError {
    let idle = pair.idle_with("");
    let rows = listed(&alone.iter().collect::<Vec<_>>(), &idle);
    let message = format!("{} has rows that {} does not have: {rows}.", account(&idle), shown(&pair.active.user));
    let make: Vec<&str> = alone.iter().map(|row| row.host.as_str()).collect();
    let active = enumerated(&make, |host| shown(&my_account(&pair.active.user, host)));
    StepError::new(Verdict::NeedsPerson, "row-alone", message)
        .remedy(format!("Run DROP USER {rows}, or make their counterparts: {active}. Then resume."))
}
