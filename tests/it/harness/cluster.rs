//! Several nodes on one PostgreSQL store: a database of its own, and a home for each node.

use std::fs;

use pawl::servers::Server;

use super::account::execute;
use super::pawl::{Home, Pawl};
use super::{servers, unique};

/// A store and the homes of its nodes. The first one makes keyring and key; the others are given copies, as people do it.
pub(crate) struct Cluster {
    pub(crate) url: String,
    homes: Vec<Home>,
}

impl Cluster {
    /// On the shared PostgreSQL; none where the tests are to do without it.
    pub(crate) fn new(nodes: usize) -> Option<Self> {
        servers::postgres().map(|server| Self::on(server, nodes, ""))
    }

    /// On this server, as a role that owns its database and nothing else; `parameters` end the URL.
    pub(crate) fn on(server: &Server, nodes: usize, parameters: &str) -> Self {
        let (name, password) = (unique("store"), unique("Canary-store-"));
        execute(server, &format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"));
        execute(server, &format!("CREATE DATABASE {name} OWNER {name}"));
        let url = format!("postgres://{name}:{password}@{}:{}/{name}{parameters}", server.host, server.port);
        Self { url, homes: (0..nodes).map(|_| Home::new()).collect() }
    }

    pub(crate) fn home(&self, node: usize) -> &Home {
        &self.homes[node]
    }

    /// Starts a node. The first one first: the others take over its keyring.
    pub(crate) fn serve(&self, node: usize) -> Pawl {
        self.serve_with(node, &[], &[])
    }

    /// The same with more flags and variables.
    pub(crate) fn serve_with(&self, node: usize, flags: &[&str], variables: &[(&str, &str)]) -> Pawl {
        let (first, data) = (self.homes[0].data(), self.homes[node].data());
        if node > 0 && !data.exists() {
            fs::create_dir(&data).expect("a folder");
            for file in ["keyring.json", "credentials"] {
                fs::copy(first.join(file), data.join(file)).expect("copied");
            }
        }
        let store = [("PAWL_STORE", self.url.as_str())];
        self.homes[node].serve_with(flags, &[&store, variables].concat())
    }

    /// Starts all of them.
    pub(crate) fn serve_all(&self) -> Vec<Pawl> {
        (0..self.homes.len()).map(|node| self.serve(node)).collect()
    }

    /// What all nodes wrote to their logs.
    pub(crate) fn logs(&self) -> String {
        self.homes.iter().map(Home::log).collect::<Vec<_>>().join("\n-- the next node\n")
    }
}
