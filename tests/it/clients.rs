//! Clients that nobody here wrote, over everything they can ask: AWS's SDKs, its CLI, its caching client, Terraform.
//!
//! What is held here is that such a client cannot tell Pawl from AWS: it parses every reply into the types that it
//! has, finds the error classes that it knows, and pages, retries and waits as it always does. A client that this
//! machine does not have is named as left out, never passed over in silence.

mod aws_cli;
mod boto3;
mod caching;
mod javascript;
mod rust_sdk;
mod terraform;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::harness::pawl::{Home, Pawl};
use crate::harness::servers;

/// The whole API, version 2017-10-17.
const OPERATIONS: [&str; 23] = [
    "BatchGetSecretValue",
    "CancelRotateSecret",
    "CreateSecret",
    "DeleteResourcePolicy",
    "DeleteSecret",
    "DescribeSecret",
    "GetRandomPassword",
    "GetResourcePolicy",
    "GetSecretValue",
    "ListSecretVersionIds",
    "ListSecrets",
    "PutResourcePolicy",
    "PutSecretValue",
    "RemoveRegionsFromReplication",
    "ReplicateSecretToRegions",
    "RestoreSecret",
    "RotateSecret",
    "StopReplicationToReplica",
    "TagResource",
    "UntagResource",
    "UpdateSecret",
    "UpdateSecretVersionStage",
    "ValidateResourcePolicy",
];

/// What this shell may have set for AWS, and what would lead a client elsewhere.
const FOREIGN: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_CA_BUNDLE",
    "HTTP_PROXY",
    "http_proxy",
];

/// A file that holds no setting of anybody.
const NOTHING: &str = "/dev/null";

/// A client's program, as the administrator of this server.
fn client(program: impl Into<PathBuf>, home: &Home, pawl: &Pawl) -> Command {
    let mut command = Command::new(program.into());
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
        .env("AWS_SHARED_CREDENTIALS_FILE", home.data().join("credentials"))
        .env("AWS_CONFIG_FILE", NOTHING)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &pawl.url);
    command
}

/// Where `scripts/setup-clients` puts what it gets.
fn clients() -> PathBuf {
    pawl::servers::cache().join("clients")
}

/// A program of the tests' virtual environment, or none, and then it is said that `name` is left out.
pub(crate) fn of_the_venv(name: &str, program: &str) -> Option<PathBuf> {
    if servers::left_out(name) {
        return None;
    }
    let path = clients().join("python/bin").join(program);
    if !path.is_file() {
        servers::say_left_out(name, "not in the virtual environment; scripts/setup-clients says why");
        return None;
    }
    Some(path)
}

/// That each operation of the API is among those which the suite has called.
fn assert_all_called(called: &BTreeSet<String>) {
    let missing: Vec<_> = OPERATIONS.iter().filter(|name| !called.contains(**name)).collect();
    assert!(missing.is_empty(), "the suite calls every operation but {missing:?}");
}

/// The standard output of a program that must end well.
fn succeeded(output: &Output, home: &Home) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{error}\n{}", output.status, home.log());
    for line in error.lines().filter_map(|line| line.strip_prefix("left out: ")) {
        let (name, why) = line.split_once(": ").unwrap_or((line, ""));
        servers::say_left_out(name, why);
    }
    out.into_owned()
}
