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
