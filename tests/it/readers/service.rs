//! Services as their owners write them: AWS's SDK, a cache of its answer, a new connection for each piece of work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Client;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use pawl::servers::Server;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use crate::harness::pawl::Pawl;
use crate::harness::sdk::sdk;
use crate::harness::wait_for;

/// Between two pieces of work of one service: on two cores 64 of them must leave some room for the databases.
const REST: Duration = Duration::from_millis(150);

/// What all services of one account have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) logins: usize,
    /// Each refused login, in words.
    pub(super) refused: Vec<String>,
    /// From the first refusal to the next login that was let in.
    pub(super) gaps: Vec<Duration>,
}

/// Running services.
pub(super) struct Services {
    runtime: Runtime,
    shared: Arc<Shared>,
}

struct Shared {
    sdk: Client,
    name: String,
    server: &'static Server,
    rounds: Vec<AtomicUsize>,
    ended: AtomicBool,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    seen: Seen,
    since_refused: Option<Instant>,
}

/// A user and its password, as a value of the secret says.
pub(crate) type Login = (String, String);

/// How a database answers somebody who logs in and asks something.
pub(crate) enum Answer {
    In,
    /// It says that the password, or the user, is wrong.
    Refused(String),
    /// Anything else: too many connections, say. That is no rotation's doing.
    Busy,
}

impl Services {
    /// Starts `count` services of this secret; every second one keeps what it read for `cache`.
    pub(super) fn start(pawl: &Pawl, name: &str, server: &'static Server, count: usize, cache: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (sdk, _) = runtime.block_on(async { sdk(pawl) });
        let rounds = std::iter::repeat_with(AtomicUsize::default).take(count).collect();
        let tally = Mutex::new(Tally::default());
        let shared = Shared { sdk, name: name.to_owned(), server, rounds, ended: AtomicBool::new(false), tally };
        let shared = Arc::new(shared);
        for number in 0..count {
            let cache = if number % 2 == 0 { Duration::ZERO } else { cache };
            runtime.spawn(work(Arc::clone(&shared), number, cache));
        }
        Self { runtime, shared }
    }

    /// Waits until every service has done so many more pieces of work.
    pub(super) fn make_rounds(&self, count: usize) {
        let done = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        let until: Vec<usize> = self.shared.rounds.iter().map(|rounds| done(rounds) + count).collect();
        wait_for("every service has worked", Duration::from_secs(60), || {
            self.shared.rounds.iter().zip(&until).all(|(rounds, until)| done(rounds) >= *until).then_some(())
        });
    }

    /// Ends them, and says what they have seen.
    pub(super) fn end(self) -> Seen {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.runtime.shutdown_timeout(Duration::from_secs(10));
        std::mem::take(&mut self.shared.tally().seen)
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect("no service failed")
    }

    async fn current(&self) -> Option<Login> {
        let answer = self.sdk.get_secret_value().secret_id(&self.name).send().await.ok()?;
        let value: Value = serde_json::from_str(answer.secret_string()?).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some((text("username")?, text("password")?))
    }

    #[expect(clippy::disallowed_methods, reason = "the time of a gap is what is measured")]
    fn note(&self, answer: Answer, age: Duration, user: &str) {
        let mut tally = self.tally();
        match answer {
            Answer::In => {
                tally.seen.logins += 1;
                let gap = tally.since_refused.take().map(|since| since.elapsed());
                tally.seen.gaps.extend(gap);
            }
            Answer::Refused(why) => {
                tally.since_refused.get_or_insert_with(Instant::now);
                let line =
                    format!("{user} with what was read {age:?} before, after {} logins: {why}", tally.seen.logins);
                tally.seen.refused.push(line);
            }
            Answer::Busy => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a cache has an age, and services rest")]
async fn work(shared: Arc<Shared>, number: usize, cache: Duration) {
    let mut kept: Option<(Login, Instant)> = None;
    while !shared.ended.load(Ordering::SeqCst) {
        let fresh = kept.take().filter(|(_, read)| read.elapsed() < cache);
        let (login, read) = match fresh {
            Some(kept) => kept,
            None => match shared.current().await {
                Some(login) => (login, Instant::now()),
                None => continue,
            },
        };
        let age = read.elapsed();
        let answer = ask(shared.server, &login).await;
        let answered = !matches!(answer, Answer::Busy);
        shared.note(answer, age, &login.0);
        kept = Some((login, read));
        shared.rounds[number].fetch_add(usize::from(answered), Ordering::SeqCst);
        tokio::time::sleep(REST).await;
    }
}

/// A new connection and a question.
pub(crate) async fn ask(server: &Server, login: &Login) -> Answer {
    match server.engine {
        "postgres" => ask_postgres(server, login).await,
        _ => ask_mysql(server, login).await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver's connection is a task; it ends with the test's runtime")]
async fn ask_postgres(server: &Server, (user, password): &Login) -> Answer {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).user(user).password(password).dbname("app");
    let asked = async {
        let (client, connection) = config.connect(NoTls).await?;
        let connection = tokio::spawn(connection);
        let asked = client.simple_query("SELECT 1").await;
        drop(client);
        connection.abort();
        asked
    };
    match asked.await {
        Ok(_) => Answer::In,
        Err(error) => match error.code().map(tokio_postgres::error::SqlState::code) {
            // Invalid authorization: a wrong password, or no such role, or one that may not log in.
            Some(code @ ("28P01" | "28000")) => Answer::Refused(code.to_owned()),
            _ => Answer::Busy,
        },
    }
}

async fn ask_mysql(server: &Server, (user, password): &Login) -> Answer {
    let opts = OptsBuilder::default()
        .ip_or_hostname(server.host.clone())
        .tcp_port(server.port)
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(false);
    let asked = async {
        let mut conn = Conn::new(opts).await?;
        conn.query_drop("SELECT 1").await?;
        conn.disconnect().await
    };
    match asked.await {
        Ok(()) => Answer::In,
        // Access denied; to that database too.
        Err(mysql_async::Error::Server(error)) if [1044, 1045, 1698, 3118, 3955].contains(&error.code) => {
            Answer::Refused(error.code.to_string())
        }
        Err(_) => Answer::Busy,
    }
}
