//! The failure catalogue (`docs/failures.md`): no row is missing, and every test that it names is there and names the row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// F01 to F130.
const ROWS: u32 = 130;

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// A row of the page.
struct Row {
    id: String,
    met: String,
    /// Path and function.
    tests: Vec<(String, String)>,
}

fn rows() -> Vec<Row> {
    let page = read("docs/failures.md").expect("the page");
    page.lines().filter(|line| line.starts_with("| F")).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [id, what, met, tests] = cells[..] else { panic!("not four cells: {line}") };
    assert!(!what.is_empty() && !met.is_empty(), "{id} says nothing");
    let named = tests.split('`').skip(1).step_by(2).map(|test| {
        let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("{id}: {test} is no path::function"));
        (path.to_owned(), name.to_owned())
    });
    Row { id: id.to_owned(), met: met.to_owned(), tests: named.collect() }
}

/// A function with the comments and attributes on it; None where the file has none of this name.
fn function(source: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let declares = |line: &&str| {
        let after = line.split_once("fn ").and_then(|(_, rest)| rest.strip_prefix(name));
        after.is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let at = lines.iter().position(|line| declares(line))?;
    let is_on_it = |line: &&&str| line.trim_start().starts_with(['/', '#']);
    let from = at - lines[..at].iter().rev().take_while(is_on_it).count();
    let indent = &lines[at][..lines[at].len() - lines[at].trim_start().len()];
    let end =
        lines[at..].iter().position(|line| *line == format!("{indent}}}")).map_or(lines.len(), |end| at + end + 1);
    Some(lines[from..end].join("\n"))
}

/// Whether a text has this word: no letter and no digit beside it.
fn has_word(text: &str, word: &str) -> bool {
    let alone = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    text.match_indices(word)
        .any(|(at, _)| alone(text[..at].chars().next_back()) && alone(text[at + word.len()..].chars().next()))
}

#[test]
fn every_row_is_there_in_its_order_and_says_how_it_is_met() {
    let ids: Vec<String> = rows().into_iter().map(|row| row.id).collect();
    let expected: Vec<String> = (1..=ROWS).map(|number| format!("F{number:02}")).collect();
    assert_eq!(ids, expected);
}

#[test]
fn every_test_of_the_page_exists_and_names_its_row() {
    let mut sources: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut wrong = vec![];
    for Row { id, tests, .. } in rows() {
        for (path, name) in tests {
            let source = sources.entry(path.clone()).or_insert_with(|| read(&path));
            match source.as_deref().and_then(|source| function(source, &name)) {
                None => wrong.push(format!("{id}: there is no {path}::{name}")),
                Some(text) if !has_word(&text, &id) && !has_word(&name.replace('_', " "), &id.to_lowercase()) => {
                    wrong.push(format!("{id}: {path}::{name} does not carry it: add `// {id}` above it"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_without_a_test_says_that_it_cannot_happen_or_is_open() {
    let silent = rows().into_iter().filter(|row| row.tests.is_empty());
    let silent = silent.filter(|row| !["cannot happen: ", "open: "].iter().any(|word| row.met.starts_with(word)));
    let silent: Vec<String> = silent.map(|row| format!("{}: {}", row.id, row.met)).collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn an_id_that_a_test_carries_is_looked_for_as_a_word() {
    let source = "// F12\n#[test]\nfn a_test() {\n    // F7\n}\n\nfn other() {}\n";
    let text = function(source, "a_test").expect("it is there");
    assert!(has_word(&text, "F12") && has_word(&text, "F7") && !has_word(&text, "F1"));
    assert!(function(source, "a_tes").is_none());
}
