//! What of a secret's preflight is known here: its admin secret, whose admin it is itself, its grace against its schedule.
//! Never here: the target, which a rotator looks at.

use chrono::TimeDelta;
use engine::Time;
use engine::check::{Finding, Level};
use engine::strategy::{Retirement, Strategy};

use crate::model::Sight;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, admin, resolve, rotation};

impl Store {
    /// Findings about the secret, to stand beside those about its target. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn preflight(&self, sight: &Sight, now: Time) -> Result<Vec<Finding>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let secret = resolve::find(&mut tx, &sight.arn).await?;
        let row = rotation::load(&mut tx, secret.id).await?;
        let mut findings = Vec::new();
        findings.extend(of_admin(&mut tx, sight).await?);
        if admin::is_admin(&mut tx, secret.id, &secret.name, &secret.arn).await? {
            let said = "other secrets name this one as their admin: its rotations and theirs wait for each other";
            findings.push(Finding::new(Level::Ok, "is-admin", said));
        }
        findings.extend(of_grace(&row, sight, now, self.0.options.schedule_limits));
        Ok(findings)
    }
}

/// The admin secret that the value names.
async fn of_admin(conn: &mut Conn, sight: &Sight) -> Result<Option<Finding>, StoreError> {
    if let Some(why) = &sight.material.admin_missing {
        let remedy = "put the ARN of a secret that is there into \"masterarn\", or take it out of the value";
        return Ok(Some(Finding::new(Level::Problem, "admin-missing", why).remedy(remedy)));
    }
    if sight.material.admin_rotates {
        let said = "the admin secret is being rotated just now; what needs it waits until that is done";
        return Ok(Some(Finding::new(Level::Warning, "admin-rotates", said)));
    }
    let named = sight.material.current.as_ref().and_then(admin::named_by);
    let Some(named) = named.filter(|_| sight.material.admin.is_some()) else { return Ok(None) };
    let admin = resolve::find(conn, &named).await?;
    if rotation::load(conn, admin.id).await?.enabled {
        return Ok(None);
    }
    let said = format!("the admin secret {} is not rotated itself", admin.name);
    let remedy = format!("pawl rotation enable {} --days 30", admin.name);
    Ok(Some(Finding::new(Level::Warning, "admin-not-rotated", said).remedy(remedy)))
}

/// A rotation that comes within the grace of the one before it would wait for its end each time.
fn of_grace(row: &rotation::Row, sight: &Sight, now: Time, limits: engine::schedule::Limits) -> Option<Finding> {
    let options = &sight.material.options;
    let retains = !matches!(options.strategy, None | Some(Strategy::SingleUser));
    if !retains || options.retirement() == Retirement::Never {
        return None;
    }
    let first = row.next_window(now, limits)?;
    let interval =
        rotation::Row { base: Some(first.opens), ..row.clone() }.next_window(first.opens, limits)?.opens - first.opens;
    let grace = TimeDelta::from_std(options.grace()).unwrap_or(TimeDelta::MAX);
    (interval <= grace).then(|| {
        let said = "the interval of the schedule is not longer than the grace: each rotation would wait for the end of the \
                    grace of the one before it";
        Finding::new(Level::Problem, "grace", said).remedy("shorten the grace, or rotate less often")
    })
}
