//! Secrets to measure with. Those that rotate are made by the store itself; of what only has to be there, one is made by it, and the
//! others are copies of its rows.

use std::sync::Arc;

use engine::id::VersionId;
use engine::port::Clock;
use engine::schedule::Rules;
use engine::secret::SecretValue;
use pawl::boot::open_store;
use pawl::clock::SystemClock;
use pawl::config::{ServeArgs, Settings};
use serde_json::{Value, json};
use store::{LimitsChange, NewSecret, Rotate, Serves, Start, Store};

use super::BURST;
use super::database::Database;

/// The fleet, and the folder with the keyring that opens it.
pub(crate) struct Fleet {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Fleet {
    /// A new store in this database, without secrets.
    pub(crate) async fn new(database: &Database) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let args = ServeArgs {
            data: Some(folder.path().join("first")),
            store: database.url().parse().ok(),
            schedule_limits: Some("none".to_owned()),
            ..ServeArgs::default()
        };
        let settings = Settings::load(&args).expect("settings");
        let store = open_store(&settings, Arc::new(SystemClock)).await.expect("a store");
        // No limits, or they would be what is measured.
        let none = LimitsChange { per_target: Some(0), starts_a_minute: Some(0), ..LimitsChange::default() };
        store.set_limits(none).await.expect("limits");
        Self { folder, store }
    }

    /// The keyring that the first start has made.
    pub(crate) fn keyring(&self) -> std::path::PathBuf {
        self.folder.path().join("first/keyring.json")
    }

    /// A secret that rotates every thirty days, next in so many.
    pub(crate) async fn create(&self, name: &str, value: &Value) {
        let mut rng: rand::rngs::StdRng = rand::make_rng();
        let now = SystemClock.now();
        let new = NewSecret {
            name: name.to_owned(),
            token: VersionId::random(&mut rng),
            value: Some(SecretValue::text(value.to_string().as_str())),
            description: None,
            kms_key_id: None,
            tags: None,
            replicas: vec![],
            kind: None,
            by: "bench".to_owned(),
        };
        self.store.create_secret(new, now).await.expect("created");
        let rotate = Rotate {
            token: VersionId::random(&mut rng),
            rotator: None,
            rules: Some(Rules { automatically_after_days: Some(30), ..Rules::default() }),
            time_zone: None,
            options: None,
            start: Start::Wait,
            external: store::External::default(),
            by: "bench".to_owned(),
            serves: Some(Serves::Builtin),
        };
        self.store.rotate(name, rotate, now).await.expect("scheduled");
    }

    /// As many of these as are due at once, each for an account of its own.
    pub(crate) async fn create_burst(&self, prefix: &str) {
        for number in 0..BURST {
            let user = format!("{prefix}{number}");
            let value = json!({ "engine": "postgres", "host": "h", "username": user, "password": "the-first-one" });
            self.create(&format!("{prefix}/{number}"), &value).await;
        }
    }

    /// Copies the rows of one secret until there are so many secrets in all. What is sealed in them cannot be opened.
    pub(crate) async fn copy_until(&self, database: &Database, count: usize) {
        if count > 0 && database.number("SELECT COUNT(*) FROM secret").await == 0 {
            self.create("copied/0", &json!({ "engine": "postgres", "host": "h", "username": "u", "password": "p" }))
                .await;
        }
        let missing = i64::try_from(count).expect("few") - database.number("SELECT COUNT(*) FROM secret").await;
        if missing <= 0 {
            return;
        }
        let id = database.number("SELECT MIN(id) FROM secret").await;
        let first = database.number("SELECT MAX(id) + 1 FROM secret").await;
        let ids = format!("generate_series({first}::BIGINT, {})", first + missing - 1);
        let tables = database.client.query(TABLES, &[]).await.expect("the store's tables");
        for table in tables {
            let (table, columns): (String, Vec<String>) = (table.get(0), table.get(1));
            let chosen = columns.iter().map(|column| copied(&table, column)).collect::<Vec<_>>().join(", ");
            let key = if table == "secret" { "id" } else { "secret_id" };
            let columns = columns.join(", ");
            let sql = format!(
                "INSERT INTO {table} ({columns}) SELECT {chosen} FROM {table} t, {ids} AS copy(number) WHERE t.{key} = {id}"
            );
            database.client.batch_execute(&sql).await.expect("copied");
        }
        let last = first + missing - 1;
        let next = format!("SELECT setval(pg_get_serial_sequence('secret', 'id'), {last})");
        database.client.batch_execute(&next).await.expect("the next id");
        database.client.batch_execute("VACUUM ANALYZE").await.expect("statistics");
    }
}

/// What a copy has in this column.
fn copied(table: &str, column: &str) -> String {
    match (table, column) {
        ("secret", "id") | (_, "secret_id") => "copy.number".to_owned(),
        ("secret", "name" | "arn") => format!("t.{column} || '-' || copy.number"),
        // Within the next thirty days, as schedules have them; not in the next hour.
        ("rotation", "due_ms" | "window_opens_ms" | "window_closes_ms") => {
            format!("t.{column} - (copy.number % 29) * 86400000 - (copy.number % 20) * 3600000")
        }
        // No account under two secrets.
        ("version", "account") => "t.account || copy.number".to_owned(),
        _ => format!("t.{column}"),
    }
}

// The tables that hold rows of secrets, secret first; without columns that number themselves, and without what has been told.
const TABLES: &str = "SELECT c.table_name::TEXT, ARRAY_AGG(c.column_name::TEXT ORDER BY c.ordinal_position)
FROM information_schema.columns c
WHERE c.table_schema = current_schema() AND c.table_name NOT IN ('event', 'event_queue', 'dead_letter')
  AND (c.table_name = 'secret' OR EXISTS (SELECT 1 FROM information_schema.columns k
       WHERE k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = 'secret_id'))
  AND (c.table_name = 'secret' OR c.is_identity = 'NO')
GROUP BY c.table_name ORDER BY c.table_name <> 'secret', c.table_name <> 'version', c.table_name";
