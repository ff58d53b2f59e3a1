//! The accounts and their secrets: six kinds of rotation on three kinds of database, set up over the API.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pawl::servers::{Engine, Server};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::GRACE;
use super::cluster::Cluster;
use crate::harness::account::{admin_secret, execute};
use crate::harness::shapes::{SHAPES, Shape};
use crate::harness::{servers, unique};
use crate::readers::service::Login;

/// The one strategy that makes no promise: its gap is measured.
const SINGLE: Shape =
    Shape { name: "PostgreSQL, single user", engine: Engine::Postgres, strategy: "single-user", pair: false };
/// Secrets that are set up at once.
const AT_ONCE: usize = 6;

/// A rotated secret.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) server: &'static Server,
    pub(super) shape: &'static Shape,
    first_password: String,
    /// Every token that a rotation was asked with, before it was asked.
    asked: Mutex<BTreeSet<String>>,
}

impl Kept {
    /// AWSCURRENT always logs in.
    pub(super) fn promises(&self) -> bool {
        self.shape.strategy != SINGLE.strategy
    }

    /// The accounts that its rotations may make, beside PostgreSQL's owner role.
    pub(super) fn users(&self) -> Vec<String> {
        let pair = [self.name.clone(), format!("{}_clone", self.name)];
        pair[..1 + usize::from(self.shape.pair)].to_vec()
    }

    /// Tokens of the rotations that were asked for.
    pub(super) fn asked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them. Their names begin with `prefix`, and no other secret's does.
pub(super) struct Fleet {
    pub(super) prefix: String,
    pub(super) secrets: Vec<Arc<Kept>>,
}

impl Fleet {
    /// So many accounts on the shared servers, dealt out over the kinds; without secrets yet. Fewer kinds where a server
    /// is left out.
    pub(super) fn accounts(count: usize) -> Self {
        let prefix = unique("tort");
        let kinds: Vec<(&'static Shape, &'static Server)> = [&SINGLE]
            .into_iter()
            .chain(&SHAPES)
            .filter_map(|shape| Some((shape, servers::shared(shape.engine)?)))
            .collect();
        assert!(!kinds.is_empty(), "there is a server to torture with");
        let kept = |number: usize| {
            let (shape, server) = kinds[number % kinds.len()];
            let name = format!("{prefix}n{number}");
            Kept { first_password: format!("Canary-first-{name}"), name, server, shape, asked: Mutex::default() }
        };
        let secrets: Vec<Arc<Kept>> = (0..count).map(|number| Arc::new(kept(number))).collect();
        let mut made: Vec<&Server> = vec![];
        for (_, server) in kinds {
            if made.iter().all(|done| done.port != server.port) {
                let mine = secrets.iter().filter(|kept| kept.server.port == server.port);
                execute(server, &mine.map(|kept| create(kept)).collect::<Vec<_>>().join(";\n"));
                made.push(server);
            }
        }
        Self { prefix, secrets }
    }

    /// Makes their secrets, one admin's for each server, and has them rotated.
    pub(super) async fn adopt(&self, cluster: &Arc<Cluster>) {
        let mut ports = BTreeSet::new();
        for kept in &self.secrets {
            if ports.insert(kept.server.port) {
                let value = admin_secret(kept.server, &json!({})).to_string();
                let body =
                    json!({ "Name": self.admin(kept.server), "SecretString": value, "ClientRequestToken": token() });
                cluster.must("CreateSecret", &body).await;
            }
        }
        let mut tasks = JoinSet::new();
        for kept in &self.secrets {
            while tasks.len() >= AT_ONCE {
                tasks.join_next().await.expect("one of them").expect("it is adopted");
            }
            let (cluster, kept, admin) = (Arc::clone(cluster), Arc::clone(kept), self.admin(kept.server));
            tasks.spawn(async move { adopt(&cluster, &kept, &admin).await });
        }
        while let Some(adopted) = tasks.join_next().await {
            adopted.expect("it is adopted");
        }
    }

    fn admin(&self, server: &Server) -> String {
        format!("admin-{}{}", self.prefix, server.port)
    }

    /// How many there are of each kind.
    pub(super) fn kinds(&self) -> String {
        let mut names: Vec<&str> = self.secrets.iter().map(|kept| kept.shape.name).collect();
        names.sort_unstable();
        names.dedup();
        let count = |name: &str| self.secrets.iter().filter(|kept| kept.shape.name == name).count();
        names.iter().map(|name| format!("{name}: {}", count(name))).collect::<Vec<_>>().join("; ")
    }
}

fn create(kept: &Kept) -> String {
    let Kept { name, first_password, .. } = kept;
    if kept.server.engine == "postgres" {
        format!("CREATE ROLE {name} LOGIN PASSWORD '{first_password}'")
    } else {
        format!(
            "CREATE USER '{name}'@'%' IDENTIFIED BY '{first_password}';\nGRANT SELECT, INSERT, CREATE ON app.* TO '{name}'@'%'"
        )
    }
}

async fn adopt(cluster: &Cluster, kept: &Kept, admin: &str) {
    let value = json!({
        "engine": kept.server.engine, "host": kept.server.host, "port": kept.server.port, "dbname": "app",
        "username": kept.name, "password": kept.first_password, "masterarn": admin,
    });
    let first = token();
    kept.asked().insert(first.clone());
    let body = json!({ "Name": kept.name, "SecretString": value.to_string(), "ClientRequestToken": first });
    cluster.must("CreateSecret", &body).await;
    if kept.shape.engine == Engine::Postgres && kept.shape.pair {
        cluster.must("pawl.PrepareRotation", &json!({ "SecretId": kept.name, "Apply": true })).await;
    }
    let mut body = json!({
        "SecretId": kept.name, "ScheduleExpression": "rate(30 days)", "Strategy": kept.shape.strategy,
    });
    if kept.promises() {
        body["Grace"] = format!("{}s", GRACE.as_secs()).into();
    }
    cluster.must("pawl.EnableRotation", &body).await;
}

/// A fresh token.
pub(super) fn token() -> String {
    engine::id::VersionId::random(&mut rand::rng()).as_str().to_owned()
}

/// The user and password of a value.
pub(super) fn login_of(value: &Value) -> Option<Login> {
    let value: Value = serde_json::from_str(value["SecretString"].as_str()?).ok()?;
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    Some((text("username")?, text("password")?))
}
