//! What a preflight found and what a preparation does, as Pawl's own operations show it. Never here: values; they are
//! masked where they are made.

use engine::check::{self, Level};
use serde::Serialize;

/// One thing that was looked at.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Finding {
    level: &'static str,
    code: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl From<check::Finding> for Finding {
    fn from(finding: check::Finding) -> Self {
        let check::Finding { level, code, message, remedy } = finding;
        let level = match level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        };
        Self { level, code, message, remedy }
    }
}

/// In the order in which they were found.
pub(crate) fn findings(found: Vec<check::Finding>) -> Vec<Finding> {
    found.into_iter().map(Into::into).collect()
}

/// A server that was looked at.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Server {
    address: String,
    title: String,
    version: String,
    standby: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<String>,
}

impl From<check::Server> for Server {
    fn from(server: check::Server) -> Self {
        let check::Server { address, title, version, standby, tls } = server;
        Self { address, title, version, standby, tls }
    }
}

/// What a preflight found.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Report {
    /// Nothing stands in the way of rotating.
    passes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    servers: Vec<Server>,
    findings: Vec<Finding>,
    statements: Vec<String>,
}

impl From<check::Report> for Report {
    fn from(report: check::Report) -> Self {
        Self {
            passes: report.passes(),
            strategy: report.strategy.map(engine::strategy::Strategy::name),
            why: report.why,
            servers: report.servers.into_iter().map(Into::into).collect(),
            findings: findings(report.findings),
            statements: report.statements,
        }
    }
}

/// Statements of one transaction in one database.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statements {
    #[serde(skip_serializing_if = "String::is_empty")]
    database: String,
    statements: Vec<String>,
}

/// What brings an account into another shape.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Preparation {
    already: bool,
    applied: bool,
    statements: Vec<Statements>,
    findings: Vec<Finding>,
}

impl From<check::Preparation> for Preparation {
    fn from(preparation: check::Preparation) -> Self {
        let group = |group: check::Statements| Statements { database: group.database, statements: group.statements };
        Self {
            already: preparation.already,
            applied: preparation.applied,
            statements: preparation.statements.into_iter().map(group).collect(),
            findings: findings(preparation.findings),
        }
    }
}
