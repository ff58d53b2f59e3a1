//! Nodes: `pawl serve` as it ships, and the same server with a rotator that does nothing, as a process of its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use engine::outcome::{Done, Made, Proof, StepError};
use engine::port::{Rotator, StepContext};
use engine::secret::SecretBytes;
use pawl::boot::Server;
use pawl::config::{ServeArgs, Settings};
use rotators::Registry;

use super::database::Database;
use super::fill::Fleet;

/// The argument with which the benchmark starts itself as such a node.
pub(crate) const MODE: &str = "storm-node";

/// A process; killed when dropped.
pub(crate) struct Node(Child);

/// Who changes targets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotates {
    /// Nobody: the rotator that does nothing.
    Nothing,
    /// `pawl serve`, whose rotators are built in.
    Databases,
}

impl Node {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(database: &Database, fleet: &Fleet, rotates: Rotates, permits: usize) -> Self {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let data = fleet.folder.path().join(format!("node-{port}"));
        let mut command = match rotates {
            Rotates::Nothing => {
                let mut command = Command::new(std::env::current_exe().expect("this benchmark"));
                command.arg(MODE);
                command
            }
            Rotates::Databases => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_pawl"));
                command.arg("serve");
                command
            }
        };
        let log = std::fs::File::create(fleet.folder.path().join(format!("log-{port}"))).expect("a log");
        let process = command
            .env("PAWL_DATA", data)
            .env("PAWL_STORE", database.url())
            .env("PAWL_KEYRING", fleet.keyring())
            .env("PAWL_LISTEN", format!("127.0.0.1:{port}"))
            .env("PAWL_PERMITS", permits.to_string())
            .env("PAWL_SCHEDULE_LIMITS", "none")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a node starts");
        let mut this = Self(process);
        let http = reqwest::Client::new();
        while !http.get(format!("http://127.0.0.1:{port}/readyz")).send().await.is_ok_and(|a| a.status().is_success()) {
            assert!(this.0.try_wait().expect("its status").is_none(), "a node has ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        this
    }

    /// So many of them.
    pub(crate) async fn several(
        count: usize,
        database: &Database,
        fleet: &Fleet,
        rotates: Rotates,
        permits: usize,
    ) -> Vec<Self> {
        let mut nodes = vec![];
        for _ in 0..count {
            nodes.push(Self::start(database, fleet, rotates, permits).await);
        }
        nodes
    }

    /// Milliseconds of CPU that it has used.
    pub(crate) fn cpu_ms(&self) -> f64 {
        crate::fleet::cpu_ms(self.0.id())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The node's own main: a whole server whose one rotator does nothing, until its input ends.
pub(crate) async fn run_node() {
    pawl::telemetry::start(false, "warn");
    // Everything comes from the variables that it was started with.
    let settings = Settings::load(&ServeArgs::default()).expect("settings");
    let server = Server::start_with(&settings, Registry::of(vec![Box::new(Nothing)])).await.expect("a server");
    let (stop, shutdown) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let _ended = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1])).await;
        let _stopping = stop.send(true);
    });
    server.run(shutdown).await.expect("it served");
}

/// A target that takes no time at all.
struct Nothing;

#[async_trait]
impl Rotator for Nothing {
    /// That of the values it is given.
    fn name(&self) -> &str {
        "postgres"
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        let current = cx.material.current.as_ref().expect("a value");
        let mut value: serde_json::Value = serde_json::from_slice(current.expose()).expect("JSON");
        value["password"] = password.expose_str().unwrap_or_default().into();
        Ok(SecretBytes::from(value.to_string()).into())
    }

    async fn set(&self, _: &StepContext<'_>) -> Result<Done, StepError> {
        Ok(Done::default())
    }

    async fn test(&self, _: &StepContext<'_>) -> Result<Done, StepError> {
        Ok(Done::default())
    }

    async fn prove(&self, _: &StepContext<'_>) -> Result<Proof, StepError> {
        Ok(Proof::CurrentLogsIn)
    }
}
