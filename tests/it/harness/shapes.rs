//! The strategies that promise that no login is refused, each set up as its users do: by the command line.

use pawl::servers::Engine;
use serde_json::{Value, json};

use super::account::{self, Account, admin_secret, execute};
use super::pawl::Pawl;
use super::{servers, unique};

/// A strategy on one kind of database.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) engine: Engine,
    pub(crate) strategy: &'static str,
    /// Two accounts take turns.
    pub(crate) pair: bool,
}

pub(crate) const SHAPES: [Shape; 5] = [
    Shape { name: "MySQL, two passwords", engine: Engine::Mysql, strategy: "dual-password", pair: false },
    Shape { name: "MariaDB, two passwords", engine: Engine::Mariadb, strategy: "dual-password", pair: false },
    Shape { name: "PostgreSQL, one owner", engine: Engine::Postgres, strategy: "alternating-users", pair: true },
    Shape { name: "MySQL, a pair", engine: Engine::Mysql, strategy: "alternating-users", pair: true },
    Shape { name: "MariaDB, a pair", engine: Engine::Mariadb, strategy: "alternating-users", pair: true },
];

impl Shape {
    /// An account that uses the database `app`; None where there is no such server.
    pub(crate) fn account(&self) -> Option<Account> {
        let server = servers::shared(self.engine)?;
        let account = Account::create(server);
        // A role may use PostgreSQL's public schema without being told.
        if self.engine != Engine::Postgres {
            execute(server, &format!("GRANT SELECT, INSERT, CREATE ON app.* TO '{}'@'%'", account.user));
        }
        Some(account)
    }

    /// Makes the account's secret and an admin's, and has it rotated by this strategy with this grace.
    pub(crate) fn adopt(&self, pawl: &Pawl, account: &Account, grace: &str) -> String {
        let admin = unique("admin-");
        pawl.create(&admin, &admin_secret(account.server, &json!({})));
        let name = pawl.create_for(account, &json!({ "masterarn": admin }));
        if self.engine == Engine::Postgres && self.pair {
            must(pawl, &["rotation", "prepare", &name, "--apply"]);
        }
        let schedule = ["--schedule", "rate(30 days)", "--strategy", self.strategy];
        let mut enable = vec!["rotation", "enable", name.as_str()];
        enable.extend(schedule);
        if self.strategy != "single-user" {
            enable.extend(["--grace", grace]);
        }
        must(pawl, &enable);
        name
    }

    /// When the last grace is over, nothing but AWSCURRENT logs in any more.
    pub(crate) fn old_credential_ends(&self, pawl: &Pawl, account: &Account, name: &str) {
        let previous = value(pawl, name, "AWSPREVIOUS").expect("a version before");
        let view = pawl.settled(name);
        assert_eq!(view["State"], "idle", "{}: {view:#}", self.name);
        let current = value(pawl, name, "AWSCURRENT").expect("a value");
        assert!(logs_in(account, &current), "{}: AWSCURRENT logs in", self.name);
        assert!(!logs_in(account, &previous), "{}: the old credential is dead", self.name);
        assert_eq!(current["username"] != previous["username"], self.pair, "{}", self.name);
    }
}

/// Whether AWSCURRENT logs in this moment, on whichever of the accounts it is for.
pub(crate) fn current_logs_in(pawl: &Pawl, account: &Account, name: &str) -> bool {
    value(pawl, name, "AWSCURRENT").is_some_and(|current| logs_in(account, &current))
}

/// Runs a verb that must work.
pub(crate) fn must(pawl: &Pawl, arguments: &[&str]) {
    let output = pawl.run(arguments);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "pawl {arguments:?} said: {}", String::from_utf8_lossy(&said));
}

/// The value of the version with this label, if there is one.
pub(crate) fn value(pawl: &Pawl, name: &str, stage: &str) -> Option<Value> {
    let answer = pawl.run(&["secret", "get", name, "--stage", stage, "--json"]);
    let answer: Value = serde_json::from_slice(&answer.stdout).ok()?;
    serde_json::from_str(answer["SecretString"].as_str()?).ok()
}

/// Whether this value logs in.
pub(crate) fn logs_in(account: &Account, value: &Value) -> bool {
    let text = |key: &str| value[key].as_str().expect("a text");
    account::logs_in(account.server, text("username"), text("password"))
}
