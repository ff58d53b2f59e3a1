//! A request as a table: its members by AWS's names, their types, and beside each the constraints of the service's model.
//!
//! `request!` makes the structure that is parsed and its checks from one list, so that a member cannot have one and lack
//! the other. Every member may be left out unless it is [`Required`]; members that no table names are ignored, as AWS does.
//! Never here: the words of a refusal ([`crate::constraint`]), or rules that are no part of the model.

use std::ops::RangeInclusive;

use crate::constraint::{Constraints, Place};
use crate::wire::{Blob, Text};

/// What is made of a table.
pub(crate) trait Members {
    /// The members' names on the wire.
    #[cfg(test)]
    const NAMES: &'static [&'static str];

    /// Holds every member against its constraints; `path` leads to the members from the request's root.
    fn check(&self, path: &str, must: &mut Constraints);
}

/// A whole request.
pub(crate) trait Asks: Members {
    /// The secret it is about, for authorisation and the log.
    fn secret_id(&self) -> Option<&str>;
}

/// A constraint on a member of type `T`.
pub(crate) trait Rule<T> {
    /// Tells `must` what is wrong with the value of the member at `place`.
    fn check(&self, place: &Place<'_>, value: Option<&T>, must: &mut Constraints);
}

/// A structure of members: `field "Wire": Type [rules]`.
macro_rules! members {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$about_field:meta])* $field_vis:vis $field:ident $wire:literal: $type:ty [$($rule:expr),* $(,)?]),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, serde::Deserialize)]
        $vis struct $name {
            $($(#[$about_field])* #[serde(rename = $wire)] $field_vis $field: Option<$type>,)*
        }

        impl $crate::members::Members for $name {
            #[cfg(test)]
            const NAMES: &'static [&'static str] = &[$($wire),*];

            fn check(&self, path: &str, must: &mut $crate::constraint::Constraints) {
                // A table without members looks at neither.
                let _ = (path, &must);
                $($($crate::members::Rule::<$type>::check(
                    &$rule,
                    &$crate::constraint::Place { path, member: $wire },
                    self.$field.as_ref(),
                    must,
                );)*)*
            }
        }
    };
}

/// The structure of an operation's request, named `Request`; `about` names the member that says which secret it is about.
macro_rules! request {
    (about $about:ident; $($table:tt)*) => {
        $crate::members::members! { pub(crate) struct Request { $($table)* } }

        impl $crate::members::Asks for Request {
            fn secret_id(&self) -> Option<&str> {
                self.$about.as_deref()
            }
        }
    };
    ($($table:tt)*) => {
        $crate::members::members! { pub(crate) struct Request { $($table)* } }

        impl $crate::members::Asks for Request {
            fn secret_id(&self) -> Option<&str> {
                None
            }
        }
    };
}

pub(crate) use {members, request};

/// The member must be there.
pub(crate) struct Required;

impl<T> Rule<T> for Required {
    fn check(&self, place: &Place<'_>, value: Option<&T>, must: &mut Constraints) {
        if value.is_none() {
            must.null(place);
        }
    }
}

/// 1 to 2048 characters, of a name or an ARN.
pub(crate) struct SecretId;

impl Rule<String> for SecretId {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        Length(1..=2048).check(place, value, must);
        if let Some(id) = value {
            let is_arn = id.starts_with("arn:");
            must.name(id.chars().all(|c| of_names(c) || (is_arn && c == ':')));
        }
    }
}

/// The name of a new secret: 1 to 512 characters.
pub(crate) struct Name;

impl Rule<String> for Name {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        Length(1..=512).check(place, value, must);
        if let Some(name) = value {
            must.name(name.chars().all(of_names));
        }
    }
}

fn of_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-/_+=.@!".contains(c)
}

/// Length: characters of a text, bytes of a value, whose refusal does not repeat it.
pub(crate) struct Length(pub(crate) RangeInclusive<usize>);

impl Rule<String> for Length {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        if let Some(value) = value {
            must.length(place, Some(&format_args!("'{value}'")), value.chars().count(), &self.0);
        }
    }
}

impl Rule<Text> for Length {
    fn check(&self, place: &Place<'_>, value: Option<&Text>, must: &mut Constraints) {
        if let Some(value) = value {
            must.length(place, None, value.len(), &self.0);
        }
    }
}

impl Rule<Blob> for Length {
    fn check(&self, place: &Place<'_>, value: Option<&Blob>, must: &mut Constraints) {
        if let Some(value) = value {
            must.length(place, None, value.len(), &self.0);
        }
    }
}

/// A number's range.
pub(crate) struct Between(pub(crate) RangeInclusive<i64>);

impl Rule<i64> for Between {
    fn check(&self, place: &Place<'_>, value: Option<&i64>, must: &mut Constraints) {
        let Some(value) = value else { return };
        let shown = format_args!("'{value}'");
        if value < self.0.start() {
            must.fail(
                place,
                Some(&shown),
                format_args!("Member must have value greater than or equal to {}", self.0.start()),
            );
        } else if value > self.0.end() {
            must.fail(
                place,
                Some(&shown),
                format_args!("Member must have value less than or equal to {}", self.0.end()),
            );
        }
    }
}

/// One of a set.
pub(crate) struct OneOf(pub(crate) &'static [&'static str]);

impl Rule<String> for OneOf {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        if let Some(value) = value.filter(|value| !self.0.contains(&value.as_str())) {
            let tail = format_args!("Member must satisfy enum value set: [{}]", self.0.join(", "));
            must.fail(place, Some(&format_args!("'{value}'")), tail);
        }
    }
}

/// A pattern, as the model writes it and as a predicate; of a text, or of every text of a list.
pub(crate) struct Matching(pub(crate) &'static str, pub(crate) fn(&str) -> bool);

impl Rule<String> for Matching {
    fn check(&self, place: &Place<'_>, value: Option<&String>, must: &mut Constraints) {
        if let Some(value) = value.filter(|value| !(self.1)(value)) {
            let tail = format_args!("Member must satisfy regular expression pattern: {}", self.0);
            must.fail(place, Some(&format_args!("'{value}'")), tail);
        }
    }
}

impl Rule<Text> for Matching {
    fn check(&self, place: &Place<'_>, value: Option<&Text>, must: &mut Constraints) {
        if value.is_some_and(|value| !value.reads_as(self.1)) {
            must.fail(place, None, format_args!("Member must satisfy regular expression pattern: {}", self.0));
        }
    }
}

impl Rule<Vec<String>> for Matching {
    fn check(&self, place: &Place<'_>, value: Option<&Vec<String>>, must: &mut Constraints) {
        for item in value.into_iter().flatten() {
            Rule::<String>::check(self, place, Some(item), must);
        }
    }
}

/// How many texts a list has, and how long each is.
pub(crate) struct Items(pub(crate) RangeInclusive<usize>, pub(crate) RangeInclusive<usize>);

impl Rule<Vec<String>> for Items {
    fn check(&self, place: &Place<'_>, value: Option<&Vec<String>>, must: &mut Constraints) {
        let Some(items) = value else { return };
        let list = items.join(", ");
        let shown = format_args!("'[{list}]'");
        // Of a list that is too long anyway, the items are not looked at: a stranger chooses how many there are.
        if !must.length(place, Some(&shown), items.len(), &self.0) {
            return;
        }
        if items.iter().any(|item| !self.1.contains(&item.chars().count())) {
            let (least, most) = (self.1.start(), self.1.end());
            let tail = format_args!(
                "Member must satisfy constraint: [Member must have length less than or equal to {most}, Member must have \
                 length greater than or equal to {least}]"
            );
            must.fail(place, Some(&shown), tail);
        }
    }
}

/// How many structures a list has; each is held against its own table.
pub(crate) struct Each(pub(crate) RangeInclusive<usize>);

impl<T: Members> Rule<Vec<T>> for Each {
    fn check(&self, place: &Place<'_>, value: Option<&Vec<T>>, must: &mut Constraints) {
        let Some(items) = value else { return };
        if !must.length(place, None, items.len(), &self.0) {
            return;
        }
        for (i, item) in items.iter().enumerate() {
            item.check(&format!("{place}.{}.member.", i + 1), must);
        }
    }
}

/// A structure is held against its own table.
pub(crate) struct Inner;

impl<T: Members> Rule<T> for Inner {
    fn check(&self, place: &Place<'_>, value: Option<&T>, must: &mut Constraints) {
        if let Some(inner) = value {
            inner.check(&format!("{place}."), must);
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::schedule::Limits;

    use super::*;

    request! {
        about secret_id;
        secret_id "SecretId": String [Required, SecretId],
        version_id "VersionId": String [Length(32..=64)],
        secret_string "SecretString": Text [Length(1..=10)],
        max_results "MaxResults": i64 [Between(1..=100)],
        filters "Filters": Vec<Filter> [Each(0..=2)],
    }

    members! {
        struct Filter {
            key "Key": String [OneOf(&["all", "name"])],
        }
    }

    fn said(request: &str) -> Option<String> {
        let request: Request = serde_json::from_str(request).expect("a request");
        let mut must = Constraints::new(Limits::Aws);
        request.check("", &mut must);
        let error = must.finish().err()?;
        assert_eq!(error.code, "ValidationException");
        let body: serde_json::Value = serde_json::from_slice(&error.body()).expect("JSON");
        Some(body["message"].as_str().expect("a message").to_owned())
    }

    #[test]
    fn several_failures_are_one_answer() {
        assert_eq!(
            said(r#"{"VersionId":"short"}"#).as_deref(),
            Some(
                "2 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must not be \
                 null; Value 'short' at 'versionId' failed to satisfy constraint: Member must have length greater than or \
                 equal to 32"
            )
        );
    }

    #[test]
    fn sensitive_values_are_not_repeated() {
        assert_eq!(
            said(r#"{"SecretId":"a","SecretString":"canary-canary"}"#).as_deref(),
            Some(
                "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have \
                 length less than or equal to 10"
            )
        );
    }

    #[test]
    fn members_of_structures_in_lists_are_named_by_their_path() {
        assert_eq!(
            said(r#"{"SecretId":"a","Filters":[{"Key":"all"},{"Key":"x"}]}"#).as_deref(),
            Some(
                "1 validation error detected: Value 'x' at 'filters.2.member.key' failed to satisfy constraint: Member \
                 must satisfy enum value set: [all, name]"
            )
        );
    }

    #[test]
    fn a_request_wrong_in_many_places_gets_a_short_answer_and_the_right_count() {
        let filters = |n: usize| format!(r#"{{"SecretId":"a","Filters":[{}]}}"#, vec![r#"{"Key":"x"}"#; n].join(","));
        let said = said(&filters(20_000)).expect("a refusal");
        assert!(said.starts_with("1 validation error detected: Value at 'filters' failed"), "{said}");
        let mut must = Constraints::new(Limits::Aws);
        for _ in 0..150 {
            must.null(&Place { path: "", member: "Key" });
        }
        let body = String::from_utf8(must.finish().expect_err("a refusal").body()).expect("UTF-8");
        assert!(body.contains("150 validation errors detected: "), "{body}");
        assert_eq!(body.matches("Member must not be null").count(), 100);
    }

    #[test]
    fn colons_are_for_arns_only() {
        assert!(said(r#"{"SecretId":"a:b"}"#).is_some_and(|said| said.starts_with("Invalid name. ")));
        assert_eq!(said(r#"{"SecretId":"arn:aws:secretsmanager:us-east-1:000000000000:secret:a-AbCdEf"}"#), None);
    }

    #[test]
    fn what_a_request_is_about_and_its_members_come_from_the_table() {
        let request: Request = serde_json::from_str(r#"{"SecretId":"a","Unknown":1}"#).expect("a request");
        assert_eq!(request.secret_id(), Some("a"));
        assert_eq!(Request::NAMES, ["SecretId", "VersionId", "SecretString", "MaxResults", "Filters"]);
    }
}
