//! Which secrets a principal is there for, by name. Pure.
//!
//! Never here: what may be done with them.

use serde::{Deserialize, Serialize};

/// Beginnings of names, and names. Empty: no secret at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Secrets whose name begins with one of these.
    pub prefixes: Vec<String>,
    /// Secrets of exactly these names.
    pub secrets: Vec<String>,
}

impl Scope {
    /// Is this very name in it?
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.secrets.iter().any(|secret| secret == name)
    }

    /// Does one of its prefixes begin this name?
    #[must_use]
    pub fn begins(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// The same scope, however it was written: sorted, and each once.
    #[must_use]
    pub fn normal(mut self) -> Self {
        for list in [&mut self.prefixes, &mut self.secrets] {
            list.sort();
            list.dedup();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(prefixes: &[&str], secrets: &[&str]) -> Scope {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Scope { prefixes: list(prefixes), secrets: list(secrets) }
    }

    #[test]
    fn names_are_exact_and_prefixes_are_beginnings() {
        let scope = scope(&["app/"], &["db"]);
        assert!(scope.names("db") && !scope.names("db2") && !scope.names("app/"));
        assert!(scope.begins("app/x") && scope.begins("app/") && !scope.begins("App/x") && !scope.begins("app"));
        assert!(!Scope::default().names("") && !Scope::default().begins("x"));
    }

    #[test]
    fn order_and_repetition_make_no_other_scope() {
        assert_eq!(scope(&["b", "a", "b"], &["d", "c"]).normal(), scope(&["a", "b"], &["c", "d"]));
    }
}
