//! Checks with names and passwords that need quoting.

use pawl::servers::Server;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::Case;
use crate::harness::account::{Account, execute};
use crate::harness::unique;

/// An account of this name gets the second password, and then a third one from the admin. Both are asked for by a
/// login without Pawl.
pub(crate) fn rotates_under_this_name(server: &'static Server, name: &str, passwords: &[String; 3]) {
    let [first, second, third] = passwords;
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let create = if server.engine == "postgres" {
        format!("CREATE ROLE \"{}\" LOGIN PASSWORD {}", name.replace('"', "\"\""), literal(first))
    } else {
        let literal = |text: &str| literal(&text.replace('\\', "\\\\"));
        format!("CREATE USER {}@'%' IDENTIFIED BY {}", literal(name), literal(first))
    };
    execute(server, &create);
    let account = Account { server, user: name.to_owned(), password: first.clone() };
    let mut case = Case::of(&account, &json!({}));
    for next in [second, third] {
        let mut wanted = case.current.clone();
        wanted["password"] = json!(next);
        case.set(&wanted).unwrap_or_else(|e| panic!("{name:?}: {e:?}"));
        case.test(&wanted).unwrap_or_else(|e| panic!("{name:?}: {e:?}"));
        assert!(case.logs_in(next), "{name:?}");
        case.current = wanted;
        case = case.by_admin();
    }
}

/// Names and passwords that need quoting: picked ones, and drawn ones of up to `longest` bytes.
pub(crate) fn any_name_works(server: &'static Server, longest: usize) {
    let named = |name: &str| format!("{name}{}", unique(""));
    let drawn_part = longest - unique("").len() - 1;
    let picked = [
        "quote'\"'",
        "back\\slash\\",
        "tick`tick``",
        "\"; DROP --",
        "'@'%'; --",
        "имя",
        "at@sign",
        "/* */ #",
        "$user %s :n",
        "a\tb",
    ];
    let password = || unique("Canary-''\\'\"`$-Ωпароль\u{ad}\u{2000}");
    for name in picked {
        rotates_under_this_name(server, &named(name), &[password(), password(), password()]);
    }
    rotates_under_this_name(server, &format!("{:x<longest$}", named("")), &[password(), password(), password()]);

    let text = || "[a-zA-Z0-9'\"`\\\\;@%$é用 ]{1,12}".prop_map(|text| format!("Canary-{text}-"));
    let case = ("[a-zA-Z'\"`\\\\;@%$é用 -]{1,40}", text(), text(), text());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&case, |(name, first, second, third)| {
        // Cut to what fits, at a character; MySQL makes accounts without the spaces around their names.
        let mut name = name.trim_start().to_owned();
        while name.len() > drawn_part {
            name.pop();
        }
        rotates_under_this_name(server, &named(&name), &[first, second, third].map(|text| unique(&text)));
        Ok(())
    });
    outcome.expect("any name and any password work");
}
