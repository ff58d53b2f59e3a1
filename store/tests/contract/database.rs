//! A PostgreSQL for the tests: one server a run, a database a test, and in it a clock that the test sets.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pawl::servers::{Engine, Server};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};

/// A database of its own.
pub(crate) struct Database {
    pub(crate) url: String,
    /// Microseconds since 1970, which the database takes for the time.
    pub(crate) clock: PathBuf,
}

impl Database {
    /// A new one; `parameters` end its URL. None: the tests are to do without.
    pub(crate) async fn fresh(parameters: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = server()?;
        let name = format!("store_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let clock = server.dir.join(format!("{name}.clock"));
        let mut admin = options(server).database("postgres").connect().await.unwrap();
        let make = format!("CREATE DATABASE {name}");
        admin.execute(AssertSqlSafe(make)).await.unwrap();
        // What is in `public` comes first, and so its clock_timestamp() does.
        let look = format!("ALTER DATABASE {name} SET search_path = public, pg_catalog");
        admin.execute(AssertSqlSafe(look)).await.unwrap();
        admin.close().await.unwrap();
        let mut conn = options(server).database(&name).connect().await.unwrap();
        let function = format!(
            "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
             $$ SELECT timestamptz 'epoch' + pg_read_file('{}')::bigint * interval '1 microsecond' $$",
            clock.display()
        );
        conn.execute(AssertSqlSafe(function)).await.unwrap();
        conn.close().await.unwrap();
        let Server { admin_user, admin_password, host, port, .. } = server;
        let url = format!("postgres://{admin_user}:{admin_password}@{host}:{port}/{name}?connections=4{parameters}");
        Some(Self { url, clock })
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        self.url.split('?').next().unwrap().parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }
}

fn options(server: &Server) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass().host(&server.host).port(server.port);
    options.username(&server.admin_user).password(&server.admin_password)
}

/// None: the tests are to do without.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let start = || {
        let left_out = std::env::var("PAWL_TEST_WITHOUT").unwrap_or_default();
        if left_out.split(',').any(|name| name.trim() == Engine::Postgres.name()) {
            return None;
        }
        // Nothing of a test outlives its server.
        let quick = ["-c", "fsync=off", "-c", "max_connections=300"];
        Some(Server::start(Engine::Postgres, &std::env::temp_dir(), &quick).unwrap())
    };
    SERVER.get_or_init(start).as_ref()
}

/// A connection beside the store's.
pub(crate) enum Raw {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Raw {
    /// Runs a statement; says how many rows it changed.
    pub(crate) async fn run(&mut self, statement: &str) -> u64 {
        let query = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(conn) => sqlx::query(query).execute(&mut **conn).await.unwrap().rows_affected(),
            Self::Postgres(conn) => sqlx::query(query).execute(&mut **conn).await.unwrap().rows_affected(),
        }
    }

    /// The number that a statement says.
    pub(crate) async fn count(&mut self, statement: &str) -> i64 {
        let query = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(conn) => sqlx::query_scalar(query).fetch_one(&mut **conn).await.unwrap(),
            Self::Postgres(conn) => sqlx::query_scalar(query).fetch_one(&mut **conn).await.unwrap(),
        }
    }
}
