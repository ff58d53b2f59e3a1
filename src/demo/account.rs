//! The accounts that the demo rotates: one for each strategy and database, adopted through the same API that everybody
//! uses.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::cli::client::Client;
use crate::cli::{CliError, fresh_token};
use crate::servers::{OTHER_USER, Server};

/// How long the old credential goes on working: readers here keep nothing.
const GRACE: &str = "2s";

/// An account that the demo rotates.
pub(super) struct Account {
    /// Of its secret.
    pub(super) name: String,
    /// No reader may be refused.
    pub(super) promises: bool,
    /// Entries of its history that were shown.
    pub(super) seen: BTreeSet<i64>,
    /// Rotations that have ended.
    pub(super) done: u32,
    strategy: &'static str,
    server: Arc<Server>,
    user: String,
}

/// The accounts of these servers: one each, by the strategy that refuses nobody; or one for each strategy.
pub(super) fn all(servers: &[Arc<Server>], every_strategy: bool) -> Vec<Account> {
    let of = |server: &Arc<Server>| {
        let single = ("single-user", "single", false);
        let pair = ("alternating-users", "pair", true);
        let dual = ("dual-password", "dual", true);
        let strategies = match (server.engine, every_strategy) {
            ("postgres", false) => vec![pair],
            ("postgres", true) => vec![single, pair],
            (_, false) => vec![dual],
            (_, true) => vec![dual, pair],
        };
        let account = |(strategy, word, promises): (&'static str, &str, bool)| Account {
            name: format!("demo/{}-{word}", server.engine),
            promises,
            seen: BTreeSet::new(),
            done: 0,
            strategy,
            server: Arc::clone(server),
            // Each server has two accounts, and two strategies at most.
            user: if strategy == "alternating-users" { OTHER_USER } else { &server.app_user }.to_owned(),
        };
        strategies.into_iter().map(account).collect::<Vec<_>>()
    };
    servers.iter().flat_map(of).collect()
}

impl Account {
    /// Makes its secret and that of the server's admin, and has it rotated every so many seconds.
    pub(super) async fn adopt(&self, client: &Client, every: u32) -> Result<(), CliError> {
        let admin = format!("{}-admin", self.name);
        self.create(client, &admin, &self.server.admin_user, &self.server.admin_password, None).await?;
        self.create(client, &self.name, &self.user, &self.server.app_password, Some(&admin)).await?;
        if self.server.engine == "postgres" && self.strategy == "alternating-users" {
            client.ours("PrepareRotation", json!({"SecretId": self.name, "Apply": true})).await?;
        }
        let mut body = json!({
            "SecretId": self.name, "ScheduleExpression": format!("rate({every} seconds)"), "Strategy": self.strategy,
        });
        if self.promises {
            body["Grace"] = GRACE.into();
        }
        client.ours("EnableRotation", body).await?;
        Ok(())
    }

    async fn create(
        &self,
        client: &Client,
        name: &str,
        user: &str,
        password: &str,
        admin: Option<&str>,
    ) -> Result<(), CliError> {
        let server = &self.server;
        let mut value = json!({
            "engine": server.engine, "host": server.host, "port": server.port,
            "username": user, "password": password, "dbname": "app",
        });
        if let Some(admin) = admin {
            value["masterarn"] = admin.into();
        }
        let body = json!({"Name": name, "ClientRequestToken": fresh_token(), "SecretString": value.to_string()});
        client.aws("CreateSecret", body).await?;
        Ok(())
    }
}
