//! What is known of the real service, by the section of our reference that says it. Tests of other files are named by
//! section too, where the fact is theirs: `cargo test -p api s2_8` runs what shows section 2.8.

mod s1;
mod s16;
mod s2_lists;
mod s2_metadata;
mod s2_values;
mod s3;
mod s4;
mod s5;
mod s8;

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Server, v};

/// The names of a reply's members, alphabetically.
fn members(reply: &Value) -> Vec<&str> {
    reply.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// PutSecretValue of `value` as version `n`, with these labels or plainly.
async fn put(server: &Server, id: &str, n: u32, value: &str, stages: Option<&[&str]>) -> Value {
    let mut body = json!({"SecretId": id, "ClientRequestToken": v(n), "SecretString": value});
    if let Some(stages) = stages {
        body["VersionStages"] = json!(stages);
    }
    server.ok("PutSecretValue", body).await
}

async fn get(server: &Server, id: &str) -> Value {
    server.ok("GetSecretValue", json!({ "SecretId": id })).await
}

async fn describe(server: &Server, id: &str) -> Value {
    server.ok("DescribeSecret", json!({ "SecretId": id })).await
}

/// The error code of a call that is to be refused with status 400. For texts that nobody has recorded.
async fn code(server: &Server, op: &str, body: Value) -> String {
    let answer = server.call(op, body.clone()).await;
    assert_eq!(answer.status, 400, "{op} {body}: {}", answer.text());
    answer.json()["__type"].as_str().expect("a code").to_owned()
}

/// The texts of a folder's Rust files, those of its folders too.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let text = |path: std::path::PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => std::fs::read_to_string(path).expect("a text"),
        _ => String::new(),
    };
    entries.map(text).collect()
}

#[test]
fn what_the_compatibility_page_names_as_shown_by_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let page = std::fs::read_to_string(root.join("docs/compatibility.md")).expect("the page");
    let tests: String =
        ["api/tests", "engine/src", "store/src"].iter().map(|folder| sources(&root.join(folder))).collect();
    let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let is_prefix = |text: &str| {
        let section = text.strip_prefix('s').and_then(|rest| rest.chars().next());
        text.ends_with('_') && section.is_some_and(|c| c.is_ascii_digit())
    };
    let prefixes: Vec<&str> = quoted.iter().copied().filter(|text| is_prefix(text)).collect();
    assert!(prefixes.len() > 30, "{prefixes:?}");
    for prefix in prefixes {
        assert!(tests.contains(&format!("fn {prefix}")), "no test begins with {prefix}");
    }
    for path in quoted.iter().filter(|text| text.ends_with(".rs")) {
        assert!(root.join(path).is_file(), "{path} is not there");
    }
}
