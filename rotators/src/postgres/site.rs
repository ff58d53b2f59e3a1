//! Owns a login that only looks whether it works, and whether the server is a standby. Never here: what follows from it.

use async_trait::async_trait;

use super::session::{Entry, Manner, Session, no_password_asked};
use super::sniff::Asked;
use super::{KIND, Postgres};
use crate::connection::{Kind, Login};
use crate::topology::{Knock, Role, Site};

#[async_trait]
impl Site for Postgres {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn locks_accounts(&self) -> bool {
        false
    }

    async fn knock(&self, login: &Login) -> Knock {
        let mut session = match Session::open(login, &self.trust, Manner { md5: true }).await {
            Entry::In(session) if session.asked == Asked::Nothing => return Knock::Failed(no_password_asked(login)),
            Entry::In(session) => session,
            Entry::Refused(_) => return Knock::Refused,
            Entry::Failed(error) => return Knock::Failed(error),
        };
        let sql = "SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN pg_catalog.pg_is_in_recovery() THEN \
                   EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::int8 \
                   END";
        let row = session.row(sql, &[]).await;
        session.close().await;
        let role = |row: tokio_postgres::Row| Role {
            standby: row.try_get(0).unwrap_or(true),
            behind_seconds: row.try_get(1).ok().flatten(),
        };
        // A server that does not say so is not taken for one that takes writes.
        row.map_or_else(Knock::Failed, |row| Knock::In(row.map_or(Role { standby: true, behind_seconds: None }, role)))
    }
}
