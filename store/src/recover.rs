//! For people, with the keyring at hand: every value that the target of a secret may hold, and AWSCURRENT; also of a secret
//! that was deleted while its rotation was open. Never here: a way to this over the API.

use engine::id::VersionId;
use engine::label;
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
    /// Which of that version's candidates; 0: it never was one.
    pub candidate: u32,
    /// It is the value of AWSCURRENT.
    pub current: bool,
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
    /// The unresolved candidates of every secret that has or had this name or ARN, newest first; behind them the value of
    /// AWSCURRENT, where it is none of those. Empty: there is no such secret, or it has no value.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] where a row does not open; or the database fails.
    pub async fn recover(&self, id: &str) -> Result<Vec<Recovered>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let raws: Vec<Raw> = sql::query_as(UNRESOLVED).bind(id).fetch_all(&mut tx).await?;
        let mut found = raws.into_iter().map(|raw| self.open_value(raw)).collect::<Result<Vec<_>, _>>()?;
        let raws: Vec<Raw> = sql::query_as(CURRENT).bind(id).bind(label::CURRENT).fetch_all(&mut tx).await?;
        for raw in raws {
            let current = self.open_value(raw)?;
            // What was sent to the target once is a candidate of its own version.
            let same = |one: &&mut Recovered| one.version_id == current.version_id && one.value.same_as(&current.value);
            match found.iter_mut().find(same) {
                Some(one) => one.current = true,
                None => found.push(Recovered { current: true, ..current }),
            }
        }
        Ok(found)
    }

    fn open_value(&self, raw: Raw) -> Result<Recovered, StoreError> {
        let candidate = u32::try_from(raw.n).map_err(|_| StoreError::inconsistent("a candidate's number"))?;
        let sealed = Sealed { kind: kind_of(&raw.kind)?, candidate, envelope: raw.sealed };
        let key = self.0.keyring.unwrap(&raw.arn, &raw.data_key)?;
        let value = sealed::open(&key, &raw.arn, &raw.version_id, &sealed)?;
        let version_id = version_id(raw.version_id)?;
        Ok(Recovered { arn: raw.arn, gone: raw.gone.0, version_id, candidate, current: false, value })
    }
}

const UNRESOLVED: &str = "-- recover::recover
SELECT s.arn, s.data_key, s.gone, c.version_id, c.n, c.kind, c.sealed
FROM secret s JOIN candidate c ON c.secret_id = s.id
WHERE (s.name = $1 OR s.arn = $1) AND c.resolved_ms IS NULL ORDER BY c.id DESC";

const CURRENT: &str = "-- recover::recover (current)
SELECT s.arn, s.data_key, s.gone, v.version_id, COALESCE(v.candidate, 0) AS n, v.kind, COALESCE(c.sealed, v.sealed) AS sealed
FROM secret s
JOIN label l ON l.secret_id = s.id AND l.label = $2
JOIN version v ON v.secret_id = s.id AND v.version_id = l.version_id
LEFT JOIN candidate c ON c.secret_id = v.secret_id AND c.version_id = v.version_id AND c.n = v.candidate
WHERE (s.name = $1 OR s.arn = $1) AND v.kind IS NOT NULL";
