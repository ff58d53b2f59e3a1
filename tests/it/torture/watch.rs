//! The store, watched from beside Pawl: triggers of our own in its database write down who took which lease when, what was made
//! and what became AWSCURRENT.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::cluster::Cluster;
use super::fleet::Fleet;

/// How long it may take until nothing is open any more: a lease, some tries, a grace.
const QUIET: Duration = Duration::from_secs(120);

/// A connection of its own.
pub(super) struct Watch {
    client: Client,
}

/// A lease that passed from one owner to another.
pub(super) struct Taken {
    pub(super) from: String,
    /// The step at which it was left; empty: none.
    pub(super) step: String,
    /// From the moment when it could be taken: the old lease was over and something was due.
    pub(super) after_ms: i64,
    /// How long the old lease had still to go: no owner may be followed before that.
    pub(super) early_ms: i64,
}

impl Watch {
    /// Begins to watch a store that has its schema.
    pub(super) async fn begin(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the store's database");
        tokio::spawn(connection);
        client.batch_execute(TRIGGERS).await.expect("triggers");
        Self { client }
    }

    /// The steps of the rotations whose lease this process holds.
    pub(super) async fn held_by(&self, pid: u32) -> Vec<String> {
        let rows = self.client.query(HELD, &[&format!("{pid}-%")]).await.expect("leases");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Every lease that was taken from an owner who had not given it back.
    pub(super) async fn taken(&self) -> Vec<Taken> {
        let rows = self.client.query(TAKEN, &[]).await.expect("leases");
        let taken = |row: &tokio_postgres::Row| Taken {
            from: row.get(0),
            step: row.get(1),
            after_ms: row.get(2),
            early_ms: row.get(3),
        };
        rows.iter().map(taken).collect()
    }

    /// How many leases were taken in all.
    pub(super) async fn claims(&self) -> i64 {
        self.client.query_one("SELECT COUNT(*) FROM torture_lease", &[]).await.expect("leases").get(0)
    }

    /// How often a version of the fleet became AWSCURRENT by a rotation; fails if one did twice.
    pub(super) async fn rotations(&self, fleet: &Fleet) -> usize {
        let rows = self.client.query(PROMOTED, &[&format!("{}%", fleet.prefix)]).await.expect("labels");
        let versions: Vec<(i64, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let distinct: BTreeSet<&(i64, String)> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len(), "a version became AWSCURRENT twice");
        versions.len() - fleet.secrets.len()
    }

    /// Values that were made and that no rotation was asked for, and versions for which more than one was made.
    pub(super) async fn surplus(&self, fleet: &Fleet) -> Vec<String> {
        let rows = self.client.query(MADE, &[&format!("{}%", fleet.prefix)]).await.expect("candidates");
        let mut made: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for row in &rows {
            made.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
        }
        let mut surplus = vec![];
        for kept in &fleet.secrets {
            let asked = kept.asked();
            for (version, number) in made.get(&kept.name).into_iter().flatten() {
                if !asked.contains(version) || *number != 1 {
                    surplus.push(format!("{}: value {number} of version {version}", kept.name));
                }
            }
        }
        surplus
    }

    /// Waits until no rotation is open. A parked one fails.
    pub(super) async fn until_quiet(&self, fleet: &Fleet, cluster: &Cluster) {
        let until = Instant::now() + QUIET;
        loop {
            let open = self.client.query(OPEN, &[&format!("{}%", fleet.prefix)]).await.expect("rotations");
            let shown = || open.iter().map(|row| row.get::<_, String>(1)).collect::<Vec<_>>().join("\n");
            if open.is_empty() {
                return;
            }
            let waits_for_a_person = open.iter().any(|row| row.get::<_, String>(0) == "parked");
            assert!(!waits_for_a_person, "a rotation waits for a person: {}", shown());
            assert!(Instant::now() < until, "after {QUIET:?} still open: {}\n{}", shown(), cluster.log("ERROR"));
            cluster.nobody_gave_up();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

const TRIGGERS: &str = "
CREATE TABLE torture_lease (secret_id BIGINT, from_owner TEXT, to_owner TEXT, until_ms BIGINT, due_ms BIGINT, step TEXT,
                            at_ms BIGINT);
CREATE FUNCTION torture_leased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO torture_lease VALUES (OLD.secret_id, OLD.lease_owner, NEW.lease_owner, OLD.lease_until_ms, OLD.due_ms,
        OLD.body::json ->> 'step', (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT);
    RETURN NULL;
END $$;
CREATE TRIGGER torture_leased AFTER UPDATE ON rotation FOR EACH ROW WHEN (NEW.fence > OLD.fence)
    EXECUTE FUNCTION torture_leased();

CREATE TABLE torture_candidate (secret_id BIGINT, version_id TEXT, n BIGINT);
CREATE FUNCTION torture_made() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO torture_candidate VALUES (NEW.secret_id, NEW.version_id, NEW.n);
    RETURN NULL;
END $$;
CREATE TRIGGER torture_made AFTER INSERT ON candidate FOR EACH ROW EXECUTE FUNCTION torture_made();

CREATE TABLE torture_current (secret_id BIGINT, version_id TEXT);
CREATE FUNCTION torture_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO torture_current VALUES (NEW.secret_id, NEW.version_id);
    RETURN NULL;
END $$;
CREATE TRIGGER torture_moved AFTER INSERT OR UPDATE ON label FOR EACH ROW WHEN (NEW.label = 'AWSCURRENT')
    EXECUTE FUNCTION torture_moved();";

const HELD: &str = "SELECT COALESCE(body::json ->> 'step', 'Idle') FROM rotation WHERE lease_owner LIKE $1";

const TAKEN: &str = "SELECT from_owner, COALESCE(step, ''), at_ms - GREATEST(until_ms, due_ms), until_ms - at_ms
FROM torture_lease WHERE from_owner IS NOT NULL";

const PROMOTED: &str = "SELECT c.secret_id, c.version_id FROM torture_current c JOIN secret s ON s.id = c.secret_id
WHERE s.name LIKE $1";

const MADE: &str = "SELECT s.name, c.version_id, c.n FROM torture_candidate c JOIN secret s ON s.id = c.secret_id
WHERE s.name LIKE $1";

const OPEN: &str = "SELECT r.state, s.name || ' ' || r.body || ' due ' || COALESCE(r.due_ms, 0) || ' leased by '
    || COALESCE(r.lease_owner, 'nobody') FROM rotation r JOIN secret s ON s.id = r.secret_id
WHERE s.name LIKE $1 AND r.state <> 'idle'";
