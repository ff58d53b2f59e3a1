//! What is SQLite's own: files, the lock, plans of its queries, rows that somebody changed by hand, old schemas.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use chrono::TimeDelta;
use crypto::Keyring;
use engine::rotation::{Event, Step};
use sqlx::{AssertSqlSafe, Row};
use store::{Location, OpenError, Store, StoreError};

use crate::world::{World, created, on_schedule, rotate, token};

// F02
#[tokio::test]
async fn the_candidate_is_seen_by_a_second_connection_before_set_is_handed_out() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.apply(&lease, Event::Leased).await.unwrap();
    let mut raw = world.sqlite().await;
    let count = "SELECT COUNT(*) FROM candidate WHERE resolved_ms IS NULL AND version_id LIKE 'r.%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut raw).await.unwrap(), 0);
    let decision = world.apply(&lease, created("two")).await.unwrap();
    // Nothing may be asked of the target before this line; and here it is committed already.
    assert_eq!(decision.act, Some(Step::Set));
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut raw).await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_has_ended() {
    let world = World::over_sqlite().await;
    assert!(matches!(world.try_open(&world.keyring).await, Err(OpenError::InUse(_))));
    let world = world.reopen().await;
    world.store.ping().await.unwrap();
}

#[tokio::test]
async fn another_keyring_is_refused_and_changes_nothing() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let World { store, clock, keyring, limits, boot, dir, .. } = world;
    store.close().await;
    drop(store);
    let keep = |keyring: &Arc<Keyring>| Arc::clone(keyring);
    let other = Arc::new(Keyring::generate().unwrap());
    let options = || store::Options {
        identity: store::Identity {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        },
        lease: crate::world::LEASE,
        schedule_limits: limits,
        boot_id: boot.clone(),
    };
    let location = Location::Sqlite(dir.path().join("data"));
    assert!(Store::exists(&location).await.unwrap());
    let refused = Store::open(&location, other, clock.clone(), options()).await;
    assert!(matches!(refused, Err(OpenError::WrongKeyring)));
    // A ring that has the old key, and a new primary beside it, opens the store.
    let grown = Arc::new(keyring.with_new_primary().unwrap());
    let opened = Store::open(&location, keep(&grown), clock.clone(), options()).await.unwrap();
    let value = opened.get_value("s", None, None, crate::world::start()).await.unwrap();
    assert_eq!(value.value.bytes.expose_str(), Some("one"));
}

#[tokio::test]
async fn files_are_readable_by_their_owner_alone() {
    let world = World::over_sqlite().await;
    world.create("s", "canary-91c").await;
    let data = world.dir.path().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"canary-91c"), "{}", path.display());
        files += 1;
    }
    assert!(files >= 3);
}

#[tokio::test]
async fn a_location_without_a_store_is_told_from_one_with() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Store::exists(&Location::Sqlite(dir.path().join("data"))).await.unwrap());
}

#[tokio::test]
async fn commits_are_durable_and_references_held() {
    let world = World::over_sqlite().await;
    let mut raw = world.sqlite().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut raw).await.unwrap();
    assert_eq!(mode, "wal");
    sqlx::query("PRAGMA foreign_keys = ON").execute(&mut raw).await.unwrap();
    let orphan = "INSERT INTO label (secret_id, label, version_id) VALUES (77, 'L', 'v')";
    assert!(sqlx::query(orphan).execute(&mut raw).await.is_err());
}

/// Changes rows behind the store's back, starts over, and says what reading gives.
async fn after(statements: &[&str]) -> Result<String, StoreError> {
    let world = World::over_sqlite().await;
    world.create("a", "value of a").await;
    world.put("a", "a2", "second value of a").await.unwrap();
    world.create("b", "value of b").await;
    let mut raw = world.sqlite().await;
    for statement in statements {
        let changed = sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(&mut raw).await.unwrap();
        assert!(changed.rows_affected() > 0, "{statement}");
    }
    drop(raw);
    let world = world.reopen().await;
    world.get("a").await.map(|value| value.value.bytes.expose_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_sealed_row_that_was_changed_or_moved_never_opens_as_another_value() {
    assert_eq!(after(&[]).await.unwrap(), "second value of a");
    let current = "WHERE secret_id = 1 AND version_id LIKE 'a2%'";
    let tampered = [
        // Another secret's value, another version's, and its own under another kind or as a candidate.
        format!("UPDATE version SET sealed = (SELECT sealed FROM version WHERE secret_id = 2) {current}"),
        format!("UPDATE version SET sealed = (SELECT sealed FROM version WHERE version_id LIKE 'create-a%') {current}"),
        format!("UPDATE version SET kind = 'binary' {current}"),
        // Cut short, emptied, and one bit turned in each part.
        format!("UPDATE version SET sealed = substr(sealed, 1, length(sealed) - 1) {current}"),
        format!("UPDATE version SET sealed = x'' {current}"),
        format!("UPDATE version SET sealed = CAST(sealed || x'00' AS BLOB) {current}"),
        format!("UPDATE version SET sealed = CAST(x'02' || substr(sealed, 2) AS BLOB) {current}"),
        format!(
            "UPDATE version SET sealed = CAST(substr(sealed, 1, 20) || CASE substr(sealed, 21, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(sealed, 22) AS BLOB) {current}"
        ),
        // The data key of another secret, and another ARN for this one.
        "UPDATE secret SET data_key = (SELECT data_key FROM secret WHERE id = 2) WHERE id = 1".to_owned(),
        "UPDATE secret SET arn = replace(arn, ':a-', ':c-') WHERE id = 1".to_owned(),
    ];
    for statement in &tampered {
        let read = after(&[statement]).await;
        assert!(matches!(read, Err(StoreError::Sealed(_))), "{statement}: {read:?}");
    }
    // Key and value moved together still name the secret they were sealed for.
    let key = "UPDATE secret SET data_key = (SELECT data_key FROM secret WHERE id = 2) WHERE id = 1";
    let read = after(&[key, &tampered[0]]).await;
    assert!(matches!(read, Err(StoreError::Sealed(_))), "{read:?}");
}

#[tokio::test]
async fn a_hot_secret_is_read_without_the_database() {
    let world = World::over_sqlite().await;
    let arn = world.create("s", "one").await.arn;
    world.put("s", "v2", "two").await.unwrap();
    world.read("s").await;
    let mut raw = world.sqlite().await;
    sqlx::query("DELETE FROM label").execute(&mut raw).await.unwrap();
    sqlx::query("UPDATE version SET sealed = x'00'").execute(&mut raw).await.unwrap();
    assert_eq!((world.read("s").await, world.read(&arn).await), ("two".to_owned(), "two".to_owned()));
}

#[tokio::test]
async fn a_candidate_shown_by_another_version_does_not_open() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "weak").await;
    world.apply(&lease, crate::world::failed(Step::Set, engine::outcome::Verdict::Rejected)).await.unwrap();
    world.apply(&lease, created("two")).await.unwrap();
    let mut raw = world.sqlite().await;
    // Candidate 1's bytes under number 2: same version, same key, another place.
    let swap = "UPDATE candidate SET sealed = (SELECT c.sealed FROM candidate c WHERE c.n = 1 AND c.version_id LIKE 'r.%') WHERE n = 2";
    sqlx::query(swap).execute(&mut raw).await.unwrap();
    let world = world.reopen().await;
    let read = world.store.get_value("s", None, Some("AWSPENDING"), world.now()).await;
    assert!(matches!(read, Err(StoreError::Sealed(_))));
    sqlx::query("DELETE FROM candidate WHERE n = 2").execute(&mut raw).await.unwrap();
    let world = world.reopen().await;
    let read = world.store.get_value("s", Some(token("r").as_str()), None, world.now()).await;
    assert!(matches!(read, Err(StoreError::Inconsistent { .. })), "a lost candidate is no placeholder: {read:?}");
}

#[tokio::test]
async fn an_access_key_given_to_another_principal_does_not_open() {
    let world = World::over_sqlite().await;
    let reader = crate::keys::principal("reader", store::Role::Reader, &["app/"], &[]);
    let key = world.store.create_principal_key(reader, world.now()).await.unwrap();
    let mut raw = world.sqlite().await;
    sqlx::query("UPDATE access_key SET principal = 'admin'").execute(&mut raw).await.unwrap();
    let world = world.reopen().await;
    let found = world.store.access_key(&key.access_key_id).await;
    assert!(matches!(found, Err(StoreError::Sealed(_))));
}

#[tokio::test]
async fn a_key_of_a_principal_that_is_gone_or_of_a_role_of_later_days_is_no_key() {
    let world = World::over_sqlite().await;
    world.store.create_access_key("admin", world.now()).await.unwrap();
    let reader = crate::keys::principal("reader", store::Role::Reader, &["app/"], &[]);
    let key = world.store.create_principal_key(reader, world.now()).await.unwrap();
    let mut raw = world.sqlite().await;
    let mut world = world;
    for change in [
        "UPDATE principal SET prefixes = 'app/' WHERE name = 'reader'",
        "UPDATE principal SET role = 'auditor', prefixes = '[]' WHERE name = 'reader'",
        "DELETE FROM principal WHERE name = 'reader'",
    ] {
        sqlx::query(change).execute(&mut raw).await.unwrap();
        world = world.reopen().await;
        assert!(world.store.access_key(&key.access_key_id).await.unwrap().is_none(), "{change}");
        assert!(world.store.has_access_keys().await.unwrap());
        assert_eq!(world.store.list_access_keys().await.unwrap().len(), 1);
    }
}

// F30
#[tokio::test]
async fn a_rotation_that_cannot_be_read_is_set_aside_and_the_others_go_on() {
    let world = World::over_sqlite().await;
    for name in ["a", "b", "no-text", "no-date"] {
        world.create(name, "one").await;
        world.store.rotate(name, rotate("r"), world.now()).await.unwrap();
    }
    let mut raw = world.sqlite().await;
    for damage in [
        "UPDATE rotation SET body = '{\"state\":\"dreaming\"}' WHERE secret_id = 1",
        "UPDATE rotation SET body = CAST(x'ff' AS TEXT) WHERE secret_id = 3",
        "UPDATE secret SET created_ms = 9223372036854775807 WHERE id = 4",
    ] {
        sqlx::query(damage).execute(&mut raw).await.unwrap();
    }
    let claims = world.claims().await;
    assert_eq!((claims.len(), claims[0].name.as_str()), (1, "b"));
    let history = world.store.history("a", 1).await.unwrap();
    assert_eq!(history[0].kind, "set-aside");
    let set_aside: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM history WHERE kind = 'set-aside'").fetch_one(&mut raw).await.unwrap();
    assert_eq!(set_aside, 3);
    sqlx::query("UPDATE rotation SET body = '{}' WHERE secret_id = 3").execute(&mut raw).await.unwrap();
    sqlx::query("UPDATE secret SET created_ms = 0 WHERE id = 4").execute(&mut raw).await.unwrap();
    assert_eq!(world.read("a").await, "one");
    assert_eq!(world.store.describe("a").await.unwrap().rotation, None);
    let listed = world.store.list(store::ListQuery { limit: 10, ..store::ListQuery::default() }).await.unwrap();
    assert_eq!(listed.items.len(), 4);
}

#[tokio::test]
async fn a_lease_of_another_boot_is_waited_for_once() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let lease = world.rotating("s", "r").await;
    world.sealed(&lease, "two").await;
    world.clock.pass(TimeDelta::seconds(10));
    let world = world.reboot("boot-2").await;
    let fenced = world.apply(&lease, Event::Leased).await;
    assert!(matches!(fenced, Err(engine::port::PortError::Fenced)));
    assert!(world.claims().await.is_empty());
    let next = world.next_due().await.unwrap();
    assert_eq!(next, world.now() + TimeDelta::seconds(15));
    // On its own clock it would have ended by now; this boot's clock says nothing about that.
    world.clock.pass(TimeDelta::seconds(14));
    assert!(world.claims().await.is_empty());
    world.clock.set(next);
    world.claim().await;
}

#[tokio::test]
async fn the_queue_is_read_from_its_index() {
    let world = World::over_sqlite().await;
    for n in 0..50 {
        let name = format!("s{n}");
        world.create(&name, "one").await;
        world.store.rotate(&name, on_schedule("c", "rate(4 hours)"), world.now()).await.unwrap();
    }
    let mut raw = world.sqlite().await;
    let cases = [
        ("src/due.rs", "EXPIRED", "rotation_leased"),
        ("src/due.rs", "LEASE_ALL", "SEARCH rotation USING INTEGER PRIMARY KEY"),
        ("src/rotation.rs", "LOAD_ALL", "SEARCH rotation USING INTEGER PRIMARY KEY"),
        ("src/secret.rs", "BY_IDS", "SEARCH secret USING INTEGER PRIMARY KEY"),
        ("src/queue.rs", "OPEN_DUE", "rotation_open_due"),
        ("src/queue.rs", "IDLE_DUE", "rotation_idle_due"),
        ("src/queue.rs", "NEXT_OPEN", "rotation_open_due"),
        ("src/queue.rs", "NEXT_IDLE", "rotation_idle_due"),
        ("src/queue.rs", "OPEN_TARGETS", "rotation_open_held"),
        ("src/queue.rs", "IDLE_TARGETS", "rotation_idle_held"),
        ("src/queue.rs", "OPEN_HELD", "rotation_open_held"),
        ("src/queue.rs", "IDLE_HELD", "rotation_idle_held"),
        ("src/queue.rs", "NEXT_OPEN_HELD", "rotation_open_held"),
        ("src/queue.rs", "NEXT_IDLE_HELD", "rotation_idle_held"),
        ("src/queue.rs", "AT_WORK", "rotation_leased"),
        ("src/target.rs", "UNSEEN", "rotation_untargeted"),
        ("src/target.rs", "AWAY", "target_opened"),
        ("src/late.rs", "MISSED_BY_TARGET", "rotation_due"),
        ("src/fleet.rs", "WAITING", "rotation_open"),
        ("src/due.rs", "LANES", "rotation_lane_due"),
        ("src/due.rs", "LEASED", "rotation_leased"),
        ("src/due.rs", "COUNT_DUE", "rotation_due"),
        ("src/due.rs", "COUNT_OPEN", "rotation_open"),
        ("src/due.rs", "COUNT_ENABLED", "rotation_enabled"),
        ("src/lane.rs", "COUNT", "rotation_lane"),
        ("src/lane.rs", "MISSED", "rotation_lane"),
        ("src/delivery.rs", "LATEST", "history_rotator"),
        ("src/candidate.rs", "UNRESOLVED", "candidate_unresolved"),
        ("src/secret.rs", "BY_NAME", "secret_name"),
        ("src/admin.rs", "IS_ADMIN", "version_masterarn"),
        ("src/admin.rs", "ADMIN_OF", "version_masterarn"),
        ("src/mark.rs", "UNSEEN", "version_unseen"),
        ("src/mark.rs", "UNSEEN_ACCOUNT", "version_unseen_account"),
        ("src/account.rs", "OTHERS", "version_account"),
    ];
    for (file, name, index) in cases {
        let plan = plan(&mut raw, file, name).await;
        assert!(plan.contains(index), "{name}: {plan}");
        assert!(!plan.contains("SCAN rotation\n") && !plan.contains("SCAN secret\n"), "{name}: {plan}");
        assert!(!file.ends_with("queue.rs") || !plan.contains("TEMP B-TREE"), "{name}: {plan}");
    }
}

// F40
#[tokio::test]
async fn a_backlog_of_a_hundred_thousand_secrets_is_spread_over_hosts_and_within_the_budget() {
    const ALL: i64 = 100_000;
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    world.store.rotate("s", on_schedule("c", "rate(10 days)"), world.now()).await.unwrap();
    let mut raw = world.sqlite().await;
    // As many again, a hundred hosts, of which the first has every fifth secret.
    for statement in [
        "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO secret (id, arn, name, token, data_key, created_ms, changed_ms)
         SELECT i, 'arn:aws:secretsmanager:us-east-1:000000000000:secret:s' || i || '-AbCdEf', 's' || i, 't', x'00', 0, 0 FROM n",
        "INSERT INTO rotation (secret_id, configured, enabled, builtin, rules, options, base_ms, window_opens_ms,
                               window_closes_ms, due_ms, target)
         SELECT s.id, r.configured, r.enabled, r.builtin, r.rules, r.options, r.base_ms, r.window_opens_ms,
                r.window_closes_ms, r.due_ms, 'h' || (CASE WHEN s.id % 5 = 0 THEN 0 ELSE s.id % 100 END) || ':5432'
         FROM secret s JOIN rotation r ON r.secret_id = 1 WHERE s.id > 1",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    world.clock.pass(TimeDelta::days(13));
    let now = world.now();
    assert_eq!(world.store.spread_overdue(now).await.unwrap(), u64::try_from(ALL).unwrap());
    assert_eq!(
        world.store.spread_overdue(now).await.unwrap(),
        0,
        "a second node, or another start, finds nothing to do"
    );
    let count = "SELECT COUNT(*) FROM rotation WHERE target LIKE $1 AND due_ms BETWEEN $2 AND $3";
    let mut within = async |target: &str, from: i64, to: i64| {
        let start = now.timestamp_millis();
        let query = sqlx::query_scalar::<_, i64>(count).bind(target).bind(start + from * 60_000);
        query.bind(start + to * 60_000 - 1).fetch_one(&mut raw).await.unwrap()
    };
    assert_eq!(within("%", 0, 24 * 60).await, ALL, "all of it runs within a day");
    for minute in [0, 10, 60, 120] {
        let due = within("%", minute, minute + 1).await;
        assert!((1..=700).contains(&due), "{due} become due in minute {minute}, and the budget is 600");
    }
    // Twenty thousand of one host, four at once and two seconds each, are spread over as long as they need.
    let host = within("h0:%", 0, 60).await;
    assert!((1..=9_000).contains(&host), "{host} of the big host within the first hour");
    let other = within("h1:%", 0, 180).await;
    assert!(other > 900, "{other} of a small one in the three hours that the budget needs");
    let history: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM history WHERE kind = 'missed-window'")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(history, ALL);
    // Nothing of it is due yet, and who asks does not look at it all.
    let asked = std::time::Instant::now();
    for _ in 0..20 {
        world.store.next_due(&store::Room::everywhere(9)).await.unwrap();
    }
    assert!(asked.elapsed() < std::time::Duration::from_secs(2), "{:?}", asked.elapsed());
}

/// SQLite's plan of a statement as it stands in our source.
async fn plan(raw: &mut sqlx::SqliteConnection, file: &str, name: &str) -> String {
    let source = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let start = source.find(&format!("const {name}: &str = \"")).unwrap();
    let statement = source[start..].split('"').nth(1).unwrap();
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    let mut query = sqlx::query(AssertSqlSafe(explained));
    for _ in 1..=(1..9).filter(|n| statement.contains(&format!("${n}"))).count() {
        query = query.bind(1i64);
    }
    let rows = query.fetch_all(&mut *raw).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail") + "\n").collect()
}

/// The store that an earlier schema left behind (tests/fixtures/README.md), opened by this binary in `data`.
pub(crate) async fn opened_fixture(name: &str, data: &std::path::Path, world: &World) -> Store {
    std::fs::create_dir(data).unwrap();
    let fixture = |suffix: &str| format!("{}/tests/fixtures/{name}.{suffix}", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(fixture("db"), data.join("pawl.db")).unwrap();
    let keyring = Keyring::load(fixture("keyring").as_ref()).unwrap();
    let options = store::Options {
        identity: store::Identity {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        },
        lease: crate::world::LEASE,
        schedule_limits: engine::schedule::Limits::Aws,
        boot_id: "boot-9".to_owned(),
    };
    let location = Location::Sqlite(data.to_owned());
    Store::open(&location, Arc::new(keyring), world.clock.clone(), options).await.unwrap()
}

// F31
#[tokio::test]
async fn a_store_of_the_third_schema_opens_and_its_rotations_are_served_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over_sqlite().await;
    let store = opened_fixture("0003", &dir.path().join("data"), &world).await;
    let open = store.rotation("open").await.unwrap();
    assert_eq!((open.rotation.step(), open.candidates_unresolved), (Some(Step::Set), 1));
    let run = open.rotation.run().unwrap();
    assert_eq!((run.issued, run.promoted, run.closing, &run.retiring, &run.copy), (0, false, false, &None, &None));
    let counts = store.rotation_counts(world.now()).await.unwrap();
    assert_eq!((counts.scheduled, counts.open, counts.enabled), (1, 1, 2));
    assert!(store.rotation("plain").await.unwrap().due.is_none());
}

// F31
#[tokio::test]
async fn a_store_of_the_first_schema_opens_and_nothing_becomes_due() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let world = World::over_sqlite().await;
    let store = opened_fixture("0001", &data, &world).await;
    let value = store.get_value("scheduled", None, None, world.now()).await.unwrap();
    assert_eq!(value.value.bytes.expose_str(), Some("second"));
    assert_eq!(value.stages, ["AWSCURRENT"]);
    let open = store.rotation("open").await.unwrap();
    assert_eq!((open.rotation.step(), open.candidates_unresolved), (Some(Step::Set), 1));
    let counts = store.rotation_counts(world.now()).await.unwrap();
    assert_eq!((counts.scheduled, counts.open, counts.enabled), (1, 1, 2));
    assert_eq!(counts.overdue, 0);
    let keys = store.list_access_keys().await.unwrap();
    assert_eq!((keys.len(), keys[0].principal.name.as_str(), keys[0].enabled), (1, "admin", true));
    assert_eq!(keys[0].principal.role, store::Role::Administrator);
    assert!(store.access_key(&keys[0].access_key_id).await.unwrap().is_some());
    assert!(!store.is_admin_secret("plain").await.unwrap());
    let mut raw = world.raw_of(&data).await;
    let unseen = "SELECT COUNT(*) FROM version v JOIN label l USING (secret_id, version_id) WHERE masterarn IS NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(unseen).fetch_one(&mut raw).await.unwrap(), 0, "all were looked at");
    assert!(store.rotation("plain").await.unwrap().due.is_none());
}

#[tokio::test]
async fn a_newer_schema_serves_this_binary_too() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let mut raw = world.sqlite().await;
    sqlx::query("ALTER TABLE secret ADD COLUMN invented_later TEXT").execute(&mut raw).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', 1, x'00', 1)",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    let world = world.reopen().await;
    assert_eq!(world.read("s").await, "one");
    world.put("s", "v2", "two").await.unwrap();
}

#[tokio::test]
async fn the_first_release_writes_into_the_present_schema() {
    let world = World::over_sqlite().await;
    world.create("s", "one").await;
    let mut raw = world.sqlite().await;
    // As its binary had them.
    for statement in [
        "INSERT INTO secret (arn, name, token, description, kms_key_id, data_key, tagged, created_ms, changed_ms)
         VALUES ('arn', 'old', 't', NULL, 'alias/k', x'00', 0, 1, 1)",
        "INSERT INTO version (secret_id, version_id, kind, sealed, created_ms)
         SELECT id, 'old-version-old-version-old-version', 'string', x'00', 1 FROM secret WHERE name = 'old'",
        "INSERT INTO rotation (secret_id) SELECT id FROM secret WHERE name = 'old'",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    let about = world.store.describe("old").await.unwrap();
    assert_eq!((about.primary_region, about.external), (None, store::External::default()));
    let versions = world.store.list_versions("old", true, 10, None).await.unwrap().versions;
    assert_eq!((versions.len(), versions[0].kms_key_id.as_deref()), (1, Some("alias/k")), "it knew the secret's alone");
    world.store.put_policy("s", "{}", world.now()).await.unwrap();
    // It deletes for good what it does not know of, too.
    sqlx::query("DELETE FROM label").execute(&mut raw).await.unwrap();
    sqlx::query("DELETE FROM secret").execute(&mut raw).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM policy").fetch_one(&mut raw).await.unwrap(), 0);
}
