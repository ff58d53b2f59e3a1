//! For people, offline: every value that the target of a secret may hold, also of a secret that was deleted while its
//! rotation was open. Never here: a way to this over the API.

use engine::id::VersionId;
use engine::secret::SecretValue;

use crate::sealed::{Sealed, kind_of};
use crate::sql::Flag;
use crate::tx::snapshot;
use crate::version::version_id;
use crate::{Store, StoreError, sealed, sql};

/// A value that the target may hold.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Of which secret.
    pub arn: String,
    /// It was deleted for good, and is kept for these values alone.
    pub gone: bool,
    /// Of which version.
    pub version_id: VersionId,
    /// Which of that version's candidates.
    pub candidate: u32,
    /// The value.
    pub value: SecretValue,
}

#[derive(sqlx::FromRow)]
struct Raw {
    arn: String,
    data_key: Vec<u8>,
    gone: Flag,
    version_id: String,
    n: i64,
    kind: String,
    sealed: Vec<u8>,
}

impl Store {
    /// The unresolved candidates of every secret that has or had this name, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] where a row does not open; or the database fails.
    pub async fn recover(&self, name: &str) -> Result<Vec<Recovered>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let raws: Vec<Raw> = sql::query_as(UNRESOLVED).bind(name).fetch_all(&mut tx).await?;
        raws.into_iter().map(|raw| self.open_candidate(raw)).collect()
    }

    fn open_candidate(&self, raw: Raw) -> Result<Recovered, StoreError> {
        let candidate = u32::try_from(raw.n).map_err(|_| StoreError::inconsistent("a candidate's number"))?;
        let sealed = Sealed { kind: kind_of(&raw.kind)?, candidate, envelope: raw.sealed };
        let key = self.0.keyring.unwrap(&raw.arn, &raw.data_key)?;
        let value = sealed::open(&key, &raw.arn, &raw.version_id, &sealed)?;
        Ok(Recovered { arn: raw.arn, gone: raw.gone.0, version_id: version_id(raw.version_id)?, candidate, value })
    }
}

const UNRESOLVED: &str = "-- recover::recover
SELECT s.arn, s.data_key, s.gone, c.version_id, c.n, c.kind, c.sealed
FROM secret s JOIN candidate c ON c.secret_id = s.id
WHERE s.name = $1 AND c.resolved_ms IS NULL ORDER BY c.id DESC";
