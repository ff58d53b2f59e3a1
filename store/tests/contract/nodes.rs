//! What is PostgreSQL's own: connections that many share.

use std::time::Duration;

use engine::schedule::Limits;

use crate::database::Database;
use crate::world::World;

const IN_A_TRANSACTION: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

/// A caller goes away at any moment: also between the BEGIN and its answer, of which the driver then knows nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_no_transaction_behind() {
    let Some(database) = Database::fresh("").await else { return };
    let mut raw = database.connect().await;
    let world = World::over(Some(database), Limits::Aws).await;
    world.create("s", "x").await;
    for micros in 0..400 {
        let limit = Duration::from_micros(micros * 5);
        let _gone = tokio::time::timeout(limit, world.store.ping()).await;
        let _gone = tokio::time::timeout(limit, world.store.rotation_counts(world.now())).await;
    }
    // Connections that were given back while nobody waited are looked at behind the scenes.
    for _ in 0..100 {
        world.store.ping().await.unwrap();
        let left: i64 = sqlx::query_scalar(IN_A_TRANSACTION).fetch_one(&mut raw).await.unwrap();
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a connection in the pool has a transaction open that nobody ends");
}
