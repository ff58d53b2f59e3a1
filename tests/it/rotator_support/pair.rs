//! A pair of PostgreSQL accounts under rotation, and what any login sees there, asked with the driver alone.

use std::time::Duration;

use engine::check::{Preparation, Prepare};
use engine::outcome::{Done, StepError};
use engine::port::Guard;
use engine::rotation::Step;
use engine::secret::SecretBytes;
use engine::strategy::Strategy;
use pawl::servers::Server;
use serde_json::{Value, json};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::lossy::lossy_way_to;
use super::{Case, Holds};
use crate::harness::account::{Account, execute, logs_in};
use crate::harness::chaos::Loss;
use crate::harness::unique;

impl Case {
    pub(crate) fn try_create(&self) -> Result<Value, StepError> {
        let password = SecretBytes::from(unique("Canary-9next-"));
        let rotator = self.registry();
        let made =
            self.run(&Holds, Step::Create, None, async |cx| self.rotator(&rotator).create(cx, &password).await)?;
        let value = made.value.expect("a built-in rotator makes the value");
        Ok(serde_json::from_slice(value.expose()).expect("JSON"))
    }

    pub(crate) fn prepare_under(&self, what: Prepare, guard: &dyn Guard) -> Result<Preparation, StepError> {
        let rotator = self.registry();
        self.run(guard, Step::Set, Some(&self.current), async |cx| self.rotator(&rotator).prepare(cx, what).await)
    }
}

/// Does something again and again, stopped a little later each time, until it comes to its end. `check` holds after each:
/// a session that is dropped is what a killed process leaves.
pub(crate) fn stopped_at_every_moment<T>(case: &Case, act: impl Fn(&Case) -> Result<T, StepError>, check: impl Fn()) {
    // The first quarter of a second belongs to the step's own margin.
    for after in (255..8_000).step_by(11) {
        let mut stopped = case.clone();
        stopped.deadline = Duration::from_millis(after);
        let outcome = act(&stopped);
        check();
        match outcome {
            Ok(_) => return,
            Err(error) => assert!(matches!(error.code.as_str(), "deadline" | "55P03" | "2BP01"), "{error:?}"),
        }
    }
    panic!("it never came to its end");
}

/// The same case on ways to its server on which the change, the connection or the reply is lost.
pub(crate) fn lossy_ways(case: &Case) -> Vec<Case> {
    let way = |loss| {
        let mut case = case.clone();
        let port = json!(lossy_way_to(case.server, loss));
        let known = case.known.iter_mut().map(|(_, value)| value);
        for value in known.chain([&mut case.current]).chain(case.admin.as_mut()) {
            value["port"] = port.clone();
        }
        case
    };
    [Loss::CutBefore, Loss::CutReplyAt(0), Loss::Reply].map(way).into()
}

/// A new account in `app`, with its admin, that is to take turns with a second one.
pub(crate) fn pair(server: &'static Server) -> Case {
    let mut case = Case::of(&Account::create(server), &json!({})).by_admin();
    case.options.strategy = Some(Strategy::AlternatingUsers);
    case
}

/// The same in the shape with a shared owner, made by hand, with a schema of the account's name in the database `app`.
pub(crate) fn shared_pair(server: &'static Server) -> Case {
    let case = pair(server);
    let (user, owner) = (&case.user, owner_of(&case));
    execute(
        server,
        &format!("CREATE ROLE {owner} NOLOGIN; GRANT {owner} TO {user}; ALTER ROLE {user} SET role = '{owner}'"),
    );
    execute(server, &format!("CREATE SCHEMA {user} AUTHORIZATION {owner}"));
    case
}

/// The name of the shared owner.
pub(crate) fn owner_of(case: &Case) -> String {
    format!("{}_owner", case.user)
}

/// The name of the second account.
pub(crate) fn clone_of(case: &Case) -> String {
    format!("{}_clone", case.user)
}

/// The user of a value.
pub(crate) fn user(value: &Value) -> &str {
    value["username"].as_str().expect("a user")
}

/// Whether a value logs in now.
pub(crate) fn value_logs_in(case: &Case, value: &Value) -> bool {
    logs_in(case.server, user(value), value["password"].as_str().expect("a password"))
}

/// setSecret, testSecret and the move of the labels, each step twice. AWSCURRENT logs in at every moment. Returns what
/// was AWSCURRENT.
pub(crate) fn turn(case: &mut Case) -> Value {
    let wanted = case.create();
    assert_ne!(user(&wanted), user(&case.current), "they take turns");
    case.attempted = false;
    assert!(case.set(&wanted).expect("set").retains, "AWSCURRENT goes on working");
    assert!(value_logs_in(case, &case.current), "AWSCURRENT after Set");
    case.attempted = true;
    assert_eq!(case.set(&wanted).expect("set again"), Done { retains: true, ..Done::default() });
    case.test(&wanted).expect("tested");
    case.test(&wanted).expect("tested again");
    assert!(value_logs_in(case, &wanted), "the new one");
    let old = std::mem::replace(&mut case.current, wanted);
    case.attempted = false;
    case.known = vec![(format!("version {}", "f".repeat(32)), old.clone())];
    old
}

/// A whole rotation, the end of the grace included.
pub(crate) fn rotate(case: &mut Case) {
    let old = turn(case);
    assert!(value_logs_in(case, &old), "in the grace both log in");
    case.retire().expect("retired");
    case.retire().expect("retired again");
    assert!(!value_logs_in(case, &old), "the old one ended");
    assert!(value_logs_in(case, &case.current), "AWSCURRENT after Retire");
    case.known.clear();
}

/// Runs statements in a database as whom a value is for, and returns the last one's first column.
pub(crate) fn ask(case: &Case, value: &Value, database: &str, sql: &str) -> Result<Vec<String>, String> {
    ask_as(case.server, user(value), value["password"].as_str().expect("a password"), database, sql)
}

/// The same as the administrator.
pub(crate) fn ask_admin(server: &Server, database: &str, sql: &str) -> Vec<String> {
    ask_as(server, &server.admin_user, &server.admin_password, database, sql).expect("the administrator's statement")
}

fn ask_as(server: &Server, user: &str, password: &str, database: &str, sql: &str) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = client(server, user, password, database).await.map_err(|error| format!("login: {error:?}"))?;
        let told =
            |error: tokio_postgres::Error| error.as_db_error().map_or(error.to_string(), |db| db.message().to_owned());
        let messages = client.simple_query(sql).await.map_err(told)?;
        let cell = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        };
        Ok(messages.iter().filter_map(cell).collect())
    })
}

/// A session that stays open as long as its runtime.
#[expect(clippy::disallowed_methods, reason = "the driver's connection is a task; it ends with the test's runtime")]
pub(crate) async fn client(
    server: &Server,
    user: &str,
    password: &str,
    database: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).user(user).password(password).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A database of its own, for what must not meet other tests.
pub(crate) fn database(server: &Server) -> String {
    let name = unique("db");
    execute(server, &format!("CREATE DATABASE {name}"));
    name
}

/// What belongs to these roles anywhere on the server.
pub(crate) fn belongings(server: &Server, roles: &[&str]) -> usize {
    let list = roles.iter().map(|role| format!("'{role}'")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT s.objid FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid \
         WHERE s.deptype = 'o' AND r.rolname IN ({list})"
    );
    ask_admin(server, "app", &sql).len()
}
