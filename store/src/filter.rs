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
        "all" => {
            let mut there = words(&secret.name);
            there.push(secret.name.to_lowercase());
            there.extend(secret.description.as_deref().map(words).unwrap_or_default());
            for tag in tags {
                there.extend(words(&tag.key));
                there.extend(words(&tag.value));
            }
            all_words(value, &there)
        }
        "primary-region" => secret.primary_region.as_deref().is_some_and(|region| region.starts_with(value)),
        // Nothing here is owned by a service.
        "owning-service" => false,
        _ => return false,
    };
    matches != negated
}

/// Every word asked for begins some word that is there.
fn all_words(asked: &str, there: &[String]) -> bool {
    let asked: Vec<String> = asked.split_whitespace().map(str::to_lowercase).collect();
    let begins_one = |word: &String| {
        let parts = words(word);
        there.iter().any(|have| have.starts_with(word))
            || !parts.is_empty() && parts.iter().all(|part| there.iter().any(|have| have.starts_with(part)))
    };
    !asked.is_empty() && asked.iter().all(begins_one)
}

/// Words in lower case, split where AWS splits: at spaces and the special characters of names.
fn words(text: &str) -> Vec<String> {
    let split = |c: char| c.is_whitespace() || "/-_+=.@".contains(c);
    text.split(split).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
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
    fn each_key_matches_as_recorded() {
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
            (&orders, "all", "db", true),
            (&orders, "all", "prod/orders", true),
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
