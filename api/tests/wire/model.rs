//! The service's model, member by member: what it bounds is refused here in AWS's words, and what it allows is not.
//!
//! `model.txt` holds the model's facts, apart by tabs: operation, member, type, bounds. A member that is missing here, bounded otherwise
//! or of another type fails.

use serde_json::{Map, Value, json};

use crate::harness::Server;

const MODEL: &str = include_str!("model.txt");

/// A line of the model.
struct Member<'m> {
    op: &'m str,
    path: &'m str,
    kind: &'m str,
    facts: Vec<&'m str>,
}

impl<'m> Member<'m> {
    fn all() -> impl Iterator<Item = Member<'m>> {
        MODEL.lines().map(|line| {
            let mut columns = line.split('\t');
            let mut column = || columns.next().expect("operation, member and type");
            Member { op: column(), path: column(), kind: column(), facts: columns.collect() }
        })
    }

    fn fact(&self, name: &str) -> Option<&'m str> {
        self.facts.iter().find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='))
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.fact(name).map(|number| number.parse().expect("a number"))
    }

    fn is(&self, word: &str) -> bool {
        self.facts.contains(&word)
    }

    /// As AWS names it: `filters.1.member.key`; a list's items by the list.
    fn place(&self) -> String {
        let path = self.path.strip_suffix("[]").unwrap_or(self.path).replace("[].", ".1.member.");
        let lower = |name: &str| name[..1].to_ascii_lowercase() + &name[1..];
        path.split('.').map(lower).collect::<Vec<_>>().join(".")
    }

    /// A request with this value there and nothing else.
    fn request(&self, value: Value) -> Value {
        self.path.rsplit('.').fold(value, |inner, part| {
            let name = part.trim_end_matches("[]");
            let inner = if part.ends_with("[]") { json!([inner]) } else { inner };
            Value::Object(Map::from_iter([(name.to_owned(), inner)]))
        })
    }

    /// A value of this length, where it has one.
    fn of_length(&self, length: usize) -> Value {
        let letter = match self.fact("pattern") {
            Some("[0-9]+h") => return json!(format!("{}h", "1".repeat(length.saturating_sub(1)))),
            Some(pattern) if length > 2 && pattern.starts_with("^([a-z]") => {
                return json!(format!("{}-1", "a".repeat(length - 2)));
            }
            _ => "a",
        };
        match self.kind {
            "string" => json!(letter.repeat(length)),
            "blob" => json!(base64(length)),
            "list" => Value::Array(vec![self.item(); length]),
            "integer" | "long" => json!(length),
            other => panic!("{other} has no length"),
        }
    }

    /// What a list of this member's may hold.
    fn item(&self) -> Value {
        let items = format!("{}[]", self.path);
        let kind = Member::all().find(|member| member.op == self.op && member.path == items).expect("items").kind;
        if kind == "structure" { json!({}) } else { json!("eu-west-1") }
    }

    /// What the model refuses, and the end of AWS's sentence about it.
    fn refused(&self) -> Vec<(Value, String)> {
        let is_number = ["integer", "long"].contains(&self.kind);
        let what = if is_number { "value" } else { "length" };
        let mut refused = vec![];
        if let Some(min) = self.number("min").filter(|min| *min > 0) {
            refused.push((self.of_length(min - 1), format!("Member must have {what} greater than or equal to {min}")));
        }
        if let Some(max) = self.number("max") {
            refused.push((self.of_length(max + 1), format!("Member must have {what} less than or equal to {max}")));
        }
        if let Some(pattern) = self.fact("pattern") {
            let wrong = "~".repeat(self.number("min").unwrap_or(3));
            refused.push((json!(wrong), format!("Member must satisfy regular expression pattern: {pattern}")));
        }
        if self.fact("enum").is_some() {
            refused.push((json!("nonsense"), "Member must satisfy enum value set: [".to_owned()));
        }
        refused
    }

    /// What the model allows at its bounds.
    fn allowed(&self) -> Vec<Value> {
        let mut allowed: Vec<Value> =
            ["min", "max"].into_iter().filter_map(|bound| self.number(bound)).map(|at| self.of_length(at)).collect();
        allowed.extend(self.fact("enum").into_iter().flat_map(|set| set.split(',')).map(|value| json!(value)));
        allowed
    }
}

/// Base64 of so many bytes.
fn base64(length: usize) -> String {
    let tail = ["", "AA==", "AAA="][length % 3];
    "AAAA".repeat(length / 3) + tail
}

/// What AWS's own clients cannot send wrongly: its text is not known, and ours is another error.
fn of_its_own(member: &Member<'_>) -> bool {
    member.path == "ClientRequestToken"
}

async fn said(server: &Server, op: &str, request: &Value) -> (String, String) {
    let answer = server.call(op, request.clone()).await;
    if answer.status == 200 {
        return ("ok".to_owned(), String::new());
    }
    let body = answer.json();
    let code = body["__type"].as_str().expect("a code").to_owned();
    let message = body.get("message").or(body.get("Message"));
    (code, message.and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_the_model_bounds_is_refused_in_its_words() {
    let server = Server::start().await;
    for member in Member::all().filter(|member| !of_its_own(member)) {
        for (value, tail) in member.refused() {
            let (code, message) = said(&server, member.op, &member.request(value)).await;
            assert_eq!(code, "ValidationException", "{} {}: {message}", member.op, member.path);
            // A list's items are spoken of together.
            let of_items = member.path.ends_with("[]") && !tail.contains("pattern");
            let named = message.contains(&format!("at '{}' failed to satisfy constraint: ", member.place()));
            assert!(named && (of_items || message.contains(&tail)), "{} {}: {message}", member.op, member.path);
            assert!(!member.is("sensitive") || !message.contains("aaa"), "{} {} is repeated", member.op, member.path);
        }
    }
}

#[tokio::test]
async fn what_the_model_allows_is_not_refused_for_its_size() {
    let server = Server::start().await;
    for member in Member::all().filter(|member| !of_its_own(member)) {
        for value in member.allowed() {
            let (_, message) = said(&server, member.op, &member.request(value)).await;
            for rule in ["Member must have", "Member must satisfy enum"] {
                let complaint = format!("at '{}' failed to satisfy constraint: {rule}", member.place());
                assert!(!message.contains(&complaint), "{} {}: {message}", member.op, member.path);
            }
        }
    }
}

#[tokio::test]
async fn what_must_be_there_is_missed_by_name_and_counted() {
    let server = Server::start().await;
    let mut ops: Vec<&str> = Member::all().map(|member| member.op).collect();
    ops.dedup();
    for op in ops {
        let required: Vec<String> = Member::all()
            .filter(|member| member.op == op && member.is("required"))
            .map(|member| member.place())
            .collect();
        let (code, message) = said(&server, op, &json!({})).await;
        if required.is_empty() {
            assert!(!message.contains("Member must not be null"), "{op}: {message}");
            continue;
        }
        let missing =
            |place: &String| format!("Value null at '{place}' failed to satisfy constraint: Member must not be null");
        let list: Vec<String> = required.iter().map(missing).collect();
        let errors = if list.len() == 1 { "error" } else { "errors" };
        let expected = format!("{} validation {errors} detected: {}", list.len(), list.join("; "));
        assert_eq!((code.as_str(), message), ("ValidationException", expected), "{op}");
    }
}

#[tokio::test]
async fn a_member_of_another_type_is_a_serialization_error() {
    let server = Server::start().await;
    for member in Member::all() {
        let wrong = match member.kind {
            "string" | "blob" | "structure" => json!(5),
            _ => json!("text"),
        };
        let (code, message) = said(&server, member.op, &member.request(wrong)).await;
        assert_eq!(code, "SerializationException", "{} {}: {message}", member.op, member.path);
    }
}
