//! The connections to PostgreSQL: how they are made, what each is set to, and what the server can tell of itself.
//!
//! A connection is only used where the server writes (no standby), and the server is the one the store was last seen on:
//! another timeline or another system may have lost what was acknowledged, and then nothing rotates before accounts were
//! looked at. Never here: statements of the store, transactions (`tx.rs`), notifications (`listen.rs`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Row};
use tokio::time::{sleep, timeout};

use crate::model::PostgresUrl;
use crate::sql::within;
use crate::unreached::cannot;
use crate::{OpenError, StoreError};

/// How long a connection may take to be made.
const CONNECTED: Duration = Duration::from_secs(5);
/// How long one may be waited for: others may have them all.
const ACQUIRED: Duration = Duration::from_secs(10);
/// How long it may take to find out why there is none.
const TRIED: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is asked whether it is still there.
const FRESH: Duration = Duration::from_secs(1);
/// Connections are renewed after so long: certificates, passwords and name servers change.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How often the schema is tried to be brought up to date: several nodes may be at it at once.
const MIGRATION_TRIES: u32 = 20;
const MIGRATION_PAUSE: Duration = Duration::from_millis(250);
/// How often a lost commit is asked after, and how long between two questions.
const OUTCOME_TRIES: u32 = 25;
const OUTCOME_PAUSE: Duration = Duration::from_millis(200);

/// What every connection is set to. A black hole, a forgotten transaction or a lock must not keep a node for ever.
const SETTINGS: &str = "-- postgres::prepare
SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s';
SELECT set_config('synchronous_commit',
    CASE WHEN current_setting('synchronous_commit') = 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

const OUTSIDE: &str = "-- postgres::is_outside_a_transaction
SELECT transaction_timestamp() = statement_timestamp()";

const STANDBY: &str = "-- postgres::prepare (standby)
SELECT pg_is_in_recovery()";

const SYSTEM: &str = "-- postgres::system
SELECT (SELECT system_identifier FROM pg_control_system())::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

const LAST_SEEN: &str = "-- postgres::recognise
SELECT system_id, timeline FROM last_server WHERE id = 1";

const FIRST_SEEN: &str = "-- postgres::recognise (first)
INSERT INTO last_server (id, system_id, timeline) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";

// One statement: whoever sees the new server sees the new mode, drivers hold leases no more that they took on the old one, and
// what nodes have in memory of it is old, whatever number it had.
const MOVED: &str = "-- postgres::recognise (moved)
WITH moved AS (
    UPDATE last_server SET system_id = $1, timeline = $2
    WHERE id = 1 AND (system_id <> $1 OR timeline <> $2) RETURNING id),
fenced AS (
    UPDATE rotation SET fence = fence + 1000 WHERE lease_owner IS NOT NULL AND EXISTS (SELECT id FROM moved)),
forgotten AS (
    UPDATE generation SET access_keys = access_keys + 1000, rotators = rotators + 1000 WHERE EXISTS (SELECT id FROM moved))
INSERT INTO store_mode (id, verify_only, reason, since_ms)
SELECT id, 1, $3, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT FROM moved
ON CONFLICT (id) DO UPDATE SET verify_only = 1, since_ms = excluded.since_ms,
    reason = CASE WHEN store_mode.verify_only = 1 THEN store_mode.reason ELSE excluded.reason END";

const INCARNATION: &str = "-- postgres::outcome (server)
SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
    || '/' || (SELECT checkpoint_lsn FROM pg_control_checkpoint())::text";

const OUTCOME: &str = "-- postgres::outcome
SELECT pg_xact_status($1::text::xid8)";

/// A server, as it can be told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    id: String,
    timeline: String,
}

/// What a transaction is known by after its connection is lost.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    xid: String,
    /// The server while it was made: its system, timeline and last checkpoint.
    on: String,
}

/// An open store of this kind.
pub(crate) struct Server {
    pub(crate) pool: PgPool,
    pub(crate) options: PgConnectOptions,
    pub(crate) notify: bool,
    seen: Arc<Seen>,
    tells_outcomes: bool,
    /// Why there was no connection when somebody asked last.
    missing: tokio::sync::Mutex<Option<String>>,
}

/// What connections have found out. None: the server cannot tell.
#[derive(Default)]
struct Seen(Mutex<Option<System>>);

impl Seen {
    fn get(&self) -> Option<System> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, system: Option<System>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = system;
    }
}

impl Server {
    /// Connects, and brings the schema up to date.
    pub(crate) async fn open(url: &PostgresUrl) -> Result<Self, OpenError> {
        let cannot = cannot(url);
        let options = url.options.clone();
        let mut first = connect(&options).await.map_err(cannot)?;
        migrate(&mut first, url.advisory_locks).await?;
        let seen = Arc::new(Seen::default());
        recognise(&mut first, &seen).await.map_err(cannot)?;
        let tells_outcomes = tells_outcomes(&mut first).await;
        if seen.get().is_none() {
            tracing::warn!("the database cannot tell its timeline: a failover that loses commits would not be noticed");
        }
        let _closed = first.close().await;
        let pool = pool(url, &options, &seen);
        Ok(Self { pool, options, notify: url.notify, seen, tells_outcomes, missing: tokio::sync::Mutex::default() })
    }

    /// Closes every connection, after what is under way on it.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// What stands behind an error at the begin: the pool waits for a connection, and does not say why it has got none.
    pub(crate) async fn explained(&self, error: sqlx::Error) -> StoreError {
        if !matches!(error, sqlx::Error::PoolTimedOut) {
            return error.into();
        }
        // One asks for all that have waited in vain: a server that is busy is not to be asked by each of them.
        let found = match self.missing.try_lock() {
            Ok(mut missing) => {
                *missing = self.missing().await;
                missing.clone()
            }
            Err(_) => self.missing.lock().await.clone(),
        };
        found.map_or(StoreError::Busy, StoreError::Unreached)
    }

    /// Why no connection can be made. None: one can, so others have all that this node may use.
    async fn missing(&self) -> Option<String> {
        match timeout(TRIED, connect(&self.options)).await {
            Ok(Ok(conn)) => {
                let _closed = conn.close().await;
                None
            }
            Ok(Err(cause)) => Some(reason(&cause)),
            Err(_) => Some(std::io::ErrorKind::TimedOut.to_string()),
        }
    }

    /// Could the server say later what became of a transaction?
    pub(crate) fn tells_outcomes(&self) -> bool {
        self.tells_outcomes && self.seen.get().is_some()
    }

    /// Did the transaction commit? None: nobody can tell.
    pub(crate) async fn outcome(&self, mark: &Mark) -> Option<bool> {
        for _ in 0..OUTCOME_TRIES {
            if let Ok(mut conn) = self.pool.acquire().await {
                // After a crash or a failover a number may have been given away again.
                let on = timeout(CONNECTED, sqlx::query_scalar(INCARNATION).fetch_one(&mut *conn)).await;
                if on.ok().and_then(Result::<String, _>::ok)? != mark.on {
                    return None;
                }
                let asked = sqlx::query_scalar(OUTCOME).bind(&mark.xid).fetch_one(&mut *conn);
                let said: Result<Result<Option<String>, _>, _> = timeout(CONNECTED, asked).await;
                match said.ok().and_then(Result::ok).map(Option::unwrap_or_default).as_deref() {
                    Some("committed") => return Some(true),
                    Some("aborted") => return Some(false),
                    // The server has not noticed yet that we are gone, or has gone itself.
                    Some("in progress") | None => {}
                    Some(_) => return None,
                }
            }
            sleep(OUTCOME_PAUSE).await;
        }
        None
    }
}

impl Mark {
    pub(crate) fn new(xid: String, on: String) -> Self {
        Self { xid, on }
    }
}

/// Is there a store at this URL already?
pub(crate) async fn exists(url: &PostgresUrl) -> Result<bool, OpenError> {
    let cannot = cannot(url);
    let mut conn = connect(&url.options).await.map_err(cannot)?;
    let there: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('store_check')::text").fetch_one(&mut conn).await.map_err(cannot)?;
    let made: Option<i64> = match there {
        Some(_) => sqlx::query_scalar("SELECT id FROM store_check").fetch_optional(&mut conn).await.map_err(cannot)?,
        None => None,
    };
    let _closed = conn.close().await;
    Ok(made.is_some())
}

/// Connections for a copy of the whole store, which takes as long as it takes; with `migrates` the schema is brought up to date.
pub(crate) async fn for_copy(url: &PostgresUrl, migrates: bool) -> Result<PgPool, OpenError> {
    let cannot = cannot(url);
    let mut first = connect(&url.options).await.map_err(cannot)?;
    if migrates {
        migrate(&mut first, url.advisory_locks).await?;
    }
    let _closed = first.close().await;
    let pool =
        PgPoolOptions::new().max_connections(url.connections).acquire_timeout(ACQUIRED).after_connect(|conn, _| {
            Box::pin(async move {
                prepare(conn).await?;
                conn.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").await.map(drop)
            })
        });
    Ok(pool.connect_lazy_with(url.options.clone()))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = timeout(CONNECTED, options.connect()).await;
    let mut conn = connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
    prepare(&mut conn).await?;
    Ok(conn)
}

/// For everybody who may ask whether a node is ready: no name of a user, no text of a server.
fn reason(cause: &sqlx::Error) -> String {
    match cause {
        sqlx::Error::Io(error) => error.kind().to_string(),
        sqlx::Error::Configuration(error) => error.to_string(),
        sqlx::Error::Tls(_) => "TLS fails".to_owned(),
        other => match other.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) => format!("its server refuses with SQLSTATE {code}"),
            None => "no connection can be made".to_owned(),
        },
    }
}

fn pool(url: &PostgresUrl, options: &PgConnectOptions, seen: &Arc<Seen>) -> PgPool {
    let seen = Arc::clone(seen);
    PgPoolOptions::new()
        .max_connections(url.connections)
        .acquire_timeout(ACQUIRED)
        .max_lifetime(LIFETIME)
        .idle_timeout(None)
        .test_before_acquire(false)
        // One that hangs is not waited for: it would keep its place in the pool. And a BEGIN whose caller went away before it was
        // answered is one that the driver knows nothing of: who came next would be in a transaction of somebody else's.
        .after_release(|conn, _| Box::pin(within(is_outside_a_transaction(conn))))
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for >= FRESH {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |conn, _| {
            let seen = Arc::clone(&seen);
            Box::pin(async move {
                prepare(conn).await?;
                recognise(conn, &seen).await
            })
        })
        .connect_lazy_with(options.clone())
}

/// Said in the simple protocol, where one statement is one moment.
async fn is_outside_a_transaction(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::raw_sql(OUTSIDE).fetch_one(conn).await?.try_get(0)
}

async fn prepare(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute(SETTINGS).await?;
    let standby: bool = sqlx::query_scalar(STANDBY).fetch_one(&mut *conn).await?;
    if standby {
        let why = "the server is a standby, which writes nothing; the URL must lead to the primary";
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(())
}

/// Several nodes may begin at once: whoever is second finds it done, or fails and looks again.
async fn migrate(conn: &mut PgConnection, advisory_locks: bool) -> Result<(), OpenError> {
    // That a table is there already is nothing to tell anybody.
    conn.execute("SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = warning").await?;
    let mut migrations = sqlx::migrate!("migrations/postgres");
    // Forward only, and a newer schema serves the previous binary: what it does not know it ignores.
    migrations.set_ignore_missing(true).set_locking(advisory_locks);
    let mut tries = 1;
    loop {
        match migrations.run(&mut *conn).await {
            Ok(()) => return Ok(()),
            Err(error) if tries == MIGRATION_TRIES => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "the schema is not up to date yet; looking again"),
        }
        tries += 1;
        sleep(MIGRATION_PAUSE).await;
    }
}

/// None: it is not PostgreSQL itself, or the role may not ask.
async fn system(conn: &mut PgConnection) -> Result<Option<System>, sqlx::Error> {
    match within(sqlx::query_as(SYSTEM).fetch_one(conn)).await {
        Ok((id, timeline)) => Ok(Some(System { id, timeline })),
        Err(error) if cannot_tell(&error) => Ok(None),
        // Not known is not the same as cannot be known: such a connection is not used.
        Err(error) => Err(error),
    }
}

/// No right to ask, no such function, not supported.
fn cannot_tell(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("42501" | "42883" | "0A000" | "42P01"))
}

/// Notes which server this is, the first time; later, that it is the same one.
async fn recognise(conn: &mut PgConnection, seen: &Seen) -> Result<(), sqlx::Error> {
    let Some(now) = system(conn).await? else {
        seen.set(None);
        return Ok(());
    };
    let last: Option<(String, String)> = sqlx::query_as(LAST_SEEN).fetch_optional(&mut *conn).await?;
    match last {
        Some((id, timeline)) if id != now.id || timeline != now.timeline => {
            let reason = format!(
                "the database was on timeline {timeline} of system {id} and is on timeline {} of system {}: a failover or a restore, which may have lost what was acknowledged",
                now.timeline, now.id
            );
            let query = sqlx::query(MOVED).bind(&now.id).bind(&now.timeline).bind(&reason);
            if query.execute(&mut *conn).await?.rows_affected() > 0 {
                tracing::error!(reason, "rotations wait until their accounts were looked at");
            }
        }
        Some(_) => {}
        None => {
            sqlx::query(FIRST_SEEN).bind(&now.id).bind(&now.timeline).execute(&mut *conn).await?;
        }
    }
    seen.set(Some(now));
    Ok(())
}

/// Can the server say later what became of a transaction?
async fn tells_outcomes(conn: &mut PgConnection) -> bool {
    let outcome = sqlx::query_scalar::<_, Option<String>>("SELECT pg_xact_status(pg_current_xact_id())");
    let server = sqlx::query_scalar::<_, Option<String>>(INCARNATION);
    outcome.fetch_one(&mut *conn).await.is_ok() && server.fetch_one(conn).await.is_ok()
}
