//! The database servers of a test run.
//!
//! One of each kind is shared by all tests, which keep apart by the names of the accounts they make; a
//! test that stops, freezes or configures a server asks for its [`own`]. Never skips by itself: only
//! `PAWL_TEST_WITHOUT` does, and it says so.

use std::env;
use std::io::Write;
use std::sync::OnceLock;

use pawl::servers::{Engine, Server};

/// The shared PostgreSQL; none where `PAWL_TEST_WITHOUT` names it.
pub(crate) fn postgres() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| own(Engine::Postgres, &[])).as_ref()
}

/// The shared MariaDB; none where `PAWL_TEST_WITHOUT` names it.
pub(crate) fn mariadb() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| own(Engine::Mariadb, &[])).as_ref()
}

/// The shared MySQL; none where `PAWL_TEST_WITHOUT` names it.
pub(crate) fn mysql() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| own(Engine::Mysql, &[])).as_ref()
}

/// The shared Redis; none where `PAWL_TEST_WITHOUT` names it.
pub(crate) fn redis() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| own(Engine::Redis, &[])).as_ref()
}

/// The shared PgBouncer before the shared PostgreSQL; none where `PAWL_TEST_WITHOUT` names one of the two.
pub(crate) fn pgbouncer() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| own_with(postgres()?, Engine::Pgbouncer, &[])).as_ref()
}

/// The shared server of this kind.
pub(crate) fn shared(engine: Engine) -> Option<&'static Server> {
    match engine {
        Engine::Postgres => postgres(),
        Engine::Mariadb => mariadb(),
        Engine::Mysql => mysql(),
        Engine::Redis => redis(),
        Engine::Pgbouncer => pgbouncer(),
    }
}

/// A server for one test alone, with these arguments after ours.
///
/// # Panics
/// When there is no such server and nobody asked to do without it.
pub(crate) fn own(engine: Engine, extra_args: &[&str]) -> Option<Server> {
    started(engine, || Server::start(engine, &env::temp_dir(), extra_args))
}

/// A standby of another server, or a pooler before it, for one test alone.
///
/// # Panics
/// As [`own`].
pub(crate) fn own_with(upstream: &Server, engine: Engine, extra_args: &[&str]) -> Option<Server> {
    started(engine, || Server::start_with(upstream, engine, &env::temp_dir(), extra_args))
}

fn started(engine: Engine, start: impl FnOnce() -> std::io::Result<Server>) -> Option<Server> {
    if left_out(engine.name()) {
        return None;
    }
    match start() {
        Ok(server) => Some(server),
        Err(error) => panic!("{error}\n(PAWL_TEST_WITHOUT={} runs the tests without it)", engine.name()),
    }
}

/// Whether the person who runs the tests wants to do without this; says so then.
#[expect(clippy::disallowed_methods, reason = "what to leave out is said by the person who runs the tests")]
pub(crate) fn left_out(name: &str) -> bool {
    let names = env::var("PAWL_TEST_WITHOUT").unwrap_or_default();
    let left_out = names.split(',').any(|left_out| left_out.trim() == name);
    if left_out {
        say_left_out(name, "PAWL_TEST_WITHOUT says so");
    }
    left_out
}

/// Says what is not tested here, and why, past the test runner's capture, which would hide it in a test that then
/// passes. `.ci/run` repeats these lines at its end.
pub(crate) fn say_left_out(name: &str, why: &str) {
    let words = format!("left out: {name}: {why}\n");
    std::io::stderr().write_all(words.as_bytes()).expect("stderr takes a line");
}
