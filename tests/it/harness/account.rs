//! Accounts on the private databases, and the oracle: who logs in, asked with the drivers, independently of Pawl.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use pawl::servers::Server;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::unique;

/// An account of a private server.
pub(crate) struct Account {
    pub(crate) server: &'static Server,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Account {
    /// Makes an account that can log in, with a password to search for.
    pub(crate) fn create(server: &'static Server) -> Self {
        let (user, password) = (unique("u"), unique("Canary-first-"));
        let statement = if server.engine == "postgres" {
            format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        } else {
            format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'")
        };
        execute(server, &statement);
        Self { server, user, password }
    }

    /// The secret's JSON with this password, and whatever else.
    pub(crate) fn secret(&self, extra: &Value) -> Value {
        let mut value = json!({
            "engine": self.server.engine, "host": self.server.host, "port": self.server.port,
            "username": self.user, "password": self.password, "dbname": "app",
        });
        for (name, extra) in extra.as_object().into_iter().flatten() {
            value[name] = extra.clone();
        }
        value
    }

    /// Whether this password logs in now.
    pub(crate) fn logs_in(&self, password: &str) -> bool {
        logs_in(self.server, &self.user, password)
    }
}

/// The server's administrator as a secret's JSON.
pub(crate) fn admin_secret(server: &Server, extra: &Value) -> Value {
    let mut value = json!({
        "engine": server.engine, "host": server.host, "port": server.port,
        "username": server.admin_user, "password": server.admin_password, "dbname": "app",
    });
    for (name, extra) in extra.as_object().into_iter().flatten() {
        value[name] = extra.clone();
    }
    value
}

/// Runs statements as the administrator.
pub(crate) fn execute(server: &Server, statements: &str) {
    execute_in(server, "app", statements);
}

/// The same in this database, on PostgreSQL.
pub(crate) fn execute_in(server: &Server, database: &str, statements: &str) {
    on_a_runtime(async {
        if server.engine == "postgres" {
            let admin = (server.admin_user.as_str(), server.admin_password.as_str());
            let client = postgres_in(server, database, admin).await.expect("the admin logs in");
            client.batch_execute(statements).await.expect("the statement works");
        } else {
            let mut conn = mysql(server, &server.admin_user, &server.admin_password).await.expect("the admin logs in");
            for statement in statements.split(";\n") {
                conn.query_drop(statement).await.expect("the statement works");
            }
            // The server notices a connection that just goes away as well.
            let _closed = conn.disconnect().await;
        }
    });
}

/// The one text that this PostgreSQL answers its administrator.
pub(crate) fn told(server: &Server, question: &str) -> String {
    on_a_runtime(async {
        let admin = (server.admin_user.as_str(), server.admin_password.as_str());
        let client = postgres_in(server, "app", admin).await.expect("the admin logs in");
        client.query_one(question, &[]).await.expect("an answer").get(0)
    })
}

/// How a database answers a login.
#[derive(Debug)]
pub(crate) enum Answer {
    In,
    /// It says that the password, or the user, is wrong; with its code.
    Refused(String),
    /// Anything else: it is down, or has too many connections. That says nothing about the password.
    Busy,
}

/// What a login says of the password, as opposed to what it says of the server.
pub(crate) fn answer(server: &Server, user: &str, password: &str) -> Answer {
    on_a_runtime(async {
        if server.engine == "postgres" {
            match postgres(server, user, password).await {
                Ok(_) => Answer::In,
                Err(error) => match error.code().map(tokio_postgres::error::SqlState::code) {
                    Some(code @ ("28P01" | "28000")) => Answer::Refused(code.to_owned()),
                    _ => Answer::Busy,
                },
            }
        } else {
            match mysql(server, user, password).await {
                Ok(conn) => {
                    let _closed = conn.disconnect().await;
                    Answer::In
                }
                Err(mysql_async::Error::Server(error)) if [1044, 1045, 1698, 3118, 3955].contains(&error.code) => {
                    Answer::Refused(error.code.to_string())
                }
                Err(_) => Answer::Busy,
            }
        }
    })
}

/// The accounts and roles of a server whose names begin with this.
pub(crate) fn users_like(server: &Server, prefix: &str) -> Vec<String> {
    on_a_runtime(async {
        if server.engine == "postgres" {
            let client = postgres(server, &server.admin_user, &server.admin_password).await.expect("the admin logs in");
            let sql = format!("SELECT rolname::TEXT FROM pg_roles WHERE rolname LIKE '{prefix}%'");
            let rows = client.query(&sql, &[]).await.expect("roles");
            rows.iter().map(|row| row.get(0)).collect()
        } else {
            let mut conn = mysql(server, &server.admin_user, &server.admin_password).await.expect("the admin logs in");
            let sql = format!("SELECT User FROM mysql.user WHERE User LIKE '{prefix}%'");
            let users = conn.query(sql).await.expect("accounts");
            // The server notices a connection that just goes away as well.
            let _closed = conn.disconnect().await;
            users
        }
    })
}

/// Whether this login works and can ask something.
pub(crate) fn logs_in(server: &Server, user: &str, password: &str) -> bool {
    on_a_runtime(async {
        if server.engine == "postgres" {
            match postgres(server, user, password).await {
                Ok(client) => client.simple_query("SELECT 1").await.is_ok(),
                Err(_) => false,
            }
        } else {
            match mysql(server, user, password).await {
                Ok(mut conn) => conn.query_drop("SELECT 1").await.is_ok(),
                Err(_) => false,
            }
        }
    })
}

async fn postgres(
    server: &Server,
    user: &str,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    postgres_in(server, "app", (user, password)).await
}

#[expect(clippy::disallowed_methods, reason = "the driver's connection is a task; it ends with the test's runtime")]
async fn postgres_in(
    server: &Server,
    database: &str,
    (user, password): (&str, &str),
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).user(user).password(password).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn mysql(server: &Server, user: &str, password: &str) -> Result<Conn, mysql_async::Error> {
    let opts = OptsBuilder::default()
        .ip_or_hostname(server.host.clone())
        .tcp_port(server.port)
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(false);
    Conn::new(opts).await
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
