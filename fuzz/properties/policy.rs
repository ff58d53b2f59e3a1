//! Policy documents: none makes the reader panic, white space means nothing, and what one more statement cannot take
//! back stays true with it.
//!
//! An input is the text of a policy.

use serde_json::{Value, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let verdict = api::fuzzing::policy(text);
    let Ok(mut document) = serde_json::from_str::<Value>(text) else {
        // Deeper than serde_json goes is too deep for a policy by far.
        assert!(verdict.is_none(), "a policy that is no JSON");
        return;
    };
    let (compact, pretty) = (document.to_string(), format!("{document:#}"));
    assert_eq!(api::fuzzing::policy(&compact), api::fuzzing::policy(&pretty), "white space in {text:?}");
    let Some(before) = api::fuzzing::policy(&compact) else {
        assert!(verdict.is_none(), "the same policy, spelled anew, is none: {compact}");
        return;
    };
    if !document["Statement"].is_array() {
        document["Statement"] = json!([document["Statement"].take()]);
    }
    let anyone = json!({"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"});
    document["Statement"].as_array_mut().expect("a list").push(anyone);
    // A policy may be as large as it gets already, and one more statement too much.
    if let Some(after) = api::fuzzing::policy(&document.to_string()) {
        assert!(after.broad, "anybody is let in by {document}");
        assert_eq!(after.locks_out, before.locks_out, "whom it allows denies nobody: {document}");
    }
}
