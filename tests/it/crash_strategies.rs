//! `kill -9` of `pawl serve` at each fail point of each strategy that promises that AWSCURRENT always logs in: in rotations,
//! at the end of the grace, in rollbacks, while AWSCURRENT is set again, while an account is prepared. After the restart
//! AWSCURRENT logs in at once, before anything is resumed; all is completed without a person; and nothing but AWSCURRENT is
//! alive once things are quiet.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use pawl::servers::Engine;

use crate::crash::COMMITS;
use crate::harness::account::{Account, execute};
use crate::harness::pawl::{Home, Pawl, pawl};
use crate::harness::shapes::{SHAPES, Shape, current_logs_in, logs_in, must, value};
use crate::harness::{several_at_a_time, wait_for};

/// Short: what is killed at the end of a grace must come there.
const GRACE: &str = "1s";

/// On either side of the commit that ends a grace.
const RETIRED: [&str; 2] = ["commit::before::retire", "commit::after::retire"];

/// At each await inside the acts on one account.
const ONE_ACCOUNT: [&str; 10] = [
    "set::connected",
    "set::locked",
    "set::before_change",
    "set::after_change",
    "set::after_commit",
    "test::after_login",
    "retire::connected",
    "retire::locked",
    "retire::before_change",
    "retire::after_change",
];

/// Between making the second account of MySQL and MariaDB, and giving it the rights of the first.
const OF_A_PAIR: [&str; 2] = ["set::made", "set::made_equal"];

/// A server that dies at `point`, and an account whose secret it rotates.
struct Doomed {
    home: Home,
    account: Account,
    name: String,
    what: String,
}

impl Doomed {
    /// The account, adopted; None where there is no such server.
    fn adopt(shape: &Shape, what: &str) -> Option<Self> {
        let account = shape.account()?;
        let home = Home::new();
        let pawl = home.serve();
        let name = shape.adopt(&pawl, &account, GRACE);
        drop(pawl);
        Some(Self { home, account, name, what: format!("{}: {what}", shape.name) })
    }

    /// Serves, asks for this, and is killed at `point`; then serves again.
    fn dies_at(&self, point: &str, ask: &[&str]) -> Pawl {
        let mut doomed = self.home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
        let mut asking = asks(&doomed, &self.home, ask);
        let status = doomed.ended(Duration::from_secs(60));
        // It is answered by nobody.
        let _ended = asking.wait();
        assert_eq!(status.signal(), Some(9), "{}: {status}; {}", self.what, self.home.log());
        drop(doomed);
        let pawl = self.home.serve();
        assert!(current_logs_in(&pawl, &self.account, &self.name), "{}: AWSCURRENT logs in at once", self.what);
        pawl
    }

    /// Waits until all is over, while AWSCURRENT logs in at every look.
    fn is_quiet(&self, pawl: &Pawl) {
        let view = wait_for(&format!("{} is over", self.what), Duration::from_secs(90), || {
            let looked = current_logs_in(pawl, &self.account, &self.name);
            assert!(looked, "{}: AWSCURRENT logs in at every look", self.what);
            let view = pawl.status(&self.name);
            ["idle", "parked"].contains(&view["State"].as_str()?).then_some(view)
        });
        assert_eq!(view["State"], "idle", "{}: {view:#}\n{}", self.what, self.home.log());
    }

    fn rotate_once(&self) {
        let pawl = self.home.serve();
        must(&pawl, &["rotation", "now", &self.name, "--wait"]);
        self.is_quiet(&pawl);
    }
}

fn asks(pawl_serve: &Pawl, home: &Home, arguments: &[&str]) -> Child {
    let mut command = pawl();
    command.args(arguments).args(["--endpoint-url", &pawl_serve.url, "--data"]).arg(home.data());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pawl runs")
}

fn dies_in_a_rotation(shape: &Shape, point: &str) {
    let Some(doomed) = Doomed::adopt(shape, &format!("a rotation, at {point}")) else { return };
    let pawl = doomed.dies_at(point, &["rotation", "now", &doomed.name]);
    doomed.is_quiet(&pawl);
    let current = value(&pawl, &doomed.name, "AWSCURRENT").expect("a value");
    assert_ne!(current["password"], doomed.account.password, "{}: it was completed", doomed.what);
    shape.old_credential_ends(&pawl, &doomed.account, &doomed.name);
    assert!(!doomed.account.logs_in(&doomed.account.password), "{}: the first password is dead", doomed.what);
}

fn dies_in_rotations(shape: &Shape, acts: &[&'static str]) {
    let points: Vec<&str> = COMMITS.iter().chain(&RETIRED).chain(acts).copied().collect();
    several_at_a_time(points, |point| dies_in_a_rotation(shape, point));
}

// F01, F08
#[test]
fn an_account_with_two_passwords_on_mysql_survives_a_process_killed_at_any_point() {
    dies_in_rotations(&SHAPES[0], &ONE_ACCOUNT);
}

// F01, F08
#[test]
fn an_account_with_two_passwords_on_mariadb_survives_a_process_killed_at_any_point() {
    dies_in_rotations(&SHAPES[1], &ONE_ACCOUNT);
}

// F01, F08
#[test]
fn a_pair_of_one_owner_on_postgresql_survives_a_process_killed_at_any_point() {
    dies_in_rotations(&SHAPES[2], &ONE_ACCOUNT);
}

// F01, F08
#[test]
fn a_pair_on_mysql_survives_a_process_killed_at_any_point() {
    dies_in_rotations(&SHAPES[3], &[&ONE_ACCOUNT[..], &OF_A_PAIR].concat());
}

// F01, F08
#[test]
fn a_pair_on_mariadb_survives_a_process_killed_at_any_point() {
    dies_in_rotations(&SHAPES[4], &[&ONE_ACCOUNT[..], &OF_A_PAIR].concat());
}

fn dies_in_a_rollback(shape: &Shape, point: &str) {
    let Some(doomed) = Doomed::adopt(shape, &format!("a rollback, at {point}")) else { return };
    doomed.rotate_once();
    let pawl = doomed.dies_at(point, &["rotation", "rollback", &doomed.name]);
    doomed.is_quiet(&pawl);
    let current = value(&pawl, &doomed.name, "AWSCURRENT").expect("a value");
    assert_eq!(current["password"], doomed.account.password, "{}: it went back", doomed.what);
    shape.old_credential_ends(&pawl, &doomed.account, &doomed.name);
}

/// Where a rollback differs from a rotation, and around what it does to the target.
const IN_A_ROLLBACK: [&str; 6] = [
    "commit::before::createSecret",
    "commit::after::createSecret",
    "set::before_change",
    "set::after_change",
    "commit::after::finishSecret",
    "retire::after_change",
];

// F16
#[test]
fn a_rollback_survives_a_process_killed_at_any_point() {
    let cases: Vec<(&Shape, &str)> =
        SHAPES.iter().flat_map(|shape| IN_A_ROLLBACK.map(|point| (shape, point))).collect();
    several_at_a_time(cases, |(shape, point)| dies_in_a_rollback(shape, point));
}

/// Somebody has set another password; AWSCURRENT is set again by the admin.
fn dies_while_reconciling(shape: &Shape, point: &str) {
    let Some(doomed) = Doomed::adopt(shape, &format!("setting AWSCURRENT again, at {point}")) else { return };
    let server = doomed.account.server;
    let user = &doomed.account.user;
    execute(
        server,
        &match shape.engine {
            Engine::Postgres => format!("ALTER ROLE {user} PASSWORD 'a-rivals-password'"),
            _ => format!("ALTER USER '{user}'@'%' IDENTIFIED BY 'a-rivals-password'"),
        },
    );
    let mut pawl = doomed.home.serve_with(&[], &[("PAWL_CRASH_AT", point)]);
    let mut asking = asks(&pawl, &doomed.home, &["rotation", "reconcile", &doomed.name]);
    let status = pawl.ended(Duration::from_secs(60));
    let _ended = asking.wait();
    assert_eq!(status.signal(), Some(9), "{}: {status}; {}", doomed.what, doomed.home.log());
    let pawl = doomed.home.serve();
    let view = pawl.settled(&doomed.name);
    assert_eq!(view["State"], "idle", "{}: {view:#}", doomed.what);
    let current = value(&pawl, &doomed.name, "AWSCURRENT").expect("a value");
    assert_eq!(current["password"], doomed.account.password, "{}: no other value was made", doomed.what);
    assert!(logs_in(&doomed.account, &current), "{}: AWSCURRENT logs in again", doomed.what);
}

const WHILE_RECONCILING: [&str; 8] = [
    "commit::before::prove",
    "commit::after::prove",
    "set::locked",
    "set::before_change",
    "set::after_change",
    "commit::before::restore",
    "commit::after::restore",
    "prove::locked",
];

// F16
#[test]
fn setting_awscurrent_again_survives_a_process_killed_at_any_point() {
    let shapes = [&SHAPES[0], &SHAPES[1], &SHAPES[2]];
    let cases: Vec<(&Shape, &str)> =
        shapes.into_iter().flat_map(|shape| WHILE_RECONCILING.map(|point| (shape, point))).collect();
    several_at_a_time(cases, |(shape, point)| dies_while_reconciling(shape, point));
}

/// Around what brings a PostgreSQL account into the shape of a pair with one owner, and back.
const WHILE_PREPARING: [&str; 5] = [
    "prepare::before_login",
    "prepare::connected",
    "prepare::locked",
    "prepare::before_change",
    "prepare::after_change",
];

/// AWSCURRENT logs in whichever shape the account is in, and doing it again ends in the one that was asked for.
fn dies_while_preparing(point: &str) {
    let shape = Shape { name: "PostgreSQL", engine: Engine::Postgres, strategy: "single-user", pair: false };
    let Some(doomed) = Doomed::adopt(&shape, &format!("preparing, at {point}")) else { return };
    for undo in [&[][..], &["--undo"]] {
        let ask = [&["rotation", "prepare", &doomed.name, "--apply"], undo].concat();
        let pawl = doomed.dies_at(point, &ask);
        // Work on a whole server is leased for longer than a step, and the dead process's lease is waited out.
        wait_for("it is done again", Duration::from_secs(180), || pawl.run(&ask).status.success().then_some(()));
        assert!(current_logs_in(&pawl, &doomed.account, &doomed.name), "{}: AWSCURRENT logs in", doomed.what);
    }
}

#[test]
fn preparing_and_undoing_survive_a_process_killed_at_any_point() {
    several_at_a_time(WHILE_PREPARING.to_vec(), dies_while_preparing);
}
