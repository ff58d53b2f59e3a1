//! What tests stand on: a store with a clock they set, and short words for common acts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use crypto::Keyring;
use engine::Time;
use engine::id::VersionId;
use engine::outcome::{Done, StepError, Verdict};
use engine::port::{Clock, Lease, PortError, RotationStore};
use engine::rotation::{Decision, Event, Outcome, Rotation, Step};
use engine::schedule::{Limits, Rules};
use engine::secret::{SecretBytes, SecretValue};
use sqlx::{ConnectOptions, SqliteConnection};
use store::{
    Claim, Identity, Location, MoveLabel, NewSecret, OpenError, Options, PostgresUrl, PutValue, Room, Rotate, Serves,
    Start, Store, StoreError, UpdateSecret, Value, Written,
};
use tempfile::TempDir;

use crate::database::{Database, Raw};

pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// Tue 2026-03-10 09:37:00Z, as in the reference.
pub(crate) fn start() -> Time {
    DateTime::from_timestamp(1_773_135_420, 0).unwrap()
}

#[derive(Debug)]
pub(crate) struct TestClock {
    now: Mutex<Time>,
    since_boot: Mutex<Duration>,
    /// Where the database reads what time it is.
    shown: Option<PathBuf>,
}

impl TestClock {
    /// Both clocks go on.
    pub(crate) fn pass(&self, length: TimeDelta) {
        *self.now.lock().unwrap() += length;
        self.show();
        *self.since_boot.lock().unwrap() += length.to_std().unwrap();
    }

    pub(crate) fn show(&self) {
        if let Some(file) = &self.shown {
            let fresh = file.with_extension("new");
            std::fs::write(&fresh, self.now().timestamp_micros().to_string()).unwrap();
            std::fs::rename(&fresh, file).unwrap();
        }
    }

    pub(crate) fn set(&self, now: Time) {
        let length = now - self.now();
        self.pass(length);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Time {
        *self.now.lock().unwrap()
    }

    fn since_boot(&self) -> Duration {
        *self.since_boot.lock().unwrap()
    }

    async fn sleep(&self, _length: Duration) {
        std::future::pending::<()>().await;
    }
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) limits: Limits,
    pub(crate) boot: String,
    pub(crate) dir: TempDir,
    /// Where it is not SQLite in `dir`.
    pub(crate) database: Option<Database>,
}

/// A fresh world over SQLite.
pub(crate) async fn over_sqlite() -> Option<World> {
    Some(World::over_sqlite().await)
}

/// A fresh world over PostgreSQL; none where the tests are to do without it.
pub(crate) async fn over_postgres() -> Option<World> {
    Some(World::over(Some(Database::fresh("").await?), Limits::Aws).await)
}

impl World {
    pub(crate) async fn over_sqlite() -> Self {
        Self::over(None, Limits::Aws).await
    }

    pub(crate) async fn over(database: Option<Database>, limits: Limits) -> Self {
        let keyring = Arc::new(Keyring::generate().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock {
            now: Mutex::new(start()),
            since_boot: Mutex::new(Duration::from_secs(1000)),
            shown: database.as_ref().map(|database| database.clock.clone()),
        });
        clock.show();
        let boot = "boot-1".to_owned();
        let location = location(&dir, database.as_ref());
        let store = open(&location, &keyring, &clock, limits, &boot).await.unwrap();
        Self { store, clock, keyring, limits, boot, dir, database }
    }

    /// A fresh world over the same kind of store.
    pub(crate) async fn with_limits(self, limits: Limits) -> Self {
        let database = match &self.database {
            Some(_) => Database::fresh("").await,
            None => None,
        };
        Self::over(database, limits).await
    }

    /// Ends the process, so to speak, and starts another one.
    pub(crate) async fn reopen(self) -> Self {
        let boot = self.boot.clone();
        self.reboot(&boot).await
    }

    /// The same, with the machine restarted in between.
    pub(crate) async fn reboot(self, boot: &str) -> Self {
        let Self { store, clock, keyring, limits, dir, database, .. } = self;
        store.close().await;
        drop(store);
        let store = open(&location(&dir, database.as_ref()), &keyring, &clock, limits, boot).await.unwrap();
        Self { store, clock, keyring, limits, boot: boot.to_owned(), dir, database }
    }

    pub(crate) async fn try_open(&self, keyring: &Arc<Keyring>) -> Result<Store, OpenError> {
        open(&location(&self.dir, self.database.as_ref()), keyring, &self.clock, self.limits, &self.boot).await
    }

    /// A second connection to the database, beside the store's own.
    pub(crate) async fn raw(&self) -> Raw {
        match &self.database {
            Some(database) => Raw::Postgres(Box::new(database.connect().await)),
            None => Raw::Sqlite(Box::new(self.sqlite().await)),
        }
    }

    /// The same where it is SQLite.
    pub(crate) async fn sqlite(&self) -> SqliteConnection {
        self.raw_of(&self.dir.path().join("data")).await
    }

    /// The same to the database in another data directory.
    pub(crate) async fn raw_of(&self, data: &std::path::Path) -> SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("pawl.db"));
        options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap()
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) async fn create(&self, name: &str, value: &str) -> Written {
        let new = NewSecret { value: Some(text(value)), ..new_secret(name, &format!("create-{name}")) };
        self.store.create_secret(new, self.now()).await.unwrap()
    }

    pub(crate) async fn put(&self, id: &str, of: &str, value: &str) -> Result<Written, StoreError> {
        self.put_as(id, of, text(value), None).await
    }

    pub(crate) async fn put_with(
        &self,
        id: &str,
        of: &str,
        value: &str,
        stages: &[&str],
    ) -> Result<Written, StoreError> {
        self.put_as(id, of, text(value), Some(stages)).await
    }

    pub(crate) async fn put_as(
        &self,
        id: &str,
        of: &str,
        value: SecretValue,
        stages: Option<&[&str]>,
    ) -> Result<Written, StoreError> {
        let put = PutValue {
            token: token(of),
            value,
            stages: stages.map(|stages| stages.iter().map(|stage| (*stage).to_owned()).collect()),
            keeps_admin: false,
            rotation_token: None,
            within: None,
            by: "tester".to_owned(),
        };
        self.store.put_value(id, put, self.now()).await
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Value, StoreError> {
        self.store.get_value(id, None, None, self.now()).await
    }

    pub(crate) async fn read(&self, id: &str) -> String {
        shown(&self.get(id).await.unwrap())
    }

    pub(crate) async fn move_label(
        &self,
        id: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), StoreError> {
        let from = from.map(|of| token(of).to_string());
        let to = to.map(|of| token(of).to_string());
        let (remove_from, move_to) = (from.as_deref(), to.as_deref());
        let moving = MoveLabel { label, remove_from, move_to, keeps_admin: false, within: None, by: "tester" };
        self.store.move_label(id, moving, self.now()).await.map(drop)
    }

    /// `v1 [AWSCURRENT] v2 [AWSPENDING]`: labelled versions by the short names of their tokens.
    pub(crate) async fn labels(&self, id: &str) -> String {
        let stages = self.store.describe(id).await.unwrap().stages;
        let mut shown: Vec<String> =
            stages.iter().map(|(version, labels)| format!("{} [{}]", short(version), labels.join(", "))).collect();
        shown.sort();
        shown.join(" ")
    }

    pub(crate) async fn state(&self, id: &str) -> Rotation {
        self.store.rotation(id).await.unwrap().rotation
    }

    pub(crate) async fn unresolved(&self, id: &str) -> u32 {
        self.store.rotation(id).await.unwrap().candidates_unresolved
    }

    /// Opens a rotation by command and claims it.
    pub(crate) async fn rotating(&self, id: &str, of: &str) -> Lease {
        self.store.rotate(id, rotate(of), self.now()).await.unwrap();
        self.claim().await
    }

    /// Claims the one secret that is due.
    pub(crate) async fn claim(&self) -> Lease {
        let mut claims = self.claims().await;
        assert_eq!(claims.len(), 1, "one secret is due");
        claims.remove(0).lease
    }

    pub(crate) async fn claims(&self) -> Vec<Claim> {
        self.store.claim("tester", &Room::everywhere(10), self.now()).await.unwrap()
    }

    /// When a claim may find something.
    pub(crate) async fn next_due(&self) -> Option<Time> {
        self.store.next_due(&Room::everywhere(1)).await.unwrap()
    }

    pub(crate) async fn apply(&self, lease: &Lease, event: Event) -> Result<Decision, PortError> {
        self.store.apply(lease, event, 0.0).await
    }

    /// A claimed rotation up to the moment its candidate is committed and Set is to be made.
    pub(crate) async fn sealed(&self, lease: &Lease, value: &str) {
        let decision = self.apply(lease, Event::Leased).await.unwrap();
        assert_eq!(decision.act, Some(Step::Create));
        let decision = self.apply(lease, created(value)).await.unwrap();
        assert_eq!(decision.act, Some(Step::Set));
    }

    /// Lets the rest of a rotation succeed from Set on.
    pub(crate) async fn finish(&self, lease: &Lease) {
        for step in [Step::Set, Step::Test, Step::Finish] {
            self.apply(lease, done(step)).await.unwrap();
        }
        self.store.release(lease).await.unwrap();
    }
}

fn location(dir: &TempDir, database: Option<&Database>) -> Location {
    match database {
        Some(database) => Location::Postgres(PostgresUrl::parse(&database.url).unwrap()),
        None => Location::Sqlite(dir.path().join("data")),
    }
}

async fn open(
    location: &Location,
    keyring: &Arc<Keyring>,
    clock: &Arc<TestClock>,
    limits: Limits,
    boot: &str,
) -> Result<Store, OpenError> {
    let options = Options {
        identity: Identity {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        },
        lease: LEASE,
        schedule_limits: limits,
        boot_id: boot.to_owned(),
    };
    Store::open(location, Arc::clone(keyring), Arc::clone(clock) as Arc<dyn Clock>, options).await
}

/// A token with a short name.
pub(crate) fn token(of: &str) -> VersionId {
    VersionId::new(format!("{of:.<32}")).unwrap()
}

fn short(version: &str) -> &str {
    version.trim_end_matches('.')
}

pub(crate) fn text(value: &str) -> SecretValue {
    SecretValue::text(value)
}

pub(crate) fn shown(value: &Value) -> String {
    value.value.bytes.expose_str().unwrap().to_owned()
}

pub(crate) fn new_secret(name: &str, of: &str) -> NewSecret {
    NewSecret {
        name: name.to_owned(),
        token: token(of),
        value: None,
        description: None,
        kms_key_id: None,
        tags: None,
        replicas: vec![],
        kind: None,
        by: "tester".to_owned(),
    }
}

/// An update that names nothing to change.
pub(crate) fn update(of: &str) -> UpdateSecret {
    UpdateSecret {
        token: token(of),
        value: None,
        description: None,
        kms_key_id: None,
        kind: None,
        by: "tester".to_owned(),
    }
}

pub(crate) fn rotate(of: &str) -> Rotate {
    Rotate {
        token: token(of),
        rotator: None,
        rules: None,
        time_zone: None,
        options: None,
        start: Start::Rotate,
        external: store::External::default(),
        by: "tester".to_owned(),
        serves: Some(Serves::Builtin),
    }
}

pub(crate) fn on_schedule(of: &str, expression: &str) -> Rotate {
    Rotate { rules: Some(rules(expression)), start: Start::Wait, ..rotate(of) }
}

pub(crate) fn rules(expression: &str) -> Rules {
    Rules { expression: Some(expression.to_owned()), ..Rules::default() }
}

pub(crate) fn created(value: &str) -> Event {
    Event::Ended { step: Step::Create, outcome: Outcome::Created(SecretBytes::from(value), Done::default()) }
}

pub(crate) fn done(step: Step) -> Event {
    Event::Ended { step, outcome: Outcome::Done(Done::default()) }
}

pub(crate) fn failed(step: Step, verdict: Verdict) -> Event {
    Event::Ended { step, outcome: Outcome::Failed(StepError::new(verdict, "X0", "the target said no")) }
}
