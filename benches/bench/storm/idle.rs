//! A cluster in which nothing is due: what a look for work costs, beside the least that one can ask the server, and what a node
//! and the server use while they wait.

use std::time::{Duration, Instant};

use engine::port::Clock;
use pawl::clock::SystemClock;
use store::{Room, Store};
use tokio_postgres::Client;

use super::SIZES;
use super::database::Database;
use super::fill::Fleet;
use super::node::{Node, Rotates};
use crate::median;

const WATCHED: Duration = Duration::from_secs(20);
/// What a node does when it starts is no part of waiting.
const SETTLES: Duration = Duration::from_secs(5);
const LOOKS: usize = 300;
const PERMITS: u32 = 32;

pub(crate) async fn run(database: &Database, fleet: &Fleet) {
    println!("\n### (h) Scheduled secrets on PostgreSQL of which none is due\n");
    println!(
        "| secrets | one look for due work | beside `SELECT 1` | CPU of a node over {0} s | CPU of PostgreSQL over {0} s |",
        WATCHED.as_secs()
    );
    println!("|--:|--:|--:|--:|--:|");
    let without = cpu(database, None).await.1;
    for size in SIZES {
        fleet.copy_until(database, size).await;
        let (look, bare) = (look(&fleet.store).await, bare(&database.client).await);
        let node = Node::start(database, fleet, Rotates::Databases, PERMITS as usize).await;
        let (node_ms, server_ms) = cpu(database, Some(&node)).await;
        println!("| {size} | {:.0} µs | {:.1}× | {node_ms:.0} ms | {server_ms:.0} ms |", look / 1e3, look / bare);
    }
    println!("\nPostgreSQL without a node: {without:.0} ms of CPU over {} s.", WATCHED.as_secs());
}

/// Nanoseconds of what the scheduler asks at each wake-up: claims, and when to wake up next.
async fn look(store: &Store) -> f64 {
    let mut times = vec![];
    for _ in 0..LOOKS {
        let began = Instant::now();
        let claims = store.claim("bench", &Room::everywhere(PERMITS), SystemClock.now()).await.expect("asked");
        assert!(claims.is_empty(), "nothing is due");
        store.next_due(&Room::everywhere(PERMITS)).await.expect("asked");
        times.push(began.elapsed().as_secs_f64() * 1e9);
    }
    median(times)
}

/// Nanoseconds of a prepared statement that reads no table.
async fn bare(client: &Client) -> f64 {
    let statement = client.prepare("SELECT 1").await.expect("prepared");
    let mut times = vec![];
    for _ in 0..LOOKS {
        let began = Instant::now();
        client.query_one(&statement, &[]).await.expect("answered");
        times.push(began.elapsed().as_secs_f64() * 1e9);
    }
    median(times)
}

/// What a node, if there is one, and the server use.
async fn cpu(database: &Database, node: Option<&Node>) -> (f64, f64) {
    tokio::time::sleep(SETTLES).await;
    let of_node = || node.map_or(0.0, Node::cpu_ms);
    let before = (of_node(), database.cpu_ms());
    tokio::time::sleep(WATCHED).await;
    (of_node() - before.0, database.cpu_ms() - before.1)
}
