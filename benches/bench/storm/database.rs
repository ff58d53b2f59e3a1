//! The PostgreSQL under the store, with a connection of the benchmark's own: it asks what the nodes leave behind, and adds up
//! what the server's processes have used.

use pawl::servers::{Engine, Server};
use tokio_postgres::{Client, NoTls};

/// A server that waits for its disk, as users have it.
pub(crate) struct Database {
    pub(crate) server: Server,
    pub(crate) client: Client,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let settings = ["-c", "fsync=on", "-c", "max_connections=400"];
        let server = Server::start(Engine::Postgres, &std::env::temp_dir(), &settings);
        let server = server.expect("a private PostgreSQL; see scripts/setup-servers");
        let client = connect(&server).await;
        Self { server, client }
    }

    /// The store's address.
    pub(crate) fn url(&self) -> String {
        let Server { admin_user, admin_password, host, port, .. } = &self.server;
        format!("postgres://{admin_user}:{admin_password}@{host}:{port}/app")
    }

    /// Another connection.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.server).await
    }

    /// One number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.expect("a number").get(0)
    }

    /// Milliseconds of this server's clock.
    pub(crate) async fn now(&self) -> i64 {
        self.number("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT").await
    }

    /// How many connections others have open.
    pub(crate) async fn connections(&self) -> i64 {
        self.number("SELECT COUNT(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'").await
    }

    /// Milliseconds of CPU that all its processes have used, the ended ones too.
    pub(crate) fn cpu_ms(&self) -> f64 {
        let file = std::fs::read_to_string(self.server.dir.join("data/postmaster.pid")).expect("it runs");
        let postmaster: u32 = file.lines().next().and_then(|pid| pid.trim().parse().ok()).expect("a process id");
        let mut ticks = 0.0;
        for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            let parent = fields.get(1).and_then(|parent| parent.parse::<u32>().ok());
            let field = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
            if pid == postmaster {
                ticks += field(11) + field(12) + field(13) + field(14);
            } else if parent == Some(postmaster) {
                ticks += field(11) + field(12);
            }
        }
        // Hundredths of a second.
        ticks * 10.0
    }
}

/// A connection as the administrator.
async fn connect(server: &Server) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).user(&server.admin_user).password(&server.admin_password);
    let (client, connection) = config.dbname("app").connect(NoTls).await.expect("logs in");
    tokio::spawn(connection);
    client
}
