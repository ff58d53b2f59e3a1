//! Nodes tell each other that something may be due sooner: LISTEN and NOTIFY. Never relied on: each node looks by itself
//! every few seconds, told or not.
//!
//! A node notifies after its commit and not in it, where a notification would make commits of all nodes wait for each other;
//! and not more often than every so many milliseconds, however much it commits. Never here: what is due.

use std::time::Duration;

use rand::RngExt;
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use crate::Store;
use crate::open::Database;
use crate::postgres::Server;

const CHANNEL: &str = "pawl_due";
/// Between two notifications of one node.
const PAUSE: Duration = Duration::from_millis(20);
/// A connection on which nothing comes for so long is asked whether it is still there.
const SILENT: Duration = Duration::from_secs(30);
const CONNECTED: Duration = Duration::from_secs(5);
/// Before a connection that was lost is made again.
const AWAY: Duration = Duration::from_secs(2);

const NOTIFY: &str = "-- listen::tell
SELECT pg_notify($1, $2)";

impl Store {
    /// Tells other nodes of this one's commits, and wakes this node's scheduler at theirs, as long as it is polled. Ends at once
    /// where the store is this process's alone, or was opened without notifications.
    pub async fn attend(&self) {
        let Database::Postgres(server) = &self.0.database else { return };
        if !server.notify {
            return;
        }
        let mut own = [0; 8];
        rand::rng().fill(&mut own);
        let own = crate::hex::hex(&own);
        tokio::join!(self.tell(server, &own), self.listen(server, &own));
    }

    async fn tell(&self, server: &Server, own: &str) {
        loop {
            self.0.telling.notified().await;
            let told = sqlx::query(NOTIFY).bind(CHANNEL).bind(own).execute(&server.pool);
            // The others look by themselves.
            if let Ok(Err(error)) = timeout(CONNECTED, told).await {
                tracing::debug!(%error, "other nodes could not be told of a change");
            }
            sleep(PAUSE).await;
        }
    }

    async fn listen(&self, server: &Server, own: &str) {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECTED)
            .connect_lazy_with(server.options.clone());
        let mut said = false;
        loop {
            match self.hear(&pool, own).await {
                Ok(()) => said = false,
                Err(error) if !said => {
                    tracing::warn!(%error, "the database tells nothing of other nodes' changes; looking every few seconds");
                    said = true;
                }
                Err(_) => {}
            }
            sleep(AWAY).await;
        }
    }

    /// Listens until the connection is lost.
    async fn hear(&self, pool: &PgPool, own: &str) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // What was told before is not told again.
        self.0.changed.notify_one();
        loop {
            match timeout(SILENT, listener.try_recv()).await {
                Ok(Ok(Some(notification))) if notification.payload() == own => {}
                Ok(Ok(Some(_))) => self.0.changed.notify_one(),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let asked = sqlx::query("SELECT 1").execute(&mut listener);
                    timeout(CONNECTED, asked).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
                }
            }
        }
    }
}
