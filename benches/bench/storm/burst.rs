//! A thousand rotations that are due at one moment: how long until each has a lease, and until its first step is written down, and
//! how many are completed a second.

use std::time::{Duration, Instant};

use pawl::servers::{Engine, Server};
use serde_json::json;

use super::BURST;
use super::database::Database;
use super::fill::Fleet;
use super::node::{Node, Rotates};

const NODES: [usize; 3] = [1, 2, 4];
/// What `pawl serve` has by itself, and room for everything at once.
const PERMITS: [usize; 2] = [32, 1_000];
/// Nodes look at what is due next at least this often, so by then all of them know when it will be.
const NOTICE: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_secs(300);
/// Accounts of a real PostgreSQL.
const REAL: usize = 300;

/// What one burst came to.
pub(crate) struct Came {
    /// Milliseconds from due to leased, sorted.
    leased: Vec<i64>,
    /// Milliseconds from due to the first step begun, sorted.
    begun: Vec<i64>,
    /// Seconds from due to the last one done.
    pub(crate) took: f64,
    /// Milliseconds of CPU of the nodes, and of PostgreSQL.
    pub(crate) cpu: (f64, f64),
    /// Connections of all nodes.
    pub(crate) connections: i64,
}

/// From now on the database writes down when each lease was taken.
pub(crate) async fn watch(database: &Database) {
    database.client.batch_execute(CLAIMS).await.expect("a trigger");
}

pub(crate) async fn run(database: &Database, fleet: &Fleet) {
    fleet.create_burst("due").await;
    println!("\n### (i) {BURST} rotations due at once, against a target that takes no time\n");
    println!(
        "| nodes | permits of each | due to leased, p50 | p99 | due to first step, p50 | p99 | rotations/s | CPU of nodes, each | CPU of PostgreSQL, each |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for permits in PERMITS {
        for count in NODES {
            let nodes = Node::several(count, database, fleet, Rotates::Nothing, permits).await;
            let came = burst(database, &nodes, "due/%", BURST).await;
            line(&came, count, permits, BURST);
        }
    }
}

/// Rotations of real accounts a second, as `pawl serve` makes them.
pub(crate) async fn real(database: &Database, fleet: &Fleet) {
    let target = Server::start(Engine::Postgres, &std::env::temp_dir(), &[]).expect("a private PostgreSQL");
    let verifier = postgres_protocol::password::scram_sha_256(b"the-first-one");
    let role = |number| format!("CREATE ROLE real{number} LOGIN PASSWORD '{verifier}';");
    let roles: String = (0..REAL).map(role).collect();
    let mut config = tokio_postgres::Config::new();
    config.host(&target.host).port(target.port).user(&target.admin_user).password(&target.admin_password).dbname("app");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("logs in");
    tokio::spawn(connection);
    client.batch_execute(&roles).await.expect("accounts");
    for number in 0..REAL {
        let value = json!({ "engine": "postgres", "host": target.host, "port": target.port, "dbname": "app",
                            "username": format!("real{number}"), "password": "the-first-one" });
        fleet.create(&format!("real/{number}"), &value).await;
    }
    println!("\n### (k) {REAL} rotations of real PostgreSQL accounts due at once\n");
    println!(
        "| nodes | permits of each | due to leased, p50 | p99 | due to first step, p50 | p99 | rotations/s | CPU of nodes, each | CPU of PostgreSQL, each |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for count in NODES {
        let nodes = Node::several(count, database, fleet, Rotates::Databases, PERMITS[0]).await;
        let came = burst(database, &nodes, "real/%", REAL).await;
        line(&came, count, PERMITS[0], REAL);
    }
}

fn line(came: &Came, nodes: usize, permits: usize, count: usize) {
    let shown = |times: &[i64]| format!("{} ms | {} ms", at(times, 0.5), at(times, 0.99));
    let each = count as f64;
    println!(
        "| {nodes} | {permits} | {} | {} | {:.0} | {:.1} ms | {:.1} ms |",
        shown(&came.leased),
        shown(&came.begun),
        each / came.took,
        came.cpu.0 / each,
        came.cpu.1 / each
    );
}

/// Makes all secrets of these names due at one moment that the nodes know beforehand, and waits until they have been rotated.
pub(crate) async fn burst(database: &Database, nodes: &[Node], names: &str, count: usize) -> Came {
    let client = &database.client;
    let connections = database.connections().await;
    client.batch_execute("TRUNCATE storm_claim").await.expect("an empty table");
    let due = database.now().await + i64::try_from(NOTICE.as_millis()).expect("soon");
    let planned = client.execute(PLAN, &[&due, &names]).await.expect("planned");
    assert_eq!(usize::try_from(planned).ok(), Some(count), "all of them are planned");
    tokio::time::sleep(NOTICE.saturating_sub(Duration::from_secs(1))).await;
    let cpu = || (nodes.iter().map(Node::cpu_ms).sum::<f64>(), database.cpu_ms());
    let before = cpu();
    let patience = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let done: i64 = client.query_one(DONE, &[&due, &names]).await.expect("counted").get(0);
        if usize::try_from(done).ok() == Some(count) {
            break;
        }
        assert!(patience.elapsed() < PATIENCE, "{done} of {count} were rotated in {PATIENCE:?}");
    }
    let after = cpu();
    let times = async |sql: &str| -> Vec<i64> {
        let rows = client.query(sql, &[&due, &names]).await.expect("times");
        rows.iter().map(|row| row.get(0)).collect()
    };
    let ended = times(ENDED).await;
    Came {
        leased: times(LEASED).await,
        begun: times(BEGUN).await,
        took: ended.last().copied().unwrap_or_default() as f64 / 1e3,
        cpu: (after.0 - before.0, after.1 - before.1),
        connections,
    }
}

/// The value at this share of a sorted list.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn at(sorted: &[i64], share: f64) -> i64 {
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// When each lease was taken, by the database's clock.
const CLAIMS: &str = "
CREATE TABLE storm_claim (of_secret BIGINT, at_ms BIGINT);
CREATE FUNCTION storm_claimed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO storm_claim VALUES (OLD.secret_id, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT);
    RETURN NULL;
END $$;
CREATE TRIGGER storm_claimed AFTER UPDATE ON rotation FOR EACH ROW WHEN (NEW.fence > OLD.fence)
    EXECUTE FUNCTION storm_claimed();";

const PLAN: &str =
    "UPDATE rotation SET due_ms = $1::BIGINT, window_opens_ms = $1::BIGINT, window_closes_ms = $1::BIGINT + 3600000
FROM secret WHERE secret.id = rotation.secret_id AND secret.name LIKE $2::TEXT";

const DONE: &str = "SELECT COUNT(*) FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE s.name LIKE $2::TEXT AND r.state = 'idle' AND r.due_ms > $1::BIGINT AND r.lease_owner IS NULL AND s.rotated_ms >= $1::BIGINT - 1000";

const LEASED: &str = "SELECT MIN(c.at_ms) - $1::BIGINT FROM storm_claim c JOIN secret s ON s.id = c.of_secret
WHERE c.at_ms >= $1::BIGINT AND s.name LIKE $2::TEXT GROUP BY s.id ORDER BY 1";

const BEGUN: &str = "SELECT MIN(h.started_ms) - $1::BIGINT FROM history h JOIN secret s ON s.id = h.secret_id
WHERE h.started_ms >= $1::BIGINT AND h.step = 'createSecret' AND s.name LIKE $2::TEXT GROUP BY s.id ORDER BY 1";

const ENDED: &str = "SELECT MAX(h.ended_ms) - $1::BIGINT FROM history h JOIN secret s ON s.id = h.secret_id
WHERE h.started_ms >= $1::BIGINT AND h.step = 'finishSecret' AND s.name LIKE $2::TEXT GROUP BY s.id ORDER BY 1";
