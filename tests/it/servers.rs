//! Private servers: there when asked for, and gone with whoever asked, however that ended.

#![expect(clippy::disallowed_methods, reason = "waits for conditions, with a limit; tells its helper what to hold")]

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pawl::servers::{Engine, Server};

use crate::harness::servers;

/// Tells the helper process which server to hold.
const HOLD: &str = "PAWL_IT_HOLD";

fn listens(server: &Server) -> bool {
    TcpStream::connect((server.host.as_str(), server.port)).is_ok()
}

/// Waits until nothing is left of a server, and says what still is after half a minute.
fn assert_gone(dir: &Path, port: u16) {
    let until = Instant::now() + Duration::from_secs(30);
    while dir.exists() || TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < until, "{} or port {port} is still there", dir.display());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_server_survives_a_crash_and_a_stop_but_not_its_owner() {
    for engine in [Engine::Postgres, Engine::Mariadb, Engine::Mysql, Engine::Redis] {
        let Some(server) = servers::own(engine, &[]) else { continue };
        assert!(listens(&server), "{server:?}");
        server.kill().expect("killed");
        assert!(!listens(&server), "{server:?} is still there after SIGKILL");
        server.restart().expect("recovers from a crash");
        assert!(listens(&server), "{server:?}");
        server.stop().expect("stopped");
        assert!(!listens(&server), "{server:?} is still there after a stop");
        let (dir, port) = (server.dir.clone(), server.port);
        assert!(dir.exists(), "a stopped server keeps its data");
        drop(server);
        assert_gone(&dir, port);
    }
}

#[test]
fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
    let base = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("opened");
    if servers::own(Engine::Postgres, &[]).is_none() {
        return;
    }
    let error = Server::start(Engine::Postgres, base.path(), &["-c", "max_connections=none"]).expect_err("refused");
    assert!(error.to_string().contains("max_connections"), "{error}");
    let left: Vec<_> = std::fs::read_dir(base.path()).expect("listed").collect();
    assert!(left.is_empty(), "{left:?}");
}

// Paused, since that is the hardest: a paused server hears nothing but SIGKILL and SIGCONT.
#[test]
fn a_paused_server_goes_when_its_owner_is_killed() {
    for engine in [Engine::Postgres, Engine::Mariadb] {
        if servers::shared(engine).is_none() {
            continue;
        }
        let mut owner = Command::new(env::current_exe().expect("this test binary"))
            .args(["--exact", "servers::holds_a_paused_server", "--ignored", "--nocapture"])
            .env(HOLD, engine.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper starts");
        let words = BufReader::new(owner.stdout.take().expect("piped")).lines();
        let held = words.map_while(Result::ok).find_map(|line| {
            let (port, dir) = line.split_once("held ")?.1.split_once(' ')?;
            Some((port.parse::<u16>().expect("a port"), PathBuf::from(dir)))
        });
        let (port, dir) = held.expect("the helper holds a server");
        assert!(dir.exists());
        owner.kill().expect("killed");
        owner.wait().expect("ended");
        assert_gone(&dir, port);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how the helper tells what it holds")]
#[ignore = "the helper process of the test above"]
fn holds_a_paused_server() {
    let engine = match env::var(HOLD).as_deref() {
        Ok("mariadb") => Engine::Mariadb,
        _ => Engine::Postgres,
    };
    let server = servers::own(engine, &[]).expect("asked for");
    server.pause().expect("paused");
    println!("held {} {}", server.port, server.dir.display());
    // Until the parent goes.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("read");
}
