//! The values a step works with: unsealed for it alone, in the order in which they are likely to log in.
//!
//! Never here: who may ask (`lease.rs` has checked the lease), what the values are used for.

use crypto::DataKey;
use engine::id::{SecretId, VersionId};
use engine::label::{self as labels, Labels};
use engine::port::{Known, Material, Options};
use engine::rotation::{Rotation, Run, Step};
use engine::secret::SecretBytes;

use crate::admin::{self, mark_of, named_by};
use crate::model::Standing;
use crate::open::Inner;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, candidate, label, reader, resolve, rotation, sealed, secret, version};

impl Store {
    /// What is needed to look at the target of a secret while nothing is changed there: AWSCURRENT, and the version before
    /// it, whose credential may be alive still.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], [`StoreError::Sealed`], or the database fails.
    pub async fn standing(&self, id: &str) -> Result<Standing, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        row.live()?;
        let (secret, arn) = (row.id, row.arn.clone());
        let rotation = rotation::load(&mut tx, secret).await?;
        let labels = label::load(&mut tx, secret).await?;
        let mut vault = Vault { key: row.key(&self.0.keyring)?, labels, row, conn: &mut tx };
        let current = vault.labelled(labels::CURRENT).await?;
        let run = rotation.state.run().cloned();
        let retiring = match &run {
            Some(run) => vault.retiring(run).await?,
            None => None,
        };
        let before = match (retiring, vault.labels.holder(labels::PREVIOUS).cloned()) {
            (None, Some(previous)) => vault.value_of(&previous).await?.map(|value| Known {
                role: labels::PREVIOUS.to_owned(),
                value,
                version: Some(previous),
            }),
            (retiring, _) => retiring,
        };
        let current_version = vault.labels.holder(labels::CURRENT).cloned();
        let Admin { value: admin, missing: admin_missing, rotates: admin_rotates } = match &current {
            Some(current) => admin(vault.conn, &self.0, secret, current).await?,
            None => Admin::default(),
        };
        let material = Material {
            wanted: current.clone(),
            current,
            current_version,
            known: before.into_iter().collect(),
            admin,
            admin_missing,
            admin_rotates,
            options: rotation.options,
            ..Material::default()
        };
        Ok(Standing { arn, rotator: rotation.rotator, lane: rotation.lane, run, material })
    }
}

/// Gathers the values for the step `rotation` stands at.
pub(crate) async fn gather(
    conn: &mut Conn,
    inner: &Inner,
    id: SecretId,
    rotation: &Rotation,
    options: Options,
) -> Result<Material, StoreError> {
    let (Some(run), Some(step)) = (rotation.run(), rotation.step()) else {
        return Err(StoreError::NotOpen);
    };
    let row = secret::by_id(conn, id).await?.ok_or(StoreError::SecretNotFound)?;
    let mut vault = Vault { key: row.key(&inner.keyring)?, labels: label::load(conn, id).await?, row, conn };
    let current = vault.labelled(labels::CURRENT).await?;
    let current_version = vault.labels.holder(labels::CURRENT).cloned();
    // Create derives from AWSCURRENT and logs in nowhere.
    let (previous, unresolved) = match step {
        Step::Create | Step::Retire | Step::Revoke => (None, vec![]),
        // A trial logs in with AWSCURRENT, and guesses nothing else.
        _ if run.trial => (None, vec![]),
        _ => (vault.labelled(labels::PREVIOUS).await?, vault.unresolved(run).await?),
    };
    let wanted = match step {
        Step::Create => None,
        _ if run.trial => current.clone(),
        Step::Set | Step::Test | Step::Finish => Some(vault.candidate(run).await?),
        Step::Prove | Step::Restore | Step::Retire | Step::Revoke => current.clone(),
    };
    let labels = vault.labels.clone();
    let labelled = |role: &str, value: &Option<SecretBytes>| {
        let known = |value| Known { role: role.to_owned(), value, version: labels.holder(role).cloned() };
        value.clone().map(known)
    };
    let known: Vec<Known> = match step {
        Step::Create | Step::Revoke => vec![],
        Step::Retire => vault.retiring(run).await?.into_iter().collect(),
        Step::Set | Step::Test | Step::Finish => {
            let first = labelled(labels::CURRENT, &current).into_iter().chain(labelled(labels::PREVIOUS, &previous));
            first.chain(unresolved).collect()
        }
        Step::Prove | Step::Restore => unresolved.into_iter().chain(labelled(labels::PREVIOUS, &previous)).collect(),
    };
    let Admin { value: admin, missing: admin_missing, rotates: admin_rotates } = match &current {
        Some(current) => admin(vault.conn, inner, id, current).await?,
        None => Admin::default(),
    };
    // A trial waits for nobody, and can do without an admin whose own password is being changed.
    let (admin, admin_rotates) = if run.trial && admin_rotates { (None, false) } else { (admin, admin_rotates) };
    let known = distinct(wanted.as_ref(), known);
    // Labels may have moved since: what is in its grace is what is to be retired.
    let previous = match &run.retiring {
        Some(retiring) if previous.is_some() => vault.value_of(retiring).await?,
        _ => previous,
    };
    let carried = match &run.carries {
        Some(version) if step == Step::Create => vault.value_of(version).await?,
        _ => None,
    };
    let lagging = match &run.retiring {
        Some(retiring) if step == Step::Retire => reader::lagging(vault.conn, inner, id, retiring).await?,
        _ => vec![],
    };
    let admin_in_use = step == Step::Set && admin::is_in_use(vault.conn, inner, &vault.row).await?;
    Ok(Material {
        known,
        wanted,
        current,
        current_version,
        previous,
        admin,
        admin_missing,
        admin_rotates,
        admin_in_use,
        carried,
        lagging,
        options,
    })
}

/// What a rotation left behind under AWSPENDING may log in too, though no candidate says so: a backup brings back what was
/// dead.
pub(crate) async fn add_pending(
    conn: &mut Conn,
    inner: &Inner,
    row: &secret::Row,
    pending: &VersionId,
    material: &mut Material,
) -> Result<(), StoreError> {
    let Some(sealed) = version::get(conn, row.id, pending.as_str()).await?.and_then(|found| found.sealed) else {
        return Ok(());
    };
    let value = sealed::open(&row.key(&inner.keyring)?, &row.arn, pending.as_str(), &sealed)?.bytes;
    let pending = Known { role: labels::PENDING.to_owned(), value, version: Some(pending.clone()) };
    let known = std::mem::take(&mut material.known);
    let (previous, others): (Vec<_>, _) = known.into_iter().partition(|known| known.role == labels::PREVIOUS);
    let all = previous.into_iter().chain([pending]).chain(others);
    material.known = distinct(material.wanted.as_ref(), all.collect());
    Ok(())
}

/// One secret, opened.
struct Vault<'a> {
    conn: &'a mut Conn,
    row: secret::Row,
    key: DataKey,
    labels: Labels,
}

impl Vault<'_> {
    fn open(&self, version: &VersionId, sealed: &sealed::Sealed) -> Result<SecretBytes, StoreError> {
        Ok(sealed::open(&self.key, &self.row.arn, version.as_str(), sealed)?.bytes)
    }

    async fn labelled(&mut self, label: &str) -> Result<Option<SecretBytes>, StoreError> {
        match self.labels.holder(label).cloned() {
            Some(holder) => self.value_of(&holder).await,
            None => Ok(None),
        }
    }

    async fn candidate(&mut self, run: &Run) -> Result<SecretBytes, StoreError> {
        let found = candidate::get(self.conn, self.row.id, &run.token, run.candidate).await?;
        let found = found.ok_or_else(|| StoreError::inconsistent("the rotation's candidate is not there"))?;
        self.open(&found.version, &found.sealed)
    }

    /// The version whose grace is over, where it is still there.
    async fn retiring(&mut self, run: &Run) -> Result<Option<Known>, StoreError> {
        let Some(retiring) = &run.retiring else {
            return Ok(None);
        };
        let value = self.value_of(retiring).await?;
        let role = format!("version {retiring}");
        Ok(value.map(|value| Known { role, value, version: Some(retiring.clone()) }))
    }

    async fn value_of(&mut self, version: &VersionId) -> Result<Option<SecretBytes>, StoreError> {
        let found = version::get(self.conn, self.row.id, version.as_str()).await?;
        let sealed = found.and_then(|found| found.sealed);
        sealed.map(|sealed| self.open(version, &sealed)).transpose()
    }

    async fn unresolved(&mut self, run: &Run) -> Result<Vec<Known>, StoreError> {
        let rows = candidate::unresolved(self.conn, self.row.id).await?;
        let known = |row: candidate::Row| {
            let latest = row.version == run.token && row.sealed.candidate == run.candidate;
            let role = if latest && self.labels.holder(labels::PENDING) == Some(&run.token) {
                labels::PENDING.to_owned()
            } else {
                format!("candidate {} of {}", row.sealed.candidate, row.version)
            };
            let value = self.open(&row.version, &row.sealed)?;
            // Over the API a version shows its latest candidate only.
            let version = (latest || row.version != run.token).then_some(row.version);
            Ok(Known { role, value, version })
        };
        rows.into_iter().map(known).collect()
    }
}

/// Without values that stand earlier, or are the one wanted: each costs a login.
fn distinct(wanted: Option<&SecretBytes>, known: Vec<Known>) -> Vec<Known> {
    let mut out: Vec<Known> = Vec::new();
    for one in known {
        let same = |other: &SecretBytes| other.expose() == one.value.expose();
        if !wanted.is_some_and(same) && !out.iter().any(|earlier| same(&earlier.value)) {
            out.push(one);
        }
    }
    out
}

/// What there is of the secret that `masterarn` names.
#[derive(Default)]
struct Admin {
    value: Option<SecretBytes>,
    missing: Option<String>,
    /// A rotation of it may have changed its password already.
    rotates: bool,
}

/// AWSCURRENT of the secret that `masterarn` names, or why there is none.
async fn admin(conn: &mut Conn, inner: &Inner, own: SecretId, current: &SecretBytes) -> Result<Admin, StoreError> {
    let Some(named) = named_by(current) else {
        return Ok(Admin::default());
    };
    // Anybody's text, on its way into messages and logs: shown only where it could be a secret's id.
    let shown: String = match mark_of(current) {
        mark if mark.is_empty() => "that masterarn names".to_owned(),
        mark => mark.chars().take(100).collect(),
    };
    let missing =
        |why: &str| Ok(Admin { missing: Some(format!("the admin secret {shown} {why}")), ..Admin::default() });
    let row = match resolve::find(conn, &named).await {
        Ok(row) => row,
        Err(StoreError::SecretNotFound) => return missing("does not exist"),
        Err(error) => return Err(error),
    };
    if row.deleted.is_some() {
        return missing("is marked for deletion");
    }
    if row.id == own {
        return missing("is this secret itself");
    }
    let rotates =
        rotation::load(&mut *conn, row.id).await?.state.run().is_some_and(|run| run.sets > 0 && !run.promoted);
    let key = match row.key(&inner.keyring) {
        Ok(key) => key,
        Err(StoreError::Sealed(_)) => return missing("does not open"),
        Err(error) => return Err(error),
    };
    let labels = label::load(conn, row.id).await?;
    let mut vault = Vault { conn, row, key, labels };
    match vault.labelled(labels::CURRENT).await {
        Ok(Some(value)) => Ok(Admin { value: Some(value), missing: None, rotates }),
        Ok(None) => missing("has no AWSCURRENT value"),
        Err(StoreError::Sealed(_)) => missing("does not open"),
        Err(error) => Err(error),
    }
}
