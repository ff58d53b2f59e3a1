//! Changes the password of one MySQL or MariaDB account, all rows `'user'@'host'` of it. What the two servers have in
//! common is here; `mysql.rs` and `mariadb.rs` say in what they differ. Never here: the store, the API.

pub(crate) mod accounts;
mod blind;
pub(crate) mod check;
pub(crate) mod dual;
pub(crate) mod errors;
pub(crate) mod hash;
pub(crate) mod session;
mod steps;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use engine::check::{Report, Verified};
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Rotator, StepContext};
use engine::secret::SecretBytes;
use zeroize::Zeroizing;

use self::accounts::Row;
use self::dual::{By, Goal, Lacking, Outlook};
use self::hash::Plugin;
use self::session::Session;
use self::steps::Steps;
use crate::connection::{Kind, Login, next_value};
use crate::effort::Effort;
use crate::parties::Parties;
use crate::tls::Trust;

/// In what MySQL and MariaDB differ.
#[async_trait]
pub(crate) trait Flavor: check::Look + Send + Sync {
    fn kind(&self) -> &'static Kind;

    /// The plugins whose passwords can be rotated.
    fn plugins(&self) -> &'static [Plugin];

    /// Assignments of a `SET SESSION` that bound one statement.
    fn statement_limits(&self) -> String;

    /// Expressions: is the server read-only, and after how many refused logins does it lock any account (0: none).
    fn server_state(&self) -> &'static str;

    /// All rows of the account; None where this login may not read the catalogue.
    async fn all_rows(&self, session: &mut Session, user: &str) -> Result<Option<Vec<Row>>, StepError>;

    /// The row we are logged in by, which every account may see.
    async fn own_row(&self, session: &mut Session, host: &str) -> Result<Row, StepError>;

    /// Whether accounts of a server of this version may have two passwords.
    fn takes_two(&self, version: &str) -> bool;

    /// From which version on they may, for messages.
    fn two_since(&self) -> &'static str;

    /// What else this session lacks for two passwords: see [`dual::lacking`].
    async fn lacking(&self, session: &mut Session, by: By) -> Result<Option<Lacking>, StepError>;

    /// What is to become of a row whose hashes are known.
    fn outlook(&self, row: &Row, goal: &Goal<'_>) -> Result<Outlook, StepError>;

    /// The statements that bring rows to the goal, in order. `own`: by the account itself, whose one row it is.
    async fn statements(
        &self,
        session: &mut Session,
        goal: &Goal<'_>,
        rows: &[&Row],
        own: bool,
    ) -> Result<Vec<Statement>, StepError>;

    /// Of an account that sees no hashes: the wanted password in the place of `first`, refused where that is not the
    /// first password. None where the server always shows an account its own.
    fn swap(&self, _wanted: &Login, _first: &Login, _retain: bool) -> Option<Statement> {
        None
    }

    /// Of the same: ends the second password.
    fn end_second(&self) -> Option<Statement> {
        None
    }
}

/// A statement for a target. It may hold a hash or, where the server takes nothing else, a password.
pub(crate) type Statement = Zeroizing<String>;

/// The rotator of one of the two.
pub(crate) struct Family<F> {
    pub flavor: F,
    pub trust: Arc<Trust>,
}

#[async_trait]
impl<F: Flavor + 'static> Rotator for Family<F> {
    fn name(&self) -> &str {
        self.flavor.kind().name
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        let current = cx.material.current.as_ref().ok_or_else(crate::no_current)?;
        Ok(next_value(self.flavor.kind(), &cx.material.options, current, password)?.into())
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let parties = Parties::read(self.flavor.kind(), cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { flavor: &self.flavor, trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.set()).await?;
        Ok(effort.done())
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let parties = Parties::read(self.flavor.kind(), cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { flavor: &self.flavor, trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.test()).await?;
        Ok(effort.done())
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        let parties = Parties::read(self.flavor.kind(), cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { flavor: &self.flavor, trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.prove()).await
    }

    async fn verify(&self, cx: &StepContext<'_>) -> Result<Verified, StepError> {
        let parties = Parties::read(self.flavor.kind(), cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { flavor: &self.flavor, trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.verify()).await
    }

    async fn check(&self, cx: &StepContext<'_>) -> Result<Report, StepError> {
        let parties = Parties::read(self.flavor.kind(), cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { flavor: &self.flavor, trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.check()).await
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let parties = Parties::read(self.flavor.kind(), cx)?;
        let effort = Effort::new(cx.login_budget);
        let step = Steps { flavor: &self.flavor, trust: &self.trust, cx, parties: &parties, effort: &effort };
        effort.within(cx.deadline, &parties.wanted.server(), step.retire()).await?;
        Ok(effort.done())
    }
}

/// The database contradicts us.
pub(crate) fn contradiction(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "contradiction",
        format!("{} answered a question of ours in a form that no known version uses.", login.server()),
    )
    .remedy("Report this, with the server's version.")
}
