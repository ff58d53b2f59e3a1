//! No refused login: 64 services that each read AWSCURRENT through AWS's SDK, open a new connection with it and ask
//! something, over and over, while their account is rotated; half of them go on using what they read for five seconds, as
//! caching clients do. On every strategy that promises it not one login is refused; and how long the gap is where one user
//! has one password is measured.

pub(crate) mod service;

use std::time::Duration;

use pawl::servers::Engine;

use self::service::Services;
use crate::harness::pawl::{Home, Pawl};
use crate::harness::shapes::{SHAPES, Shape};
use crate::harness::wait_for;

/// Services of each rotated account.
const SERVICES: usize = 64;
/// How long the half of them keeps what it read.
const CACHE: Duration = Duration::from_secs(5);
/// The grace: the cache, and time for a login that has begun with what was in it, on a busy machine.
const GRACE: &str = "12s";

/// Ten in `make test`, a hundred in `make torture`.
#[expect(clippy::disallowed_methods, reason = "how long to torture is said by the person who does")]
fn rotations() -> usize {
    std::env::var("PAWL_TEST_ROTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(10)
}

/// Rotates so often, each rotation beginning when the grace of the one before is over.
fn rotate(pawl: &Pawl, name: &str, count: usize) {
    for number in 1..=count {
        let asked = pawl.run(&["rotation", "now", name, "--wait"]);
        let said = String::from_utf8_lossy(&asked.stderr);
        assert!(asked.status.success(), "rotation {number} of {name}: {said}\n{:#?}", pawl.history(name));
    }
}

fn nobody_is_refused(shape: &Shape) {
    let Some(account) = shape.account() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let name = shape.adopt(&pawl, &account, GRACE);
    let services = Services::start(&pawl, &name, account.server, SERVICES, CACHE);
    services.make_rounds(1);
    rotate(&pawl, &name, rotations());
    // One more round each, the caching ones with what the last rotation made.
    services.make_rounds(1);
    let seen = services.end();
    assert_eq!(seen.refused, Vec::<String>::new(), "{}: refused logins of {}", shape.name, seen.logins);
    assert!(seen.logins >= SERVICES * rotations(), "{}: only {} logins", shape.name, seen.logins);
    shape.old_credential_ends(&pawl, &account, &name);
}

// F53
#[test]
fn f105_no_login_is_refused_with_two_passwords_on_mysql() {
    nobody_is_refused(&SHAPES[0]);
}

#[test]
fn f105_no_login_is_refused_with_two_passwords_on_mariadb() {
    nobody_is_refused(&SHAPES[1]);
}

#[test]
fn f105_no_login_is_refused_with_a_pair_of_one_owner_on_postgresql() {
    nobody_is_refused(&SHAPES[2]);
}

#[test]
fn f105_no_login_is_refused_with_a_pair_on_mysql() {
    nobody_is_refused(&SHAPES[3]);
}

#[test]
fn f105_no_login_is_refused_with_a_pair_on_mariadb() {
    nobody_is_refused(&SHAPES[4]);
}

/// The gap that is left where one user has one password: measured, not promised. Whoever reads again after a refusal is let
/// in.
#[test]
#[expect(clippy::print_stderr, reason = "a measured figure, for whoever looks")]
fn f105_the_gap_of_one_user_with_one_password_is_short_and_ends_by_itself() {
    let shape =
        Shape { name: "PostgreSQL, single user", engine: Engine::Postgres, strategy: "single-user", pair: false };
    let Some(account) = shape.account() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let name = shape.adopt(&pawl, &account, GRACE);
    // No caches: what is kept beyond the gap is refused by right.
    let services = Services::start(&pawl, &name, account.server, 8, Duration::ZERO);
    services.make_rounds(1);
    rotate(&pawl, &name, 5);
    services.make_rounds(1);
    let seen = services.end();
    eprintln!("{}: {} of {} logins refused; gaps {:?}", shape.name, seen.refused.len(), seen.logins, seen.gaps);
    let longest = seen.gaps.iter().max().copied().unwrap_or_default();
    assert!(longest < Duration::from_secs(10), "the gap ends with finishSecret: {:?}", seen.gaps);
    wait_for("AWSCURRENT logs in", Duration::from_secs(10), || {
        account.logs_in(&pawl.current_password(&name)).then_some(())
    });
}
