//! A private PostgreSQL, and the bare work that a rotation cannot do without.

use pawl::servers::{Engine, Server};
use tokio_postgres::{Client, NoTls};

/// The server of this benchmark.
pub(crate) fn postgres() -> Server {
    Server::start(Engine::Postgres, &std::env::temp_dir(), &[])
        .expect("a private PostgreSQL; see scripts/setup-servers")
}

/// Connect, change, connect as new, query: what a plain loop would do.
pub(crate) async fn change_password(server: &Server, old: &str, new: &str) {
    let client = connect(server, old).await;
    let verifier = postgres_protocol::password::scram_sha_256(new.as_bytes());
    client.batch_execute(&format!("ALTER ROLE {} PASSWORD '{verifier}'", server.app_user)).await.expect("changed");
    let client = connect(server, new).await;
    client.simple_query("SELECT 1").await.expect("answers");
}

async fn connect(server: &Server, password: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).user(&server.app_user).password(password).dbname("app");
    let (client, connection) = config.connect(NoTls).await.expect("logs in");
    tokio::spawn(connection);
    client
}
