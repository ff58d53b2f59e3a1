//! The webhook contract as it is published: the schemas, the examples, and the page that explains them say the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::schema::{Schema, folder};

fn kind_of(value: &Value) -> &'static str {
    if value.get("Step").is_some() { "event" } else { "answer" }
}

fn assert_valid(what: &str, value: &Value) {
    let wrong = Schema::of(kind_of(value)).wrong_with(value);
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    if let Some(credentials) = value.get("Credentials") {
        assert_eq!(credentials["Expiration"], value["Deadline"], "{what}: they are good until the deadline");
    }
}

/// The example files, by name.
fn examples() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder().join("examples")).expect("the examples");
    let read = files.map(|file| {
        let path = file.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name.clone(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    });
    read.collect()
}

#[test]
fn every_example_is_valid_and_each_step_and_answer_has_one() {
    let examples = examples();
    let mut seen = BTreeSet::new();
    for (name, value) in &examples {
        assert_valid(name, value);
        assert!(name.starts_with(kind_of(value)), "{name}");
        for member in ["Step", "Status", "Mode"] {
            seen.extend(value[member].as_str());
        }
        seen.extend(value["Error"]["Kind"].as_str());
    }
    for schema in [Schema::of("event"), Schema::of("answer")] {
        let all = schema.words();
        let missing: Vec<_> = all.iter().filter(|word| !seen.contains(word.as_str())).collect();
        assert!(missing.is_empty(), "no example of {missing:?}");
    }
}

#[test]
fn the_json_in_the_page_is_valid() {
    let page = std::fs::read_to_string(folder().join("../writing-a-rotator.md")).expect("the page");
    let blocks: Vec<_> = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 5, "the page has examples");
    for block in blocks {
        let value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error} in {block}"));
        assert_valid(block, &value);
    }
}

#[test]
fn what_breaks_the_contract_is_not_valid() {
    for (name, example) in examples() {
        let schema = Schema::of(kind_of(&example));
        let optional =
            ["Version", "Message", "Current", "Others", "Restoring", "OtherVersions", "Endpoint", "Credentials"];
        for member in example.as_object().expect("an object").keys() {
            let mut lacking = example.clone();
            lacking.as_object_mut().expect("an object").remove(member);
            let may_lack =
                member != "RetryAfterSeconds" && member != "SecretString" && !optional.contains(&member.as_str());
            if may_lack || kind_of(&example) == "event" && member == "Version" {
                assert_ne!(schema.wrong_with(&lacking), Vec::<String>::new(), "{name} without {member}");
            }
        }
        let foreign = [("Version", json!(2)), ("Extra", json!(1)), ("Error", json!({ "Kind": "Broken" }))];
        for (member, value) in foreign {
            let mut bent = example.clone();
            bent[member] = value;
            assert_ne!(schema.wrong_with(&bent), Vec::<String>::new(), "{name} with another {member}");
        }
    }
    let event = |name: &str| examples().into_iter().find(|(file, _)| file == name).expect(name).1;
    let schema = Schema::of("event");
    let bends = [
        ("event-managed-set.json", "Region", json!("us-east-1")),
        ("event-managed-set.json", "Pending", json!({ "SecretString": "a", "SecretBinary": "YQ==" })),
        ("event-managed-set.json", "Restoring", json!(false)),
        ("event-managed-set.json", "Attempt", json!(0)),
        ("event-managed-set.json", "Tags", json!([])),
        ("event-callback-set.json", "Current", json!({ "SecretString": "a" })),
        ("event-callback-set.json", "RotationToken", json!("short")),
    ];
    for (name, member, value) in bends {
        let mut bent = event(name);
        bent[member] = value;
        assert_ne!(schema.wrong_with(&bent), Vec::<String>::new(), "{name} with another {member}");
    }
}

/// What else is called a code is shown as `reported`, so an author who keeps to the schema sees the own word again.
#[test]
fn a_code_is_a_short_word() {
    let schema = Schema::of("answer");
    let of_code = |code: &str| {
        let error = json!({ "Kind": "Retryable", "Code": code, "Message": "The target is away." });
        schema.wrong_with(&json!({ "Status": "Error", "Error": error })).is_empty()
    };
    for code in ["a", "no-user", "E_1.x", &"x".repeat(40)] {
        assert!(of_code(code), "{code}");
    }
    for code in ["", "no user", "kein-schlüssel", "a:b", &"x".repeat(41)] {
        assert!(!of_code(code), "{code}");
    }
}
