//! What of a secret's preflight is known here: its admin secret, and whose admin it is itself.
//! Never here: the target, which a rotator looks at; settings that contradict each other (`engine::settings`).

use engine::check::{Finding, Level};

use crate::model::Sight;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, admin, resolve, rotation};

impl Store {
    /// Findings about the secret, to stand beside those about its target. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], or the database fails.
    pub async fn preflight(&self, sight: &Sight) -> Result<Vec<Finding>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let secret = resolve::find(&mut tx, &sight.arn).await?;
        let mut findings = Vec::new();
        findings.extend(of_admin(&mut tx, sight).await?);
        if admin::is_admin(&mut tx, secret.id, &secret.name, &secret.arn).await? {
            let said = "other secrets name this one as their admin: its rotations and theirs wait for each other";
            findings.push(Finding::new(Level::Ok, "is-admin", said));
        }
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
