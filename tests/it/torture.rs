//! Random torture: three nodes on one PostgreSQL store rotate accounts on three kinds of database without a pause, services
//! read and log in, users write, and a node drawn at random is killed at a random moment, again and again. Nobody is ever
//! locked out, nobody is refused where that is promised, what was acknowledged stays, nothing runs twice, and what a dead node
//! held goes on under another as soon as its lease is over.
//!
//! Fifteen kills in `make test`; `make torture` makes a thousand (`PAWL_TEST_KILLS`), with 200 accounts, and prints what
//! it measured.

#![expect(
    clippy::disallowed_methods,
    reason = "it takes its time and measures it, on the orders of whoever runs it, and waits for its tasks at the end"
)]

mod cluster;
mod figures;
mod fleet;
mod oracle;
mod services;
mod watch;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pawl::servers::Engine;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;

use self::cluster::{Cluster, NODES};
use self::figures::Figures;
use self::fleet::{Fleet, token};
use self::oracle::{Oracle, wrong_when_quiet};
use self::services::Services;
use self::watch::Watch;
use self::writer::Writers;
use crate::harness::account::users_like;
use crate::harness::{self, servers};

/// Long enough for a service that keeps what it read for three seconds, on a machine that is busy.
const GRACE: Duration = Duration::from_secs(6);
/// Between two kills, at most; at least a tenth of it.
const LONGEST_PAUSE: Duration = Duration::from_millis(2400);
/// Every second kill waits so long for its victim to be at work.
const AT_WORK: Duration = Duration::from_secs(1);
/// Kills between two times of quiet.
const ROUND: usize = 100;
/// From so many kills on it is the whole torture, with all accounts.
const WHOLE: usize = 100;
const ACCOUNTS: (usize, usize) = (200, 42);
/// Between two requests for a rotation.
const ASK_EVERY: Duration = Duration::from_millis(120);

/// A number that whoever runs the tests may give.
#[expect(
    clippy::disallowed_methods,
    reason = "how long to torture, and from which seed, is said by the person who does"
)]
fn given<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Writes to the log of the run which seed it is: of a failed run that is what one wants to know.
#[expect(clippy::print_stderr, reason = "measured figures, and the seed, for whoever looks")]
fn say(what: &str) {
    eprintln!("{what}");
}

// F21
#[test]
fn nodes_killed_at_random_lose_nothing_and_lock_nobody_out() {
    let Some(store) = servers::own(Engine::Postgres, &[]) else { return };
    let kills = given("PAWL_TEST_KILLS").unwrap_or(15);
    let seed = given("PAWL_TEST_SEED").unwrap_or_else(rand::random);
    say(&format!("the seed is {seed}: PAWL_TEST_SEED={seed} draws the same victims and pauses again"));
    let accounts = if kills >= WHOLE { ACCOUNTS.0 } else { ACCOUNTS.1 };
    let fleet = Fleet::accounts(given("PAWL_TEST_ACCOUNTS").unwrap_or(accounts));
    // A database and a role of its own, as harness/cluster.rs makes them for any cluster.
    let url = harness::cluster::Cluster::on(&store, 0, "").url;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let fleet = Arc::new(fleet);
    let figures = runtime.expect("a runtime").block_on(torture(&url, &fleet, kills, seed));
    say(&figures.block(&fleet));
    nothing_was_made_beside(&fleet);
}

async fn torture(url: &str, fleet: &Arc<Fleet>, kills: usize, seed: u64) -> Figures {
    let mut rng = StdRng::seed_from_u64(seed);
    let cluster = Arc::new(Cluster::start(url).await);
    let watch = Watch::begin(url).await;
    let began = Instant::now();
    fleet.adopt(&cluster).await;
    say(&format!("{} accounts were adopted in {:.1?}", fleet.secrets.len(), began.elapsed()));
    let services = Services::start(&cluster, fleet);
    let writers = Writers::start(&cluster, &fleet.prefix);
    let oracle = Oracle::start(&cluster, fleet);
    let mut figures = Figures { seed, ..Figures::default() };
    let began = Instant::now();
    while figures.kills < kills {
        let asker = Asker::start(&cluster, fleet, rng.random());
        for _ in 0..ROUND.min(kills - figures.kills) {
            kill_one(&cluster, &watch, &mut rng, &mut figures).await;
            assert!(!oracle.has_failed(), "the oracle has failed");
        }
        for (answer, times) in asker.end().await {
            *figures.answers.entry(answer).or_default() += times;
        }
        cluster.all_ready().await;
        watch.until_quiet(fleet, &cluster).await;
        let wrong = wrong_when_quiet(&cluster, fleet).await;
        assert!(
            wrong.is_empty(),
            "when all was quiet after {} kills: {wrong:#?}\n{}",
            figures.kills,
            cluster.log("WARN")
        );
        say(&format!(
            "{} of {kills} kills after {:.0?}: nobody is locked out, all is quiet",
            figures.kills,
            began.elapsed()
        ));
    }
    figures.took = began.elapsed();
    figures.looks = oracle.end().await;
    let seen = services.end().await;
    figures.saw(&seen);
    let (acknowledged, missing) = writers.end(&cluster).await;
    assert!(missing.is_empty(), "acknowledged and not there: {missing:#?}");
    figures.writes = acknowledged;
    figures.watched(&watch, fleet, &cluster).await;
    cluster.nobody_gave_up();
    figures
}

/// A node drawn at random dies at a random moment: of every second one, while it is at work, as far as it comes to that.
async fn kill_one(cluster: &Cluster, watch: &Watch, rng: &mut StdRng, figures: &mut Figures) {
    tokio::time::sleep(LONGEST_PAUSE.mul_f64(rng.random_range(0.1..1.0))).await;
    let victim = rng.random_range(0..NODES);
    // On a machine that is busy with other things nodes take long to start, and a cluster that never serves shows nothing:
    // so the others are there, but for one time in four.
    if rng.random_range(0..4) > 0 {
        for other in (0..NODES).filter(|other| *other != victim) {
            cluster.ready(other).await;
        }
    }
    cluster.nobody_gave_up();
    if rng.random() {
        let until = Instant::now() + AT_WORK;
        while Instant::now() < until && watch.held_by(cluster.pid(victim)).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
    }
    if !cluster.is_ready(victim).await {
        figures.killed_while_starting += 1;
    }
    let pid = cluster.kill(victim);
    for step in watch.held_by(pid).await {
        *figures.cut.entry(step).or_default() += 1;
    }
    cluster.start_again(victim);
    figures.kills += 1;
}

/// A task that asks for one rotation after another, of all accounts in turn, on any node.
struct Asker {
    ended: Arc<AtomicBool>,
    task: JoinHandle<BTreeMap<String, usize>>,
}

impl Asker {
    fn start(cluster: &Arc<Cluster>, fleet: &Arc<Fleet>, seed: u64) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (cluster, fleet, stop) = (Arc::clone(cluster), Arc::clone(fleet), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut order: Vec<usize> = (0..fleet.secrets.len()).collect();
            let mut answers = BTreeMap::new();
            while !stop.load(Ordering::SeqCst) {
                order.shuffle(&mut rng);
                for &number in &order {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    *answers.entry(ask(&cluster, &fleet, number).await).or_default() += 1;
                    tokio::time::sleep(ASK_EVERY).await;
                }
            }
            answers
        });
        Self { ended, task }
    }

    /// Ends it, and says what was answered how often.
    async fn end(self) -> BTreeMap<String, usize> {
        self.ended.store(true, Ordering::SeqCst);
        self.task.await.expect("everything it was answered is to be expected")
    }
}

/// Asks once: who is not answered does not know whether a rotation was begun, and leaves it at that.
async fn ask(cluster: &Cluster, fleet: &Fleet, number: usize) -> String {
    let kept = &fleet.secrets[number];
    let token = token();
    kept.asked().insert(token.clone());
    match cluster.call("RotateSecret", &json!({ "SecretId": kept.name, "ClientRequestToken": token })).await {
        Some((200, _)) => "accepted".to_owned(),
        // One is open.
        Some((400, error)) if error["__type"] == "InvalidRequestException" => "refused, one is open".to_owned(),
        Some((status, error)) => panic!("RotateSecret of {}: {status} {error}", kept.name),
        None => "not answered".to_owned(),
    }
}

/// On the servers there are the accounts of the fleet, the second ones of pairs, PostgreSQL's owners, and nothing else.
fn nothing_was_made_beside(fleet: &Fleet) {
    let mut engines: Vec<Engine> = fleet.secrets.iter().map(|kept| kept.shape.engine).collect();
    engines.dedup();
    for server in
        [Engine::Postgres, Engine::Mariadb, Engine::Mysql].into_iter().filter(|engine| engines.contains(engine))
    {
        let server = servers::shared(server).expect("it is tortured");
        let mine = fleet.secrets.iter().filter(|kept| kept.server.port == server.port);
        let expected: Vec<String> = mine.flat_map(|kept| kept.users()).collect();
        let owner = |user: &String| user.strip_suffix("_owner").is_some_and(|of| expected.iter().any(|one| one == of));
        let surplus: Vec<String> = users_like(server, &fleet.prefix)
            .into_iter()
            .filter(|user| !expected.contains(user) && !owner(user))
            .collect();
        assert_eq!(surplus, Vec::<String>::new(), "{}: accounts that nobody asked for", server.engine);
    }
}
