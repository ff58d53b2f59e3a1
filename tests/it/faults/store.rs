//! What a cell's store is, and the ways in which it is away: a PostgreSQL database of its own behind a proxy, or a SQLite
//! file that somebody else holds, or a disk that is full.
//!
//! Never here: what Pawl makes of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use pawl::servers::Server;

use super::cell::Fault;
use super::stage::Stage;
use crate::harness::account::{execute, execute_in};
use crate::harness::chaos::Link;
use crate::harness::{servers, unique};

/// A database on the shared PostgreSQL, and the way to it.
pub(super) struct Shared {
    server: &'static Server,
    database: String,
    pub(super) link: Link,
}

impl Shared {
    /// None: there is no PostgreSQL here.
    pub(super) fn create() -> Option<Self> {
        let server = servers::postgres()?;
        let database = unique("store");
        execute(server, &format!("CREATE DATABASE {database}"));
        Some(Self { server, database, link: Link::to(&server.host, server.port) })
    }

    /// Through the proxy.
    pub(super) fn url(&self) -> String {
        self.url_at(self.link.port)
    }

    /// Past the proxy.
    pub(super) fn direct_url(&self) -> String {
        self.url_at(self.server.port)
    }

    fn url_at(&self, port: u16) -> String {
        let Server { host, admin_user, admin_password, .. } = self.server;
        format!("postgres://{admin_user}:{admin_password}@{host}:{port}/{}?sslmode=disable", self.database)
    }

    /// Every write is answered as by a server whose disk is full. A tablespace that is really full cannot be made without
    /// root's mounts: this stands for it.
    fn fill(&self) {
        execute_in(
            self.server,
            &self.database,
            "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
             DO $$ DECLARE name text; BEGIN \
             FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP \
             EXECUTE format('CREATE TRIGGER disk_is_full BEFORE INSERT OR UPDATE OR DELETE ON %I \
             FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full()', name); END LOOP; END $$",
        );
    }

    fn make_room(&self) {
        execute_in(self.server, &self.database, "DROP FUNCTION disk_is_full() CASCADE");
    }
}

/// A store that is away, until it is back.
pub(super) enum Trouble {
    /// Another process has the SQLite file.
    Held(Other),
    /// The proxy before PostgreSQL lets nothing through.
    Cut,
    Full,
}

impl Trouble {
    pub(super) fn begin(stage: &Stage, fault: Fault) -> Self {
        match (fault, &stage.store) {
            (Fault::StoreFull, None) => {
                stage.pawl.limit_files(Some(0));
                Self::Full
            }
            (Fault::StoreFull, Some(store)) => {
                store.fill();
                Self::Full
            }
            (Fault::StoreSilent, Some(store)) => {
                store.link.swallow();
                Self::Cut
            }
            (_, Some(store)) => {
                store.link.refuse();
                Self::Cut
            }
            (_, None) => Self::Held(Other::holds_the_store(stage)),
        }
    }

    pub(super) fn end(self, stage: &Stage) {
        match (self, &stage.store) {
            (Self::Held(other), _) => drop(other),
            (Self::Cut, Some(store)) => store.link.open(),
            (Self::Full, Some(store)) => store.make_room(),
            (Self::Cut | Self::Full, None) => stage.pawl.limit_files(None),
        }
    }
}

/// A process of somebody else's with an exclusive transaction on the SQLite file.
pub(super) struct Other {
    child: Child,
    _until_closed: ChildStdin,
}

impl Other {
    fn holds_the_store(stage: &Stage) -> Self {
        const SCRIPT: &str = "import sqlite3, sys\n\
            store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
            store.execute('BEGIN EXCLUSIVE')\n\
            print('held', flush=True)\n\
            sys.stdin.read()";
        let mut python = Command::new("python3");
        python.args(["-c", SCRIPT]).arg(stage.home.data().join("pawl.db"));
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it answers");
        assert_eq!(line.trim(), "held", "it has the store");
        let _until_closed = child.stdin.take().expect("a pipe");
        Self { child, _until_closed }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It ends without a commit, as a backup that is called off.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
