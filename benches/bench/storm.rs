//! A cluster on PostgreSQL with a hundred thousand scheduled secrets: what it costs while nothing is due, how soon a thousand
//! rotations begin that are due at once, how many it completes a second on one, two and four nodes, and how that compares
//! with the same statements sent by a plain client.

mod bare;
mod burst;
mod database;
mod fill;
mod idle;
mod node;

pub(crate) use node::{MODE, run_node};

use self::database::Database;
use self::fill::Fleet;

/// Scheduled secrets at which idleness is measured. The last is what everything else is measured beside.
const SIZES: [usize; 4] = [0, 1_000, 10_000, 100_000];
/// Due at once.
const BURST: usize = 1_000;

/// Of `idle`, `due`, `bare` and `real` what is wanted.
pub(crate) async fn run(wants: impl Fn(&str) -> bool) {
    let database = Database::start().await;
    let fleet = Fleet::new(&database).await;
    burst::watch(&database).await;
    if wants("storm-idle") {
        idle::run(&database, &fleet).await;
    }
    if wants("storm-due") {
        burst::run(&database, &fleet).await;
    }
    if wants("storm-bare") {
        bare::run(&database, &fleet).await;
    }
    if wants("storm-real") {
        burst::real(&database, &fleet).await;
    }
}
