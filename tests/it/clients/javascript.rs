//! The AWS SDK for JavaScript, where Node is: a smoke test of the operations that services use.

use super::{client, clients, succeeded};
use crate::harness::pawl::Home;
use crate::harness::servers;

#[test]
fn the_javascript_sdk_makes_reads_pages_and_deletes() {
    if servers::left_out("javascript") {
        return;
    }
    let modules = clients().join("javascript/node_modules");
    if !modules.join("@aws-sdk/client-secrets-manager").is_dir() {
        return servers::say_left_out("javascript", "no Node, or not its SDK; scripts/setup-clients says which");
    }
    let home = Home::new();
    let pawl = home.serve_as_aws();
    let mut command = client("node", &home, &pawl);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/javascript/smoke.cjs"));
    let output = command.env("NODE_PATH", modules).output().expect("node runs");
    let called: Vec<String> = serde_json::from_str(&succeeded(&output, &home)).expect("JSON");
    assert_eq!(called.len(), 13, "{called:?}");
}
