//! What tests of pairs on MySQL and MariaDB share: a pair, and what the server itself says of an account.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use async_trait::async_trait;
use engine::outcome::{StepError, Verdict};
use engine::port::Guard;
use engine::strategy::Strategy;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use pawl::servers::{Engine, Server};
use serde_json::{Value, json};

use crate::harness::account::{Account, execute, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, Tells};

/// Runs a check on both servers.
pub(super) fn each(check: impl Fn(&'static Server)) {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        if let Some(server) = servers::shared(engine) {
            check(server);
        }
    }
}

/// A pair under rotation.
pub(super) struct Two {
    pub(super) app: String,
    pub(super) clone: String,
    pub(super) case: Case,
}

impl Two {
    /// A new account whose clone is not there yet.
    pub(super) fn new(server: &'static Server) -> Self {
        Self::of(&Account::create(server))
    }

    pub(super) fn of(account: &Account) -> Self {
        let mut case = Case::of(account, &json!({})).by_admin();
        case.options.strategy = Some(Strategy::AlternatingUsers);
        Self { app: account.user.clone(), clone: format!("{}_clone", account.user), case }
    }

    /// Another account that may do what this one may.
    pub(super) fn like_new(&self, server: &'static Server) -> Self {
        let fresh = Self::new(server);
        execute(server, &rich(&fresh.app, server));
        fresh
    }

    /// The labels move.
    pub(super) fn finish(&mut self, wanted: Value) {
        let before = std::mem::replace(&mut self.case.current, wanted);
        self.case.known = vec![("version before".to_owned(), before)];
        self.case.attempted = false;
    }

    /// The version before AWSCURRENT.
    pub(super) fn retired(&self) -> Value {
        self.case.known[0].1.clone()
    }
}

/// Statements that give an account several rights and settings.
pub(super) fn rich(user: &str, server: &Server) -> String {
    let role = unique("role");
    let default_role = match server.engine {
        "mysql" => format!("ALTER USER '{user}'@'%' DEFAULT ROLE '{role}'"),
        _ => format!("SET DEFAULT ROLE '{role}' FOR '{user}'@'%'"),
    };
    format!(
        "CREATE ROLE '{role}';\nGRANT '{role}' TO '{user}'@'%' WITH ADMIN OPTION;\n{default_role};\n\
         GRANT RELOAD ON *.* TO '{user}'@'%';\nGRANT SELECT, INSERT ON app.* TO '{user}'@'%' WITH GRANT OPTION;\n\
         ALTER USER '{user}'@'%' WITH MAX_QUERIES_PER_HOUR 100000"
    )
}

pub(super) fn user(value: &Value) -> &str {
    value["username"].as_str().expect("a name")
}

pub(super) fn password(value: &Value) -> &str {
    value["password"].as_str().expect("a password")
}

/// Whether this value logs in now, asked of the server without Pawl.
pub(super) fn works(server: &Server, value: &Value) -> bool {
    logs_in(server, user(value), password(value))
}

pub(super) fn lets_in_without_password(server: &Server, user: &str) -> bool {
    ["", user].iter().any(|password| logs_in(server, user, password))
}

/// Runs one step that holds its lock for a while, and something else meanwhile.
pub(super) fn one(case: &Case, slow: impl Fn(&SlowCase<'_>) + Sync, meanwhile: impl FnOnce()) {
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let slow = &slow;
        scope.spawn(move || slow(&SlowCase { case, guard: Tells(tell, Duration::from_millis(2600)) }));
        told.recv_timeout(Duration::from_secs(10)).expect("the lock is taken");
        meanwhile();
    });
}

/// A case whose lease is slow to look at.
pub(super) struct SlowCase<'a> {
    case: &'a Case,
    guard: Tells,
}

impl SlowCase<'_> {
    pub(super) fn set(&self, wanted: &Value) -> Result<engine::outcome::Done, StepError> {
        self.case.set_under(wanted, &self.guard)
    }
}

/// A lease that is lost after so many looks at it.
pub(super) struct Allows(AtomicUsize);

impl Allows {
    pub(super) fn calls(calls: usize) -> Self {
        Self(AtomicUsize::new(calls))
    }
}

#[async_trait]
impl Guard for Allows {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |calls| calls.checked_sub(1));
        left.map(|_| ()).map_err(|_| StepError::new(Verdict::Retry, "lease", "the lease is gone"))
    }
}

/// A lease that holds, and something that happens at one of the looks at it.
pub(super) struct Does<F> {
    left: AtomicUsize,
    what: F,
}

impl<F: Fn() + Sync> Does<F> {
    pub(super) fn at(look: usize, what: F) -> Self {
        Self { left: AtomicUsize::new(look), what }
    }
}

#[async_trait]
impl<F: Fn() + Send + Sync> Guard for Does<F> {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // A thread of its own, for it may want a runtime.
            std::thread::scope(|scope| scope.spawn(&self.what).join().expect("no panic"));
        }
        Ok(())
    }
}

/// The hosts of an account's rows.
pub(super) fn rows_of(server: &Server, user: &str) -> Vec<String> {
    ask(server, &format!("SELECT Host FROM mysql.user WHERE User = '{user}' ORDER BY Host"))
}

/// What the server says of an account, every row of it, its name and its password taken out: `SHOW GRANTS` and
/// `SHOW CREATE USER`.
pub(super) fn shown(server: &Server, user: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for host in rows_of(server, user) {
        for what in ["GRANTS FOR", "CREATE USER"] {
            lines.extend(ask(server, &format!("SHOW {what} '{user}'@'{host}'")));
        }
    }
    let mut lines: Vec<String> =
        lines.iter().map(|line| without_hash(&line.replace(&format!("`{user}`@"), "`X`@"))).collect();
    lines.sort();
    lines
}

/// The text without what stands in quotes after words that a hash follows.
fn without_hash(line: &str) -> String {
    let mut line = line.to_owned();
    for word in [" AS '", " BY PASSWORD '", " USING '"] {
        if let Some((head, rest)) = line.clone().split_once(word)
            // A hash may hold anything, quotes too: what follows it begins with one of these.
            && let Some(end) = ["' REQUIRE", "' WITH", "' DEFAULT ROLE"].iter().filter_map(|end| rest.find(end)).min()
        {
            line = format!("{head}{word}…{}", &rest[end..]);
        } else if let Some((head, _)) = line.clone().split_once(word) {
            line = format!("{head}{word}…");
        }
    }
    line
}

/// The first column of a query's rows.
pub(super) fn ask(server: &Server, sql: &str) -> Vec<String> {
    let opts = OptsBuilder::default()
        .ip_or_hostname(server.host.clone())
        .tcp_port(server.port)
        .user(Some(server.admin_user.clone()))
        .pass(Some(server.admin_password.clone()))
        .prefer_socket(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut conn = Conn::new(opts).await.expect("the admin logs in");
        let rows: Vec<String> =
            conn.query_map(sql, |row: mysql_async::Row| row.get(0).expect("text")).await.expect(sql);
        conn.disconnect().await.expect("a goodbye");
        rows
    })
}
