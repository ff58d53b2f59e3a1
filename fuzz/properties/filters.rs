//! Filters: none panics, all of them must match, and in one of them any value.
//!
//! An input is a name, a description (empty: none), tags `key=value` joined by semicolons, and then one filter a line,
//! `key:value|value`.

use store::{Filter, Tag};

/// A request has no more of either.
const MOST: usize = 10;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (name, description, tags) = (line(), Some(line()).filter(|text| !text.is_empty()), line());
    let tags = tags
        .split(';')
        .filter_map(|tag| tag.split_once('='))
        .map(|(key, value)| Tag { key: key.to_owned(), value: value.to_owned() });
    let secret = store::fuzzing::described(name, description, tags.collect());
    let filters: Vec<Filter> = lines.filter_map(filter).take(MOST).collect();
    let passes = |filters: &[Filter]| store::fuzzing::passes(&secret, filters);

    assert!(passes(&[]), "nothing asked for is asked of no secret");
    let each = filters.iter().all(|filter| passes(std::slice::from_ref(filter)));
    assert_eq!(passes(&filters), each, "all filters must match: {filters:?}");
    for Filter { key, values } in &filters {
        let one = |value: &str| passes(&[Filter { key: key.clone(), values: vec![value.to_owned()] }]);
        if values.iter().all(|value| !value.starts_with('!')) {
            let any = values.iter().any(|value| one(value));
            assert_eq!(passes(&[Filter { key: key.clone(), values: values.clone() }]), any, "{key}: any of {values:?}");
        }
        for value in values.iter().filter(|value| !value.starts_with('!')) {
            let (plain, negated) = (one(value), one(&format!("!{value}")));
            assert!(!(plain && negated), "{key}: {value:?} and its negation both match");
            if key == "name" {
                assert_eq!(plain, name.starts_with(value.as_str()), "a name is matched from its beginning");
                assert_ne!(plain, negated, "{value:?} of a name");
            }
        }
    }
}

fn filter(line: &str) -> Option<Filter> {
    let (key, values) = line.split_once(':')?;
    Some(Filter { key: key.to_owned(), values: values.split('|').take(MOST).map(str::to_owned).collect() })
}
