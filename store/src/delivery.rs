//! Deliveries: the steps of history that were sent to a registered rotator. No second table.
//!
//! Never here: sending, writing history (`history.rs`).

use engine::id::SecretId;

use crate::instant::{instant, instant_opt};
use crate::model::Delivery;
use crate::tx::{Conn, snapshot};
use crate::{Store, StoreError, registration, sql};

impl Store {
    /// What was sent to a rotator, newest first; `before` a number leaves out that delivery and newer ones.
    ///
    /// # Errors
    /// [`StoreError::RotatorNotFound`]; or the database fails.
    pub async fn deliveries(
        &self,
        rotator: &str,
        limit: u32,
        before: Option<i64>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut tx = snapshot(&self.0).await?;
        if registration::state(&mut tx, rotator).await?.is_none() {
            return Err(StoreError::RotatorNotFound(rotator.to_owned()));
        }
        let query = sql::query_as(LATEST).bind(rotator).bind(before.unwrap_or(i64::MAX));
        let raws: Vec<Raw> = query.bind(i64::from(limit)).fetch_all(&mut tx).await?;
        raws.into_iter().map(Delivery::try_from).collect()
    }
}

/// What a delivery was about.
pub(crate) struct Sent {
    pub(crate) secret: SecretId,
    pub(crate) token: Option<String>,
    pub(crate) step: String,
}

/// The delivery of this number, if it was sent to this rotator.
pub(crate) async fn find(conn: &mut Conn, rotator: &str, id: i64) -> Result<Option<Sent>, StoreError> {
    let row: Option<(i64, Option<String>, String)> =
        sql::query_as(FIND).bind(rotator).bind(id).fetch_optional(conn).await?;
    Ok(row.map(|(secret, token, step)| Sent { secret: SecretId(secret), token, step }))
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: i64,
    arn: String,
    name: String,
    token: Option<String>,
    step: String,
    attempt: i64,
    started_ms: i64,
    ended_ms: Option<i64>,
    status: Option<i64>,
    verdict: Option<String>,
    message: String,
}

impl TryFrom<Raw> for Delivery {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            arn: raw.arn,
            secret: raw.name,
            token: raw.token,
            step: raw.step,
            attempt: u32::try_from(raw.attempt).unwrap_or(u32::MAX),
            started: instant(raw.started_ms)?,
            ended: instant_opt(raw.ended_ms)?,
            status: raw.status.and_then(|status| u16::try_from(status).ok()),
            verdict: raw.verdict,
            message: raw.message,
        })
    }
}

const LATEST: &str = "-- delivery::deliveries
SELECT h.id, s.arn, s.name, h.token, h.step, h.attempt, h.started_ms, h.ended_ms, h.status, h.verdict, h.message
FROM history h JOIN secret s ON s.id = h.secret_id
WHERE h.rotator = $1 AND h.step IS NOT NULL AND h.id < $2 ORDER BY h.id DESC LIMIT $3";

const FIND: &str = "-- delivery::find
SELECT secret_id, token, step FROM history WHERE id = $2 AND rotator = $1 AND step IS NOT NULL";
