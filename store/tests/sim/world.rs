//! The simulated world: one store, nodes that share it, two servers, secrets and what is known about each from outside.
//! Never here: what happens (`nodes.rs`, `users.rs`), what must hold (`oracle.rs`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crypto::Keyring;
use engine::Time;
use engine::id::VersionId;
use engine::port::Clock;
use engine::schedule::{Limits, Rules as Schedule};
use engine::secret::SecretValue;
use engine::settings::{Change, Said};
use engine::strategy::Strategy;
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{External, Identity, Location, NewSecret, Options, PostgresUrl, Rotate, Serves, Start, Store};
use tempfile::TempDir;

use crate::clock::VirtualClock;
use crate::database::Database;
use crate::disk::Disk;
use crate::driver::Driver;
use crate::journal::Journal;
use crate::op::{How, Kind};
use crate::parties::Login;
use crate::target::Target;
use crate::{Over, Rules};

pub(crate) const LEASE: Duration = Duration::from_secs(15);
pub(crate) const HOSTS: [&str; 2] = ["db0", "db1"];
/// Longer than no lease, shorter than any schedule.
pub(crate) const GRACE: u64 = 900;

/// What is known of a secret beside the store.
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) kind: Kind,
    pub(crate) host: &'static str,
    pub(crate) user: String,
    pub(crate) master: Option<String>,
    /// For tokens and passwords that nobody had before.
    pub(crate) fresh: u32,
    pub(crate) last_token: Option<VersionId>,
    /// Tokens of rotations that somebody asked for, or a schedule that was due.
    pub(crate) asked: BTreeSet<String>,
    /// A rotation of it was ever asked for: from then on what the target holds is known.
    pub(crate) rotated: bool,
    /// The account was changed behind our back, or we were told a wrong password before the first rotation. Until
    /// AWSCURRENT logs in again, and no rotation is open.
    pub(crate) excused: bool,
    /// Somebody has moved AWSCURRENT by hand.
    pub(crate) word: Word,
    /// The strategy was changed; a rotation that was open may end as it began.
    pub(crate) switched: bool,
    /// Its strategy is one password in place just now.
    pub(crate) in_place: bool,
    pub(crate) enabled: bool,
    pub(crate) paused: bool,
    pub(crate) deleted: bool,
    /// The end of its recovery window has come.
    pub(crate) gone: bool,
    /// It was in the gap when it was last looked at: AWSCURRENT refused, a candidate lets in.
    pub(crate) in_gap: bool,
    /// The window of the last rotation by schedule.
    pub(crate) last_opens: Option<Time>,
    /// Open rotations that the quiet end has to bring to an end.
    pub(crate) open: Option<String>,
}

/// Whose word it is that AWSCURRENT logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Ours,
    /// It was moved while a rotation had set something: that is to be proven or put back.
    ToBeProven,
    /// It was moved while nothing was at stake: whoever did it is to know.
    Theirs,
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    /// One for all nodes; on PostgreSQL one for each.
    stores: Vec<Store>,
    database: Option<Database>,
    pub(crate) clock: Arc<VirtualClock>,
    keyring: Arc<Keyring>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) target: Arc<Target>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) drivers: Vec<Driver>,
    pub(crate) driver_ids: u64,
    /// How many processes each node has had.
    pub(crate) lives: [u32; 3],
    pub(crate) boots: u32,
    pub(crate) rng: StdRng,
    pub(crate) disk: Arc<Disk>,
    pub(crate) dir: TempDir,
}

/// Memory where the machine has files in it: what is synced there costs nothing.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

impl World {
    pub(crate) async fn new(kinds: &[Kind], rules: Rules, loses_power: bool) -> Self {
        let database = match rules.over {
            Over::Sqlite => None,
            Over::Postgres => Database::fresh("").await,
        };
        let shown = database.as_ref().map(|database| database.clock.clone());
        let (clock, journal) = (Arc::new(VirtualClock::new(shown)), Arc::new(Journal::default()));
        let target = Arc::new(Target::new(Arc::clone(&clock), Arc::clone(&journal), rules));
        let dir = folder();
        let mut world = Self {
            rules,
            disk: Arc::new(Disk::new(dir.path(), loses_power && database.is_none())),
            stores: vec![],
            database,
            clock,
            keyring: Arc::new(Keyring::generate().unwrap()),
            journal,
            target,
            secrets: vec![],
            drivers: vec![],
            driver_ids: 0,
            lives: [0; 3],
            boots: 1,
            rng: StdRng::seed_from_u64(7),
            dir,
        };
        world.open().await;
        let mut admins = vec![];
        for host in HOSTS {
            admins.push(world.create(Kind::Single, host, format!("boss-{host}"), None).await);
        }
        for (number, kind) in kinds.iter().enumerate() {
            let at = usize::from(matches!(kind, Kind::Dual | Kind::DualByAdmin));
            let by_admin = matches!(kind, Kind::SingleByAdmin | Kind::DualByAdmin | Kind::Pair);
            let master = by_admin.then(|| admins[at].clone());
            world.create(*kind, HOSTS[at], format!("u{number}"), master).await;
        }
        // The small numbers of a shrunken case are those it is about.
        world.secrets.rotate_left(HOSTS.len());
        world.disk.synced();
        world
    }

    pub(crate) fn store(&self) -> &Store {
        &self.stores[0]
    }

    /// The same as a node has it.
    pub(crate) fn store_of(&self, node: u8) -> &Store {
        &self.stores[usize::from(node) % self.stores.len()]
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    async fn open(&mut self) {
        let identity = Identity {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        };
        let boot_id = format!("boot-{}", self.boots);
        let options = Options { identity, lease: LEASE, schedule_limits: Limits::None, boot_id };
        let (location, count) = match &self.database {
            None => (Location::Sqlite(self.dir.path().join("data")), 1),
            Some(database) => (Location::Postgres(PostgresUrl::parse(&database.url).unwrap()), self.lives.len()),
        };
        for _ in 0..count {
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            let store = Store::open(&location, Arc::clone(&self.keyring), clock, options.clone()).await;
            self.stores.push(store.unwrap());
        }
    }

    /// Every process dies; the store is opened by another, as `src/boot.rs` does.
    pub(crate) async fn restart(&mut self, how: How) {
        let reboot = how != How::Processes;
        for node in 0..3 {
            self.kill(node, !reboot);
        }
        self.close_stores().await;
        if how == How::Power && self.database.is_none() {
            self.disk.lose();
            self.journal.forget_owners();
        }
        if reboot {
            self.boots += 1;
            self.clock.reboot();
        }
        self.open().await;
        self.store().spread_overdue(self.now()).await.unwrap();
        self.store().plan_looks(self.now()).await.unwrap();
    }

    /// The end.
    pub(crate) async fn close(&mut self) {
        self.drivers.clear();
        self.close_stores().await;
    }

    async fn close_stores(&mut self) {
        for store in self.stores.drain(..) {
            store.close().await;
        }
    }

    /// The process of a node dies, with all it was at.
    pub(crate) fn kill(&mut self, node: u8, is_noticed: bool) {
        self.lives[usize::from(node)] += 1;
        let (dead, alive) = std::mem::take(&mut self.drivers).into_iter().partition(|driver| driver.node == node);
        self.drivers = alive;
        for driver in Vec::<Driver>::into_iter(dead) {
            self.target.died(driver.id, is_noticed);
        }
    }

    async fn create(&mut self, kind: Kind, host: &'static str, user: String, master: Option<String>) -> String {
        let name = format!("of-{user}");
        let mut secret = Secret {
            name: name.clone(),
            arn: String::new(),
            kind,
            host,
            user,
            master,
            fresh: 0,
            last_token: None,
            asked: BTreeSet::new(),
            rotated: false,
            excused: false,
            word: Word::Ours,
            switched: false,
            in_place: false,
            enabled: true,
            paused: false,
            deleted: false,
            gone: false,
            in_gap: false,
            last_opens: None,
            open: None,
        };
        let password = secret.new_password("first");
        self.target.give(host, &secret.user, &password);
        let new = NewSecret {
            name: name.clone(),
            token: secret.token(),
            value: Some(SecretValue::text(secret.value(&secret.user, &password).as_str())),
            description: None,
            kms_key_id: None,
            tags: None,
            replicas: vec![],
            kind: None,
            by: "user".to_owned(),
        };
        secret.arn = self.store().create_secret(new, self.now()).await.unwrap().arn;
        self.journal.committed(&secret.arn, &password);
        let rules = Schedule { expression: Some(secret.schedule()), ..Schedule::default() };
        let rotate = Rotate { rules: Some(rules), start: Start::Wait, ..secret.rotate(secret.settings()) };
        self.store().rotate(&name, rotate, self.now()).await.unwrap();
        let arn = secret.arn.clone();
        self.secrets.push(secret);
        arn
    }

    pub(crate) fn secret(&self, number: u8) -> usize {
        usize::from(number) % self.secrets.len()
    }

    pub(crate) fn lets_in(&self, login: &Login) -> bool {
        let account = self.target.account(&login.host, &login.user);
        account.is_some_and(|account| account.lets_in(&login.password))
    }
}

impl Secret {
    /// An id that no version has had.
    pub(crate) fn token(&mut self) -> VersionId {
        self.fresh += 1;
        VersionId::new(format!("{:.<40}", format!("{}-v{}", self.user, self.fresh))).unwrap()
    }

    pub(crate) fn new_password(&mut self, what: &str) -> String {
        self.fresh += 1;
        format!("{what}-{}-{}", self.user, self.fresh)
    }

    /// A value of this secret.
    pub(crate) fn value(&self, user: &str, password: &str) -> String {
        let engine = if self.host == HOSTS[1] { "mysql" } else { "postgres" };
        let mut value = serde_json::json!({
            "engine": engine, "host": self.host, "username": user, "password": password,
        });
        if let Some(master) = &self.master {
            value["masterarn"] = serde_json::Value::from(master.as_str());
        }
        value.to_string()
    }

    fn schedule(&self) -> String {
        if self.name.starts_with("of-boss") { "rate(7 days)".to_owned() } else { "rate(6 hours)".to_owned() }
    }

    /// How its account is changed.
    pub(crate) fn strategy(&self) -> Strategy {
        match self.kind {
            Kind::Single | Kind::SingleByAdmin => Strategy::SingleUser,
            Kind::Dual | Kind::DualByAdmin => Strategy::DualPassword,
            Kind::Pair => Strategy::AlternatingUsers,
        }
    }

    fn settings(&self) -> Change {
        Change {
            strategy: Some(Said::To(self.strategy())),
            grace_seconds: Some(Said::To(GRACE)),
            // Every second one is put right without asking anybody.
            reconcile: Some(self.user.ends_with(['0', '2', '4', '6', '8'])),
            ..Change::default()
        }
    }

    /// A request to rotate that says this about its settings.
    pub(crate) fn rotate(&mut self, change: Change) -> Rotate {
        Rotate {
            token: self.token(),
            rotator: None,
            rules: None,
            time_zone: None,
            options: Some(change),
            start: Start::Rotate,
            external: External::default(),
            by: "user".to_owned(),
            serves: Some(Serves::Builtin),
        }
    }
}
