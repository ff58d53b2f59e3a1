//! A rule switched off is found: the simulation can fail.

use engine::port::Clock;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::op::{Kind, about};
use crate::seeds::first_failure;
use crate::world::World;
use crate::{Rules, SOUND};

/// So many seeds are tried until something is found.
const SEEDS: u64 = 300;

/// What the first of the seeds that fails says.
fn found(rules: Rules, kind: Kind, words: &[&str]) {
    let what = first_failure(0..SEEDS, rules, || about(kind)).unwrap_or_else(|| panic!("nothing was found"));
    assert!(words.iter().any(|word| what.contains(word)), "{what}");
}

#[test]
fn the_simulation_finds_the_late_statement_when_nothing_keeps_it_from_landing() {
    let rules = Rules { asks_the_guard: false, has_walls: false, takes_locks: false, ..SOUND };
    found(rules, Kind::Single, &["lockout", "two owners", "AWSCURRENT", "lost"]);
}

#[test]
fn the_simulation_finds_awscurrent_evicted_when_nobody_looks_which_password_is_the_primary() {
    found(Rules { looks_who_is_primary: false, ..SOUND }, Kind::Dual, &["lockout", "AWSCURRENT", "lost"]);
}

#[test]
fn the_simulation_finds_a_candidate_that_was_forgotten() {
    found(Rules { keeps_candidates: false, ..SOUND }, Kind::Single, &["lockout", "lost"]);
}

#[test]
fn the_simulation_finds_a_window_that_is_used_twice() {
    found(Rules { spends_windows: false, ..SOUND }, Kind::Single, &["twice in the window"]);
}

impl World {
    /// What a store without a rule would have done by now.
    pub(crate) async fn break_rules(&self) {
        if !self.rules.keeps_candidates {
            self.sql("UPDATE candidate SET resolved_ms = 1 WHERE resolved_ms IS NULL".to_owned()).await;
        }
        if self.rules.spends_windows {
            return;
        }
        for secret in self.secrets.iter().filter(|secret| secret.enabled && !secret.paused && !secret.deleted) {
            let Some(opens) = secret.last_opens else { continue };
            let (opens, now) = (opens.timestamp_millis(), self.clock.now().timestamp_millis());
            self.sql(format!(
                "UPDATE rotation SET due_ms = {now}, window_opens_ms = {opens}, window_closes_ms = {opens} + 3600000 \
                 WHERE state = 'idle' AND secret_id = (SELECT id FROM secret WHERE name = '{}')",
                secret.name
            ))
            .await;
        }
    }

    async fn sql(&self, statement: String) {
        let file = self.dir.path().join("data").join("pawl.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut raw: SqliteConnection = options.connect().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut raw).await.unwrap();
        sqlx::Connection::close(raw).await.unwrap();
    }
}
