//! The constraints of the service's model, and AWS's words for breaking them.
//!
//! An operation lists its members' constraints; all that fail are reported at once. A sensitive
//! member's value is never repeated.

use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;

use engine::schedule::Limits;

use crate::error::ApiError;

/// Collects what is wrong with a request.
pub(crate) struct Constraints {
    /// The server's setting for schedules: without AWS's limits, members of schedules are freer too.
    pub(crate) limits: Limits,
    failures: Vec<String>,
    bad_name: bool,
}

impl Constraints {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, failures: Vec::new(), bad_name: false }
    }

    /// Nothing failed, or AWS's ValidationException.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.failures.len() {
            0 if self.bad_name => Err(ApiError::validation(
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: \
                 -/_+=.@!",
            )),
            0 => Ok(()),
            n => {
                let errors = if n == 1 { "error" } else { "errors" };
                let list = self.failures.join("; ");
                Err(ApiError::validation(format!("{n} validation {errors} detected: {list}")))
            }
        }
    }

    /// SecretId: required, 1 to 2048 characters, of a name or an ARN.
    pub(crate) fn secret_id(&mut self, value: Option<&str>) {
        self.required("secretId", value.is_some());
        self.optional_secret_id(value);
    }

    /// SecretId where it may be left out.
    pub(crate) fn optional_secret_id(&mut self, value: Option<&str>) {
        self.length("secretId", value, 1..=2048);
        if let Some(id) = value {
            let is_arn = id.starts_with("arn:");
            self.bad_name |= !id.chars().all(|c| of_names(c) || (is_arn && c == ':'));
        }
    }

    /// The name of a new secret.
    pub(crate) fn name(&mut self, value: Option<&str>) {
        self.required("name", value.is_some());
        self.length("name", value, 1..=512);
        self.bad_name |= value.is_some_and(|name| !name.chars().all(of_names));
    }

    /// The member must be there.
    pub(crate) fn required(&mut self, member: &str, present: bool) {
        if !present {
            self.fail(member, None, "Member must not be null");
        }
    }

    /// Length in characters.
    pub(crate) fn length(&mut self, member: &str, value: Option<&str>, range: RangeInclusive<usize>) {
        if let Some(value) = value {
            self.sized(member, Some(&format_args!("'{value}'")), value.chars().count(), range);
        }
    }

    /// Length of a member whose value must not be repeated.
    pub(crate) fn sensitive_length(&mut self, member: &str, length: Option<usize>, range: RangeInclusive<usize>) {
        if let Some(length) = length {
            self.sized(member, Some(&SENSITIVE), length, range);
        }
    }

    /// How many elements, and how long each may be.
    pub(crate) fn list(
        &mut self,
        member: &str,
        items: Option<&[String]>,
        count: RangeInclusive<usize>,
        each: RangeInclusive<usize>,
    ) {
        let Some(items) = items else { return };
        let shown = format!("'[{}]'", items.join(", "));
        self.sized(member, Some(&shown), items.len(), count);
        if items.iter().any(|item| !each.contains(&item.chars().count())) {
            let tail = format!(
                "Member must satisfy constraint: [Member must have length less than or equal to {}, Member must have \
                 length greater than or equal to {}]",
                each.end(),
                each.start()
            );
            self.fail(member, Some(&shown), &tail);
        }
    }

    /// How many elements a list whose elements are structures may have.
    pub(crate) fn count(&mut self, member: &str, length: Option<usize>, range: RangeInclusive<usize>) {
        self.sensitive_length(member, length, range);
    }

    /// A number's range.
    pub(crate) fn number(&mut self, member: &str, value: Option<i64>, range: RangeInclusive<i64>) {
        let Some(value) = value else { return };
        let shown = format!("'{value}'");
        if value < *range.start() {
            let tail = format!("Member must have value greater than or equal to {}", range.start());
            self.fail(member, Some(&shown), &tail);
        } else if value > *range.end() {
            let tail = format!("Member must have value less than or equal to {}", range.end());
            self.fail(member, Some(&shown), &tail);
        }
    }

    /// One of a set.
    pub(crate) fn one_of(&mut self, member: &str, value: Option<&str>, set: &[&str]) {
        if let Some(value) = value.filter(|value| !set.contains(value)) {
            let tail = format!("Member must satisfy enum value set: [{}]", set.join(", "));
            self.fail(member, Some(&format_args!("'{value}'")), &tail);
        }
    }

    /// A pattern, given as the model writes it and as a predicate.
    pub(crate) fn pattern(&mut self, member: &str, value: Option<&str>, pattern: &str, holds: impl Fn(&str) -> bool) {
        if let Some(value) = value.filter(|value| !holds(value)) {
            let tail = format!("Member must satisfy regular expression pattern: {pattern}");
            self.fail(member, Some(&format_args!("'{value}'")), &tail);
        }
    }

    fn sized(&mut self, member: &str, shown: Option<&dyn Display>, length: usize, range: RangeInclusive<usize>) {
        if length < *range.start() {
            let tail = format!("Member must have length greater than or equal to {}", range.start());
            self.fail(member, shown, &tail);
        } else if length > *range.end() {
            let tail = format!("Member must have length less than or equal to {}", range.end());
            self.fail(member, shown, &tail);
        }
    }

    fn fail(&mut self, member: &str, shown: Option<&dyn Display>, tail: &str) {
        let mut text = String::from("Value");
        match shown.map(ToString::to_string) {
            None => text.push_str(" null"),
            Some(shown) if shown.is_empty() => {}
            Some(shown) => write!(text, " {shown}").expect("a String takes any text"),
        }
        write!(text, " at '{member}' failed to satisfy constraint: {tail}").expect("a String takes any text");
        self.failures.push(text);
    }
}

/// Shown in place of a value that must not be repeated: AWS then says just `Value at 'member'`.
const SENSITIVE: &str = "";

fn of_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-/_+=.@!".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(list: impl FnOnce(&mut Constraints)) -> String {
        let mut must = Constraints::new(Limits::Aws);
        list(&mut must);
        let error = must.finish().expect_err("a constraint is broken");
        assert_eq!(error.code, "ValidationException");
        let body: serde_json::Value = serde_json::from_slice(&error.body()).expect("JSON");
        body["message"].as_str().expect("a message").to_owned()
    }

    #[test]
    fn several_failures_are_one_answer() {
        let text = said(|must| {
            must.secret_id(None);
            must.length("versionId", Some("short"), 32..=64);
        });
        assert_eq!(
            text,
            "2 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must not be \
             null; Value 'short' at 'versionId' failed to satisfy constraint: Member must have length greater than or \
             equal to 32"
        );
    }

    #[test]
    fn sensitive_values_are_not_repeated() {
        let text = said(|must| must.sensitive_length("secretString", Some(65_537), 1..=65_536));
        assert_eq!(
            text,
            "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have \
             length less than or equal to 65536"
        );
    }

    #[test]
    fn colons_are_for_arns_only() {
        let text = said(|must| must.secret_id(Some("a:b")));
        assert!(text.starts_with("Invalid name. "));
        let mut must = Constraints::new(Limits::Aws);
        must.secret_id(Some("arn:aws:secretsmanager:us-east-1:000000000000:secret:a-AbCdEf"));
        assert!(must.finish().is_ok());
    }
}
