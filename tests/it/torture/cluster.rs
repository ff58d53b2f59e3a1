//! The nodes: `pawl serve` processes on one PostgreSQL store, killed and started again at the same address; and calls to
//! whichever of them answers.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;

use crate::harness::free_port;
use crate::harness::pawl::{Home, administrator_of, pawl};
use crate::harness::wire::{Signed, send};

pub(super) const NODES: usize = 3;
/// The shortest that Pawl takes.
pub(super) const LEASE: Duration = Duration::from_secs(12);
/// How long a node may take to be ready, beside all that goes on.
const READY: Duration = Duration::from_secs(60);
/// How long a call may find nobody: the nodes die one at a time and come back at once.
const NOBODY: Duration = Duration::from_secs(60);

/// Three nodes.
pub(super) struct Cluster {
    nodes: Vec<Node>,
    by: Signed,
    http: reqwest::Client,
    store: String,
    /// Process ids of the killed.
    dead: Mutex<BTreeSet<u32>>,
}

struct Node {
    home: Home,
    port: u16,
    url: String,
    child: Mutex<Option<Child>>,
}

impl Cluster {
    /// Starts them one after another: the first makes the keyring and the administrator's key.
    pub(super) async fn start(store: &str) -> Self {
        pawl::boot::install_tls_provider();
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(5));
        let http = http.timeout(Duration::from_secs(15)).build().expect("a client");
        let nodes: Vec<Node> = std::iter::repeat_with(Node::new).take(NODES).collect();
        let keyring = nodes[0].home.data().join("keyring.json");
        let first = &nodes[0];
        first.start(store, &keyring);
        until_ready(&http, first).await;
        let by = administrator_of(&first.home.data());
        let this = Self { nodes, by, http, store: store.to_owned(), dead: Mutex::default() };
        for number in 1..NODES {
            this.start_again(number);
        }
        this.all_ready().await;
        this
    }

    /// Kills a node, and returns its process's id when it is gone.
    pub(super) fn kill(&self, number: usize) -> u32 {
        let mut child = self.nodes[number].child().take().expect("it was started");
        let pid = child.id();
        child.kill().expect("our own child");
        child.wait().expect("it ends");
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        pid
    }

    /// Starts a node and does not wait for it.
    pub(super) fn start_again(&self, number: usize) {
        self.nodes[number].start(&self.store, &self.keyring());
    }

    /// The process of a node.
    pub(super) fn pid(&self, number: usize) -> u32 {
        self.nodes[number].child().as_ref().expect("it was started").id()
    }

    /// Whether this process was a node that was killed.
    pub(super) fn was_killed(&self, pid: u32) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
    }

    /// Fails if a node has ended that nobody killed.
    pub(super) fn nobody_gave_up(&self) {
        for node in &self.nodes {
            if let Some(status) = node.child().as_mut().and_then(|child| child.try_wait().expect("its status")) {
                panic!("a node ended by itself with {status}:\n{}", tail(&node.home.log()));
            }
        }
    }

    /// Whether the node answers that it is ready.
    pub(super) async fn is_ready(&self, number: usize) -> bool {
        is_ready(&self.http, &self.nodes[number]).await
    }

    /// Waits until the node is ready.
    pub(super) async fn ready(&self, number: usize) {
        until_ready(&self.http, &self.nodes[number]).await;
    }

    /// Waits until every node is ready.
    pub(super) async fn all_ready(&self) {
        for node in &self.nodes {
            until_ready(&self.http, node).await;
        }
    }

    /// Calls a node drawn at random. None: it did not answer, or said that it cannot just now.
    pub(super) async fn call(&self, operation: &str, body: &Value) -> Option<(u16, Value)> {
        let node = &self.nodes[rand::rng().random_range(0..NODES)];
        self.asked(node, operation, body).await.filter(|(status, _)| *status < 500)
    }

    async fn asked(&self, node: &Node, operation: &str, body: &Value) -> Option<(u16, Value)> {
        send(&self.http, &node.url, &self.by, operation, body).await
    }

    /// The same until one has answered, as clients retry.
    pub(super) async fn insist(&self, operation: &str, body: &Value) -> (u16, Value) {
        let until = Instant::now() + NOBODY;
        let mut said = vec![];
        loop {
            let number = rand::rng().random_range(0..NODES);
            match self.asked(&self.nodes[number], operation, body).await {
                Some(answer) if answer.0 < 500 => return answer,
                Some((status, error)) => said.push(format!("node {number}: {status} {error}")),
                None => said.push(format!("node {number}: no answer")),
            }
            if Instant::now() >= until {
                said.sort_unstable();
                said.dedup();
                self.nobody_gave_up();
                panic!("for {NOBODY:?} no node answered {operation} {body}: {said:#?}\n{}", self.log("ERROR"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What must work.
    pub(super) async fn must(&self, operation: &str, body: &Value) -> Value {
        match self.insist(operation, body).await {
            (200, answer) => answer,
            (status, error) => panic!("{operation} {body}: {status} {error}"),
        }
    }

    /// The last lines that any node has logged with this word.
    pub(super) fn log(&self, word: &str) -> String {
        let lines = |node: &Node| {
            let log = node.home.log();
            let found: Vec<&str> = log.lines().filter(|line| line.contains(word)).collect();
            format!("{}:\n{}", node.url, found[found.len().saturating_sub(40)..].join("\n"))
        };
        self.nodes.iter().map(lines).collect::<Vec<_>>().join("\n")
    }

    fn keyring(&self) -> PathBuf {
        self.nodes[0].home.data().join("keyring.json")
    }
}

impl Node {
    fn new() -> Self {
        let port = free_port();
        Self { home: Home::new(), port, url: format!("http://127.0.0.1:{port}"), child: Mutex::new(None) }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, store: &str, keyring: &Path) {
        let log = File::options().append(true).create(true).open(self.home.path().join("log")).expect("a log");
        let lease = LEASE.as_secs().to_string();
        let mut command = pawl();
        command
            .args(["serve", "--lease", &lease, "--schedule-limits", "none"])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data")
            .arg(self.home.data())
            .arg("--keyring")
            .arg(keyring)
            // It has a password.
            .env("PAWL_STORE", store)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        *self.child() = Some(command.spawn().expect("pawl starts"));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            // It may have ended already.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

async fn is_ready(http: &reqwest::Client, node: &Node) -> bool {
    let answer = http.get(format!("{}/readyz", node.url)).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn until_ready(http: &reqwest::Client, node: &Node) {
    let until = Instant::now() + READY;
    while !is_ready(http, node).await {
        let ended = node.child().as_mut().and_then(|child| child.try_wait().expect("its status"));
        assert!(ended.is_none(), "a node ended by itself with {ended:?}:\n{}", tail(&node.home.log()));
        assert!(Instant::now() < until, "after {READY:?} a node is not ready:\n{}", tail(&node.home.log()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
