//! As much of JSON Schema (2020-12) as `docs/webhook/*.schema.json` say. A word that this does not know is a failure, so
//! that no schema can say more than is held.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Words that say nothing about what is valid. `format` is one, as the specification has it.
const SILENT: [&str; 6] = ["$schema", "$defs", "title", "description", "format", "else"];

/// A schema of the webhook contract.
pub(crate) struct Schema {
    root: Value,
}

/// The folder of the webhook contract.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/webhook")
}

impl Schema {
    /// `event` or `answer`.
    pub(crate) fn of(name: &str) -> Self {
        let path = folder().join(format!("{name}.schema.json"));
        let text = std::fs::read_to_string(path).expect("the schema");
        Self { root: serde_json::from_str(&text).expect("JSON") }
    }

    /// Everything that is wrong with this, an undocumented member included: receivers must be able to ignore one, but
    /// nobody may send it.
    pub(crate) fn wrong_with(&self, value: &Value) -> Vec<String> {
        let mut wrong = vec![];
        self.check(&self.root, value, "", &mut wrong);
        let documented = self.root["properties"].as_object().expect("properties");
        let members = value.as_object().into_iter().flat_map(Map::keys);
        wrong.extend(
            members.filter(|name| !documented.contains_key(*name)).map(|name| format!("/{name}: no such member")),
        );
        wrong
    }

    /// Every word that an `enum` anywhere among the members may be.
    pub(crate) fn words(&self) -> Vec<String> {
        fn collect(schema: &Value, words: &mut Vec<String>) {
            let listed = schema["enum"].as_array().into_iter().flatten();
            words.extend(listed.filter_map(|word| word.as_str().map(str::to_owned)));
            for member in schema["properties"].as_object().into_iter().flat_map(Map::values) {
                collect(member, words);
            }
        }
        let mut words = vec![];
        collect(&self.root, &mut words);
        words
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let mut wrong = vec![];
        self.check(schema, value, "", &mut wrong);
        wrong.is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let words = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return wrong.push(format!("{at}: must not be there")),
            schema => schema.as_object().expect("a schema is an object or a bool"),
        };
        for (word, says) in words {
            match word.as_str() {
                "$ref" => self.check(self.definition(says), value, at, wrong),
                "allOf" => list(says).iter().for_each(|part| self.check(part, value, at, wrong)),
                "oneOf" if list(says).iter().filter(|part| self.holds(part, value)).count() == 1 => {}
                "if" => {
                    let branch = if self.holds(says, value) { "then" } else { "else" };
                    self.check(words.get(branch).unwrap_or(&Value::Bool(true)), value, at, wrong);
                }
                "then" => assert!(words.contains_key("if"), "then without if"),
                "properties" => self.check_members(says, value, at, wrong),
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(says, item, &format!("{at}/{number}"), wrong);
                    }
                }
                "additionalProperties" => {
                    assert_eq!(*says, Value::Bool(false), "this knows no other");
                    let extra = value.as_object().into_iter().flat_map(Map::keys);
                    let extra = extra.filter(|name| words["properties"].get(name.as_str()).is_none());
                    wrong.extend(extra.map(|name| format!("{at}/{name}: no such member")));
                }
                word if SILENT.contains(&word) => {}
                word if allows(word, says, value) => {}
                word => wrong.push(format!("{at}: {word} {says}")),
            }
        }
    }

    fn check_members(&self, schemas: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        for (name, schema) in schemas.as_object().expect("properties") {
            if let Some(member) = value.get(name) {
                self.check(schema, member, &format!("{at}/{name}"), wrong);
            }
        }
    }

    fn definition(&self, reference: &Value) -> &Value {
        let name = reference.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("a reference to $defs");
        &self.root["$defs"][name]
    }
}

/// The words that look at one value alone. What is of another type than a word speaks of is allowed by it.
fn allows(word: &str, says: &Value, value: &Value) -> bool {
    let length = || value.as_str().map(|text| text.chars().count() as u64);
    match word {
        "const" => value == says,
        "enum" => list(says).contains(value),
        "type" => match says.as_str().expect("one type") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            other => panic!("no such type: {other}"),
        },
        "required" => {
            value.is_object() && list(says).iter().all(|name| value.get(name.as_str().expect("a name")).is_some())
        }
        "minLength" => length().is_none_or(|length| length >= says.as_u64().expect("a number")),
        "maxLength" => length().is_none_or(|length| length <= says.as_u64().expect("a number")),
        "pattern" => {
            let others = says.as_str().and_then(|text| text.strip_prefix("^[A-Za-z0-9")?.strip_suffix("]+$"));
            let others = others.expect("the one form of pattern that this knows: nothing but some characters");
            value.as_str().is_none_or(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c)))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().expect("a number")),
        "oneOf" => false,
        other => panic!("the schema says {other}, which is not held"),
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}
