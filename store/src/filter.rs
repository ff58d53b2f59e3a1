//! The filters of ListSecrets: pure. All filters must match; in each, any value.
//!
//! Never here: validation of keys and values, which is the caller's; an unknown key matches nothing.

use crate::model::{Description, Filter};

/// Does the secret pass every filter?
pub(crate) fn passes(secret: &Description, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| filter.values.iter().any(|value| one(secret, &filter.key, value)))
}

fn one(secret: &Description, key: &str, value: &str) -> bool {
    let (negated, value) = match value.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let tags = secret.tags.as_deref().unwrap_or_default();
    let matches = match key {
        "name" => secret.name.starts_with(value),
        "tag-key" => tags.iter().any(|tag| tag.key.starts_with(value)),
        "tag-value" => tags.iter().any(|tag| tag.value.starts_with(value)),
        "description" => match &secret.description {
            Some(description) => all_words(value, &words(description)),
            // A secret without a description matches neither a value nor its negation.
            None => return false,
        },
        "all" => all_words(value, &words_of(secret)),
        "primary-region" => secret.primary_region.as_deref().is_some_and(|region| region.starts_with(value)),
        // Nothing here is owned by a service.
        "owning-service" => false,
        _ => return false,
    };
    matches != negated
}

/// The words of name, description, tag keys and tag values.
fn words_of(secret: &Description) -> Vec<String> {
    let mut there = words(&secret.name);
    there.extend(secret.description.as_deref().map(words).unwrap_or_default());
    for tag in secret.tags.iter().flatten() {
        there.extend(words(&tag.key));
        there.extend(words(&tag.value));
    }
    there
}

/// Every word asked for begins some word that is there. Nothing asked for is found nowhere.
fn all_words(asked: &str, there: &[String]) -> bool {
    let asked = words(asked);
    !asked.is_empty() && asked.iter().all(|word| there.iter().any(|have| have.starts_with(word)))
}

/// Words in lower case, split where AWS splits: at spaces, at a special character, and at changes of case. A piece that
/// mixes special characters is one word, as AWS has it.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in text.split_whitespace() {
        let is_special = |c: char| "/-_+=.@".contains(c);
        if piece.chars().all(is_special) {
            continue;
        }
        let special = piece.chars().find(|c| is_special(*c));
        if special.is_some() && piece.chars().any(|c| is_special(c) && Some(c) != special) {
            words.push(piece.to_lowercase());
            continue;
        }
        for part in piece.split(is_special) {
            words.extend(terms(part).map(str::to_lowercase));
        }
    }
    words
}

/// The terms of `AppBeta` are App and Beta, those of `COMPANYthings` COMPAN and Ythings: a capital begins a term where a
/// small letter follows it, and capitals in a row are one term.
fn terms(part: &str) -> impl Iterator<Item = &str> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let end = term_end(rest);
        let (term, after) = rest.split_at(end);
        rest = after;
        (!term.is_empty()).then_some(term)
    })
}

/// Where the first term of `text` ends.
fn term_end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let mut before = None;
    while let Some((at, c)) = chars.next() {
        let begins = c.is_uppercase() && chars.peek().is_some_and(|(_, next)| next.is_lowercase());
        let rises = c.is_uppercase() && before.is_some_and(char::is_lowercase);
        if at > 0 && (begins || rises) {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::Tag;

    fn secret(name: &str, description: Option<&str>, tags: &[(&str, &str)]) -> Description {
        let tag = |(key, value): &(&str, &str)| Tag { key: (*key).to_owned(), value: (*value).to_owned() };
        Description {
            arn: String::new(),
            name: name.to_owned(),
            description: description.map(str::to_owned),
            kms_key_id: None,
            created: DateTime::UNIX_EPOCH,
            changed: DateTime::UNIX_EPOCH,
            accessed: None,
            rotated: None,
            next_rotation: None,
            deleted: None,
            rotation: None,
            tags: Some(tags.iter().map(tag).collect()),
            stages: std::collections::BTreeMap::new(),
            primary_region: (name == "bare").then(|| "eu-west-1".to_owned()),
            replicas: Vec::new(),
            external: crate::model::External::default(),
        }
    }

    #[test]
    fn s2_8_each_key_matches_as_recorded() {
        let orders = secret("prod/Orders-db", Some("Main orders database"), &[("team", "Blue")]);
        let bare = secret("bare", None, &[]);
        let cases = [
            (&orders, "name", "prod/", true),
            (&orders, "name", "Prod/", false),
            (&orders, "name", "rod", false),
            (&orders, "name", "!/", true),
            (&orders, "name", "!prod", false),
            (&orders, "tag-key", "te", true),
            (&orders, "tag-key", "Te", false),
            (&orders, "tag-value", "Bl", true),
            (&orders, "tag-value", "bl", false),
            (&orders, "tag-value", "!bl", true),
            (&orders, "description", "ORDERS main", true),
            (&orders, "description", "rders", false),
            (&orders, "description", "main missing", false),
            (&orders, "description", "!x", true),
            (&bare, "description", "x", false),
            (&bare, "description", "!x", false),
            (&orders, "all", "blue", true),
            // A name of two special characters is one word.
            (&orders, "all", "db", false),
            (&orders, "all", "main blue", true),
            (&orders, "all", "prod/Orders-d", true),
            (&orders, "all", "atabase", false),
            (&orders, "all", "/", false),
            (&bare, "all", "!blue", true),
            (&orders, "owning-service", "rds", false),
            (&bare, "primary-region", "eu-", true),
            (&bare, "primary-region", "EU", false),
            (&bare, "primary-region", "!eu-west-1", false),
            (&orders, "primary-region", "eu", false),
            (&orders, "nonsense", "x", false),
        ];
        for (secret, key, value, expected) in cases {
            assert_eq!(one(secret, key, value), expected, "{key} {value} on {}", secret.name);
        }
    }

    #[test]
    fn s2_8_texts_are_split_where_aws_splits_them() {
        for (text, expected) in [
            ("test", "test"),
            ("my test", "my test"),
            ("Mytest", "mytest"),
            ("MyTestPhrase", "my test phrase"),
            ("myTest", "my test"),
            ("my/test", "my test"),
            ("prod@AppBeta@x", "prod app beta x"),
            ("prod-AppBeta/x", "prod-appbeta/x"),
            ("uat/COMPANY/x", "uat company x"),
            ("COMPANYthings", "compan ythings"),
            ("SecretFTag", "secret f tag"),
            ("//a//", "a"),
            ("+", ""),
            ("/-", ""),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn values_of_one_filter_are_alternatives_and_filters_are_not() {
        let orders = secret("prod/orders", Some("x"), &[]);
        let filter = |key: &str, values: &[&str]| Filter {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert!(passes(&orders, &[filter("name", &["dev", "prod"]), filter("description", &["x"])]));
        assert!(!passes(&orders, &[filter("name", &["prod"]), filter("description", &["y"])]));
        assert!(passes(&orders, &[]));
    }
}
