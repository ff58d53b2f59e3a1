//! Table `policy`: a secret's resource policy, as the text it was given as.
//!
//! Never here: what a policy says, and whether it is one.

use engine::Time;
use engine::id::SecretId;

use crate::model::Named;
use crate::subject::Subject;
use crate::tx::{Conn, Writing, snapshot};
use crate::{Store, StoreError, resolve, sql};

impl Store {
    /// PutResourcePolicy: in place of the one there was.
    ///
    /// # Errors
    /// [`StoreError::SecretNotFound`], [`StoreError::MarkedForDeletion`], or the database fails.
    pub async fn put_policy(&self, id: &str, document: &str, now: Time) -> Result<Named, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        sql::query(PUT).bind(subject.secret.id.0).bind(document).execute(w.conn()).await?;
        subject.save(&mut w, now).await?;
        w.commit().await?;
        Ok(subject.named())
    }

    /// GetResourcePolicy. None where there is none.
    ///
    /// # Errors
    /// As [`Store::put_policy`].
    pub async fn policy(&self, id: &str) -> Result<(Named, Option<String>), StoreError> {
        let mut tx = snapshot(&self.0).await?;
        let row = resolve::find(&mut tx, id).await?;
        row.live()?;
        let document = load(&mut tx, row.id).await?;
        Ok((Named { arn: row.arn, name: row.name }, document))
    }

    /// DeleteResourcePolicy. Where there is none, that is a success which changes nothing.
    ///
    /// # Errors
    /// As [`Store::put_policy`].
    pub async fn delete_policy(&self, id: &str, now: Time) -> Result<Named, StoreError> {
        let mut w = Writing::begin(&self.0).await?;
        let mut subject = Subject::find_live(&mut w, id).await?;
        let removed = sql::query(DELETE).bind(subject.secret.id.0).execute(w.conn()).await?.rows_affected();
        if removed > 0 {
            subject.save(&mut w, now).await?;
            w.commit().await?;
        }
        Ok(subject.named())
    }
}

async fn load(conn: &mut Conn, secret: SecretId) -> Result<Option<String>, StoreError> {
    Ok(sql::query_scalar(LOAD).bind(secret.0).fetch_optional(conn).await?)
}

const PUT: &str = "-- policy::put_policy
INSERT INTO policy (secret_id, document) VALUES ($1, $2)
ON CONFLICT (secret_id) DO UPDATE SET document = excluded.document";

const LOAD: &str = "-- policy::policy
SELECT document FROM policy WHERE secret_id = $1";

const DELETE: &str = "-- policy::delete_policy
DELETE FROM policy WHERE secret_id = $1";
